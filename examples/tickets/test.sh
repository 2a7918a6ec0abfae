#!/usr/bin/env bash
# Runs the tickets example, drives it in headless Chromium as several people,
# ends it by Ctrl-C.  Screenshots and logs stay in build/tickets/.
set -uo pipefail
cd "$(dirname "$0")/../.."

out=build/tickets
mkdir -p $out
rm -f $out/*.png
log=$(mktemp)
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); }

# Ports of its own.  A process group of its own, to be interrupted as a terminal
# would do it; and with SIGINT as a terminal has it, for a shell's background
# jobs ignore it.
PORT=0 ROOMS_PORT=0 FEED=0 perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV or die' examples/tickets/run.sh >"$log" 2>&1 &
example=$!
if timeout 300 grep -qm1 'Ctrl-C stops' <(exec tail -n +1 -F --pid=$example "$log" 2>/dev/null); then
	ok "the example starts"
	url=$(sed -n 's/^  The application:  //p' "$log")
	line=$(sed -n 's/^    \(psql .*\) -c .*$/\1/p' "$log")
	work=$(sed -n 's|^  Log: \(.*\)/data/log .*|\1|p' "$log")
	timeout 420 node examples/tickets/test.mjs "$url" "$line" $out | tee "$log.page"
	status=${PIPESTATUS[0]}
	passed=$((passed + $(grep -c '^ok ' "$log.page"))) failed=$((failed + $(grep -c '^not ok ' "$log.page")))
	[ "$status" = 0 ] || grep -q '^not ok ' "$log.page" || not_ok "the browsers came to the end"
	cp "$work/data/log" $out/server.log
	cp "$work/web.log" $out/web.log
	grep -q . < <(grep -E 'Error|error' $out/web.log) && not_ok "the web server had no error" || ok "the web server had no error"
	pids=$(pgrep -f "^$work/" || true)
	kill -INT -- "-$example"
	if ! timeout 40 tail --pid="$example" -f /dev/null; then kill -TERM -- "-$example"; fi
	wait "$example" && ok "Ctrl-C ends it with status 0" || not_ok "Ctrl-C ends it with status 0"
	left=
	# One that has ended may still wait for init to take notice.
	for pid in $pids; do timeout 5 tail --pid="$pid" -f /dev/null || left="$left $pid"; done
	left="$left $(pgrep -f "^$work/" || true)"
	[ -z "${left// /}" ] && ok "no process is left" || not_ok "no process is left: $left"
	[ ! -e "$work" ] && ok "no file is left" || not_ok "no file is left: $work"
else
	not_ok "the example starts"
	cat "$log"
	kill -INT -- "-$example" 2>/dev/null
	wait "$example"
fi
rm -f "$log" "$log.page"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

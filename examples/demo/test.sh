#!/usr/bin/env bash
# Runs the demo, looks at its page in headless Chromium, ends it by Ctrl-C.
# Screenshots stay in build/.
set -uo pipefail
cd "$(dirname "$0")/../.."

mkdir -p build
log=$(mktemp)
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); }

# A process group of its own, to be interrupted as a terminal would do it; and
# with SIGINT as a terminal has it, for a shell's background jobs ignore it.
perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV or die' examples/demo/run.sh >"$log" 2>&1 &
demo=$!
if timeout 300 grep -qm1 'Ctrl-C stops' <(exec tail -n +1 -F --pid=$$ "$log" 2>/dev/null); then
	ok "the demo starts"
	url=$(sed -n 's/^  The page:  //p' "$log")
	line=$(sed -n 's/^    \(psql .* -c .*\)$/\1/p' "$log")
	work=$(sed -n 's|^  Log: \(.*\)/data/log .*|\1|p' "$log")
	timeout 120 node examples/demo/test.mjs "$url" "$line" build/demo.png | tee "$log.page"
	passed=$((passed + $(grep -c '^ok ' "$log.page"))) failed=$((failed + $(grep -c '^not ok ' "$log.page")))
	[ "$(grep -c '^ok ' "$log.page")" -gt 0 ] || not_ok "the page was looked at"
	pids=$(pgrep -f "^$work/" || true)
	cp "$work/data/log" build/demo-server.log
	kill -INT -- "-$demo"
	if ! timeout 30 tail --pid="$demo" -f /dev/null; then kill -TERM -- "-$demo"; fi
	wait "$demo" && ok "Ctrl-C ends it with status 0" || not_ok "Ctrl-C ends it with status 0"
	left=
	# One that has ended may still wait for init to take notice.
	for pid in $pids; do timeout 5 tail --pid="$pid" -f /dev/null || left="$left $pid"; done
	left="$left $(pgrep -f "^$work/" || true)"
	[ -z "${left// /}" ] && ok "no process is left" || not_ok "no process is left: $left"
	[ ! -e "$work" ] && ok "no file is left" || not_ok "no file is left: $work"
else
	not_ok "the demo starts"
	cat "$log"
	kill -INT -- "-$demo" 2>/dev/null
fi
rm -f "$log" "$log.page"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

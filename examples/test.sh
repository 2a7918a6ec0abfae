# What the tests of the demo and the example share.  Sourced from the project's root.
#
#   run COMMAND...  starts it; false if it does not say that it is there.  Sets log, work and running, its pid
#   browse COMMAND...   whose output is TAP
#   interrupt [STATUS]  Ctrl-C, which ends it with this exit status (0); nothing may be left
#   finish
# shellcheck shell=bash

log=$(mktemp)
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); }
check() { # STATUS NAME
	if [ "$1" = 0 ]; then ok "$2"; else not_ok "$2"; fi
}

# A process group of its own, to be interrupted as a terminal would do it; and
# with SIGINT as a terminal has it, for a shell's background jobs ignore it.
run() {
	perl -e 'setpgrp; $SIG{INT} = "DEFAULT"; exec @ARGV or die' "$@" >"$log" 2>&1 &
	running=$!
	if timeout 300 grep -qm1 'Ctrl-C stops' <(exec tail -n +1 -F --pid=$running "$log" 2>/dev/null); then
		ok "it starts"
		work=$(sed -n 's|^  Log: \(.*\)/data/log .*|\1|p' "$log")
	else
		not_ok "it starts"
		cat "$log"
		kill -INT -- "-$running" 2>/dev/null
		wait "$running"
		false
	fi
}

browse() {
	local status
	"$@" | tee "$log.page"
	status=${PIPESTATUS[0]}
	passed=$((passed + $(grep -c '^ok ' "$log.page"))) failed=$((failed + $(grep -c '^not ok ' "$log.page")))
	[ "$status" = 0 ] || grep -q '^not ok ' "$log.page" || not_ok "the browser came to the end"
	rm -f "$log.page"
}

interrupt() {
	local pids left='' pid
	pids=$(pgrep -f "^$work/" || true)
	kill -INT -- "-$running"
	if ! timeout 40 tail --pid="$running" -f /dev/null; then kill -TERM -- "-$running"; fi
	wait "$running"
	[ $? = "${1:-0}" ]
	check $? "Ctrl-C ends it with status ${1:-0}"
	# One that has ended may still wait for init to take notice.
	for pid in $pids; do timeout 5 tail --pid="$pid" -f /dev/null || left="$left $pid"; done
	left="$left $(pgrep -f "^$work/" || true)"
	[ -z "${left// /}" ]
	check $? "no process is left $left"
	[ ! -e "$work" ]
	check $? "no file is left in $work"
}

finish() {
	rm -f "$log"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

#!/usr/bin/env bash
# Runs `make demo` twice, the second time without network, beside a cluster
# that must not notice it; looks at its page in headless Chromium, and ends it
# by Ctrl-C.  Screenshots stay in build/.
set -uo pipefail
cd "$(dirname "$0")/../.."
. examples/test.sh

mkdir -p build

# The cluster of a system, so to speak.  Its own checkpoints and vacuums would change its files.
beside=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-beside.XXXXXX")
bin=$(pg_config --bindir)
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	chown postgres: "$beside"
fi
stop_beside() {
	"${as[@]}" "$bin/pg_ctl" -D "$beside/data" -m immediate stop >/dev/null 2>&1
	rm -rf "$beside"
}
trap stop_beside EXIT
(cd "$beside" && "${as[@]}" "$bin/initdb" -D data -U postgres -A trust --no-sync --no-locale >/dev/null &&
	"${as[@]}" setsid "$bin/pg_ctl" -D data -w -l log -o "-c listen_addresses='' -c unix_socket_directories='$beside' \
		-c autovacuum=off -c checkpoint_timeout=1h" start >/dev/null &&
	"$bin/psql" -Xq -h "$beside" -U postgres -c 'CREATE TABLE kept AS SELECT generate_series(1, 1000)' -c CHECKPOINT)
check $? "a cluster is there before"
state_beside() {
	kill -0 "$(head -n 1 "$beside/data/postmaster.pid")" &&
		(cd "$beside/data" && find postmaster.pid ./*.conf base global pg_xact pg_multixact -type f -exec sha256sum {} + | sort | sha256sum)
}
before=$(state_beside)

# Starts it by these words before `make demo`, looks, and ends it; make says itself that it was interrupted.
look() {
	local inside=()
	run "$@" make -s demo || return
	if [ $# != 0 ]; then inside=("${enter[@]}" -t "$running"); fi
	browse timeout 120 "${inside[@]}" node examples/demo/test.mjs "$(sed -n 's/^  The page:  //p' "$log")" \
		"$(sed -n 's/^    \(psql .* -c .*\)$/\1/p' "$log")" build/demo.png
	cp "$work/data/log" build/demo-server.log
	interrupt 130
}

look

# Without network but for the loopback interface, which a new namespace has, but not up.
if [ "$(id -u)" = 0 ]; then
	leave=(unshare -n) enter=(nsenter -n)
else
	leave=(unshare -nc --keep-caps) enter=(nsenter -n -U --preserve-credentials)
fi
leave+=(perl -e 'socket(S, 2, 2, 0) && ioctl(S, 0x8914, pack("a16s", "lo", 1)) or die "lo: $!"; exec @ARGV or die "$!"')
if "${leave[@]}" true 2>/dev/null; then
	echo "-- again, without network"
	look "${leave[@]}"
else
	echo "-- again; with network, for there are no namespaces here"
	look
fi

[ -n "$before" ] && [ "$(state_beside)" = "$before" ]
check $? "the cluster beside it has the same process, configuration and data"
finish

# What the demo and the example share: a throw-away cluster with pg_rooms, in a
# new directory under $TMPDIR, which goes when the script ends (Ctrl-C).
#
# Sourced from the project's root with `name` set.  Gives
#
#   work, as, bin   the directory; a prefix that makes a command user postgres'
#                   when this is root; the bin directory of the installation
#   free_port [PORT]   that one, or another if it is taken
#   start_cluster   with stdin at the end of postgresql.conf; sets pgport and psql
#   wait_for        a text in a log
#   children        pids that are ended first
# shellcheck shell=bash disable=SC2154 # name

free_port() { perl -MIO::Socket::INET -e '
	for my $port (@ARGV, 0) {
		my $s = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => "127.0.0.1", LocalPort => $port) or next;
		print $s->sockport;
		last;
	}' "$@"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-$name.XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups env "HOME=$work" USER=postgres LOGNAME=postgres)
fi
started='' children=()
cleanup() {
	trap - EXIT
	trap '' INT TERM HUP
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${children[@]}"; do timeout 10 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true; done
	if [ -n "$started" ]; then "${as[@]}" "$bin/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null 2>&1 || true; fi
	rm -rf "$work"
	exit "${1:-0}"
}
trap 'cleanup 1' EXIT
trap 'echo; echo "stopping"; cleanup' INT TERM HUP

echo "building pg_rooms ..."
bin=$(test/tools/stage.sh plain "$work/stage")
mkdir "$work/run"

start_cluster() {
	echo "starting PostgreSQL ..."
	chmod 755 "$work"
	if [ "$(id -u)" = 0 ]; then chown -R postgres: "$work"; fi
	pgport=$(free_port)
	"${as[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust --encoding=UTF8 --locale=C >"$work/initdb.log" </dev/null || { cat "$work/initdb.log"; exit 1; }
	"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null < <(
		cat <<CONF
listen_addresses = ''
unix_socket_directories = '$work/run'
port = $pgport
shared_preload_libraries = 'pg_rooms'
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.recovery_window = '2min'
CONF
		cat
	)
	# In a session of its own, so that Ctrl-C reaches the script alone.
	started=1
	"${as[@]}" setsid "$bin/pg_ctl" -D "$work/data" -l "$work/data/log" -w start >/dev/null </dev/null || { cat "$work/data/log"; exit 1; }
	psql=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work/run" -p "$pgport" -U postgres)
	postmaster=$(head -n 1 "$work/data/postmaster.pid")
}

# Whoever is ready says so; the line is the signal, no guess at a time.
wait_for() { # TEXT LOG
	timeout 60 grep -qm1 "$1" <(exec tail -n +1 -F --pid=$$ "$2" 2>/dev/null) || { cat "$2"; exit 1; }
}

# Until Ctrl-C, or until one of these has ended.
wait_for_end() { # PID...
	local pid
	while :; do
		for pid in "$@"; do kill -0 "$pid" 2>/dev/null || return 0; done
		sleep 1 &
		wait $! || true
	done
}

#!/usr/bin/env bash
# The application behind `make example`: a throw-away cluster and `next start`.
#
# The database lives in one new directory under $TMPDIR and goes when this ends
# (Ctrl-C).  PORT sets the port of the pages (3000) and ROOMS_PORT that of
# pg_rooms (8080); if one is taken, another is.  FEED=0 writes no metrics.
# The application is built once, and again when its files have changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD web=examples/tickets/web

free_port() { perl -MIO::Socket::INET -e '
	for my $port (@ARGV, 0) {
		my $s = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => "127.0.0.1", LocalPort => $port) or next;
		print $s->sockport;
		last;
	}' "$@"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-tickets.XXXXXX")
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
	if [ -n "$started" ]; then "${as[@]}" "$bin/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null || true; fi
	rm -rf "$work"
	exit "${1:-0}"
}
trap 'cleanup 1' EXIT
trap 'echo; echo "stopping"; cleanup' INT TERM HUP

echo "building pg_rooms ..."
bin=$(test/tools/stage.sh plain "$work/stage")

export NEXT_TELEMETRY_DISABLED=1
sources=$(cd $web && find . -type f ! -path './node_modules/*' ! -path './.next/*' ! -name '*.tsbuildinfo' ! -name next-env.d.ts -print0 |
	sort -z | xargs -0 sha256sum | sha256sum)
if [ "$sources" != "$(cat $web/.next/built-from 2>/dev/null)" ]; then
	echo "building the application ..."
	(cd $web && node node_modules/next/dist/bin/next build) >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
	echo "$sources" >$web/.next/built-from
fi

mkdir "$work/run"
cp -r examples/tickets/sql "$work/"
chmod 755 "$work"
if [ "$(id -u)" = 0 ]; then chown -R postgres: "$work"; fi

echo "starting PostgreSQL ..."
port=$(free_port "${PORT:-3000}")
rooms_port=$(free_port "${ROOMS_PORT:-8080}")
pgport=$(free_port)
secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
"${as[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust --encoding=UTF8 --locale=C >"$work/initdb.log" || { cat "$work/initdb.log"; exit 1; }
"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$work/run'
port = $pgport
shared_preload_libraries = 'pg_rooms'
pg_rooms.database = 'tickets'
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.port = $rooms_port
pg_rooms.allowed_origins = 'http://127.0.0.1:$port, http://localhost:$port'
pg_rooms.jwt_secret = '$secret'
pg_rooms.max_connections_per_user = 5
pg_rooms.recovery_window = '2min'
CONF
# In a session of its own, so that Ctrl-C reaches this script alone.
started=1
"${as[@]}" setsid "$bin/pg_ctl" -D "$work/data" -l "$work/data/log" -w start >/dev/null || { cat "$work/data/log"; exit 1; }

# Each says when it is ready; its line is the signal, no guess at a time.
wait_for() { # TEXT LOG
	timeout 60 grep -qm1 "$1" <(exec tail -n +1 -F --pid=$$ "$2" 2>/dev/null) || { cat "$2"; exit 1; }
}
wait_for "listening on" "$work/data/log"

psql=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work/run" -p "$pgport" -U postgres)
"${psql[@]}" -d postgres -c 'CREATE DATABASE tickets'
for file in schema live gateway seed; do "${psql[@]}" -d tickets -f "$work/sql/$file.sql" >/dev/null; done
# Now there are the roles that handlers need; a gateway that runs takes the reload and says so.
for _ in $(seq 300); do
	[ "$("${psql[@]}" -d tickets -Atc "SELECT count(*) FROM rooms.processes WHERE role = 'gateway'")" = 0 ] || break
	sleep 0.1
done
"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
pg_rooms.handler_conninfo = 'host=$work/run port=$pgport user=tickets_gateway'
pg_rooms.default_role = 'tickets_user'
CONF
"${as[@]}" "$bin/pg_ctl" -D "$work/data" reload >/dev/null

# The web application: a role that is no superuser, and the secret of the tokens.
PGHOST=$work/run PGPORT=$pgport PGUSER=tickets_web PGDATABASE=tickets JWT_SECRET=$secret ROOMS_URL=http://127.0.0.1:$rooms_port \
	setsid sh -c "cd '$root/$web' && exec node node_modules/next/dist/bin/next start -H 127.0.0.1 -p $port" >"$work/web.log" 2>&1 &
children+=($!)
web_pid=$!

if [ "${FEED:-1}" = 1 ]; then
	# Five samples a second, of which browsers see one.
	setsid "$bin/psql" -X -q -h "$work/run" -p "$pgport" -U postgres -d tickets >/dev/null 2>&1 <<'SQL' &
INSERT INTO metric (tenant_id, requests, latency_ms)
	SELECT t.id, 120 + (60 * sin(extract(epoch FROM now()) / 9))::int + (20 * random())::int, 30 + (25 * random())::int FROM tenant t \watch 0.2
SQL
	children+=($!)
fi

wait_for "Ready in" "$work/web.log"
wait_for "the configuration is reloaded" "$work/data/log"

cat <<TEXT

  The application:  http://127.0.0.1:$port/

  Sign in as ada, ben or mia of Acme or as cleo of Globex, each in a browser
  (or a private window) of its own; the password is "rooms".  And from outside:

    psql -h $work/run -p $pgport -U postgres tickets -c "INSERT INTO ticket (tenant_id, title, assignee) VALUES (1, 'Printer on fire', 'ada')"

  Log: $work/data/log        Ctrl-C stops it and removes the database.

TEXT
# Until Ctrl-C, or until one of the two has ended.
postmaster=$(head -n 1 "$work/data/postmaster.pid")
while kill -0 "$postmaster" 2>/dev/null && kill -0 "$web_pid" 2>/dev/null; do
	sleep 1 &
	wait $! || true
done
echo "a server has stopped"
tail -n 20 "$work/web.log"
exit 1

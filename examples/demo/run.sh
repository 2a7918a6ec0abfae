#!/usr/bin/env bash
# The demo behind `make demo`: a throw-away cluster that serves a live page.
#
# Everything lives in one new directory under $TMPDIR and goes when the demo
# ends (Ctrl-C).  PORT sets the port of the page (8080, or a free one if that
# is taken).  As root PostgreSQL runs as user postgres.
set -euo pipefail
cd "$(dirname "$0")/../.."

free_port() { perl -MIO::Socket::INET -e '
	for my $port (@ARGV, 0) {
		my $s = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => "127.0.0.1", LocalPort => $port) or next;
		print $s->sockport;
		last;
	}' "$@"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-demo.XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups env "HOME=$work" USER=postgres LOGNAME=postgres)
fi
started=
cleanup() {
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$started" ]; then "${as[@]}" "$bin/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null || true; fi
	rm -rf "$work"
	exit "${1:-0}"
}
trap 'cleanup 1' EXIT
trap 'echo; echo "stopping"; cleanup' INT TERM HUP

echo "building ..."
bin=$(test/tools/stage.sh plain "$work/stage")

mkdir "$work/public" "$work/run"
cp examples/demo/public/* test/client/node_modules/socket.io-client/dist/socket.io.min.js "$work/public/"
cp examples/demo/schema.sql "$work/"
chmod 755 "$work"
if [ "$(id -u)" = 0 ]; then chown -R postgres: "$work"; fi

echo "starting PostgreSQL ..."
port=$(free_port "${PORT:-8080}")
pgport=$(free_port)
"${as[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust --encoding=UTF8 --locale=C >"$work/initdb.log" || { cat "$work/initdb.log"; exit 1; }
"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$work/run'
port = $pgport
shared_preload_libraries = 'pg_rooms'
pg_rooms.database = 'demo'
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.port = $port
pg_rooms.recovery_window = '2min'
pg_rooms.document_root = '$work/public'
pg_rooms.jwt_secret = '$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')'
CONF
# In a session of its own, so that Ctrl-C reaches this script alone.
started=1
"${as[@]}" setsid "$bin/pg_ctl" -D "$work/data" -l "$work/data/log" -w start >/dev/null || { cat "$work/data/log"; exit 1; }

psql=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work/run" -p "$pgport" -U postgres)
"${psql[@]}" -d postgres -c 'CREATE DATABASE demo'
"${psql[@]}" -d demo -f "$work/schema.sql"

try="psql -h $work/run -p $pgport -U app demo -c \"INSERT INTO ticket (title, assignee) VALUES ('Printer on fire', 'ben')\""
"${psql[@]}" -d demo -At -v "try=$try" >"$work/config.json" <<'SQL'
SELECT jsonb_build_object(
	'try', :'try',
	'users', (SELECT jsonb_agg(jsonb_build_object('id', u.id, 'name', u.name, 'tenant', t.name,
			'token', rooms.sign_token(jsonb_build_object('sub', u.id, 'tenant_id', t.id), '1 day')) ORDER BY u.id)
		FROM app_user u JOIN tenant t ON t.id = u.tenant_id));
SQL
cp "$work/config.json" "$work/public/config.json"

# The worker says when it listens; its line is the signal, no guess at a time.
if ! timeout 30 grep -qm1 'listening on' <(exec tail -n +1 -F --pid=$$ "$work/data/log" 2>/dev/null); then
	cat "$work/data/log"
	exit 1
fi

cat <<TEXT

  The page:  http://127.0.0.1:$port/

  Now commit a row and watch it arrive at Ada and Ben, and not at Cleo:

    $try

  Nothing arrives before COMMIT, and nothing after ROLLBACK:

    psql -h $work/run -p $pgport -U app demo

  Log: $work/data/log        Ctrl-C stops the demo and removes everything.

TEXT
postmaster=$(head -n 1 "$work/data/postmaster.pid")
# Until Ctrl-C, or until somebody stops the server.
while kill -0 "$postmaster" 2>/dev/null; do
	sleep 1 &
	wait $! || true
done
echo "PostgreSQL has stopped"
started=

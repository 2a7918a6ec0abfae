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

name=tickets
. examples/cluster.sh

export NEXT_TELEMETRY_DISABLED=1
sources=$(cd $web && find . -type f ! -path './node_modules/*' ! -path './.next/*' ! -name '*.tsbuildinfo' ! -name next-env.d.ts -print0 |
	sort -z | xargs -0 sha256sum | sha256sum)
if [ "$sources" != "$(cat $web/.next/built-from 2>/dev/null)" ]; then
	echo "building the application ..."
	(cd $web && node node_modules/next/dist/bin/next build) >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
	echo "$sources" >$web/.next/built-from
fi

cp -r examples/tickets/sql "$work/"
port=$(free_port "${PORT:-3000}")
rooms_port=$(free_port "${ROOMS_PORT:-8080}")
secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
start_cluster <<CONF
pg_rooms.database = 'tickets'
pg_rooms.port = $rooms_port
pg_rooms.allowed_origins = 'http://127.0.0.1:$port, http://localhost:$port'
pg_rooms.jwt_secret = '$secret'
pg_rooms.max_connections_per_user = 5
CONF
wait_for "listening on" "$work/data/log"

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
wait_for_end "$postmaster" "$web_pid"
echo "a server has stopped"
tail -n 20 "$work/web.log"
exit 1

#!/usr/bin/env bash
# The demo behind `make demo`: a throw-away cluster that serves a live page.
#
# Everything lives in one new directory under $TMPDIR and goes when the demo
# ends (Ctrl-C).  PORT sets the port of the page (8080, or a free one if that
# is taken).  As root PostgreSQL runs as user postgres.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=demo
. examples/cluster.sh

mkdir "$work/public"
cp examples/demo/public/* test/client/node_modules/socket.io-client/dist/socket.io.min.js "$work/public/"
cp examples/demo/schema.sql "$work/"
port=$(free_port "${PORT:-8080}")
start_cluster <<CONF
pg_rooms.database = 'demo'
pg_rooms.port = $port
pg_rooms.document_root = '$work/public'
pg_rooms.jwt_secret = '$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')'
CONF
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

wait_for "listening on" "$work/data/log"

cat <<TEXT

  The page:  http://127.0.0.1:$port/

  Now commit a row and watch it arrive at Ada and Ben, and not at Cleo:

    $try

  Nothing arrives before COMMIT, and nothing after ROLLBACK:

    psql -h $work/run -p $pgport -U app demo

  Log: $work/data/log        Ctrl-C stops the demo and removes everything.

TEXT
wait_for_end "$postmaster"
echo "PostgreSQL has stopped"

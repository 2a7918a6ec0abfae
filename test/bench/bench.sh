#!/usr/bin/env bash
# Measures pg_rooms beside what one would use instead, and prints one table.
#
#   bench.sh [SCENARIO ...]      s1 s2 s2b s3 s4 s5 s6 s7; all of them unless named
#
#   STAGE_BIN   bin directory of a relocatable PostgreSQL with the extension
#               (test/tools/stage.sh makes one); made here when not set
#   TARGETS     comma-separated names of targets.json (pg_rooms,sio-pg,bun-native)
#   RUNS        how often each scenario is run; the table has medians (1)
#   CONNS       idle connections of s4 and s7 (10000, or what the file limit allows)
#   RESULTS     file that the results are appended to (build/bench/results.jsonl, emptied first)
#   PERF        a directory: each scenario of pg_rooms is profiled with perf into it
#
# The cluster is a new one with its own port, in a directory under $TMPDIR; it
# runs as user postgres when this is root.  Everything that was started is
# ended, by its pid, however this ends.  Exit status 1: messages were lost,
# came twice, or a connection was closed.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD root=$(cd ../.. && pwd)

scenarios=("$@")
[ ${#scenarios[@]} -gt 0 ] || scenarios=(s1 s2 s2b s3 s4 s5 s6 s7)
targets=${TARGETS:-pg_rooms,sio-pg,bun-native}
build=$root/build/bench
mkdir -p "$build"
results=${RESULTS:-$build/results.jsonl}
[ -n "${RESULTS:-}" ] || : >"$results"

as=()
postmaster=
work=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-bench.XXXXXX")
# shellcheck disable=SC2317 # called by the trap
finish() {
	if [ -n "$postmaster" ]; then "${as[@]}" "$STAGE_BIN/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null || tail -n 50 "$work/log"; fi
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Every connection is a file, in the server and in the load client.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
conns=${CONNS:-10000}
most=$(($(ulimit -n) - 500))
if [ "$conns" -gt "$most" ]; then
	echo "the file limit allows only $most connections in s4"
	conns=$most
fi

echo "-- build"
[ -n "${STAGE_BIN:-}" ] || STAGE_BIN=$("$root/test/tools/stage.sh" plain "$work/stage")
for tool in sioload sendlimit; do
	gcc -O2 -Wall -o "$build/$tool" "$tool.c"
done
gcc -O2 -Wall -o "$build/sqlpub" sqlpub.c -I"$("${PG_CONFIG:-pg_config}" --includedir)" -lpq -lpthread

PATH=$STAGE_BIN:$PATH

# The peers run from beside their node_modules, so that their imports resolve.
if ! cmp -s package-lock.json "$build/node_modules/.installed"; then
	cp package.json package-lock.json "$build/"
	(cd "$build" && npm ci --no-audit --no-fund --loglevel=error)
	cp package-lock.json "$build/node_modules/.installed"
fi
mkdir -p "$build/peers"
cp peers/*.mjs "$build/peers/"

# The npm package `bun` puts its binary in place in a postinstall script, which
# newer versions of npm hold back.
bun=$build/node_modules/.bin/bun
"$bun" --version >/dev/null 2>&1 || (cd "$build/node_modules/bun" && node install.js) >/dev/null 2>&1 || true
if ! "$bun" --version >/dev/null 2>&1; then
	echo "bun does not run here: ws on Node takes its place"
	targets=${targets//bun-native/ws-raw}
fi

free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }
pg_port=$(free_port) rooms_port=$(free_port) peer_port=$(free_port)
secret=bench-secret-bench-secret-bench-1

if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups env "HOME=$work" USER=postgres LOGNAME=postgres)
	chown -R postgres: "$work"
fi
"${as[@]}" initdb -D "$work/data" -U postgres -A trust --no-locale -E UTF8 >/dev/null
"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = ''
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 30min
shared_preload_libraries = 'pg_rooms'
pg_rooms.database = 'bench'
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.port = $rooms_port
pg_rooms.jwt_secret = '$secret'
pg_rooms.max_connections = 20000
pg_rooms.max_connections_per_ip = 0
pg_rooms.max_connections_per_user = 0
pg_rooms.max_handshakes_per_second = 0
pg_rooms.max_pending_handshakes = 0
pg_rooms.max_events_per_second = 0
pg_rooms.max_bytes_per_second = 0
pg_rooms.max_message_size = '4MB'
CONF
"${as[@]}" pg_ctl -D "$work/data" -l "$work/log" -w start >/dev/null || { cat "$work/log"; exit 1; }
postmaster=$(head -n 1 "$work/data/postmaster.pid")
export BENCH_PG="postgres://postgres@127.0.0.1:$pg_port/bench"
createdb -h 127.0.0.1 -p "$pg_port" -U postgres bench
psql -qX "$BENCH_PG" -v ON_ERROR_STOP=1 -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION pg_rooms' -f setup.sql
"${as[@]}" tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
pg_rooms.handler_conninfo = 'host=127.0.0.1 port=$pg_port user=bench_gateway'
pg_rooms.handler_connections = 4
CONF
"${as[@]}" pg_ctl -D "$work/data" reload >/dev/null

# The gateway is there once its port answers.
for ((i = 0; i < 100; i++)); do
	python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' \
		"http://127.0.0.1:$rooms_port/socket.io/?EIO=4&transport=polling" 2>/dev/null && break
	sleep 0.1
done
[ "$i" -lt 100 ] || { tail -n 50 "$work/log"; exit 1; }

common=(--bin "$build" --mods "$build" --bun "$bun" --port "$peer_port" --rooms-port "$rooms_port" --secret "$secret"
	--postmaster "$postmaster" --out "$results" --runs "${RUNS:-1}")
for s in "${scenarios[@]}"; do
	echo "-- $s"
	extra=()
	[[ $s != s[47] ]] || extra=(--conns "$conns")
	python3 "$here/run.py" "$s" "$targets" "${common[@]}" "${extra[@]}"
	if [ -n "${PERF:-}" ]; then
		pids=$(psql -XAtq "$BENCH_PG" -c "SELECT string_agg(pid::text, ',') FROM rooms.processes")
		mkdir -p "$PERF"
		python3 "$here/run.py" "$s" pg_rooms "${common[@]}" "${extra[@]}" --out /dev/null >/dev/null &
		load=$!
		perf record -q -g -p "$pids" -o "$PERF/$s.data" -- sleep 8 || true
		wait "$load"
	fi
done

echo
echo "$(nproc) cores, Linux $(uname -r), PostgreSQL $(postgres --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/'), Node $(node --version), Bun $("$bun" --version 2>/dev/null || echo -)"
echo "The floor here, one send() of such a frame to one of 1000 loopback sockets: $("$build/sendlimit" 1000 300 1 | sed 's/.*"send_us_per_frame":\([0-9.]*\).*/\1/') µs"
echo
status=0
python3 "$here/run.py" report "$results" || status=1
if grep -nE 'WARNING|FATAL|PANIC|terminated by signal' "$work/log"; then echo "(from the server's log)"; fi
exit "$status"

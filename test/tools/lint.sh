#!/usr/bin/env bash
# Rules that a program can check: layering, exported symbols, documented
# settings, warnings.
set -uo pipefail
shopt -s lastpipe # check counts in this shell, not in a pipe's own
cd "$(dirname "$0")/../.."

passed=0 failed=0
check() { # NAME; the rule's offences on stdin
	local offences
	offences=$(cat)
	if [ -z "$offences" ]; then
		echo "ok - $1"
		passed=$((passed + 1))
	else
		printf 'not ok - %s\n%s\n' "$1" "$offences"
		failed=$((failed + 1))
	fi
}

pg_config=${PG_CONFIG:-pg_config}
server=$("$pg_config" --includedir-server)
libpq=$("$pg_config" --includedir)

# Dependencies point one way: backend -> wire; gateway -> core -> wire.
includes=$(mktemp)
trap 'rm -f "$includes"' EXIT
headers() { # DIRECTORY FORBIDDEN-PATTERN
	local f
	for f in src/"$1"/*.c; do
		gcc -M -D_GNU_SOURCE -Isrc -I"$server" -I"$libpq" '-DROOMS_VERSION="lint"' "$f" >"$includes" 2>/dev/null || echo "$f does not preprocess"
		tr ' ' '\n' <"$includes" | grep -E "$2" | sed "s|^|$f includes |"
	done
}
headers wire 'src/(core|gateway|backend)/|postgresql|libwebsockets|/jwt\.h|jansson|/uv\.h|openssl' | check "wire/ stands alone"
headers core 'src/(gateway|backend)/|postgresql|libwebsockets|/jwt\.h|jansson|/uv\.h|openssl' | check "core/ knows wire/ only"
headers gateway 'src/backend/|postgresql/[0-9]+/server|postgres\.h' | check "gateway/ knows no PostgreSQL internals"
headers backend 'src/(core|gateway)/|libwebsockets|/jwt\.h|jansson|/uv\.h|openssl' | check "backend/ knows wire/ only"
grep -lE '#include <libwebsockets' src/*/*.[ch] | grep -v '^src/gateway/conn\.h$' | check "libwebsockets comes in by conn.h alone"
grep -lE '\blws_[a-z_]+\(' src/*/*.c | grep -vE '^src/gateway/(listener|ws|http)\.c$' | check "... and called by the three files it names"
grep -lE '#include <libpq' src/*/*.[ch] | grep -v '^src/gateway/handler' | check "one place speaks to the database"
grep -lE '#include <jwt\.h>|#include <openssl/(evp|pem)' src/*/*.[ch] | grep -vE '^src/gateway/(auth|jwt_keys|jwks|tls)\.' | check "one place verifies tokens, one reads certificates"

# Warnings are errors here, and -Wextra has no exceptions outside PostgreSQL's headers.
for f in src/wire/*.c src/core/*.c src/gateway/*.c; do
	gcc -std=gnu11 -O1 -Wall -Wextra -Werror -fsyntax-only -D_GNU_SOURCE -Isrc -isystem "$libpq" '-DROOMS_VERSION="lint"' "$f" 2>&1
done | check "no warnings with -Wall -Wextra"
for f in src/backend/*.c; do
	gcc -std=gnu11 -O1 -Wall -Wextra -Werror -fsyntax-only -D_GNU_SOURCE -Isrc -isystem "$server" '-DROOMS_VERSION="lint"' "$f" 2>&1
done | check "no warnings with -Wall -Wextra in backend/"

# Every setting stands in README's table.
sed -n 's/^[[:space:]]*Define[A-Za-z]*Variable("\(pg_rooms\.[a-z_]*\)".*/\1/p; s/.*"\(pg_rooms\.[a-z_]*\)",$/\1/p' src/backend/guc.c | sort -u |
	while read -r setting; do grep -q "\`${setting#pg_rooms.}\`" README.md || echo "$setting is not in README.md"; done |
	check "every setting is documented"

# A mutant whose patch does not apply any more proves nothing.
for p in test/mutants/*.patch; do
	patch --dry-run -s -p1 <"$p" >/dev/null 2>&1 || echo "$p"
done | check "every mutant's patch applies"

# The library exports what fmgr and the postmaster call, and nothing else.
make -s all >/dev/null 2>&1
nm -D --defined-only pg_rooms.so | awk '{print $3}' |
	grep -vE '^(Pg_magic_func|_PG_init|pg_finfo_rooms_[a-z_0-9]+|rooms_[a-z_0-9]+|_init|_fini)$' | check "only marked symbols are exported"
nm -D pg_rooms_gateway | grep -cE ' T (recv|SSL_read)$' | grep -vx 2 | check "the gateway's recv and SSL_read stand in front of libwebsockets"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

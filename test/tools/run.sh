#!/usr/bin/env bash
# Runs the tests: run.sh [plain|asan] [SUITE ...]
#
# SUITES (all of them unless named): unit regress isolation tap; a path such as
# test/t/010_bus.pl or test/unit/test_sio.c runs that file alone.  Everything happens in a new
# directory under $TMPDIR, which is removed when all passed; PostgreSQL's
# processes run as user postgres when this is root.  The last line is
# "N passed, N failed", and the exit status tells the same.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

variant=plain
case ${1:-} in plain | asan) variant=$1; shift ;; esac
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(unit regress isolation tap)
# Unit tests always run with the sanitizers: once is enough.
[ "$variant $*" != "asan " ] || suites=(regress isolation tap)

pg_config=${PG_CONFIG:-pg_config}
pgxs_test=$("$pg_config" --pkglibdir)/pgxs/src/test
work=$(mktemp -d "${TMPDIR:-/tmp}/pg_rooms-test.XXXXXX")
passed=0 failed=0
finish() {
	if [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; then rm -rf "$work"; else echo "logs: $work"; fi
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}

# Counts the results in a log, one regular expression for each kind.  A suite
# that failed without saying which test did counts as one failure.
count() { # LOG STATUS OK-PATTERN NOT-OK-PATTERN
	local ok not_ok
	ok=$(grep -cE "$3" "$1") not_ok=$(grep -cE "$4" "$1")
	if [ "$2" != 0 ] && [ "$not_ok" = 0 ]; then not_ok=1; fi
	passed=$((passed + ok)) failed=$((failed + not_ok))
	if [ "$not_ok" != 0 ]; then
		grep -E "$4" "$1" | head -n 20
		tail -n 60 "$1"
	fi
	echo "   $ok passed, $not_ok failed"
}

as=()
own() { :; }
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups env "HOME=$work" USER=postgres LOGNAME=postgres)
	own() { chown -R postgres: "$work"; }
fi

if [ "$variant" = asan ]; then
	export ASAN_OPTIONS=abort_on_error=0:disable_coredump=1 UBSAN_OPTIONS=print_stacktrace=1
fi

# Unit tests need no PostgreSQL.
if [[ "${suites[*]}" =~ (^| )(regress|isolation|tap|[^ ]*\.pl)( |$) ]]; then
	echo "-- build ($variant)"
	bin=$(test/tools/stage.sh "$variant" "$work/stage") || { failed=1; finish; }
	if [ "$variant" = asan ]; then
		plain=$(grep -L __asan_init build/asan/src/*/*.o)
		[ -z "$plain" ] || { echo "not instrumented, remove build/asan and build again: $plain"; failed=1; finish; }
		[ "$(nm "$bin/pg_rooms_gateway" | grep -c __asan_init)" != 0 ] || { echo "the gateway under test has no sanitizer"; failed=1; finish; }
		test/tools/asan-postgres.sh "$bin" || { failed=1; finish; }
	fi
	for module in test/modules/*.c; do
		gcc -O1 -g -fPIC -shared -w -I"$("$pg_config" --includedir-server)" "$module" \
			-o "$work/stage$("$pg_config" --pkglibdir)/$(basename "$module" .c).so" || { failed=1; finish; }
	done
	[ ! -x build/promtool ] || cp build/promtool "$bin/"
	cp -r test sql expected src pg_rooms.control README.md "$work/"
	mkdir -p "$work/examples/tickets" && cp -r examples/tickets/sql "$work/examples/tickets/" && cp -r examples/migrate.md examples/nginx "$work/examples/"
	own
fi
free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }
cat >"$work/regress.conf" <<CONF
shared_preload_libraries = 'pg_rooms'
listen_addresses = ''
pg_rooms.listen_addresses = '127.0.0.1'
pg_rooms.port = $(free_port)
pg_rooms.jwt_secret = 'a-secret-for-tests-only-0123456789abcdef'
max_prepared_transactions = 10
CONF

unit_flags=(-std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined
	-D_GNU_SOURCE -Isrc -Itest/unit '-DROOMS_VERSION="test"')

compile_unit() { # FILE PROGRAM
	local extra=()
	# The gateway's pure parts that a test names in a line "/* with: FILE... */".
	read -ra extra < <(sed -n 's|^/\* with: \(.*\) \*/$|\1|p' "$1")
	gcc "${unit_flags[@]}" "$1" "${extra[@]}" build/unit/pure.a -ljansson -ljwt -lssl -lcrypto -o "$2"
}

run_unit() { # FILES
	local i j t programs=() status=0
	mkdir -p "$work/unit"
	for t in "$@"; do programs+=("$work/unit/$(basename "$t" .c)"); done
	{
		make -s -j2 -f test/tools/pure.mk OUT=build/unit CC=gcc "FLAGS=${unit_flags[*]@Q}" || status=1
		# Two at a time: compiling takes longer than running them.
		for ((i = 0; status == 0 && i < $#; i += 2)); do
			for ((j = i; j < i + 2 && j < $#; j++)); do compile_unit "${@:j+1:1}" "${programs[j]}" & done
			wait
		done
		for t in "${programs[@]}"; do
			[ -x "$t" ] || { echo "$t was not built"; status=1; }
		done
		[ "$status" != 0 ] || prove -v -e 'timeout 120' "${programs[@]}" || status=1
	} >"$work/unit.log" 2>&1
	count "$work/unit.log" "$status" '^ok [0-9]' '^not ok '
}

run_regress() {
	local tests
	tests=$(cd sql && ls ./*.sql | sed 's|^\./||; s|\.sql$||' | grep -v '^pg_rooms--')
	# shellcheck disable=SC2086
	(cd "$work" && timeout 300 "${as[@]}" "$pgxs_test/regress/pg_regress" --inputdir="$work" --outputdir="$work/regress" \
		--bindir="$bin" --temp-instance="$work/regress-instance" --port="$(free_port)" \
		--temp-config="$work/regress.conf" --no-locale --encoding=UTF8 --dbname=postgres --use-existing $tests) >"$work/regress.log" 2>&1
	local status=$?
	if [ $status != 0 ]; then cat "$work/regress/regression.diffs" >>"$work/regress.log" 2>/dev/null; fi
	count "$work/regress.log" $status '^(test .* \.\.\. ok|ok [0-9])' '^(test .* \.\.\. FAILED|not ok [0-9])'
}

run_isolation() {
	local tests
	tests=$(cd test/isolation/specs 2>/dev/null && ls ./*.spec 2>/dev/null | sed 's|^\./||; s|\.spec$||')
	[ -n "$tests" ] || { echo "   no specs"; return; }
	# shellcheck disable=SC2086
	(cd "$work" && timeout 300 "${as[@]}" "$pgxs_test/isolation/pg_isolation_regress" --inputdir="$work/test/isolation" \
		--outputdir="$work/isolation" --bindir="$bin" --temp-instance="$work/isolation-instance" --port="$(free_port)" \
		--temp-config="$work/regress.conf" --no-locale --encoding=UTF8 --dbname=postgres --use-existing $tests) >"$work/isolation.log" 2>&1
	local status=$?
	if [ $status != 0 ]; then cat "$work/isolation/regression.diffs" >>"$work/isolation.log" 2>/dev/null; fi
	count "$work/isolation.log" $status '^(test .* \.\.\. ok|ok [0-9])' '^(test .* \.\.\. FAILED|not ok [0-9])'
}

run_tap() { # FILES
	(cd "$work" && timeout "${TAP_SECONDS:-1500}" "${as[@]}" env "PATH=$bin:$PATH" "PG_REGRESS=$pgxs_test/regress/pg_regress" "TESTDIR=$work" \
		"ROOMS_STAGE=$work/stage" "ROOMS_VARIANT=$variant" "PG_TEST_TIMEOUT_DEFAULT=${ROOMS_TEST_TIMEOUT:-60}" \
		prove -v -j3 --timer -I "$pgxs_test/perl" -I "$work/test/t" "$@") >"$work/tap.log" 2>&1
	local status=$?
	grep -E '^\[?[0-9:]*\]? ?test/t/.* (\.\.|ok)|^(#   Failed|# (seed|storm|soak|views)[ :]|Result:|Files=)' "$work/tap.log" | grep -vE '^\[.*\.\. *$' | tail -n 60
	count "$work/tap.log" $status '^ok [0-9]' '^not ok '
}

taps=()
for suite in "${suites[@]}"; do
	case $suite in
	unit)
		echo "-- unit"
		run_unit test/unit/test_*.c
		;;
	regress | isolation)
		echo "-- $suite"
		"run_$suite"
		;;
	*.c)
		echo "-- $suite"
		run_unit "$suite"
		;;
	tap) taps+=(test/t/*.pl) ;;
	*.pl) taps+=("$suite") ;;
	*)
		echo "unknown suite $suite"
		failed=$((failed + 1))
		;;
	esac
done
if [ ${#taps[@]} -gt 0 ]; then
	echo "-- tap"
	run_tap "${taps[@]}"
fi

if [ "$variant" = asan ]; then
	reports=$(grep -rlE 'AddressSanitizer|LeakSanitizer|runtime error:' "$work" --include='*.log' --include='regress_log_*' 2>/dev/null | sort -u)
	if [ -n "$reports" ]; then
		echo "sanitizer reports in: $reports"
		failed=$((failed + 1))
	fi
fi
finish

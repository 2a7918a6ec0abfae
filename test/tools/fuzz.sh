#!/usr/bin/env bash
# Runs every libFuzzer target for so many seconds: fuzz.sh [SECONDS] [TARGET ...]
#
# A target is test/fuzz/fuzz_NAME.c with its seeds in test/fuzz/corpus/NAME.
# New inputs go to build/fuzz/corpus/NAME and are used again the next time.  A
# target that comes to less than 100 executions per second, or to what its line
# "at least" says, has failed: it would find nothing.
set -uo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls test/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')

mkdir -p build/fuzz
flags=(-std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE -Isrc "-I$(pg_config --includedir)" '-DROOMS_VERSION="fuzz"')
make -s -j2 -f test/tools/pure.mk OUT=build/fuzz/pure CC=clang-14 "FLAGS=${flags[*]@Q} -fsanitize=fuzzer-no-link" || exit
passed=0 failed=0
fuzz() {
	local name=$1 extra=() least executions
	least=$(sed -n 's|^/\* at least: \(.*\) \*/$|\1|p' "test/fuzz/fuzz_$name.c")
	read -ra extra < <(sed -n 's|^/\* with: \(.*\) \*/$|\1|p' "test/fuzz/fuzz_$name.c")
	clang-14 "${flags[@]}" -fsanitize=fuzzer "test/fuzz/fuzz_$name.c" "${extra[@]}" build/fuzz/pure/pure.a \
		-ljansson -ljwt -lssl -lcrypto -o "build/fuzz/$name" || return 1
	rm -f "build/fuzz/$name.executions"
	mkdir -p "build/fuzz/corpus/$name" "test/fuzz/corpus/$name"
	"build/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/$name-" "build/fuzz/corpus/$name" "test/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1 || {
		tail -n 40 "build/fuzz/$name.log"
		return 1
	}
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")
	echo "$executions" >"build/fuzz/$name.executions"
	[ "${executions:-0}" -ge $((seconds * ${least:-100})) ] || {
		echo "   $name: only ${executions:-0} executions in $seconds s"
		return 1
	}
}

# Three at a time, on two cores as a rule: the run has to end sometime.
for ((i = 0; i < ${#targets[@]}; i += 3)); do
	pids=()
	for name in "${targets[@]:i:3}"; do
		(fuzz "$name" && echo "ok - $name: $(cat "build/fuzz/$name.executions") executions" || { echo "not ok - $name"; exit 1; }) &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
done
all=$(cd build/fuzz && cat "${targets[@]/%/.executions}" 2>/dev/null | awk '{n += $1} END {print n + 0}')
echo "${#targets[@]} targets x $seconds s: $all executions"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

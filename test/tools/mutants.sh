#!/usr/bin/env bash
# Proves that the tests test: mutants.sh [NAME ...]
#
# Each test/mutants/NAME.patch breaks one guarantee and says in its first line
# which test must turn red:   # breaks: SUITE-OR-FILE [asan]
# The patch is applied to a copy of the tree; the mutant is killed when the
# copy still builds and that test fails.
set -uo pipefail
cd "$(dirname "$0")/../.."

export ROOMS_STOP_AT_FAILURE=1 ROOMS_TEST_TIMEOUT=30

names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(ls test/mutants/*.patch | sed 's|.*/||; s|\.patch$||')

# One mutant.  Copies keep their times, so only what the last and this patch change is built again.
run_mutant() { # TREE NAME
	local tree=$1 name=$2 log=build/mutant-$2.log sign='^(Result: FAIL|not ok [0-9]|test .* FAILED)'
	local suite variant touched=() patched=()
	read -r suite variant < <(sed -n '1s/^# breaks: //p' "test/mutants/$name.patch")
	# What the last mutant in this tree had changed, in this run or the one before.
	if [ -f "$tree/.patched" ]; then mapfile -t touched <"$tree/.patched"; fi
	mkdir -p "$tree"
	rm -rf "$tree/src" "$tree/test" "$tree/sql" "$tree/expected"
	cp -a Makefile README.md pg_rooms.control src sql expected test "$tree/"
	if [ "${variant:-}" = asan ]; then sign='^sanitizer reports in'; fi # it must be the sanitizer that sees it
	if ! patch -s -d "$tree" -p1 <"test/mutants/$name.patch" >"$log" 2>&1; then
		echo "not ok - $name: the patch does not apply ($log)"
		return
	fi
	mapfile -t patched < <(sed -n 's|^+++ b/||p' "test/mutants/$name.patch" | cut -f1)
	(cd "$tree" && touch -c "${touched[@]}" "${patched[@]}")
	printf '%s\n' "${patched[@]}" >"$tree/.patched"
	if (cd "$tree" && test/tools/run.sh "${variant:-plain}" "$suite") >>"$log" 2>&1; then
		echo "not ok - $name survives $suite ($log)"
	elif grep -qE "$sign" "$log"; then
		echo "ok - $name is killed by $suite"
	else
		echo "not ok - $name: $suite did not fail by a test but otherwise ($log)"
		return
	fi
	# The run kept its directory, as it failed; its log is enough.
	sed -n 's|^logs: \(/.*/pg_rooms-test\.[A-Za-z0-9]*\)$|\1|p' "$log" | xargs -r rm -rf
}

# Three trees: most of a mutant's time is a test that waits.
results=$(mktemp)
for tree in 0 1 2; do
	for ((i = tree; i < ${#names[@]}; i += 3)); do
		run_mutant "$PWD/build/mutant-tree-$tree" "${names[i]}" | tee -a "$results"
	done &
done
wait
passed=$(grep -c '^ok ' "$results")
failed=$((${#names[@]} - passed))
rm -f "$results"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

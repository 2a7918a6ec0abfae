#!/usr/bin/env bash
# Proves that the tests test: mutants.sh [NAME ...]
#
# Each test/mutants/NAME.patch breaks one guarantee and says in its first line
# which test must turn red:   # breaks: SUITE-OR-FILE [asan]
# The patch is applied to a copy of the tree; the mutant is killed when the
# copy still builds and that test fails.
set -uo pipefail
cd "$(dirname "$0")/../.."

names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(ls test/mutants/*.patch | sed 's|.*/||; s|\.patch$||')

tree=$PWD/build/mutant
passed=0 failed=0
# What the last mutant had changed, in this run or the one before.
touched=()
if [ -f "$tree/.patched" ]; then mapfile -t touched <"$tree/.patched"; fi
for name in "${names[@]}"; do
	read -r suite variant < <(sed -n '1s/^# breaks: //p' "test/mutants/$name.patch")
	mkdir -p "$tree"
	# Copies keep their times, so only what the last and this patch change is built again.
	rm -rf "$tree/src" "$tree/test" "$tree/sql" "$tree/expected"
	cp -a Makefile README.md pg_rooms.control src sql expected test "$tree/"
	log=build/mutant-$name.log
	sign='^(Result: FAIL|not ok [0-9]|test .* FAILED)'
	if [ "${variant:-}" = asan ]; then sign='^sanitizer reports in'; fi # it must be the sanitizer that sees it
	if ! patch -s -d "$tree" -p1 <"test/mutants/$name.patch" >"$log" 2>&1; then
		echo "not ok - $name: the patch does not apply ($log)"
		failed=$((failed + 1))
		continue
	fi
	mapfile -t patched < <(sed -n 's|^+++ b/||p' "test/mutants/$name.patch" | cut -f1)
	(cd "$tree" && touch -c "${touched[@]}" "${patched[@]}")
	touched=("${patched[@]}")
	printf '%s\n' "${patched[@]}" >"$tree/.patched"
	if (cd "$tree" && test/tools/run.sh "${variant:-plain}" "$suite") >>"$log" 2>&1; then
		echo "not ok - $name survives $suite ($log)"
		failed=$((failed + 1))
	elif grep -qE "$sign" "$log"; then
		echo "ok - $name is killed by $suite"
		passed=$((passed + 1))
	else
		echo "not ok - $name: $suite did not fail by a test but otherwise ($log)"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

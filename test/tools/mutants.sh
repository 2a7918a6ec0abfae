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

# Makes TREE a copy of this one.  What differs gets a new time, so that only what this and earlier patches change is built again.
copy_to() { # TREE
	local tree=$1 f
	if [ ! -d "$tree" ]; then # with what was built, and its times
		mkdir -p "$tree/build"
		cp -a Makefile README.md pg_rooms.control src sql expected test "$tree/"
		for f in build/plain build/unit; do [ ! -d "$f" ] || cp -a "$f" "$tree/build/"; done
	fi
	find Makefile README.md pg_rooms.control src sql expected test examples \( -name node_modules -o -name .next \) -prune -o \
		-type f ! -name '*.o' ! -name '*.d' ! -name '*.bc' -print | while read -r f; do
		cmp -s "$f" "$tree/$f" || install -D -m "$(stat -c %a "$f")" "$f" "$tree/$f"
	done
	(cd "$tree" && find src sql expected test examples \( -name node_modules -o -name .next \) -prune -o -type f -print) | while read -r f; do
		[ -e "$f" ] || rm -f "$tree/$f"
	done
}

# One mutant.
run_mutant() { # TREE NAME
	local tree=$1 name=$2 log=build/mutant-$2.log sign='^(Result: FAIL|not ok [0-9]|test .* FAILED)'
	local suite variant
	read -r suite variant < <(sed -n '1s/^# breaks: //p' "test/mutants/$name.patch")
	copy_to "$tree"
	if [ "${variant:-}" = asan ]; then sign='^sanitizer reports in'; fi # it must be the sanitizer that sees it
	if ! patch -s -d "$tree" -p1 <"test/mutants/$name.patch" >"$log" 2>&1; then
		echo "not ok - $name: the patch does not apply ($log)"
		return
	fi
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

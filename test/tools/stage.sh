#!/usr/bin/env bash
# Builds pg_rooms and installs it into a relocatable copy of PostgreSQL.
#
#   stage.sh plain|asan|NAME DESTINATION [MAKE-VARIABLE=VALUE ...]
#
# postgres finds its share and lib directories relative to its own executable,
# so a copy of bin/ with links for the rest is a whole installation: nothing in
# the system changes and several builds live side by side.  Prints the copy's
# bin directory.  Objects stay in build/NAME, so that a second run is quick.
set -euo pipefail
cd "$(dirname "$0")/../.."

variant=$1 destination=$2
shift 2
pg_config=${PG_CONFIG:-pg_config}
bin=$("$pg_config" --bindir) lib=$("$pg_config" --pkglibdir) share=$("$pg_config" --sharedir)

flags=()
if [ "$variant" = asan ]; then
	sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	flags=("COPT=$sanitize -O1 -g" "SHLIB_LINK=$sanitize")
fi

build=build/$variant
mkdir -p "$build"
# The sources as they are now; files that are gone from the tree must go here too.
for f in $(cd "$build" && find src sql -type f ! -name '*.o' ! -name '*.d' ! -name '*.bc' 2>/dev/null); do
	[ -e "$f" ] || rm -f "$build/$f"
done
mkdir -p "$build"
# Without objects: those of `make` in the tree are built with other flags.
find Makefile pg_rooms.control src sql test/targets.mk -type f ! -name '*.o' ! -name '*.d' ! -name '*.bc' -print0 |
	xargs -0 cp -a --update --parents -t "$build/"

mkdir -p "$destination$bin" "$destination$lib" "$destination$share"
cp -r "$bin/." "$destination$bin/"	# real files: postgres resolves links to itself
cp -rs --remove-destination "$lib/." "$destination$lib/"
cp -rs --remove-destination "$share/." "$destination$share/"

make -s -j2 -C "$build" "PG_CONFIG=$pg_config" "${flags[@]}" "$@" all >&2
make -s -C "$build" "PG_CONFIG=$pg_config" "${flags[@]}" "$@" "DESTDIR=$destination" install >&2
echo "$destination$bin"

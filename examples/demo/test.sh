#!/usr/bin/env bash
# Runs the demo, looks at its page in headless Chromium, ends it by Ctrl-C.
# Screenshots stay in build/.
set -uo pipefail
cd "$(dirname "$0")/../.."
. examples/test.sh

mkdir -p build
if run examples/demo/run.sh; then
	browse timeout 120 node examples/demo/test.mjs "$(sed -n 's/^  The page:  //p' "$log")" \
		"$(sed -n 's/^    \(psql .* -c .*\)$/\1/p' "$log")" build/demo.png
	cp "$work/data/log" build/demo-server.log
	interrupt
fi
finish

#!/usr/bin/env bash
# Runs the tickets example, drives it in headless Chromium as several people,
# ends it by Ctrl-C.  Screenshots and logs stay in build/tickets/.
set -uo pipefail
cd "$(dirname "$0")/../.."
. examples/test.sh

out=build/tickets
mkdir -p $out
rm -f $out/*.png
export PORT=0 ROOMS_PORT=0 FEED=0
if run examples/tickets/run.sh; then
	browse timeout 420 node examples/tickets/test.mjs "$(sed -n 's/^  The application:  //p' "$log")" \
		"$(sed -n 's/^    \(psql .*\) -c .*$/\1/p' "$log")" $out
	cp "$work/data/log" $out/server.log
	cp "$work/web.log" $out/web.log
	if grep -E 'Error|error' $out/web.log; then not_ok "the web server had no error"; else ok "the web server had no error"; fi
	interrupt
fi
finish

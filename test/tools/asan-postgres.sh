#!/usr/bin/env bash
# Makes a staged postgres load the sanitizers' runtimes: asan-postgres.sh BIN
#
# postgres itself is Debian's, so the instrumented library needs the runtimes
# preloaded.  On Debian 12 that deadlocks at start (libgpg-error's constructor
# allocates before ASan is ready) unless a library allocates even earlier.
# The gateway is instrumented as a whole and needs nothing of this.
set -euo pipefail
bin=$1
cc=${CC:-gcc}
echo 'extern void free(void *); extern void *malloc(unsigned long);
static void __attribute__((constructor)) first(void) { free(malloc(1)); }' |
	"$cc" -x c -shared -fPIC -O0 -Wl,-z,initfirst - -o "$bin/asan_first.so"
mv "$bin/postgres" "$bin/postgres.real"
cat >"$bin/postgres" <<WRAPPER
#!/bin/bash
export LD_PRELOAD=$("$cc" -print-file-name=libasan.so):$("$cc" -print-file-name=libubsan.so):$bin/asan_first.so\${LD_PRELOAD:+:\$LD_PRELOAD}
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:disable_coredump=1
exec -a "\$0" "$bin/postgres.real" "\$@"
WRAPPER
chmod +x "$bin/postgres"

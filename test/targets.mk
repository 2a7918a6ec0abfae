# Everything but building and installing: tests, demo, benchmark.  Included by
# the Makefile; each target installs what it needs (test/tools/deps.sh).

TOOLS = $(dir $(lastword $(MAKEFILE_LIST)))tools

.PHONY: test test-asan test-demo test-example test-deps demo example bench fuzz slow-clients mutants torture soak snapshots storm views lint stage

# Without PostgreSQL's headers `make demo` and `make test` must work all the
# same: they install them first, and build in sub-makes.
test:
	@$(TOOLS)/deps.sh build client test promtool
	@$(TOOLS)/run.sh plain

test-asan:
	@$(TOOLS)/deps.sh build client test
	@$(TOOLS)/run.sh asan

# A relocatable PostgreSQL with the extension, in build/stage (or DEST).
stage:
	@$(TOOLS)/deps.sh build
	@$(TOOLS)/stage.sh plain $(abspath $(or $(DEST),build/stage))

demo:
	@$(TOOLS)/deps.sh build client
	@examples/demo/run.sh

test-demo:
	@$(TOOLS)/deps.sh build client browser
	@examples/demo/test.sh

example:
	@$(TOOLS)/deps.sh build example
	@examples/tickets/run.sh

test-example:
	@$(TOOLS)/deps.sh build client example browser
	@examples/tickets/test.sh

# Each target for SECONDS (60).
fuzz:
	@$(TOOLS)/deps.sh build fuzz
	@$(TOOLS)/fuzz.sh $(or $(SECONDS),60)

# SNAPSHOTS (1000) that are followed, taken at random moments.
snapshots:
	@$(TOOLS)/deps.sh build client test
	@ROOMS_SNAPSHOTS=$(or $(SNAPSHOTS),1000) TAP_SECONDS=3600 $(TOOLS)/run.sh plain test/t/095_follow.pl

# Random kills for MINUTES (2); SEED repeats the choices of a run.
torture:
	@$(TOOLS)/deps.sh build client test
	@export SEED=$${SEED:-$$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')} MINUTES=$${MINUTES:-2}; \
	echo "SEED=$$SEED MINUTES=$$MINUTES"; \
	TAP_SECONDS=$$((MINUTES * 60 + 600)) $(TOOLS)/run.sh plain test/torture/torture.pl

# The same for long runs, MINUTES (30): memory, too, while clients come, go and stall.
soak:
	@SOAK=1 MINUTES=$${MINUTES:-30} $(MAKE) -s torture

# 1000 readers that have stalled, for SECONDS (60).
slow-clients:
	@$(TOOLS)/deps.sh build
	@$(MAKE) -s all >/dev/null
	@mkdir -p build
	@$(CC) -O2 -w -o build/sioload test/bench/sioload.c
	@GATEWAY=./pg_rooms_gateway SIOLOAD=build/sioload test/load/slow_clients.py $(or $(SECONDS),60)

# CLIENTS (10000) connect at once to a server that has just started.
storm:
	@$(TOOLS)/deps.sh build client test
	@$(TOOLS)/run.sh plain test/torture/storm.pl

# The views while CLIENTS (10000) are connected.
views:
	@$(TOOLS)/deps.sh build client test
	@$(TOOLS)/run.sh plain test/torture/views.pl

mutants:
	@$(TOOLS)/deps.sh build client test
	@$(TOOLS)/mutants.sh $(MUTANTS)

lint:
	@$(TOOLS)/deps.sh build lint
	@$(TOOLS)/lint.sh

bench:
	@$(TOOLS)/deps.sh build client test
	@test/bench/bench.sh

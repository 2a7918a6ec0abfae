/*
 * sandbox.h - what is left to the gateway once clients can reach it.
 *
 * Whoever takes over the gateway by a defect in its parsers should find
 * himself in a process that can open no file of the database and start no
 * program.  README's chapter "Security" promises this in these words.
 */
#ifndef ROOMS_GATEWAY_SANDBOX_H
#define ROOMS_GATEWAY_SANDBOX_H

#include "gateway/config.h"

/*
 * What needs no setting, first of all: no new privileges, no capabilities, no
 * core file or debugger that shows secrets, and a working directory that is
 * not the database's.
 */
extern void sandbox_harden(void);

/*
 * The first call enters the sandbox, if pg_rooms.sandbox is on; there must be
 * one thread only, and whatever opens files lazily must have done so.  What
 * the kernel lacks is logged, and the gateway goes on without it.
 *
 * A sandbox can be neither left nor changed.  A later call tells whether the
 * settings can be served in the one that was entered; false: the process has
 * to be replaced.
 */
extern bool sandbox_apply(const Config *c) MUST_CHECK;

#endif							/* ROOMS_GATEWAY_SANDBOX_H */

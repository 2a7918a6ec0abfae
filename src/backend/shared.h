/*
 * shared.h - the extension's shared memory and who writes what in it.
 *
 * Allocated by the postmaster when the library is in shared_preload_libraries;
 * `rooms_shared` is NULL otherwise.  Re-initialised after a crash restart.
 * Everything is a pg_atomic or written by one process only, so there is no lock.
 */
#ifndef ROOMS_BACKEND_SHARED_H
#define ROOMS_BACKEND_SHARED_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "port/atomics.h"
#include "storage/latch.h"

#include "wire/counters.h"

typedef struct RoomsShared
{
	/* written by the worker */
	pg_atomic_uint32 worker_pid;	/* 0: not running */
	pg_atomic_uint32 worker_pgprocno;	/* whose procLatch wakes it; valid while worker_pid is not 0 */
	pg_atomic_uint32 worker_sleeping;	/* 1: a commit must set the latch */
	pg_atomic_uint32 gateway_pid;	/* 0: not running */
	pg_atomic_uint64 worker_counters[WORKER_COUNTER_COUNT];
	pg_atomic_uint64 gateway_counters[GATEWAY_COUNTER_COUNT];	/* copied from LINK_STATS */

	/* written by backends */
	pg_atomic_uint64 wanted_flush;	/* highest commit end that must be flushed before it can be read */
	pg_atomic_uint32 held_prepared; /* prepared transactions whose messages wait; while not 0 every commit wakes the worker */

	/*
	 * One per backend, indexed by outbox.c: not 0 from before a backend's
	 * message record until its transaction has ended.  A starting worker
	 * begins no later than the smallest.
	 */
	uint32		slot_count;
	pg_atomic_uint64 slots[FLEXIBLE_ARRAY_MEMBER];
} RoomsShared;

extern RoomsShared *rooms_shared;

extern Size shared_size(void);
extern void shared_init(void);	/* shmem_startup_hook's part */

/* Sets the worker's latch if it runs and (unless `always`) sleeps.  Cannot fail. */
extern void shared_wake_worker(bool always);

#endif							/* ROOMS_BACKEND_SHARED_H */

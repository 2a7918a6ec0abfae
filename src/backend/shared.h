/*
 * shared.h - the extension's shared memory and who writes what in it.
 *
 * Allocated by the postmaster when the library is in shared_preload_libraries;
 * `rooms_shared` is NULL otherwise.  Re-initialised after a crash restart.
 * Everything is a pg_atomic or written by one process only, so there is no lock.
 *
 * Two orders matter:
 *
 * Waking.  A backend makes its commit visible (flush position, wanted_flush),
 * then reads worker_sleeping and held_prepared; the worker writes those, then
 * looks once more for new WAL, then sleeps.  Both sides have a full barrier
 * in between (shared_wake_worker() has the backend's).
 *
 * Slots.  A backend stores the insert position in its slot, then writes its
 * message record, then its commit record, then clears the slot.  A starting
 * worker reads the flush position first and the slots after it, and begins at
 * the smallest: whatever commits after that has its message record there.
 *
 * Positions.  (LSN, latestCompletedXid): when that xid was the latest, all
 * that had committed before the LSN was visible.  A snapshot with a later one
 * (its xmax - 1) was taken after that, so all of it is in the snapshot, too.
 * Both numbers only grow.  The worker is the one that writes; a reader that is overtaken
 * by the ring sees it by the xid.
 */
#ifndef ROOMS_BACKEND_SHARED_H
#define ROOMS_BACKEND_SHARED_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "port/atomics.h"
#include "storage/latch.h"

#include "backend/inquiry.h"
#include "wire/counters.h"

#define SHARED_POSITIONS 2048

typedef struct SharedPosition
{
	pg_atomic_uint64 lsn;
	pg_atomic_uint64 xid;		/* with its epoch; UINT64_MAX: being written */
} SharedPosition;

typedef struct RoomsShared
{
	/* written by the worker */
	pg_atomic_uint32 worker_pid;	/* 0: not running */
	pg_atomic_uint32 worker_pgprocno;	/* whose procLatch wakes it; valid while worker_pid is not 0 */
	pg_atomic_uint32 worker_sleeping;	/* 1: a commit must set the latch */
	pg_atomic_uint32 held_prepared; /* prepared transactions whose messages it holds; while not 0 every commit wakes it */
	pg_atomic_uint32 gateway_pid;	/* 0: not running */
	pg_atomic_uint64 worker_counters[WORKER_COUNTER_COUNT];
	pg_atomic_uint64 gateway_counters[GATEWAY_COUNTER_COUNT];	/* copied from LINK_STATS */
	pg_atomic_uint64 position_count;	/* ever written */
	SharedPosition positions[SHARED_POSITIONS]; /* number n is in n % SHARED_POSITIONS */

	SharedInquiry inquiry;

	/* written by backends */
	pg_atomic_uint64 drain;		/* calls of rooms.drain() << 32 | 1 + ms, 0: not draining */
	pg_atomic_uint64 wanted_flush;	/* highest commit end that must be flushed before it can be read; never falls */

	/*
	 * One per backend, indexed by its number in the ProcArray's PGPROCs: not 0
	 * from before a backend's message record until its transaction has ended.
	 */
	uint32		slot_count;
	pg_atomic_uint64 slots[FLEXIBLE_ARRAY_MEMBER];
} RoomsShared;

extern RoomsShared *rooms_shared;

extern Size shared_size(void);
extern void shared_init(void);	/* shmem_startup_hook's part */

/* The backend's part; none of these can fail. */
extern void shared_slot_set(XLogRecPtr lsn);
extern void shared_slot_clear(void);
extern void shared_want_flush(XLogRecPtr lsn);

/* The smallest slot, or InvalidXLogRecPtr if all are empty; read the flush position before. */
extern XLogRecPtr shared_slots_min(void);

/* The worker's part: adds a position. */
extern void shared_add_position(XLogRecPtr lsn, uint64 xid);

/* Position number n, counted from 0 on for ever; false: it is not there (any more). */
extern bool shared_get_position(uint64 n, XLogRecPtr *lsn, uint64 *xid);

/*
 * Sets the worker's latch if it runs and sleeps; with `always`, whether it
 * sleeps or not.  Cannot fail.
 */
extern void shared_wake_worker(bool always);

#endif							/* ROOMS_BACKEND_SHARED_H */

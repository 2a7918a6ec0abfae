/*
 * shared.c - the shared memory of the extension: size, start, small accessors.
 *
 * Called by pg_rooms.c while the postmaster starts, then by the outbox in
 * every backend and by the worker.  Nothing here raises an ERROR after the
 * start: the accessors run in commit callbacks, where an ERROR would be a PANIC.
 * The protocols are in the head of shared.h.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "backend/compat.h"
#include "backend/shared.h"

RoomsShared *rooms_shared = NULL;

/*
 * Every process that can run a transaction has a PGPROC among the first
 * MaxBackends: backends, autovacuum, background workers, WAL senders
 * (InitProcGlobal() in storage/lmgr/proc.c).
 */
Size
shared_size(void)
{
	return add_size(offsetof(RoomsShared, slots),
					mul_size(sizeof(pg_atomic_uint64), MaxBackends));
}

void
shared_init(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rooms_shared = ShmemInitStruct("pg_rooms", shared_size(), &found);
	if (!found)
	{
		pg_atomic_init_u32(&rooms_shared->worker_pid, 0);
		pg_atomic_init_u32(&rooms_shared->worker_pgprocno, 0);
		pg_atomic_init_u32(&rooms_shared->worker_sleeping, 0);
		pg_atomic_init_u32(&rooms_shared->held_prepared, 0);
		pg_atomic_init_u32(&rooms_shared->gateway_pid, 0);
		for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
			pg_atomic_init_u64(&rooms_shared->worker_counters[i], 0);
		for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
			pg_atomic_init_u64(&rooms_shared->gateway_counters[i], 0);
		inquiry_shared_init(&rooms_shared->inquiry);
		pg_atomic_init_u64(&rooms_shared->drain, 0);
		pg_atomic_init_u64(&rooms_shared->position_count, 0);
		for (int i = 0; i < SHARED_POSITIONS; i++)
		{
			pg_atomic_init_u64(&rooms_shared->positions[i].lsn, InvalidXLogRecPtr);
			pg_atomic_init_u64(&rooms_shared->positions[i].xid, UINT64_MAX);
		}
		pg_atomic_init_u64(&rooms_shared->wanted_flush, InvalidXLogRecPtr);
		rooms_shared->slot_count = MaxBackends;
		for (uint32 i = 0; i < rooms_shared->slot_count; i++)
			pg_atomic_init_u64(&rooms_shared->slots[i], InvalidXLogRecPtr);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
shared_slot_set(XLogRecPtr lsn)
{
	Assert(MyProcNumber < rooms_shared->slot_count);
	pg_atomic_write_u64(&rooms_shared->slots[MyProcNumber], lsn);
	pg_memory_barrier();		/* before the record that it announces */
}

void
shared_slot_clear(void)
{
	pg_memory_barrier();		/* after the commit record */
	pg_atomic_write_u64(&rooms_shared->slots[MyProcNumber], InvalidXLogRecPtr);
}

XLogRecPtr
shared_slots_min(void)
{
	XLogRecPtr	min = InvalidXLogRecPtr;

	pg_memory_barrier();
	for (uint32 i = 0; i < rooms_shared->slot_count; i++)
	{
		XLogRecPtr	lsn = pg_atomic_read_u64(&rooms_shared->slots[i]);

		if (lsn != InvalidXLogRecPtr && (min == InvalidXLogRecPtr || lsn < min))
			min = lsn;
	}
	return min;
}

void
shared_want_flush(XLogRecPtr lsn)
{
	uint64		wanted = pg_atomic_read_u64(&rooms_shared->wanted_flush);

	while (wanted < lsn &&
		   !pg_atomic_compare_exchange_u64(&rooms_shared->wanted_flush, &wanted, lsn))
		;
}

void
shared_wake_worker(bool always)
{
	pg_memory_barrier();		/* see "Waking" in shared.h */
	if (pg_atomic_read_u32(&rooms_shared->worker_pid) == 0)
		return;
	if (always || pg_atomic_read_u32(&rooms_shared->worker_sleeping) != 0)
	{
		uint32		procno = pg_atomic_read_u32(&rooms_shared->worker_pgprocno);

		/* Should the worker have gone meanwhile, its successor in the PGPROC wakes for nothing. */
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
	}
}

/* With the xid of the last one, whoever can use that can use this. */
void
shared_add_position(XLogRecPtr lsn, uint64 xid)
{
	uint64		n = pg_atomic_read_u64(&rooms_shared->position_count);
	SharedPosition *p = &rooms_shared->positions[(n - 1) % SHARED_POSITIONS];

	if (n > 0 && pg_atomic_read_u64(&p->lsn) >= lsn)
		return;
	if (n > 0 && pg_atomic_read_u64(&p->xid) == xid)
	{
		pg_atomic_write_u64(&p->lsn, lsn);
		return;
	}
	p = &rooms_shared->positions[n % SHARED_POSITIONS];
	pg_atomic_write_u64(&p->xid, UINT64_MAX);
	pg_write_barrier();
	pg_atomic_write_u64(&p->lsn, lsn);
	pg_write_barrier();
	pg_atomic_write_u64(&p->xid, xid);
	pg_write_barrier();
	pg_atomic_write_u64(&rooms_shared->position_count, n + 1);
}

bool
shared_get_position(uint64 n, XLogRecPtr *lsn, uint64 *xid)
{
	SharedPosition *p = &rooms_shared->positions[n % SHARED_POSITIONS];

	*xid = pg_atomic_read_u64(&p->xid);
	pg_read_barrier();
	*lsn = pg_atomic_read_u64(&p->lsn);
	pg_read_barrier();
	return *xid != UINT64_MAX && *xid == pg_atomic_read_u64(&p->xid);
}

/*
 * refill.c - the past, for the history of a new gateway.
 *
 * Called by the worker.  A second reading of the WAL, beside the bus's: it
 * pairs message records and commits in the same way, but knows no gate and no
 * future; it ends where the bus goes on (bus_given()).
 *
 * From where on is it complete?  A commit is only of use if the transaction's
 * message record has been read, too, or if it is known that there was none.
 * A record that names the running transactions settles that: from there on
 * all are accounted for but those that it names and that had written their
 * message record before reading began.  When one of them commits without a
 * message record having been met, there are three cases:
 *
 * - The bus has seen that transaction, and knows whether its message record
 *   lay far before its commit (bus_far()); for those that did not, to begin
 *   reading a segment before is enough.
 * - The worker began later: it cannot be known, so what came before is called
 *   incomplete.  This hits clients after a server restart only, and only if a
 *   long transaction committed while they were away.
 * - It was prepared: its messages are in the spool (spool.h).  On a standby
 *   there is none, so it cannot be known.
 *
 * The same goes for WAL that cannot be read.  Each time `covered` moves on,
 * and the gateway is told before the next message.
 *
 * Commits older than rooms_history_window() are left out.  History_size is not looked
 * at here: what does not fit the gateway lets go, oldest first.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "backend/bus.h"
#include "backend/delivery.h"
#include "backend/guc.h"
#include "backend/pending.h"
#include "backend/refill.h"
#include "backend/shared.h"
#include "backend/spool.h"
#include "backend/wal_reader.h"
#include "backend/wal_search.h"
#include "wire/envelope.h"

#define WAL_PER_CALL	(8 * 1024 * 1024)

static WalReader *wal = NULL;	/* NULL: there is nothing to do */
static Pending *pending;
static Delivery *delivery = NULL;
static uint32 left;				/* messages of the transaction that is being handed out that are past */
static TimestampTz commit_time; /* of it */

static XLogRecPtr begin;		/* reading began here */
static bool accounted;			/* what runs is known */
static TransactionId *unseen;		/* those whose message record may lie before */
static uint32 unseen_count;

static XLogRecPtr covered;		/* from here on nothing is missing */
static TimestampTz covered_time;	/* 0: not known */
static bool told;				/* `covered` has been given out */

static bool over;				/* the next commit is the bus's */

static bool read_wal(XLogRecPtr stop);
static void on_messages(const WalEvent *e);
static void on_commit(const WalEvent *e);
static bool may_miss(const WalEvent *e);
static void on_prepare(const WalEvent *e);
static void on_running(const WalEvent *e);
static void on_gap(const WalEvent *e);
static void account(XLogRecPtr end, const TransactionId *running, uint32 count);
static bool was_open(TransactionId xid);
static void cover(XLogRecPtr lsn, TimestampTz time);
static RefillResult tell(RefillEvent *e, TimestampTz time);
static uint32 age_of(TimestampTz time);

void
refill_begin(void)
{
	TimestampTz since = GetCurrentTimestamp() - rooms_history_window() * INT64CONST(1000);

	refill_end();
	bus_catch_up();
	over = accounted = told = false;
	covered = bus_given_end();
	covered_time = 0;
	if (delivery == NULL)
		delivery = delivery_new();
	if (rooms_recovery_window == 0)
		return;
	begin = wal_search(covered, since);
	wal = wal_reader_new(begin);
	pending = pending_new(false);
	elog(DEBUG1, "pg_rooms reads the past from %X/%X on", LSN_FORMAT_ARGS(begin));
}

void
refill_end(void)
{
	if (wal == NULL)
		return;
	if (delivery_current(delivery) != NULL)
		pending_forget(pending, delivery_end(delivery));
	wal_reader_free(wal);
	wal = NULL;
	pending_free(pending);
	if (unseen != NULL)
		pfree(unseen);
	unseen = NULL;
	unseen_count = 0;
}

RefillResult
refill_next(RefillEvent *e)
{
	XLogRecPtr	stop = wal ? wal_reader_position(wal) + WAL_PER_CALL : 0;

	for (;;)
	{
		BusTransaction *t = delivery_current(delivery);

		if (t != NULL)
		{
			if (left > 0 && !told)
				return tell(e, commit_time);
			if (left > 0 && delivery_next(delivery, &e->message))
			{
				left--;
				e->age = age_of(commit_time);
				pg_atomic_fetch_add_u64(&rooms_shared->worker_counters[COUNTER_BUS_HISTORY_MESSAGES], 1);
				return REFILL_MESSAGE;
			}
			if (left > 0 && delivery_lost(delivery))
				cover(t->commit + 1, commit_time);
			pending_forget(pending, delivery_end(delivery));
		}
		else if (wal == NULL || over)
		{
			if (!told)
				return tell(e, GetCurrentTimestamp());
			refill_end();
			return REFILL_END;
		}
		else if (wal_reader_position(wal) >= stop)
			return REFILL_MORE;
		else if (!read_wal(Min(stop, bus_given_end())))
			over = wal_reader_position(wal) < stop;
	}
}

/* Takes in one event; false if there is none before `stop`. */
static bool
read_wal(XLogRecPtr stop)
{
	WalEvent	e;
	BusTransaction *t;

	switch (wal_reader_next(wal, stop, &e))
	{
		case WAL_MESSAGES:
			on_messages(&e);
			return true;
		case WAL_COMMIT:
			on_commit(&e);
			return true;
		case WAL_ABORT:
			t = pending_take(pending, e.xid);
			if (t != NULL)
				pending_forget(pending, t);
			return true;
		case WAL_PREPARE:
			on_prepare(&e);
			return true;
		case WAL_RUNNING:
			pending_purge_before(pending, e.xid);
			on_running(&e);
			return true;
		case WAL_NONE_RUNNING:
			pending_purge_unprepared(pending);
			account(e.end, NULL, 0);
			return true;
		case WAL_GAP:
			on_gap(&e);
			return true;
		case WAL_MORE:
		case WAL_END:
			return false;
	}
	return false;				/* keep compiler quiet */
}

static void
on_messages(const WalEvent *e)
{
	uint32_t	database;
	EnvelopeList list;

	/* The bus has said so, or will. */
	if (envelope_record_open(e->record, &database, &list) != WIRE_OK)
		return;
	pending_add_messages(pending, pending_find(pending, e->xid), wal_full_xid(e->xid), e);
}

static void
on_commit(const WalEvent *e)
{
	BusTransaction *t = pending_take(pending, e->xid);
	uint32		given = bus_given(e->lsn, e->end);

	/* Until something tells what runs, a worker that was there knows enough itself. */
	if (!accounted && e->lsn >= begin + wal_segment_size && bus_far(e->xid, e->lsn) != BUS_UNKNOWN)
		account(e->lsn, NULL, 0);

	if (given == 0)
	{
		over = true;
		if (!accounted)
			cover(e->lsn, 0);
	}
	else if (age_of(e->time) > rooms_history_window() || !accounted)
		cover(e->end, e->time);
	else if (t == NULL && may_miss(e))
		cover(e->end, e->time);
	else
	{
		if (t == NULL && e->two_phase && spool_exists(wal_full_xid(e->xid)))
		{
			t = pending_add(pending, wal_full_xid(e->xid));
			(void) pending_take(pending, e->xid);
			pending_set_prepared(pending, t, true);
		}
		if (t != NULL && !pending_is_silent(t))
		{
			t->commit = e->lsn;
			commit_time = e->time;
			left = given;
			delivery_begin(delivery, t);
			return;
		}
	}
	if (t != NULL)
		pending_forget(pending, t);
}

/* No message record has been met: may there have been one? */
static bool
may_miss(const WalEvent *e)
{
	BusFar		far = bus_far(e->xid, e->lsn);

	if (e->two_phase)
		return bus_began_on_standby();
	if (far == BUS_FAR || !was_open(e->xid))
		return far == BUS_FAR;
	return far == BUS_UNKNOWN || e->lsn < begin + wal_segment_size;
}

/* On a standby: one without messages, unless its record may lie before. */
static void
on_prepare(const WalEvent *e)
{
	BusTransaction *t = pending_find(pending, e->xid);

	if (t == NULL && bus_began_on_standby() && accounted && !was_open(e->xid))
		t = pending_add_silent(pending, wal_full_xid(e->xid));
	if (t != NULL)
		pending_set_prepared(pending, t, true);
}

static void
on_running(const WalEvent *e)
{
	account(e->end, e->running, e->running_count);
}

static void
on_gap(const WalEvent *e)
{
	accounted = false;
	cover(e->end, 0);
}

/* From `end` on every transaction is accounted for but these. */
static void
account(XLogRecPtr end, const TransactionId *running, uint32 count)
{
	if (accounted)
		return;
	accounted = true;
	if (unseen != NULL)
		pfree(unseen);
	unseen = MemoryContextAlloc(TopMemoryContext, Max(count, 1) * sizeof(TransactionId));
	if (count > 0)
		memcpy(unseen, running, count * sizeof(TransactionId));
	unseen_count = count;
	cover(end, 0);
}

static bool
was_open(TransactionId xid)
{
	for (uint32 i = 0; i < unseen_count; i++)
		if (unseen[i] == xid)
			return true;
	return false;
}

/* Time 0: not known; then it is taken to be that of the next commit. */
static void
cover(XLogRecPtr lsn, TimestampTz time)
{
	covered = lsn;
	covered_time = time;
	told = false;
}

static RefillResult
tell(RefillEvent *e, TimestampTz time)
{
	told = true;
	e->position = (LinkPosition) {
		.age = age_of(covered_time != 0 ? covered_time : time),
		.timeline = wal_timeline_of(covered),
		.lsn = covered
	};
	return REFILL_COVERED;
}

static uint32
age_of(TimestampTz time)
{
	return (uint32) Min(Max(GetCurrentTimestamp() - time, 0) / 1000, UINT32_MAX);
}

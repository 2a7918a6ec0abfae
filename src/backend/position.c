/*
 * position.c - rooms.position(): where on the bus the transaction's snapshot
 * stands, as a token for room:join (wire/since.h).
 *
 * The snapshot alone does not tell from where on the bus to read; the worker's
 * ring of positions (shared.h) does.  In it the newest position is looked for
 * of which is certain that all that had committed before it is in the snapshot:
 * the snapshot was taken after a later xid had completed, or whatever it has
 * for running of the xids up to the position's is running still, so it has not
 * committed before it.
 *
 * Beyond the insert position of now nothing is in the snapshot.  The WAL up to
 * there is flushed, so that what the caller has seen is not taken back by a
 * crash, which would give the same xids and places in the WAL to others.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "fmgr.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "backend/outbox.h"
#include "backend/shared.h"
#include "backend/wal_reader.h"
#include "wire/since.h"

PG_FUNCTION_INFO_V1(rooms_position);

static void check_isolation(void);
static Since describe(Snapshot snapshot);
static XLogRecPtr find_low(const Since *s);
static bool ended_since(const Since *s, uint64 xid);
static XLogRecPtr find_high(TimeLineID *timeline);

/* position() */
PGDLLEXPORT Datum
rooms_position(PG_FUNCTION_ARGS)
{
	Since		s;
	char	   *text;
	TimeLineID	timeline;

	outbox_check_served();
	check_isolation();
	s = describe(GetTransactionSnapshot());
	s.low.lsn = find_low(&s);
	s.high = Max(find_high(&timeline), s.low.lsn);
	s.low.timeline = timeline;

	text = palloc(SINCE_TEXT_MAX(s.running_count));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text, since_encode(text, &s)));
}

static void
check_isolation(void)
{
	if (!IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("rooms.position() needs a transaction with one snapshot"),
				 errdetail("In READ COMMITTED every statement sees another state of the data."),
				 errhint("Begin it with BEGIN ISOLATION LEVEL REPEATABLE READ.")));
}

static int
newest_first(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/*
 * xmax and what runs.  A snapshot of a standby has all xids in one list, sub-transactions' too.
 * While a transaction is being prepared its xid is there twice, the backend's and the prepared one's.
 */
static Since
describe(Snapshot snapshot)
{
	bool		recovery = snapshot->takenDuringRecovery;
	uint32		count = recovery ? (uint32) snapshot->subxcnt : snapshot->xcnt;
	const TransactionId *xids = recovery ? snapshot->subxip : snapshot->xip;
	uint64	   *running;
	uint32		n = 0;

	if (count > SINCE_MAX_RUNNING)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d transactions are in progress", SINCE_MAX_RUNNING),
				 errhint("Try again later.")));
	running = palloc(Max(count, 1) * sizeof(*running));
	for (uint32 i = 0; i < count; i++)
		running[i] = U64FromFullTransactionId(wal_full_xid(xids[i]));
	qsort(running, count, sizeof(*running), newest_first);
	for (uint32 i = 0; i < count; i++)
		if (n == 0 || running[i] != running[n - 1])
			running[n++] = running[i];
	return (Since) {
		.xmax = U64FromFullTransactionId(wal_full_xid(snapshot->xmax)),
		.running_count = n,
		.running = running
	};
}

static XLogRecPtr
find_low(const Since *s)
{
	uint64		count = pg_atomic_read_u64(&rooms_shared->position_count);

	pg_read_barrier();
	for (uint64 n = count; n > 0 && count - n < SHARED_POSITIONS; n--)
	{
		XLogRecPtr	lsn;
		FullTransactionId next;
		uint64		xid;

		if (!shared_get_position(n - 1, &lsn, &xid))
			break;
		next = FullTransactionIdFromU64(xid);
		FullTransactionIdAdvance(&next);
		if (U64FromFullTransactionId(next) < s->xmax || (n == count && !ended_since(s, xid)))
			return lsn;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the position of this snapshot is not known"),
			 errdetail("The snapshot is too old, or the server has just started."),
			 errhint("Begin another transaction, and call rooms.position() first in it.")));
}

/* Has any of those up to this xid ended that the snapshot has for running? */
static bool
ended_since(const Since *s, uint64 xid)
{
	if (xid >= s->xmax)
		return true;
	for (uint32 i = 0; i < s->running_count; i++)
	{
		TransactionId running = XidFromFullTransactionId(FullTransactionIdFromU64(s->running[i]));

		if (s->running[i] <= xid && !TransactionIdIsInProgress(running))
			return true;
	}
	return false;
}

/*
 * Behind whatever has committed so far, visible or not.  XLogFlush() wants the
 * end of a record; the insert position is behind the page header that comes
 * next, if a page ends there.
 */
static XLogRecPtr
find_high(TimeLineID *timeline)
{
	XLogRecPtr	high;
	XLogRecPtr	flush;

	if (RecoveryInProgress())
		return GetCurrentReplayRecPtr(timeline);
	*timeline = GetWALInsertionTimeLine();
	high = flush = GetXLogInsertRecPtr();
	if (XLogSegmentOffset(high, wal_segment_size) == SizeOfXLogLongPHD)
		flush -= SizeOfXLogLongPHD;
	else if (high % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		flush -= SizeOfXLogShortPHD;
	XLogFlush(flush);
	return high;
}

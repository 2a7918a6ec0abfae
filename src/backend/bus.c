/*
 * bus.c - the reading half of the WAL bus: committed messages in commit order.
 *
 * Called by the worker's loop.  wal_reader.c gives the events; here message
 * records wait, by xid, for the end of their transaction (pending.c), committed
 * transactions wait in commit order for their visibility (`committed`), and
 * the first of them is handed out message by message (delivery.c).
 *
 * Where to begin.  Nobody is connected to a worker that starts, so what was
 * visible before is none of its business.  But a transaction that is not
 * visible yet must be delivered, even if it wrote its message record, or its
 * commit record, before.  See start_on_primary() for why nothing slips
 * through.
 *
 * Visibility gate.  A commit record can be on disk before its backend has left
 * the ProcArray: always for a moment, and for as long as a synchronous standby
 * is missing (RecordTransactionCommit() in xact.c: the ProcArray comes after
 * SyncRepWaitForLSN()).  A transaction is delivered once others can see it, so
 * that who queries on an event finds the row; later ones wait behind it, so
 * that everybody sees one order.  Reading goes on meanwhile, because the WAL
 * may be recycled.  On a standby there is no gate: the replayed position moves
 * after the commit has been applied.
 *
 * Durability.  Only flushed WAL is read.  For an asynchronous commit the
 * worker does the flush itself, so nothing is delivered that a crash takes
 * back.
 *
 * Prepared transactions are held until COMMIT PREPARED, which names their xid
 * in its body.  On the primary that wrote them a copy is in the spool, for a
 * worker that starts later; a standby holds them in memory (and temporary
 * files) only, until its promotion: see take_over_prepared().
 *
 * Memory: payload.c caps that of the messages; besides them there is one
 * BusTransaction for each open transaction, and at most COMMITTED_MAX that
 * wait for visibility, then the WAL waits.  What is lost in spite of it all
 * (recycled WAL, full disk) is told by a WARNING and counted in bus_gaps.
 */
#include "postgres.h"

#include "access/timeline.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/standby.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "backend/bus.h"
#include "backend/delivery.h"
#include "backend/guc.h"
#include "backend/pending.h"
#include "backend/shared.h"
#include "backend/spool.h"
#include "backend/wal_reader.h"
#include "backend/wal_search.h"
#include "wire/envelope.h"

#define WAL_PER_CALL	(8 * 1024 * 1024)	/* bytes of WAL that one bus_next() reads */
#define COMMITTED_MAX	250000
#define GATE_PATIENCE	5000	/* ms until a closed gate is worth a log line */

static dlist_head committed = DLIST_STATIC_INIT(committed);
static uint32 committed_count = 0;

static Pending *pending;
static Delivery *delivery;
static WalReader *wal;

/* What of the past is to be delivered: see start_on_primary(). */
static XLogRecPtr start_limit;
static bool news_seen;			/* all later commits are news, too */
static TransactionId *running_at_start;
static int	running_count;

static bool began_on_standby;	/* PREPAREs before its promotion left no file here */

/* The newest transactions whose message record lay far before their commit record. */
#define FAR_MAX 64
static struct
{
	TransactionId xid;
	XLogRecPtr	commit;
}			far[FAR_MAX];
static uint32 far_count = 0;
static XLogRecPtr far_since;	/* of later commits all far ones are there */

static void start_on_primary(void);
static void start_on_standby(void);
static void remember_running(void);
static void remove_orphan(FullTransactionId xid, void *arg);
static void hold_spooled(FullTransactionId xid, void *arg);
static void begin_before(FullTransactionId xid, void *arg);
static bool is_news(const WalEvent *e);

static bool begin_delivery(LinkMessage *m);
static bool end_delivery(LinkMessage *m);
static bool read_wal(XLogRecPtr stop, bool *more);
static void take_over_prepared(void);
static void flush_wanted(void);
static void on_messages(const WalEvent *e);
static void on_commit(const WalEvent *e);
static void on_abort(const WalEvent *e);
static void on_prepare(const WalEvent *e);
static void on_gap(const WalEvent *e);
static void add_hole(XLogRecPtr lsn);
static void remember_far(const BusTransaction *t);
static void report_unseen_prepare(const WalEvent *e);

static bool gate_is_open(BusTransaction *t);
static bool is_visible(FullTransactionId xid);
static void report_closed_gate(BusTransaction *t);

static void count(WorkerCounter counter);

/* ---- Where to begin ---- */

void
bus_start(void)
{
	pending = pending_new(true);
	delivery = delivery_new();

	began_on_standby = RecoveryInProgress();
	if (began_on_standby)
		start_on_standby();
	else
		start_on_primary();
	far_since = start_limit;
	elog(DEBUG1, "pg_rooms reads WAL from %X/%X on", LSN_FORMAT_ARGS(wal_reader_position(wal)));
}

/*
 * The order of the steps is what makes it safe.  A backend goes through
 *
 *     slot := insert position; message record; commit record; flush;
 *     leave the ProcArray (now it is visible); slot := 0
 *
 * and the worker through
 *
 *     1 spool orphans; 2 F := flush position; 3 begin := min(F, slots);
 *     4 the xids that are running; 5 spool
 *
 * and delivers every commit that it reads if the record ends after F, or if it
 * was running in step 4.  Take a transaction that was not visible at step 4,
 * and its slot as step 3 found it:
 *
 * - Not 0: the message record comes after the position in the slot, so it
 *   will be read, and the commit record after it.  If that lies before F, the
 *   transaction was running in step 4: delivered.
 * - 0, because the backend has not stored it yet: it inserts its message
 *   record after step 3 (there is a full barrier between storing and
 *   inserting), so behind F.  Were F read after the slots, the record could
 *   be written and flushed in between, and be missed.
 * - 0, because it was cleared: by COMMIT, then it was visible before step 4;
 *   by ABORT; or by PREPARE, then its spool file was there before, and step 5
 *   finds it.
 *
 * A transaction that was visible at step 4 is delivered only if its commit
 * record ends after F; a worker before this one has not read that, so nothing
 * is delivered twice.
 *
 * Orphans of the spool are removed before F is read: the xid has left the
 * ProcArray, so its end is in the WAL and flushed (RecordTransactionCommitPrepared()
 * and RecordTransactionAbortPrepared() flush, twophase.c), that is before F, and
 * this worker will not ask for the file.  In step 5 the same test would be
 * wrong: a COMMIT PREPARED may have come after F.  What step 5 takes in though
 * it ended before F goes with the next running-xacts record.
 *
 * F may lie within a record.  If that is a COMMIT PREPARED, no slot tells of
 * it, so reading begins two pages before.  A COMMIT PREPARED that waits for a
 * synchronous standby has left its record any distance behind; then reading
 * begins at the message record.
 *
 * With recovery, clients come back that have heard of everything up to the
 * first commit that was not visible at the start (a worker delivers in the
 * order of commits): from that one on all are news, and for those to be whole,
 * reading begins where the past does.
 */
static void
start_on_primary(void)
{
	TimeLineID	ignored;
	XLogRecPtr	slots;
	XLogRecPtr	at;

	spool_list(remove_orphan, NULL);
	start_limit = GetFlushRecPtr(&ignored);
	slots = shared_slots_min();
	remember_running();
	spool_list(hold_spooled, NULL);
	at = start_limit - Min(2 * XLOG_BLCKSZ, XLogSegmentOffset(start_limit, wal_segment_size));
	if (slots != InvalidXLogRecPtr)
		at = Min(at, slots);
	spool_list(begin_before, &at);
	if (rooms_recovery_window > 0 && running_count > 0)
		at = Min(at, wal_search(start_limit, GetCurrentTimestamp() - rooms_history_window() * INT64CONST(1000)));
	wal = wal_reader_new(at);
}

/*
 * There are no slots here.  Transactions that are open on the primary may have
 * written their message record before; the last restartpoint's redo position
 * is a cheap guess that finds nearly all of them, and the WAL from there on is
 * always kept.  Commits up to the replayed position are visible already.
 * What was prepared before that position is lost, unless its file has come with
 * a base backup: report_unseen_prepare().
 *
 * A standby that was stopped comes up in a past of its own: it is consistent
 * before it has replayed again all that it had replayed.  What becomes visible
 * here after the start is delivered, so clients that return at once hear of
 * these transactions a second time, as they see their rows appear a second
 * time; (timeline, LSN, index) is the same.  A client that recovers names the
 * offset it has heard of already, which may lie ahead of what has been replayed:
 * the gateway gives it only what stands behind.
 */
static void
start_on_standby(void)
{
	TimeLineID	ignored;

	start_limit = GetXLogReplayRecPtr(&ignored);
	spool_list(hold_spooled, NULL);
	wal = wal_reader_new(Min(GetRedoRecPtr(), start_limit));
}

static void
remember_running(void)
{
	RunningTransactions running = GetRunningTransactionData();

	/* The top-level ones come first.  Both locks are ours to release (standby.c). */
	running_count = running->xcnt;
	running_at_start = MemoryContextAlloc(TopMemoryContext, Max(running_count, 1) * sizeof(TransactionId));
	memcpy(running_at_start, running->xids, running_count * sizeof(TransactionId));
	LWLockRelease(ProcArrayLock);
	LWLockRelease(XidGenLock);
}

/* An xid that was never assigned, or has left the ProcArray. */
static void
remove_orphan(FullTransactionId xid, void *arg pg_attribute_unused())
{
	if (!FullTransactionIdPrecedes(xid, ReadNextFullTransactionId()) || is_visible(xid))
		spool_done(xid);
}

static void
hold_spooled(FullTransactionId xid, void *arg pg_attribute_unused())
{
	if (pending_find(pending, XidFromFullTransactionId(xid)) == NULL)
		pending_set_prepared(pending, pending_add(pending, xid), true);
}

/* A prepared transaction that has committed and may still not be visible: lowers *arg, where reading begins. */
static void
begin_before(FullTransactionId xid, void *arg)
{
	XLogRecPtr *at = arg;
	SpoolRecord r;

	if (!TransactionIdDidCommit(XidFromFullTransactionId(xid)) || is_visible(xid) || !spool_read(xid, &r))
		return;
	*at = Min(*at, r.lsn);
	pfree(r.data);
}

/* Has this commit become visible after the start? */
static bool
is_news(const WalEvent *e)
{
	if (e->end > start_limit || (news_seen && rooms_recovery_window > 0))
		return true;
	for (int i = 0; i < running_count; i++)
		if (running_at_start[i] == e->xid)
			return true;
	return false;
}

/* ---- The worker's calls ---- */

BusResult
bus_next(LinkMessage *m, bool *more)
{
	XLogRecPtr	stop = wal_reader_position(wal) + WAL_PER_CALL;
	bool		gate_closed = false;

	*more = false;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (delivery_current(delivery) != NULL)
		{
			if (delivery_next(delivery, m))
			{
				count(COUNTER_BUS_MESSAGES);
				return BUS_MESSAGE;
			}
			if (end_delivery(m))
				return BUS_HOLE;
		}
		else if (!gate_closed && !dlist_is_empty(&committed))
		{
			if (gate_is_open(dlist_head_element(BusTransaction, node, &committed)))
			{
				if (begin_delivery(m))
					return BUS_HOLE;
			}
			else
				gate_closed = true;
		}
		else if (committed_count >= COMMITTED_MAX || !read_wal(stop, more))
			break;
	}
	pg_atomic_write_u64(&rooms_shared->worker_counters[COUNTER_BUS_POSITION], wal_reader_position(wal));
	return dlist_is_empty(&committed) ? BUS_IDLE : BUS_GATED;
}

/* Takes the first of `committed`.  True: it is a hole, and done with. */
static bool
begin_delivery(LinkMessage *m)
{
	BusTransaction *t = dlist_container(BusTransaction, node, dlist_pop_head_node(&committed));

	committed_count--;
	if (t->hole)
	{
		*m = (LinkMessage) {.timeline = wal_timeline_of(t->commit), .lsn = t->commit};
		pending_forget(pending, t);
		return true;
	}
	delivery_begin(delivery, t);
	return false;
}

/* True: its end, or all of it, could not be had. */
static bool
end_delivery(LinkMessage *m)
{
	bool		lost = delivery_lost(delivery);
	BusTransaction *t = delivery_end(delivery);

	if (lost)
	{
		count(COUNTER_BUS_GAPS);
		*m = (LinkMessage) {.timeline = wal_timeline_of(t->commit), .lsn = t->commit + 1};
	}
	pending_forget(pending, t);
	return lost;
}

uint64
bus_lag(void)
{
	TimeLineID	ignored;
	XLogRecPtr	limit = wal_limit(&ignored);
	XLogRecPtr	position = wal_reader_position(wal);

	return limit > position ? limit - position : 0;
}

XLogRecPtr
bus_position(TimeLineID *timeline)
{
	XLogRecPtr	position = wal_reader_position(wal);

	if (delivery_current(delivery) != NULL)
		position = delivery_current(delivery)->commit;
	else if (!dlist_is_empty(&committed))
		position = dlist_head_element(BusTransaction, node, &committed)->commit;
	*timeline = wal_timeline_of(position);
	return position;
}

void
bus_catch_up(void)
{
	bool		more;

	while (wal_reader_position(wal) < start_limit && committed_count < COMMITTED_MAX &&
		   read_wal(start_limit, &more))
		;
}

uint32
bus_given(XLogRecPtr lsn, XLogRecPtr end)
{
	const BusTransaction *next = delivery_current(delivery);

	if (next != NULL && lsn == next->commit)
		return delivery_count(delivery);
	if (next == NULL && !dlist_is_empty(&committed))
		next = dlist_head_element(BusTransaction, node, &committed);
	if (next != NULL)
		return lsn < next->commit ? UINT32_MAX : 0;
	return end <= bus_given_end() ? UINT32_MAX : 0;
}

XLogRecPtr
bus_given_end(void)
{
	return Max(wal_reader_position(wal), start_limit);
}

bool
bus_began_on_standby(void)
{
	return began_on_standby;
}

BusFar
bus_far(TransactionId xid, XLogRecPtr lsn)
{
	if (lsn < far_since)
		return BUS_UNKNOWN;
	for (uint32 i = 0; i < Min(far_count, FAR_MAX); i++)
		if (far[i].xid == xid && far[i].commit == lsn)
			return BUS_FAR;
	return BUS_NEAR;
}

bool
bus_drained(void)
{
	TimeLineID	ignored;

	if (!RecoveryInProgress() &&
		pg_atomic_read_u64(&rooms_shared->wanted_flush) > GetFlushRecPtr(&ignored))
		return false;
	return wal_reader_drained(wal);
}

/* ---- Reading ---- */

/* Takes in one event; false if there is none now. */
static bool
read_wal(XLogRecPtr stop, bool *more)
{
	WalEvent	e;

	flush_wanted();

	switch (wal_reader_next(wal, stop, &e))
	{
		case WAL_MESSAGES:
			on_messages(&e);
			return true;
		case WAL_COMMIT:
			on_commit(&e);
			return true;
		case WAL_ABORT:
			on_abort(&e);
			return true;
		case WAL_PREPARE:
			on_prepare(&e);
			return true;
		case WAL_RUNNING:
			/*
			 * Prepared ones are running, too (twophase.c puts them into the
			 * ProcArray).  If the end of an older one has not been met, a
			 * crash took it, or it lies before the start.
			 */
			pending_purge_before(pending, e.xid);
			return true;
		case WAL_NONE_RUNNING:
			pending_purge_unprepared(pending);
			if (began_on_standby && !RecoveryInProgress())
				take_over_prepared();
			return true;
		case WAL_GAP:
			on_gap(&e);
			return true;
		case WAL_MORE:
			*more = true;
			return false;
		case WAL_END:
			return false;
	}
	return false;				/* keep compiler quiet */
}

/*
 * The record that ends the recovery of a promoted standby has been read, so
 * every PREPARE before it has, too: from here on all is as if they had been
 * prepared here.  Files that ended meanwhile came with a base backup or from a
 * life as primary.
 */
static void
take_over_prepared(void)
{
	pending_spool_prepared(pending);
	spool_list(remove_orphan, NULL);
}

static void
flush_wanted(void)
{
	static XLogRecPtr flushed = InvalidXLogRecPtr;
	XLogRecPtr	wanted;

	/* 0 on a standby, where nobody emits. */
	wanted = pg_atomic_read_u64(&rooms_shared->wanted_flush);
	if (wanted > flushed)
	{
		XLogFlush(wanted);
		flushed = wanted;
	}
}

static void
on_messages(const WalEvent *e)
{
	FullTransactionId xid = wal_full_xid(e->xid);
	BusTransaction *t = pending_find(pending, e->xid);
	uint32_t	database;
	EnvelopeList list;

	if (envelope_record_open(e->record, &database, &list) != WIRE_OK)
	{
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("pg_rooms left out a malformed message record at %X/%X", LSN_FORMAT_ARGS(e->lsn)),
				 errhint("It may have been written by another version of pg_rooms.")));
		return;
	}

	pending_add_messages(pending, t, xid, e);
}

static void
on_commit(const WalEvent *e)
{
	BusTransaction *t = pending_take(pending, e->xid);

	if (t == NULL)
	{
		if (e->two_phase && began_on_standby && is_news(e))
			report_unseen_prepare(e);
		return;
	}
	if (!is_news(e) || pending_is_silent(t))
	{
		pending_forget(pending, t);
		return;
	}
	t->commit = e->lsn;
	t->commit_time = e->time;
	news_seen = true;
	remember_far(t);
	dlist_push_tail(&committed, &t->node);
	committed_count++;
	count(COUNTER_BUS_TRANSACTIONS);
}

static void
on_abort(const WalEvent *e)
{
	BusTransaction *t = pending_take(pending, e->xid);

	if (t != NULL)
		pending_forget(pending, t);
}

static void
on_prepare(const WalEvent *e)
{
	BusTransaction *t = pending_find(pending, e->xid);

	/* One without messages, too: its commit is then no surprise (report_unseen_prepare()). */
	if (t == NULL && began_on_standby)
		t = pending_add_silent(pending, wal_full_xid(e->xid));
	if (t != NULL)
		pending_set_prepared(pending, t, true);
}

static void
on_gap(const WalEvent *e)
{
	count(COUNTER_BUS_GAPS);
	ereport(WARNING,
			(errmsg("pg_rooms may have lost messages of transactions that committed between %X/%X and %X/%X",
					LSN_FORMAT_ARGS(e->lsn), LSN_FORMAT_ARGS(e->end)),
			 errdetail("That WAL was removed, or cannot be read."),
			 errhint("Consider increasing \"wal_keep_size\".")));
	add_hole(e->end);
	/* The messages of what was prepared in it are in files. */
	if (!RecoveryInProgress())
		spool_list(hold_spooled, NULL);
}

/* In its place among what waits to be given out. */
static void
add_hole(XLogRecPtr lsn)
{
	dlist_push_tail(&committed, &pending_hole(pending, lsn)->node);
	committed_count++;
}

/* A prepared one is not looked for in the WAL alone, so its distance does not matter on a primary. */
static void
remember_far(const BusTransaction *t)
{
	uint32		i = far_count % FAR_MAX;

	if (!t->kept || pending_is_silent(t) || t->record_start + wal_segment_size > t->commit)
		return;
	if (far_count >= FAR_MAX)
		far_since = far[i].commit + 1;
	far[i].xid = XidFromFullTransactionId(t->xid);
	far[i].commit = t->commit;
	far_count++;
}

/*
 * A worker that began on a standby knows of every PREPARE since, so this one
 * came before.  Nothing tells whether it had messages.
 */
static void
report_unseen_prepare(const WalEvent *e)
{
	count(COUNTER_BUS_GAPS);
	ereport(WARNING,
			(errmsg("pg_rooms may have lost messages of prepared transaction %u, which committed at %X/%X",
					e->xid, LSN_FORMAT_ARGS(e->lsn)),
			 errdetail("It was prepared on the primary before the worker of this standby started.")));
	add_hole(e->end);
}

/* ---- The visibility gate ---- */

static bool
gate_is_open(BusTransaction *t)
{
	if (t->hole || is_visible(t->xid))
		return true;
	if (t->gated_since == 0)
	{
		t->gated_since = GetCurrentTimestamp();
		count(COUNTER_BUS_GATED);
	}
	else if (!t->gate_reported &&
			 TimestampDifferenceExceeds(t->gated_since, GetCurrentTimestamp(), GATE_PATIENCE))
		report_closed_gate(t);
	return false;
}

/*
 * TransactionIdIsInProgress() takes everything before RecentXmin for ended.
 * Nobody takes snapshots here, so RecentXmin would stay what it was at the
 * worker's start, and 2^31 xids later everything would be before it.  It is
 * set anew each time also to keep that function away from pg_subtrans, which
 * may be truncated up to the oldest running xid.
 */
static bool
is_visible(FullTransactionId xid)
{
	static FullTransactionId horizon = {0}; /* everything before has ended */
	TransactionId oldest;

	if (RecoveryInProgress() || FullTransactionIdPrecedes(xid, horizon))
		return true;
	oldest = GetOldestActiveTransactionId();
	horizon = wal_full_xid(oldest);
	if (FullTransactionIdPrecedes(xid, horizon))
		return true;
	RecentXmin = oldest;
	return !TransactionIdIsInProgress(XidFromFullTransactionId(xid));
}

static void
report_closed_gate(BusTransaction *t)
{
	t->gate_reported = true;
	count(COUNTER_BUS_GATE_BLOCKED);
	ereport(LOG,
			(errmsg("pg_rooms messages wait for transaction %u, which has committed but is not visible yet",
					XidFromFullTransactionId(t->xid)),
			 errdetail("Later messages wait behind it."),
			 errhint("A synchronous standby may be missing; see \"synchronous_standby_names\".")));
}

/* ---- Small things ---- */

static void
count(WorkerCounter counter)
{
	pg_atomic_fetch_add_u64(&rooms_shared->worker_counters[counter], 1);
}

/*
 * outbox.c - a transaction's messages until its commit, and the WAL record
 * that carries them.
 *
 * The emit functions call outbox_reserve() and encode an envelope into the
 * bytes they get.  All messages of a transaction lie in one buffer, in the
 * form of the record (wire/envelope.h), so that nothing is copied at commit.
 *
 * Sub-transactions nest strictly: what the current one emitted is always the
 * buffer's end.  The first message of a sub-transaction pushes a mark with
 * the buffer's length; rolling back cuts the buffer there, releasing hands
 * the mark to the parent or drops it.  Either is O(1) for each mark, however
 * many messages there are.
 *
 * At PRE_COMMIT and PRE_PREPARE the buffer becomes one transactional
 * logical-message record.  It is built by hand (compare LogLogicalMessage()
 * in replication/logical/message.c) for its database oid, which is 0: SQL's
 * pg_logical_emit_message() always writes the oid of its own database, so
 * nobody can forge our records from SQL, and logical decoding of any database
 * skips them.  All that can fail fails up to there, as an ERROR that aborts
 * the transaction.  After it only memory is reset and the worker woken.
 *
 * Durability is the transaction's own.  The record has forced an xid, so
 * that there is a commit record; synchronous_commit decides about its flush,
 * and the worker flushes what an asynchronous commit left (wanted_flush).
 *
 * Memory: buffer and marks live in TopTransactionContext and vanish with it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "backend/guc.h"
#include "backend/outbox.h"
#include "backend/shared.h"
#include "backend/spool.h"
#include "wire/envelope.h"

/* What a sub-transaction's rollback goes back to. */
typedef struct Mark
{
	int			nest_level;		/* of the sub-transaction */
	uint32		count;			/* outbox.count before its first message */
	Size		length;			/* and outbox.length */
	struct Mark *below;
} Mark;

/* All zero outside of transactions, and in those that emit nothing. */
typedef struct Outbox
{
	uint8	   *data;			/* the record: room for its header, then length-prefixed envelopes */
	Size		allocated;
	Size		length;			/* bytes behind the header */
	uint32		count;			/* envelopes */
	Mark	   *marks;			/* innermost sub-transaction first */
	bool		closed;			/* PRE_COMMIT or PRE_PREPARE is over: too late to emit */
	bool		written;		/* the record is in WAL and our slot set */
	FullTransactionId spooled;	/* the spool file to remove if PREPARE fails */
	bool		has_marker;		/* to follow the messages */
	uint8		marker[HANDLER_MARKER_SIZE];
} Outbox;

static Outbox outbox;
static bool marked = false;		/* a transaction with a marker has committed */

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);
static bool database_is_served(void);
static void mark_level(int nest_level);
static void grow(Size needed);
static void append_marker(void);
static XLogRecPtr write_record(void);
static void write_spool(XLogRecPtr lsn);
static void finish_commit(void);
static void finish_prepare(void);
static void finish_abort(void);
static void release_level(int nest_level);
static void drop_level(int nest_level);

void
outbox_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

bool
outbox_served(void)
{
	return rooms_shared != NULL && database_is_served();
}

void
outbox_check_served(void)
{
	if (rooms_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_rooms must be loaded via \"shared_preload_libraries\""),
				 errhint("Add shared_preload_libraries = 'pg_rooms' to postgresql.conf and restart the server.")));
	if (!database_is_served())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_rooms does not serve this database"),
				 errdetail("The setting pg_rooms.database is \"%s\".", rooms_database),
				 errhint("Set pg_rooms.database in postgresql.conf to the name of this database and reload.")));
}

void
outbox_check(void)
{
	outbox_check_served();
	if (IsInParallelMode() || IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot emit during a parallel operation"),
				 errhint("Do not mark functions that emit PARALLEL SAFE or PARALLEL RESTRICTED.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot emit during recovery"),
				 errhint("Emit on the primary; this server passes on what was committed there.")));
	if (outbox.closed || !IsTransactionState())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot emit once the transaction is being committed"),
				 errdetail("Its messages have been written already."),
				 errhint("An extension that emits in its commit callback must come after pg_rooms in shared_preload_libraries.")));
}

uint8 *
outbox_reserve(Size size)
{
	Size		limit = (Size) rooms_max_pending * 1024;
	uint8	   *at;

	outbox_check();
	if (size > limit || outbox.length + sizeof(uint32) + size > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many messages in one transaction"),
				 errdetail("%zu bytes are pending and %zu more do not fit in pg_rooms.max_pending (%d kB).",
						   outbox.length, size, rooms_max_pending),
				 errhint("Commit in smaller steps, or raise pg_rooms.max_pending.")));

	mark_level(GetCurrentTransactionNestLevel());
	grow(ENVELOPE_RECORD_HEADER + outbox.length + sizeof(uint32) + size);
	at = write_u32(outbox.data + ENVELOPE_RECORD_HEADER + outbox.length, (uint32) size);
	outbox.length += sizeof(uint32) + size;
	outbox.count++;
	return at;
}

void
outbox_set_marker(const uint8 marker[HANDLER_MARKER_SIZE])
{
	outbox.has_marker = true;
	memcpy(outbox.marker, marker, HANDLER_MARKER_SIZE);
}

bool
outbox_take_marked(void)
{
	bool		result = marked;

	marked = false;
	return result;
}

/*
 * A look-up in the syscache each time, not a flag of our own: this way ALTER
 * DATABASE RENAME and a reload take effect at once.
 */
static bool
database_is_served(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool		served;

	if (!HeapTupleIsValid(tuple))
		return false;
	served = strcmp(NameStr(((Form_pg_database) GETSTRUCT(tuple))->datname), rooms_database) == 0;
	ReleaseSysCache(tuple);
	return served;
}

/* Sees to it that a rollback of the current sub-transaction finds a mark. */
static void
mark_level(int nest_level)
{
	Mark	   *mark;

	if (nest_level <= 1 || (outbox.marks && outbox.marks->nest_level == nest_level))
		return;
	mark = MemoryContextAlloc(TopTransactionContext, sizeof(Mark));
	mark->nest_level = nest_level;
	mark->count = outbox.count;
	mark->length = outbox.length;
	mark->below = outbox.marks;
	outbox.marks = mark;
}

static void
grow(Size needed)
{
	Size		target;

	if (needed <= outbox.allocated)
		return;
	target = Max(needed, Max(1024, outbox.allocated * 2));
	if (outbox.data == NULL)
		outbox.data = MemoryContextAlloc(TopTransactionContext, target);
	else
		outbox.data = repalloc(outbox.data, target);
	outbox.allocated = target;
}

/* Behind everything that the transaction emitted. */
static void
append_marker(void)
{
	Envelope	e = {.kind = ENVELOPE_MARKER,.nsp = SLICE_LITERAL("/"),
		.packet = slice(outbox.marker, HANDLER_MARKER_SIZE)};

	envelope_encode(&e, outbox_reserve(envelope_size(&e)));
}

static void
xact_callback(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (outbox.count > 0 && outbox.has_marker)
				append_marker();
			if (outbox.count > 0)
				write_record();
			outbox.closed = true;
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (outbox.count > 0)
				write_spool(write_record());
			outbox.closed = true;
			break;
		case XACT_EVENT_COMMIT:
			finish_commit();
			break;
		case XACT_EVENT_PREPARE:
			finish_prepare();
			break;
		case XACT_EVENT_ABORT:
			finish_abort();
			break;
		default:				/* parallel workers have no messages */
			break;
	}
}

/*
 * Our slot is set before the record is inserted: a worker that starts between
 * this record and the commit record must begin no later than here.
 */
static XLogRecPtr
write_record(void)
{
	xl_logical_message header;

	envelope_record_header(outbox.data, MyDatabaseId, outbox.count);

	memset(&header, 0, sizeof(header));
	header.dbId = InvalidOid;
	header.transactional = true;
	header.prefix_size = sizeof(ENVELOPE_PREFIX);	/* with its zero: logicalmsg_desc() relies on it */
	header.message_size = ENVELOPE_RECORD_HEADER + outbox.length;

	(void) GetCurrentTransactionId();
	outbox.written = true;
	shared_slot_set(GetXLogInsertRecPtr());

	XLogBeginInsert();
	XLogRegisterData((char *) &header, SizeOfLogicalMessage);
	XLogRegisterData((char *) ENVELOPE_PREFIX, header.prefix_size);
	XLogRegisterData((char *) outbox.data, header.message_size);
	XLogSetRecordFlags(XLOG_INCLUDE_ORIGIN);
	return XLogInsert(RM_LOGICALMSG_ID, XLOG_LOGICAL_MESSAGE);
}

static void
write_spool(XLogRecPtr lsn)
{
	SpoolRecord r = {
		.xid = GetTopFullTransactionId(),
		.timeline = GetWALInsertionTimeLine(),
		.lsn = lsn,
		.length = ENVELOPE_RECORD_HEADER + outbox.length,
		.data = outbox.data,
	};

	outbox.spooled = r.xid;
	spool_write(&r);
}

/*
 * The commit record is written, flushed unless the commit is asynchronous, and
 * the xid has left the ProcArray.  XactLastCommitEnd is its end: xact.c has
 * set it by now (and XactLastRecEnd to 0).  For a commit that is flushed
 * already, wanted_flush asks for nothing new.
 *
 * COMMIT PREPARED and ROLLBACK PREPARED come by as the commit of a transaction
 * without messages, after FinishPreparedTransaction() has flushed the record
 * and gone through ProcArrayLock, a full barrier.
 */
static void
finish_commit(void)
{
	if (outbox.written)
	{
		shared_want_flush(XactLastCommitEnd);
		shared_slot_clear();
		shared_wake_worker(false);
		marked = marked || outbox.has_marker;
	}
	else if (pg_atomic_read_u32(&rooms_shared->held_prepared) != 0)
		shared_wake_worker(false);
	memset(&outbox, 0, sizeof(outbox));
}

/* The worker reads the PREPARE soon, so as to be awake for COMMIT PREPARED (spool.h). */
static void
finish_prepare(void)
{
	if (outbox.written)
	{
		shared_slot_clear();
		shared_wake_worker(false);
	}
	memset(&outbox, 0, sizeof(outbox));
}

static void
finish_abort(void)
{
	if (outbox.written)
		shared_slot_clear();
	if (FullTransactionIdIsValid(outbox.spooled))
		spool_remove(outbox.spooled);
	memset(&outbox, 0, sizeof(outbox));
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine pg_attribute_unused(),
				 SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	if (outbox.marks == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		release_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		drop_level(GetCurrentTransactionNestLevel());
}

/* The messages of this level now belong to its parent, and so does the mark. */
static void
release_level(int nest_level)
{
	Mark	   *mark = outbox.marks;
	int			parent = nest_level - 1;

	if (mark->nest_level < nest_level)
		return;
	if (parent > 1 && (mark->below == NULL || mark->below->nest_level < parent))
	{
		mark->nest_level = parent;
		return;
	}
	outbox.marks = mark->below;
	pfree(mark);
}

static void
drop_level(int nest_level)
{
	while (outbox.marks && outbox.marks->nest_level >= nest_level)
	{
		Mark	   *mark = outbox.marks;

		outbox.count = mark->count;
		outbox.length = mark->length;
		outbox.marks = mark->below;
		pfree(mark);
	}
}

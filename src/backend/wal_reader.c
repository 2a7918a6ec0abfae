/*
 * wal_reader.c - the WAL as a sequence of the few events the bus needs.
 *
 * Called by bus.c in the worker.  The only file that knows XLogReader; it
 * reads with core's own page reader, read_local_xlog_page_no_wait()
 * (xlogutils.c), which stops at the flushed (standby: replayed) position and
 * follows timeline switches and promotion by itself.
 *
 * What that reader asks of its caller:
 *
 * - `end_of_wal` is set when a page is not there yet and never reset by core.
 *   It is cleared before each read: no record with end_of_wal means "wait",
 *   no record without it means that the WAL there cannot be read, now or ever.
 * - After "wait" XLogReadRecord() is simply called again.  A record may lie
 *   across the flushed position; the reader has kept its start.
 * - A recycled segment shows as an ERROR from opening it, or, if the file was
 *   open while it was renamed, as a page with another address.  After an ERROR
 *   the reader's state is unknown, so a new one is built.
 * - The flushed position is often the middle of a record (whole pages are
 *   written), so every new reader starts with XLogFindNextRecord(), which
 *   looks for the first record from the page's beginning on.  It may have to
 *   be repeated until that record has been flushed.
 *
 * WAL that cannot be read is left out up to the oldest later segment that
 * exists, and reported as one WAL_GAP.  Only want of memory or descriptors is
 * waited for.
 *
 * Memory: everything lives in reader_context, which dies with the reader.
 * XLogReader's buffers only ever grow, and anybody may write a logical message
 * of 1 GB, so a reader that has met a large record is replaced.
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/timeline.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "storage/fd.h"
#include "storage/standbydefs.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "backend/wal_reader.h"
#include "wire/envelope.h"

/* A reader that has met a record of this size is not kept. */
#define LARGE_RECORD (4 * 1024 * 1024)

static MemoryContext reader_context = NULL;
static XLogReaderState *xlog = NULL;	/* NULL: one is built at `position` */
static bool positioned;			/* xlog stands on a record's start */
static bool worn_out;			/* xlog has met a large record: replace it */
static ReadLocalXLogPageNoWaitPrivate page_reader;

static XLogRecPtr position;		/* all before it has been read or given up */
static XLogRecPtr gap_start = InvalidXLogRecPtr;	/* what lies between it and `position` was given up */
static XLogRecPtr known_limit = InvalidXLogRecPtr;	/* wal_limit() some time ago */
static XLogRecPtr limit_at_end = InvalidXLogRecPtr; /* wal_limit() before the read that found nothing */
static char failure[512];		/* why the last READ_FAILED */

typedef enum ReadResult
{
	READ_EVENT,
	READ_END,
	READ_INTERRUPTED,
	READ_FAILED
} ReadResult;

static ReadResult read_guarded(XLogRecPtr stop, WalEventKind *kind, WalEvent *e);
static ReadResult read_events(XLogRecPtr stop, WalEventKind *kind, WalEvent *e);
static bool at_limit(void);
static bool find_record(void);
static bool classify(WalEventKind *kind, WalEvent *e);
static bool classify_message(WalEventKind *kind, WalEvent *e);
static bool classify_xact(WalEventKind *kind, WalEvent *e);
static void log_shortage(void);
static void close_reader(void);
static bool skip_unreadable(void);
static XLogRecPtr oldest_wal_after(XLogRecPtr lsn);

XLogRecPtr
wal_limit(TimeLineID *timeline)
{
	if (RecoveryInProgress())
		return GetXLogReplayRecPtr(timeline);
	return GetFlushRecPtr(timeline);
}

/*
 * Not the reader's timeline, which is chosen per segment, nor the page's: a
 * segment with a switch in it is read from the new timeline's copy.  The
 * current timeline is asked for after the record was read, so its history
 * covers it.
 */
TimeLineID
wal_timeline_of(XLogRecPtr lsn)
{
	static MemoryContext history_context = NULL;
	static List *history = NIL;
	static TimeLineID newest = 0;
	TimeLineID	current;

	(void) wal_limit(&current);
	if (current != newest)
	{
		MemoryContext old;

		if (history_context == NULL)
			history_context = AllocSetContextCreate(TopMemoryContext, "pg_rooms timeline history",
													ALLOCSET_SMALL_SIZES);
		newest = 0;
		MemoryContextReset(history_context);
		old = MemoryContextSwitchTo(history_context);
		history = readTimeLineHistory(current);
		MemoryContextSwitchTo(old);
		newest = current;
	}
	return tliOfPointInHistory(lsn, history);
}

void
wal_reader_begin(XLogRecPtr at)
{
	close_reader();
	position = at;
	gap_start = InvalidXLogRecPtr;
	known_limit = InvalidXLogRecPtr;
	limit_at_end = InvalidXLogRecPtr;
}

XLogRecPtr
wal_reader_position(void)
{
	return position;
}

bool
wal_reader_drained(void)
{
	TimeLineID	ignored;

	return wal_limit(&ignored) == limit_at_end;
}

WalEventKind
wal_reader_next(XLogRecPtr stop, WalEvent *e)
{
	for (;;)
	{
		WalEventKind kind;
		XLogRecPtr	limit;
		TimeLineID	ignored;

		CHECK_FOR_INTERRUPTS();
		switch (read_guarded(stop, &kind, e))
		{
			case READ_EVENT:
				return kind;
			case READ_INTERRUPTED:
				continue;
			case READ_FAILED:
				if (skip_unreadable())
					continue;
				limit_at_end = wal_limit(&ignored);
				return WAL_END;
			case READ_END:
				break;
		}

		/* "Nothing" counts only if the limit did not move after the read began. */
		limit = wal_limit(&ignored);
		if (limit == limit_at_end)
			return WAL_END;
		limit_at_end = limit;
	}
}

/*
 * read_events(), with an ERROR caught.  Want of memory or descriptors passes,
 * and the WAL is still there then: that is no more than "nothing now".
 */
static ReadResult
read_guarded(XLogRecPtr stop, WalEventKind *kind, WalEvent *e)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile ReadResult result = READ_FAILED;

	if (reader_context == NULL)
		reader_context = AllocSetContextCreate(TopMemoryContext, "pg_rooms WAL reader",
											   ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		MemoryContextSwitchTo(reader_context);
		result = read_events(stop, kind, e);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		strlcpy(failure, error->message, sizeof(failure));
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		{
			log_shortage();
			result = READ_END;
		}
		FreeErrorData(error);
		close_reader();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return result;
}

/* Says so at most once a minute; the next try comes with the next poll. */
static void
log_shortage(void)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(last, now, 60 * 1000))
		return;
	last = now;
	ereport(LOG,
			(errmsg("pg_rooms cannot read WAL for the time being: %s", failure)));
}

/* Reads until there is an event.  Pending interrupts are left to the caller, outside PG_TRY. */
static ReadResult
read_events(XLogRecPtr stop, WalEventKind *kind, WalEvent *e)
{
	while (!InterruptPending)
	{
		char	   *errormsg = NULL;

		if (worn_out)
			close_reader();
		page_reader.end_of_wal = false;
		if (!positioned && !find_record())
		{
			if (page_reader.end_of_wal)
				return READ_END;
			strlcpy(failure, "no valid record found", sizeof(failure));
			return READ_FAILED;
		}
		if (gap_start != InvalidXLogRecPtr)
		{
			*e = (WalEvent) {.lsn = gap_start, .end = position};
			*kind = WAL_GAP;
			gap_start = InvalidXLogRecPtr;
			return READ_EVENT;
		}
		if (position >= stop)
		{
			*kind = WAL_MORE;
			return READ_EVENT;
		}
		if (at_limit())
			return READ_END;
		if (XLogReadRecord(xlog, &errormsg) == NULL)
		{
			if (page_reader.end_of_wal)
				return READ_END;
			strlcpy(failure, errormsg ? errormsg : "no record found", sizeof(failure));
			return READ_FAILED;
		}
		position = xlog->EndRecPtr;
		worn_out = XLogRecGetTotalLen(xlog) >= LARGE_RECORD;
		if (classify(kind, e))
			return READ_EVENT;
	}
	return READ_INTERRUPTED;
}

/*
 * A read that fails at the end makes XLogReader forget the segment it has
 * open.  That costs a little, and the file may be recycled before it is opened
 * again, while what has been opened can still be read.  So the end is looked
 * for here.
 */
static bool
at_limit(void)
{
	TimeLineID	ignored;

	if (position >= known_limit)
		known_limit = wal_limit(&ignored);
	return position >= known_limit;
}

/* Puts a reader, a new one if need be, on the first record at or after `position`. */
static bool
find_record(void)
{
	XLogRecPtr	found;

	if (xlog == NULL)
	{
		xlog = XLogReaderAllocate(wal_segment_size, NULL,
									XL_ROUTINE(.page_read = &read_local_xlog_page_no_wait,
											   .segment_open = &wal_segment_open,
											   .segment_close = &wal_segment_close),
									&page_reader);
		if (xlog == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		xlog->system_identifier = GetSystemIdentifier();
	}
	found = XLogFindNextRecord(xlog, position);
	if (found == InvalidXLogRecPtr)
		return false;
	position = found;
	positioned = true;
	return true;
}

static void
close_reader(void)
{
	/*
	 * Not XLogReaderFree(): after an ERROR its buffer may be freed already.
	 * The memory goes with the context.
	 */
	if (xlog != NULL && xlog->seg.ws_file >= 0)
		wal_segment_close(xlog);
	xlog = NULL;
	positioned = false;
	worn_out = false;
	if (reader_context != NULL)
		MemoryContextReset(reader_context);
}

/*
 * Gives up the WAL up to the next segment that exists, or, if there is none,
 * up to the limit.  False if that is where we stand already: then only new
 * WAL can help.
 */
static bool
skip_unreadable(void)
{
	XLogRecPtr	next = oldest_wal_after(position);

	if (gap_start == InvalidXLogRecPtr)
	{
		gap_start = position;
		ereport(WARNING,
				(errmsg("pg_rooms could not read WAL at %X/%X: %s",
						LSN_FORMAT_ARGS(position), failure)));
	}
	close_reader();
	if (next <= position)
		return false;
	position = next;
	return true;
}

/* The start of the oldest segment after the one with `lsn`, but no more than the limit. */
static XLogRecPtr
oldest_wal_after(XLogRecPtr lsn)
{
	TimeLineID	ignored;
	XLogRecPtr	oldest = wal_limit(&ignored);
	DIR		   *dir = AllocateDir(XLOGDIR);
	struct dirent *file;

	while ((file = ReadDir(dir, XLOGDIR)) != NULL)
	{
		TimeLineID	timeline;
		XLogSegNo	segment;
		XLogRecPtr	start;

		if (!IsXLogFileName(file->d_name))
			continue;
		XLogFromFileName(file->d_name, &timeline, &segment, wal_segment_size);
		XLogSegNoOffsetToRecPtr(segment, 0, wal_segment_size, start);
		if (start > lsn && start < oldest)
			oldest = start;
	}
	FreeDir(dir);
	return oldest;
}

/* Is the record that was just read one of those the bus needs? */
static bool
classify(WalEventKind *kind, WalEvent *e)
{
	uint8		info = XLogRecGetInfo(xlog) & ~XLR_INFO_MASK;

	*e = (WalEvent) {
		.xid = XLogRecGetXid(xlog),
		.lsn = xlog->ReadRecPtr,
		.end = xlog->EndRecPtr
	};
	switch (XLogRecGetRmid(xlog))
	{
		case RM_LOGICALMSG_ID:
			return classify_message(kind, e);
		case RM_XACT_ID:
			return classify_xact(kind, e);
		case RM_STANDBY_ID:
			if (info != XLOG_RUNNING_XACTS)
				return false;
			e->xid = ((xl_running_xacts *) XLogRecGetData(xlog))->oldestRunningXid;
			*kind = WAL_RUNNING;
			return true;
		case RM_XLOG_ID:
			if (info != XLOG_CHECKPOINT_SHUTDOWN && info != XLOG_END_OF_RECOVERY)
				return false;
			*kind = WAL_NONE_RUNNING;
			return true;
		default:
			return false;
	}
}

/*
 * Only our own: prefix, transactional, and no database, which is what
 * pg_logical_emit_message() cannot write (logical/message.c).
 */
static bool
classify_message(WalEventKind *kind, WalEvent *e)
{
	const xl_logical_message *m = (xl_logical_message *) XLogRecGetData(xlog);
	Size		length = XLogRecGetDataLen(xlog);

	if (length < SizeOfLogicalMessage + sizeof(ENVELOPE_PREFIX) ||
		m->dbId != InvalidOid || !m->transactional ||
		!TransactionIdIsNormal(e->xid) ||
		m->prefix_size != sizeof(ENVELOPE_PREFIX) ||
		memcmp(m->message, ENVELOPE_PREFIX, sizeof(ENVELOPE_PREFIX)) != 0 ||
		m->message_size != length - SizeOfLogicalMessage - sizeof(ENVELOPE_PREFIX))
		return false;
	e->record = slice(m->message + m->prefix_size, m->message_size);
	*kind = WAL_MESSAGES;
	return true;
}

/*
 * The record of a message is written at PRE_COMMIT, when no sub-transaction
 * is open, so it has the top-level xid and the sub-transactions in these
 * records need not be looked at.  COMMIT PREPARED and ROLLBACK PREPARED run
 * in another transaction: theirs is the xid in the record's body.
 */
static bool
classify_xact(WalEventKind *kind, WalEvent *e)
{
	uint8		info = XLogRecGetInfo(xlog);
	char	   *data = XLogRecGetData(xlog);

	switch (info & XLOG_XACT_OPMASK)
	{
		case XLOG_XACT_COMMIT:
			*kind = WAL_COMMIT;
			return TransactionIdIsNormal(e->xid);
		case XLOG_XACT_ABORT:
			*kind = WAL_ABORT;
			return TransactionIdIsNormal(e->xid);
		case XLOG_XACT_PREPARE:
			e->xid = ((xl_xact_prepare *) data)->xid;
			*kind = WAL_PREPARE;
			return true;
		case XLOG_XACT_COMMIT_PREPARED:
			{
				xl_xact_parsed_commit commit;

				ParseCommitRecord(info, (xl_xact_commit *) data, &commit);
				e->xid = commit.twophase_xid;
				e->two_phase = true;
				*kind = WAL_COMMIT;
				return true;
			}
		case XLOG_XACT_ABORT_PREPARED:
			{
				xl_xact_parsed_abort abort;

				ParseAbortRecord(info, (xl_xact_abort *) data, &abort);
				e->xid = abort.twophase_xid;
				e->two_phase = true;
				*kind = WAL_ABORT;
				return true;
			}
		default:
			return false;
	}
}

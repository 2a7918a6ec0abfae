/*
 * wal_reader.c - the WAL as a sequence of the few events the bus needs.
 *
 * Called by bus.c, refill.c and wal_search.c in the worker.  The only file that
 * knows XLogReader; it reads with core's own page reader,
 * read_local_xlog_page_no_wait() (xlogutils.c), which stops at the flushed
 * (standby: replayed) position and follows timeline switches and promotion by
 * itself.
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
 * Memory: what XLogReader allocates lives in r->context, which is reset with it.
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

struct WalReader
{
	MemoryContext context;		/* of xlog */
	XLogReaderState *xlog;		/* NULL: one is built at `position` */
	bool		positioned;		/* xlog stands on a record's start */
	bool		worn_out;		/* xlog has met a large record: replace it */
	ReadLocalXLogPageNoWaitPrivate page_reader;

	XLogRecPtr	position;		/* all before it has been read or given up */
	XLogRecPtr	gap_start;		/* what lies between it and `position` was given up */
	XLogRecPtr	known_limit;	/* wal_limit() some time ago */
	XLogRecPtr	limit_at_end;	/* wal_limit() before the read that found nothing */
	char		failure[512];	/* why the last READ_FAILED */
};

typedef enum ReadResult
{
	READ_EVENT,
	READ_END,
	READ_INTERRUPTED,
	READ_FAILED
} ReadResult;

static ReadResult read_guarded(WalReader *r, XLogRecPtr stop, WalEventKind *kind, WalEvent *e);
static ReadResult read_events(WalReader *r, XLogRecPtr stop, WalEventKind *kind, WalEvent *e);
static bool at_limit(WalReader *r);
static bool find_record(WalReader *r);
static bool classify(WalReader *r, WalEventKind *kind, WalEvent *e);
static bool classify_message(WalReader *r, WalEventKind *kind, WalEvent *e);
static bool classify_xact(WalReader *r, WalEventKind *kind, WalEvent *e);
static bool classify_running(WalReader *r, WalEventKind *kind, WalEvent *e);
static void log_shortage(WalReader *r);
static void close_reader(WalReader *r);
static bool skip_unreadable(WalReader *r);
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

/*
 * Records carry 32 bits.  Whatever is in the WAL is no more than 2^32 xids
 * behind the next one to be assigned, which on a standby replay keeps ahead of
 * the records that may be read.
 */
FullTransactionId
wal_full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next) && epoch > 0)
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

LinkTimeline *
wal_timelines(uint32 *count)
{
	TimeLineID	current;
	List	   *history;
	LinkTimeline *list;

	(void) wal_limit(&current);
	history = readTimeLineHistory(current); /* newest first */
	*count = Min(list_length(history), LINK_MAX_TIMELINES);
	list = palloc(*count * sizeof(LinkTimeline));
	for (uint32 i = 0; i < *count; i++)
	{
		const TimeLineHistoryEntry *entry = list_nth(history, i);

		list[*count - 1 - i] = (LinkTimeline) {
			.timeline = entry->tli,
			.begin = entry->begin,
			.end = entry->end == InvalidXLogRecPtr ? UINT64_MAX : entry->end
		};
	}
	list_free_deep(history);
	return list;
}

XLogRecPtr
wal_oldest(void)
{
	return oldest_wal_after(InvalidXLogRecPtr);
}

WalReader *
wal_reader_new(XLogRecPtr at)
{
	WalReader  *r = MemoryContextAllocZero(TopMemoryContext, sizeof(WalReader));

	r->context = AllocSetContextCreate(TopMemoryContext, "pg_rooms WAL reader", ALLOCSET_DEFAULT_SIZES);
	r->position = at;
	return r;
}

void
wal_reader_free(WalReader *r)
{
	close_reader(r);
	MemoryContextDelete(r->context);
	pfree(r);
}

XLogRecPtr
wal_reader_position(const WalReader *r)
{
	return r->position;
}

bool
wal_reader_drained(const WalReader *r)
{
	TimeLineID	ignored;

	return wal_limit(&ignored) == r->limit_at_end;
}

WalEventKind
wal_reader_next(WalReader *r, XLogRecPtr stop, WalEvent *e)
{
	for (;;)
	{
		WalEventKind kind;
		XLogRecPtr	limit;
		TimeLineID	ignored;

		CHECK_FOR_INTERRUPTS();
		switch (read_guarded(r, stop, &kind, e))
		{
			case READ_EVENT:
				return kind;
			case READ_INTERRUPTED:
				continue;
			case READ_FAILED:
				if (skip_unreadable(r))
					continue;
				r->limit_at_end = wal_limit(&ignored);
				return WAL_END;
			case READ_END:
				break;
		}

		/* "Nothing" counts only if the limit did not move after the read began. */
		limit = wal_limit(&ignored);
		if (limit == r->limit_at_end)
			return WAL_END;
		r->limit_at_end = limit;
	}
}

/*
 * read_events(), with an ERROR caught.  Want of memory or descriptors passes,
 * and the WAL is still there then: that is no more than "nothing now".
 */
static ReadResult
read_guarded(WalReader *r, XLogRecPtr stop, WalEventKind *kind, WalEvent *e)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile ReadResult result = READ_FAILED;

	PG_TRY();
	{
		MemoryContextSwitchTo(r->context);
		result = read_events(r, stop, kind, e);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		strlcpy(r->failure, error->message, sizeof(r->failure));
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		{
			log_shortage(r);
			result = READ_END;
		}
		FreeErrorData(error);
		close_reader(r);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return result;
}

/* Says so at most once a minute; the next try comes with the next poll. */
static void
log_shortage(WalReader *r)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(last, now, 60 * 1000))
		return;
	last = now;
	ereport(LOG,
			(errmsg("pg_rooms cannot read WAL for the time being: %s", r->failure)));
}

/* Reads until there is an event.  Pending interrupts are left to the caller, outside PG_TRY. */
static ReadResult
read_events(WalReader *r, XLogRecPtr stop, WalEventKind *kind, WalEvent *e)
{
	while (!InterruptPending)
	{
		char	   *errormsg = NULL;

		if (r->worn_out)
			close_reader(r);
		r->page_reader.end_of_wal = false;
		if (!r->positioned && !find_record(r))
		{
			if (r->page_reader.end_of_wal)
				return READ_END;
			strlcpy(r->failure, "no valid record found", sizeof(r->failure));
			return READ_FAILED;
		}
		if (r->gap_start != InvalidXLogRecPtr)
		{
			*e = (WalEvent) {.lsn = r->gap_start, .end = r->position};
			*kind = WAL_GAP;
			r->gap_start = InvalidXLogRecPtr;
			return READ_EVENT;
		}
		if (r->position >= stop)
		{
			*kind = WAL_MORE;
			return READ_EVENT;
		}
		if (at_limit(r))
			return READ_END;
		if (XLogReadRecord(r->xlog, &errormsg) == NULL)
		{
			if (r->page_reader.end_of_wal)
				return READ_END;
			strlcpy(r->failure, errormsg ? errormsg : "no record found", sizeof(r->failure));
			return READ_FAILED;
		}
		r->position = r->xlog->EndRecPtr;
		r->worn_out = XLogRecGetTotalLen(r->xlog) >= LARGE_RECORD;
		if (classify(r, kind, e))
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
at_limit(WalReader *r)
{
	TimeLineID	ignored;

	if (r->position >= r->known_limit)
		r->known_limit = wal_limit(&ignored);
	return r->position >= r->known_limit;
}

/* Puts a reader, a new one if need be, on the first record at or after `position`. */
static bool
find_record(WalReader *r)
{
	XLogRecPtr	found;

	if (r->xlog == NULL)
	{
		r->xlog = XLogReaderAllocate(wal_segment_size, NULL,
									XL_ROUTINE(.page_read = &read_local_xlog_page_no_wait,
											   .segment_open = &wal_segment_open,
											   .segment_close = &wal_segment_close),
									&r->page_reader);
		if (r->xlog == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		r->xlog->system_identifier = GetSystemIdentifier();
	}
	found = XLogFindNextRecord(r->xlog, r->position);
	if (found == InvalidXLogRecPtr)
		return false;
	r->position = found;
	r->positioned = true;
	return true;
}

static void
close_reader(WalReader *r)
{
	/*
	 * Not XLogReaderFree(): after an ERROR its buffer may be freed already.
	 * The memory goes with the context.
	 */
	if (r->xlog != NULL && r->xlog->seg.ws_file >= 0)
		wal_segment_close(r->xlog);
	r->xlog = NULL;
	r->positioned = false;
	r->worn_out = false;
	MemoryContextReset(r->context);
}

/*
 * Gives up the WAL up to the next segment that exists, or, if there is none,
 * up to the limit.  False if that is where we stand already: then only new
 * WAL can help.
 */
static bool
skip_unreadable(WalReader *r)
{
	XLogRecPtr	next = oldest_wal_after(r->position);

	if (r->gap_start == InvalidXLogRecPtr)
	{
		r->gap_start = r->position;
		ereport(WARNING,
				(errmsg("pg_rooms could not read WAL at %X/%X: %s",
						LSN_FORMAT_ARGS(r->position), r->failure)));
	}
	close_reader(r);
	if (next <= r->position)
		return false;
	r->position = next;
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
classify(WalReader *r, WalEventKind *kind, WalEvent *e)
{
	uint8		info = XLogRecGetInfo(r->xlog) & ~XLR_INFO_MASK;

	*e = (WalEvent) {
		.xid = XLogRecGetXid(r->xlog),
		.lsn = r->xlog->ReadRecPtr,
		.end = r->xlog->EndRecPtr
	};
	switch (XLogRecGetRmid(r->xlog))
	{
		case RM_LOGICALMSG_ID:
			return classify_message(r, kind, e);
		case RM_XACT_ID:
			return classify_xact(r, kind, e);
		case RM_STANDBY_ID:
			if (info != XLOG_RUNNING_XACTS)
				return false;
			return classify_running(r, kind, e);
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
classify_message(WalReader *r, WalEventKind *kind, WalEvent *e)
{
	const xl_logical_message *m = (xl_logical_message *) XLogRecGetData(r->xlog);
	Size		length = XLogRecGetDataLen(r->xlog);

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
classify_xact(WalReader *r, WalEventKind *kind, WalEvent *e)
{
	uint8		info = XLogRecGetInfo(r->xlog);
	char	   *data = XLogRecGetData(r->xlog);

	switch (info & XLOG_XACT_OPMASK)
	{
		case XLOG_XACT_COMMIT:
			e->time = ((xl_xact_commit *) data)->xact_time;
			*kind = WAL_COMMIT;
			return TransactionIdIsNormal(e->xid);
		case XLOG_XACT_ABORT:
			e->time = ((xl_xact_abort *) data)->xact_time;
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
				e->time = commit.xact_time;
				e->two_phase = true;
				*kind = WAL_COMMIT;
				return true;
			}
		case XLOG_XACT_ABORT_PREPARED:
			{
				xl_xact_parsed_abort abort;

				ParseAbortRecord(info, (xl_xact_abort *) data, &abort);
				e->xid = abort.twophase_xid;
				e->time = abort.xact_time;
				e->two_phase = true;
				*kind = WAL_ABORT;
				return true;
			}
		default:
			return false;
	}
}

/* The top-level xids come first in the list (LogCurrentRunningXacts() in standby.c). */
static bool
classify_running(WalReader *r, WalEventKind *kind, WalEvent *e)
{
	const xl_running_xacts *running = (xl_running_xacts *) XLogRecGetData(r->xlog);

	e->xid = running->oldestRunningXid;
	e->running = running->xids;
	e->running_count = running->xcnt;
	*kind = WAL_RUNNING;
	return true;
}

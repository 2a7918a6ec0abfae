/*
 * wal_reader.h - the WAL as a sequence of the few events the bus needs.
 *
 * Used by bus.c for what is new, by refill.c and wal_search.c for what is past.
 * Nothing else knows XLogReader, so that it can be replaced by something leaner.
 */
#ifndef ROOMS_BACKEND_WAL_READER_H
#define ROOMS_BACKEND_WAL_READER_H

#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "wire/link.h"
#include "wire/slice.h"

typedef enum WalEventKind
{
	WAL_MESSAGES,				/* xid's message record: `record` */
	WAL_COMMIT,					/* xid ended; `two_phase` if by COMMIT PREPARED, ... */
	WAL_ABORT,					/* ... ROLLBACK PREPARED */
	WAL_PREPARE,				/* xid is prepared from here on */
	WAL_RUNNING,				/* every transaction before xid has ended */
	WAL_NONE_RUNNING,			/* every transaction that is not prepared has ended */
	WAL_GAP,					/* WAL from `lsn` to `end` could not be read */
	WAL_MORE,					/* nothing up to the caller's stop, there is more */
	WAL_END						/* all that may be read has been read */
} WalEventKind;

typedef struct WalEvent
{
	TransactionId xid;
	bool		two_phase;
	XLogRecPtr	lsn;			/* the record's start */
	XLogRecPtr	end;
	Slice		record;			/* lives until the next wal_reader_next() */
	TimestampTz time;			/* of WAL_COMMIT and WAL_ABORT */
	const TransactionId *running;	/* of WAL_RUNNING: the top-level ones; lives as long as `record` */
	uint32		running_count;
} WalEvent;

typedef struct WalReader WalReader;

/*
 * Up to where WAL may be read now, and the timeline that is written or
 * replayed: flushed WAL on a primary, replayed WAL on a standby.
 */
extern XLogRecPtr wal_limit(TimeLineID *timeline);

/* The timeline that `lsn`, which has been read, belongs to. */
extern TimeLineID wal_timeline_of(XLogRecPtr lsn);

/* The full one of an xid that is in the WAL. */
extern FullTransactionId wal_full_xid(TransactionId xid);

/* The server's timelines, oldest first, at most LINK_MAX_TIMELINES; palloc'ed. */
extern LinkTimeline *wal_timelines(uint32 *count);

/* The start of the oldest segment in pg_wal, or the limit. */
extern XLogRecPtr wal_oldest(void);

/* Reads on with the first record that starts at `at` or later; `at` need not be a record's start. */
extern WalReader *wal_reader_new(XLogRecPtr at);
extern void wal_reader_free(WalReader *r);

/*
 * The next event; WAL_MORE once `stop` has been passed.  An ERROR is raised
 * only for interrupts and when pg_wal itself cannot be listed.
 */
extern WalEventKind wal_reader_next(WalReader *r, XLogRecPtr stop, WalEvent *e);

/* Everything before this has been read. */
extern XLogRecPtr wal_reader_position(const WalReader *r);

/* True if no WAL has come since wal_reader_next() gave WAL_END. */
extern bool wal_reader_drained(const WalReader *r);

#endif							/* ROOMS_BACKEND_WAL_READER_H */

/*
 * spool.h - the messages of prepared transactions, on disk until their end.
 *
 * A prepared transaction may outlive the WAL that holds its message record.
 * So the preparing backend writes the record to pg_rooms/<full xid> in the
 * data directory as well, before its PREPARE; the worker reads the file at
 * COMMIT PREPARED if it no longer has the record in memory, and removes it at
 * either end.
 *
 *   backend   PRE_PREPARE  writes the WAL record, then spool_write()
 *             PREPARE      wakes the worker
 *             ABORT        (PREPARE TRANSACTION failed) spool_remove()
 *   worker    start        spool_list(): a file whose xid is no longer in
 *                          progress is an orphan and goes; then the flush
 *                          position and the slots are read, and spool_list()
 *                          again takes in what is there (bus.c says why so)
 *             PREPARE      a message record that was open is now held
 *             promotion    spool_write() for what is held (bus.c, take_over_prepared())
 *             COMMIT       deliver from memory or spool_read(), spool_done()
 *             ROLLBACK     spool_done()
 *             refill       (refill.c) spool_read() once more
 *
 * spool_done() removes the file; but with recovery_window set it renames it to
 * <full xid>.done, because the WAL that a later refill reads may begin behind
 * the message record.  spool_sweep() removes those files when the window is over.
 *
 * shared->held_prepared is written by the worker alone: how many transactions
 * it holds.  No wake-up is lost to that: a COMMIT PREPARED that still reads 0
 * has flushed its record before the worker, woken by the PREPARE, raises the
 * count, and the worker compares the flush position with what it has read
 * after that and before it sleeps.
 *
 * A file that spool_list() gives is complete: it was renamed into place after
 * its fsync.  Base backups copy the folder, so a file may speak of another
 * history: its contents count only if timeline is tliOfPointInHistory(lsn).
 * A standby writes no files and removes none; it holds messages of prepared
 * transactions in memory.  When it has been promoted, the worker writes the
 * files of those that it holds, so that they do not depend on its life.
 */
#ifndef ROOMS_BACKEND_SPOOL_H
#define ROOMS_BACKEND_SPOOL_H

#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"

#define SPOOL_DIRECTORY "pg_rooms"

typedef struct SpoolRecord
{
	FullTransactionId xid;
	TimeLineID	timeline;		/* on which the message record was written */
	XLogRecPtr	lsn;			/* the end of that record */
	Size		length;
	uint8	   *data;			/* the record of wire/envelope.h */
} SpoolRecord;

/* Writes r durably.  ERROR if that fails: the abort then calls spool_remove(). */
extern void spool_write(const SpoolRecord *r);

/*
 * Reads the file of xid, done or not; r->data is palloc'ed.  False if there is none, and
 * with a WARNING if it is damaged or of another cluster.  ERROR if it cannot
 * be opened.
 */
extern bool spool_read(FullTransactionId xid, SpoolRecord *r);

/* Is there a file, done or not? */
extern bool spool_exists(FullTransactionId xid);

/* The prepared transaction has ended.  Cannot fail; a WARNING tells of trouble. */
extern void spool_done(FullTransactionId xid);

/* Removes the files that have been done for more than `age` ms.  Never an ERROR. */
extern void spool_sweep(int64 age);

/* Removes what there is of xid's file.  Cannot fail; a WARNING tells of trouble. */
extern void spool_remove(FullTransactionId xid);

/* Calls back for every file, in no order; the callback may remove it.  ERROR if the folder cannot be read. */
extern void spool_list(void (*callback) (FullTransactionId xid, void *arg), void *arg);

/* Removes half-written files; called by the postmaster while no other process runs. */
extern void spool_clean(void);

#endif							/* ROOMS_BACKEND_SPOOL_H */

/*
 * pending.h - transactions with messages whose end has not been read yet.
 *
 * Used by bus.c, and by refill.c for the past.
 */
#ifndef ROOMS_BACKEND_PENDING_H
#define ROOMS_BACKEND_PENDING_H

#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "lib/ilist.h"

#include "backend/payload.h"
#include "backend/wal_reader.h"

/* One transaction with messages, from its message record until it is delivered. */
typedef struct BusTransaction
{
	FullTransactionId xid;
	bool		prepared;		/* set by pending_set_prepared() alone */
	bool		kept;			/* `record` is here; else it is in the spool, or lost */
	Payload		record;			/* of wire/envelope.h; empty if the transaction has no messages */
	XLogRecPtr	record_start;	/* of its WAL record; these two are valid if it is kept and not empty */
	XLogRecPtr	record_end;

	/* from here on bus.c's, once it has committed */
	dlist_node	node;
	bool		hole;			/* no transaction: messages before `commit` may be lost */
	XLogRecPtr	commit;			/* start of the commit record */
	TimestampTz commit_time;
	TimestampTz gated_since;	/* 0: it did not have to wait yet */
	bool		gate_reported;
} BusTransaction;

typedef struct Pending Pending;

/*
 * `owner`, of which there is one: keeps shared->held_prepared, and removes the
 * spool files of what it forgets (or retires them, see spool.h).
 */
extern Pending *pending_new(bool owner);
extern void pending_free(Pending *p);	/* not the owner */

/* NULL if there is none, as for most transactions. */
extern BusTransaction *pending_find(Pending *p, TransactionId xid);

/* A new one, which must not be there yet. */
extern BusTransaction *pending_add(Pending *p, FullTransactionId xid);

/* ... of which it is known that it has no messages. */
extern BusTransaction *pending_add_silent(Pending *p, FullTransactionId xid);
extern bool pending_is_silent(const BusTransaction *t);

/* Its message record `e`, which is copied; t as found, or NULL. */
extern void pending_add_messages(Pending *p, BusTransaction *t, FullTransactionId xid, const WalEvent *e);

/* One that is no transaction: messages of commits before `lsn` may be lost. */
extern BusTransaction *pending_hole(Pending *p, XLogRecPtr lsn);

/* Finds it and takes it out; it is the caller's until pending_forget(). */
extern BusTransaction *pending_take(Pending *p, TransactionId xid);

extern void pending_set_prepared(Pending *p, BusTransaction *t, bool prepared);

/*
 * Writes the spool files of all prepared transactions whose messages are here.
 * A WARNING tells of one that cannot be written; it stays here.
 */
extern void pending_spool_prepared(Pending *p);

/* Frees a transaction that was taken out and, on a primary, the owner's spool file. */
extern void pending_forget(Pending *p, BusTransaction *t);

/* Forgets all that are older than `oldest`; all that are not prepared. */
extern void pending_purge_before(Pending *p, TransactionId oldest);
extern void pending_purge_unprepared(Pending *p);

#endif							/* ROOMS_BACKEND_PENDING_H */

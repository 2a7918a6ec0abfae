/*
 * pending.h - transactions with messages whose end has not been read yet.
 *
 * Used by bus.c alone.
 */
#ifndef ROOMS_BACKEND_PENDING_H
#define ROOMS_BACKEND_PENDING_H

#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "lib/ilist.h"

#include "backend/payload.h"

/* One transaction with messages, from its message record until it is delivered. */
typedef struct BusTransaction
{
	FullTransactionId xid;
	bool		prepared;		/* set by pending_set_prepared() alone */
	bool		kept;			/* `record` is here; else it is in the spool, or lost */
	Payload		record;			/* of wire/envelope.h; empty if the transaction has no messages */
	XLogRecPtr	record_end;		/* of its WAL record; valid if it is kept and not empty */

	/* from here on bus.c's, once it has committed */
	dlist_node	node;
	XLogRecPtr	commit;			/* start of the commit record */
	TimestampTz gated_since;	/* 0: it did not have to wait yet */
	bool		gate_reported;
} BusTransaction;

extern void pending_init(void);

/* NULL if there is none, as for most transactions. */
extern BusTransaction *pending_find(TransactionId xid);

/* A new one, which must not be there yet. */
extern BusTransaction *pending_add(FullTransactionId xid);

/* ... of which it is known that it has no messages. */
extern BusTransaction *pending_add_silent(FullTransactionId xid);
extern bool pending_is_silent(const BusTransaction *t);

/* Finds it and takes it out; it is the caller's until pending_forget(). */
extern BusTransaction *pending_take(TransactionId xid);

extern void pending_set_prepared(BusTransaction *t, bool prepared);

/*
 * Writes the spool files of all prepared transactions whose messages are here.
 * A WARNING tells of one that cannot be written; it stays here.
 */
extern void pending_spool_prepared(void);

/* Frees a transaction that was taken out and, on a primary, removes its spool file. */
extern void pending_forget(BusTransaction *t);

/* Forgets all that are older than `oldest`; all that are not prepared. */
extern void pending_purge_before(TransactionId oldest);
extern void pending_purge_unprepared(void);

#endif							/* ROOMS_BACKEND_PENDING_H */

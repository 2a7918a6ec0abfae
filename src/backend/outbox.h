/*
 * outbox.h - a transaction's messages until its commit.
 *
 * Messages are kept per sub-transaction in TopTransactionContext, spliced to
 * the parent in O(1) on release, dropped on rollback, and written to WAL as
 * one record at PRE_COMMIT or PRE_PREPARE.  Everything that can fail fails
 * before the commit, as an ERROR.
 */
#ifndef ROOMS_BACKEND_OUTBOX_H
#define ROOMS_BACKEND_OUTBOX_H

#include "postgres.h"

/* Registers the transaction callbacks; once, from _PG_init, when preloaded. */
extern void outbox_init(void);

/*
 * Raises the ERROR if this process cannot emit now: library not preloaded,
 * wrong database, recovery, parallel mode, the record already written.
 */
extern void outbox_check(void);

/*
 * Room for one encoded envelope of `size` bytes, which the caller fills at
 * once.  Raises over pg_rooms.max_pending.  Calls outbox_check().
 */
extern uint8 *outbox_reserve(Size size);

#endif							/* ROOMS_BACKEND_OUTBOX_H */

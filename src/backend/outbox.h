/*
 * outbox.h - a transaction's messages until its commit.
 *
 * Messages are kept in TopTransactionContext, dropped with the sub-transaction
 * that emitted them, and written to WAL as one record at PRE_COMMIT or
 * PRE_PREPARE.  Everything that can fail fails before the commit, as an ERROR.
 */
#ifndef ROOMS_BACKEND_OUTBOX_H
#define ROOMS_BACKEND_OUTBOX_H

#include "postgres.h"

/* Registers the transaction callbacks; once, from _PG_init, when preloaded. */
extern void outbox_init(void);

/* Is the library preloaded and the session's database pg_rooms.database? */
extern bool outbox_served(void);

/* Raises the ERROR if not: for every function that is of no use then. */
extern void outbox_check_served(void);

/*
 * Raises the ERROR if this process cannot emit now: as above, or recovery,
 * parallel mode, the record already written.
 */
extern void outbox_check(void);

/*
 * Room for one encoded envelope of `size` bytes, which the caller fills at
 * once.  Raises over pg_rooms.max_pending; the limit on a single message
 * (pg_rooms.max_message_size) is the caller's to check.  Calls outbox_check().
 */
extern uint8 *outbox_reserve(Size size);

#endif							/* ROOMS_BACKEND_OUTBOX_H */

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

#include "wire/handler.h"

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

/*
 * If this transaction has messages when it commits, this marker
 * (wire/handler.h) is to follow them.
 */
extern void outbox_set_marker(const uint8 marker[HANDLER_MARKER_SIZE]);

/* Has a marker been written by a transaction that committed since the last call? */
extern bool outbox_take_marked(void);

#endif							/* ROOMS_BACKEND_OUTBOX_H */

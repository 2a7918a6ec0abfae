/*
 * history.h - the newest messages, for clients that come back.
 *
 * A ring bounded by bytes and by age, with an index by room, so that what one
 * client missed is found at the cost of what it missed.  Frames are shared
 * with the live path.  The rooms' names of an entry stay with it: who is
 * excepted is judged when it is replayed.
 */
#ifndef ROOMS_CORE_HISTORY_H
#define ROOMS_CORE_HISTORY_H

#include "core/frame.h"
#include "core/hash.h"
#include "wire/envelope.h"
#include "wire/position.h"

typedef struct History History;

typedef struct HistoryEntry
{
	Position	at;
	uint64_t	xid;			/* epoch and xid of its transaction; 0: not of the bus */
	uint64_t	time;			/* ms, when it was added */
	Frame	   *frame;
	Slice		nsp;
	bool		all;			/* the whole namespace; rooms is empty */
	EnvelopeList rooms;
	EnvelopeList except;
	uint8_t		bytes[];		/* what the slices point to */
} HistoryEntry;

/* What a client may be given of one room: what stands behind `after`, up to and with `until`. */
typedef struct HistoryRange
{
	Slice		room;			/* empty: what went to the whole namespace */
	Position	after;
	Position	until;
} HistoryRange;

/* `until` of a room that the client is still in. */
#define POSITION_END ((Position) {.lsn = UINT64_MAX, .index = UINT32_MAX, .late = UINT32_MAX})

/* A history that begins behind `start`.  window: ms. */
extern History *history_new(HashKey key, size_t max_bytes, uint64_t window);
extern void history_free(History *h);
extern void history_configure(History *h, size_t max_bytes, uint64_t window);

/* Forgets everything: what is held begins behind `start`. */
extern void history_restart(History *h, Position start);

/*
 * Adds a message that is being sent; its position is not before the last
 * one's.  Takes a reference to f.  The oldest ones go, by bytes and by age.
 */
extern void history_add(History *h, const Envelope *e, Frame *f, Position at, uint64_t xid, uint64_t now);

/* Lets go what is older than the window. */
extern void history_expire(History *h, uint64_t now);

/* Is everything that was sent behind `p` held? */
extern bool history_covers(const History *h, const Position *p);

extern size_t history_bytes(const History *h);
extern uint32_t history_count(const History *h);

/*
 * Calls `each` once for every entry of the namespace that is in one of the
 * ranges, in order, until it says no (false).  `each` must not change the
 * history.  Gives the number of entries that were looked at; at most one more
 * per range than were passed on.
 */
extern uint64_t history_replay(History *h, Slice nsp, const HistoryRange *ranges, uint32_t count,
							   bool (*each) (void *ctx, const HistoryEntry *e), void *ctx);

#endif							/* ROOMS_CORE_HISTORY_H */

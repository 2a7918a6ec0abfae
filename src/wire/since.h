/*
 * since.h - from where on a client wants the messages of a room: the text that
 * comes with room:join as `since`.
 *
 * Either a position (wire/position.h), or the token of a snapshot, made by
 * rooms.position().  One LSN cannot describe a snapshot: a transaction becomes
 * visible some time after its commit record was written, and not in that
 * order.  So the token has
 *
 *   low      an LSN; transactions that committed before it are visible
 *   high     an LSN; those that committed behind it are not
 *   xmax, running   which of those in between are: xids from xmax on are not,
 *            nor those that were running
 *
 * As text, hexadecimal without leading zeros:
 *
 *   s timeline.low.high.xmax         and for each that runs, the newest first,
 *   .difference to the one before    beginning with that to xmax
 */
#ifndef ROOMS_WIRE_SINCE_H
#define ROOMS_WIRE_SINCE_H

#include "wire/position.h"

#define SINCE_MAX_RUNNING	10000
#define SINCE_TEXT_MAX(running)	(1 + 8 + 3 * 17 + 17 * (size_t) (running))

typedef struct Since
{
	Position	low;			/* its timeline is that of the byte before `high`, if there is one */
	uint64_t	high;			/* 0: no snapshot, everything behind `low` is wanted */
	uint64_t	xmax;			/* epoch and xid, and so in `running` */
	uint32_t	running_count;
	const uint64_t *running;	/* descending, all before xmax */
} Since;

/* Writes the token of a snapshot, at most SINCE_TEXT_MAX() bytes; not terminated.  Gives its length. */
extern size_t since_encode(char *out, const Since *s);

/* How many xids since_decode() may store for this text: SINCE_MAX_RUNNING at most. */
extern uint32_t since_space(Slice text);

/* WIRE_BAD: neither a position nor a token.  s->running is `running`, which has since_space() elements. */
extern WireResult since_decode(Slice text, Since *s, uint64_t *running) MUST_CHECK;

/*
 * Is the message that stands at `at` wanted?  xid: of its transaction; 0: of
 * none, so it is in no snapshot.
 */
extern bool since_wants(const Since *s, const Position *at, uint64_t xid);

#endif							/* ROOMS_WIRE_SINCE_H */

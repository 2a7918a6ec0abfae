/*
 * position.h - where on the bus a message stands; the "offset" of Socket.IO's
 * connection state recovery.
 *
 * (timeline, commit LSN, index within the transaction) is the same on the
 * primary and on every standby, and survives every restart.  The index counts
 * from 1; 0 stands before all messages of the commit at that LSN.  What reaches a
 * client without a place of its own on the bus (a throttled value that is sent
 * later, a relayed event) stands behind the newest message that the gateway
 * has processed: `late` counts those.
 *
 * As text, hexadecimal without leading zeros: timeline.lsn.index, and .late
 * unless that is 0: "1.16b3748.0".
 */
#ifndef ROOMS_WIRE_POSITION_H
#define ROOMS_WIRE_POSITION_H

#include "wire/slice.h"

#define POSITION_TEXT_MAX	(8 + 1 + 16 + 1 + 8 + 1 + 8)

typedef struct Position
{
	uint64_t	lsn;
	uint32_t	timeline;
	uint32_t	index;
	uint32_t	late;
} Position;

/* Writes the text, at most POSITION_TEXT_MAX bytes; not terminated.  Gives its length. */
extern size_t position_encode(char *out, const Position *p);

/* WIRE_BAD: not what position_encode() could have written. */
extern WireResult position_decode(Slice text, Position *p) MUST_CHECK;

/*
 * < 0, 0, > 0, in the order of the bus.  The timeline does not count: that a
 * position is on our history at all must be known before it is compared.
 */
extern int	position_compare(const Position *a, const Position *b);

static inline Position
position_later(Position a, Position b)
{
	return position_compare(&a, &b) > 0 ? a : b;
}

#endif							/* ROOMS_WIRE_POSITION_H */

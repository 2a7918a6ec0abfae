/*
 * throttle.h - latest value wins, per (namespace, rooms, except, event).
 *
 * The first message of a key goes out at once; later ones within the interval
 * replace each other, and the last one goes out when the interval is over,
 * always.  A key is forgotten when an interval passes with nothing waiting.
 *
 * Memory is bounded: a message that would need more than is left goes out at
 * once, in place of what waited for its key.  So order and last value hold
 * whatever comes, only the pace does not.
 */
#ifndef ROOMS_CORE_THROTTLE_H
#define ROOMS_CORE_THROTTLE_H

#include "core/hash.h"
#include "core/timer.h"
#include "wire/envelope.h"

typedef struct Throttle Throttle;

/* `send` is given an envelope whose slices live until it returns. */
typedef void (*ThrottleSend) (void *ctx, const Envelope *e);

typedef enum ThrottleResult
{
	THROTTLE_SENT,				/* it was its turn */
	THROTTLE_KEPT,				/* for later */
	THROTTLE_REPLACED,			/* ... in place of an earlier one, which nobody gets */
	THROTTLE_FULL				/* sent before its turn, as there was no memory left to keep it */
} ThrottleResult;

/* max_bytes: of all keys and waiting messages together, with what administers them. */
extern Throttle *throttle_new(TimerWheel *wheel, HashKey key, size_t max_bytes, ThrottleSend send, void *ctx);
extern void throttle_free(Throttle *t);

/*
 * Sends `e` now (by calling `send`) or keeps a copy of `bytes`, its encoded
 * form, for later.  The room order does not matter for the key.
 */
extern ThrottleResult throttle_offer(Throttle *t, const Envelope *e, Slice bytes, uint64_t now);

/*
 * The same for a message of `time` that a process before this one was given:
 * whether it went out or still waited is not known.  So it is kept in any case
 * and goes out when the interval is over, unless a later one replaces it; if
 * that is yet to come when it would have been its turn, it goes out now, too.
 */
extern ThrottleResult throttle_offer_past(Throttle *t, const Envelope *e, Slice bytes, uint64_t time, uint64_t now);

extern uint32_t throttle_keys(const Throttle *t);
extern size_t throttle_bytes(const Throttle *t);

#endif							/* ROOMS_CORE_THROTTLE_H */

/*
 * throttle.h - latest value wins, per (namespace, rooms, except, event).
 *
 * The first message of a key goes out at once; later ones within the interval
 * replace each other, and the last one goes out when the interval is over,
 * always.  A key is forgotten when an interval passes with nothing waiting.
 */
#ifndef ROOMS_CORE_THROTTLE_H
#define ROOMS_CORE_THROTTLE_H

#include "core/hash.h"
#include "core/timer.h"
#include "wire/envelope.h"

typedef struct Throttle Throttle;

/* `send` is given an envelope whose slices live until it returns. */
typedef void (*ThrottleSend) (void *ctx, const Envelope *e);

extern Throttle *throttle_new(TimerWheel *wheel, HashKey key, ThrottleSend send, void *ctx);
extern void throttle_free(Throttle *t);

/*
 * Sends `e` now (by calling `send`) or keeps a copy of `bytes`, its encoded
 * form, for later.  True if an earlier waiting value was replaced.  The room
 * order does not matter for the key.
 */
extern bool throttle_offer(Throttle *t, const Envelope *e, Slice bytes, uint64_t now);

extern uint32_t throttle_keys(const Throttle *t);

#endif							/* ROOMS_CORE_THROTTLE_H */

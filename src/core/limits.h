/*
 * limits.h - what one user, one address, one client may have.  Pure.
 *
 * A Tally counts things by key: the connections of each user, of each
 * address.  A Bucket is a rate: so many units per second.  Both know nothing
 * of what they count; session.c, socket.c and gateway/accept.c ask and decide.
 * Time is ms of a monotonic clock, given by the caller.
 */
#ifndef ROOMS_CORE_LIMITS_H
#define ROOMS_CORE_LIMITS_H

#include "core/hash.h"

/* All zero: nothing was ever taken. */
typedef struct Bucket
{
	uint64_t	at;				/* when it was last asked */
	uint64_t	spent;			/* of one second's worth, in thousandths of a unit */
} Bucket;

/*
 * Takes `n` units of `rate` (not 0) per second.  False: there is none left,
 * and nothing was taken.  At most one second's worth waits to be taken, so
 * over a long time `rate` units per second pass, however many are asked for.
 * More than is left may be taken at once, also more than a second's worth: the
 * next ones wait until that is made up for.
 */
extern bool bucket_take(Bucket *b, uint32_t rate, uint64_t n, uint64_t now);

/* One key's count.  Kept while the count is not 0, and for a second after a unit was taken. */
typedef struct Held
{
	HashLink	link;			/* first: in tally->table */
	struct Held *prev;			/* of those whose count is 0, oldest first */
	struct Held *next;
	uint32_t	count;
	Bucket		rate;			/* for the caller; it must never take more than one at a time */
	size_t		bytes;			/* for the caller, and so the next */
	uint32_t	running;
	uint32_t	key_len;
	uint8_t		key[];
} Held;

typedef struct Tally
{
	HashKey		hash_key;
	HashTable	table;
	Held	   *idle_first;
	Held	   *idle_last;
	uint32_t	idle_count;
} Tally;

/* Most keys without a count that a Tally remembers; beyond it the oldest is forgotten. */
#define TALLY_MAX_IDLE 65536

extern void tally_init(Tally *t, HashKey hash_key);
extern void tally_free(Tally *t);

/* How many are held under this key now. */
extern uint32_t tally_count(const Tally *t, Slice key);

/* One more, and one less; the Held is valid between the two. */
extern Held *tally_hold(Tally *t, Slice key, uint64_t now);
extern void tally_release(Tally *t, Held *held, uint64_t now);

#endif							/* ROOMS_CORE_LIMITS_H */

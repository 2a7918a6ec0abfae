/*
 * hash.h - a keyed hash and the one hash table of core/.
 *
 * Names of rooms come from users, so their hash is SipHash-1-3 with a random
 * key: nobody can choose names that fall into one chain.
 * (Aumasson, Bernstein: "SipHash: a fast short-input PRF".)
 *
 * The table is chained and intrusive: a HashLink is the first member of what
 * it holds.  The owner of an object allocates and frees it; the table only
 * owns its bucket array.
 */
#ifndef ROOMS_CORE_HASH_H
#define ROOMS_CORE_HASH_H

#include "wire/slice.h"

typedef struct HashKey
{
	uint64_t	k0;
	uint64_t	k1;
} HashKey;

/* `seed` tells apart equal names of different owners. */
extern uint32_t hash_bytes(HashKey key, uint64_t seed, Slice bytes);

typedef struct HashLink
{
	struct HashLink *next;
	uint32_t	hash;
} HashLink;

typedef struct HashTable
{
	HashLink  **buckets;		/* NULL while nothing was ever inserted */
	uint32_t	size;			/* power of two */
	uint32_t	count;
} HashTable;

/* The first link of the chain for `hash`; compare link->hash, follow link->next. */
static inline HashLink *
hash_chain(const HashTable *t, uint32_t hash)
{
	return t->size > 0 ? t->buckets[hash & (t->size - 1)] : NULL;
}

/*
 * For a walk in parts, between which the table may change: begin with bucket
 * 0, go on with the next one, 0 is the end.  The order is that of the reversed
 * bits, so a bucket that was visited before the table grew is not visited
 * again as two: what stays in the table is met exactly once.
 */
static inline uint32_t
hash_next_bucket(const HashTable *t, uint32_t bucket)
{
	uint32_t	bit = t->size / 2;

	/* One more, where the highest bit counts least. */
	while (bit > 0 && (bucket & bit) != 0)
	{
		bucket ^= bit;
		bit /= 2;
	}
	return bucket | bit;
}

extern void hash_insert(HashTable *t, HashLink *link, uint32_t hash);
extern void hash_remove(HashTable *t, HashLink *link);	/* it must be in there */
extern void hash_free(HashTable *t);	/* the buckets only */

#endif							/* ROOMS_CORE_HASH_H */

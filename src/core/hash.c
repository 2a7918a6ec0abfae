/*
 * hash.c - SipHash-1-3 and an intrusive chained hash table.
 *
 * Called by registry.c (rooms), server.c (sessions) and throttle.c (keys).
 * Nothing here fails; the bucket array doubles when it is full and never
 * shrinks.
 */
#include "core/hash.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"

#define FIRST_SIZE 64

static inline uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static inline void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* Up to 8 bytes, little-endian. */
static inline uint64_t
load(const uint8_t *at, size_t n)
{
	uint64_t	word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t) at[i] << (8 * i);
	return word;
}

uint32_t
hash_bytes(HashKey key, uint64_t seed, Slice bytes)
{
	uint64_t	k0 = key.k0 ^ seed;
	uint64_t	v[4] = {
		k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573
	};
	size_t		whole = bytes.len & ~(size_t) 7;
	uint64_t	sum;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(v, load(bytes.data + i, 8));
	sum = (uint64_t) bytes.len << 56;
	if (bytes.len > whole)
		sum |= load(bytes.data + whole, bytes.len - whole);
	sip_word(v, sum);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	sum = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (uint32_t) (sum ^ sum >> 32);
}

static void
grow(HashTable *t)
{
	uint32_t	size = t->size > 0 ? t->size * 2 : FIRST_SIZE;
	HashLink  **buckets = xcalloc(size, sizeof(*buckets));

	for (uint32_t i = 0; i < t->size; i++)
	{
		HashLink   *link = t->buckets[i];

		while (link != NULL)
		{
			HashLink   *next = link->next;
			HashLink  **bucket = &buckets[link->hash & (size - 1)];

			link->next = *bucket;
			*bucket = link;
			link = next;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
}

void
hash_insert(HashTable *t, HashLink *link, uint32_t hash)
{
	HashLink  **bucket;

	if (t->count == t->size)
		grow(t);
	bucket = &t->buckets[hash & (t->size - 1)];
	link->hash = hash;
	link->next = *bucket;
	*bucket = link;
	t->count++;
}

void
hash_remove(HashTable *t, HashLink *link)
{
	HashLink  **at = &t->buckets[link->hash & (t->size - 1)];

	while (*at != link)
	{
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = link->next;
	t->count--;
}

void
hash_free(HashTable *t)
{
	free(t->buckets);
	*t = (HashTable) {0};
}

/*
 * limits.c - counts by key, and rates.
 *
 * Called by session.c and socket.c (sessions by address, connections by user)
 * and gateway/accept.c (TCP connections by address).  Keys come from clients:
 * the hash is keyed, and memory is bounded by what is really held, by one
 * second of handshakes, and by TALLY_MAX_IDLE.  A key without a count is
 * remembered only while its bucket may not be full again.  Nothing here fails.
 */
#include "core/limits.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"

#define SECOND_MS 1000

/* ---- rates ---- */

bool
bucket_take(Bucket *b, uint32_t rate, uint64_t n, uint64_t now)
{
	uint64_t	elapsed = now > b->at ? now - b->at : 0;
	uint64_t	refilled = (elapsed < UINT32_MAX ? elapsed : UINT32_MAX) * rate;

	b->at = b->at > now ? b->at : now;
	b->spent -= refilled < b->spent ? refilled : b->spent;
	if (b->spent + SECOND_MS > (uint64_t) rate * SECOND_MS)
		return false;
	b->spent += n * SECOND_MS;
	return true;
}

/* ---- counts ---- */

void
tally_init(Tally *t, HashKey hash_key)
{
	*t = (Tally) {.hash_key = hash_key};
}

static void
idle_remove(Tally *t, Held *h)
{
	*(h->prev != NULL ? &h->prev->next : &t->idle_first) = h->next;
	*(h->next != NULL ? &h->next->prev : &t->idle_last) = h->prev;
	t->idle_count--;
}

static void
idle_append(Tally *t, Held *h)
{
	h->prev = t->idle_last;
	h->next = NULL;
	*(h->prev != NULL ? &h->prev->next : &t->idle_first) = h;
	t->idle_last = h;
	t->idle_count++;
}

static void
forget(Tally *t, Held *h)
{
	hash_remove(&t->table, &h->link);
	free(h);
}

static void
forget_idle(Tally *t)
{
	Held	   *h = t->idle_first;

	idle_remove(t, h);
	forget(t, h);
}

void
tally_free(Tally *t)
{
	while (t->idle_first != NULL)
		forget_idle(t);
	assert(t->table.count == 0);
	hash_free(&t->table);
}

static Held *
find(const Tally *t, Slice key, uint32_t hash)
{
	for (HashLink *link = hash_chain(&t->table, hash); link != NULL; link = link->next)
	{
		Held	   *h = (Held *) link;

		if (link->hash == hash && slice_equal(slice(h->key, h->key_len), key))
			return h;
	}
	return NULL;
}

uint32_t
tally_count(const Tally *t, Slice key)
{
	const Held *h = find(t, key, hash_bytes(t->hash_key, 0, key));

	return h != NULL ? h->count : 0;
}

/* A bucket that gives one unit at a time is full again after a second. */
static inline bool
is_full(const Held *h, uint64_t now)
{
	return h->rate.spent == 0 || now >= h->rate.at + SECOND_MS;
}

Held *
tally_hold(Tally *t, Slice key, uint64_t now)
{
	uint32_t	hash = hash_bytes(t->hash_key, 0, key);
	Held	   *h = find(t, key, hash);

	if (h == NULL)
	{
		h = xcalloc(1, sizeof(*h) + key.len);
		h->key_len = (uint32_t) key.len;
		write_bytes(h->key, key);
		hash_insert(&t->table, &h->link, hash);
	}
	else if (h->count == 0)
		idle_remove(t, h);
	h->count++;
	while (t->idle_first != NULL && is_full(t->idle_first, now))
		forget_idle(t);
	return h;
}

void
tally_release(Tally *t, Held *h, uint64_t now)
{
	assert(h->count > 0);
	if (--h->count > 0)
		return;
	if (is_full(h, now))
	{
		forget(t, h);
		return;
	}
	idle_append(t, h);
	if (t->idle_count > TALLY_MAX_IDLE)
		forget_idle(t);
}

/*
 * throttle.c - latest value wins.
 *
 * Called by server.c for messages with a throttle interval.  A key is made of
 * everything that says where a message goes and what event it is; its entry
 * lives from the message that was sent until an interval passes with nothing
 * waiting.  An entry owns its copy of the newest waiting message.  Nothing
 * here fails: SQL bounds the size of a key and a message, and what would take
 * their sum over max_bytes is not kept but sent.
 *
 *   key   u8 all | string namespace | string event | list rooms | list except
 *
 * with both lists sorted and without repetitions.
 */
#include "core/throttle.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/hash.h"
#include "wire/sio.h"

typedef struct Entry
{
	HashLink	link;			/* first: in throttle->entries */
	Throttle   *throttle;
	Timer		timer;			/* end of the interval */
	uint64_t	sent;			/* when the last message went out */
	uint32_t	interval;		/* of the newest message */
	uint32_t	waiting_len;	/* 0 when nothing waits */
	uint8_t    *waiting;		/* an encoded envelope, or NULL */
	uint32_t	key_len;
	uint8_t		key[];
} Entry;

struct Throttle
{
	TimerWheel *wheel;
	HashKey		hash_key;
	HashTable	entries;
	size_t		bytes;			/* of all entries and what waits in them */
	size_t		max_bytes;
	ThrottleSend send;
	void	   *ctx;
};

static void interval_over(Timer *timer, uint64_t now);

Throttle *
throttle_new(TimerWheel *wheel, HashKey key, size_t max_bytes, ThrottleSend send, void *ctx)
{
	Throttle   *t = xcalloc(1, sizeof(*t));

	t->wheel = wheel;
	t->hash_key = key;
	t->max_bytes = max_bytes;
	t->send = send;
	t->ctx = ctx;
	return t;
}

static inline size_t
entry_size(Slice key)
{
	return sizeof(Entry) + key.len;
}

/* Is there memory for so many bytes in place of those that are given back? */
static inline bool
fits(const Throttle *t, size_t bytes, size_t given_back)
{
	return t->bytes - given_back + bytes <= t->max_bytes;
}

/* What waits in the entry is the caller's now; NULL when nothing does. */
static uint8_t *
take_waiting(Entry *e)
{
	uint8_t    *waiting = e->waiting;

	e->throttle->bytes -= e->waiting_len;
	e->waiting = NULL;
	e->waiting_len = 0;
	return waiting;
}

static void
entry_free(Entry *e)
{
	timer_clear(e->throttle->wheel, &e->timer);
	hash_remove(&e->throttle->entries, &e->link);
	free(take_waiting(e));
	e->throttle->bytes -= entry_size(slice(e->key, e->key_len));
	free(e);
}

void
throttle_free(Throttle *t)
{
	for (uint32_t i = 0; i < t->entries.size; i++)
	{
		while (t->entries.buckets[i] != NULL)
			entry_free((Entry *) t->entries.buckets[i]);
	}
	hash_free(&t->entries);
	free(t);
}

uint32_t
throttle_keys(const Throttle *t)
{
	return t->entries.count;
}

size_t
throttle_bytes(const Throttle *t)
{
	return t->bytes;
}

/* ---- keys ---- */

static int
compare_slices(const void *a, const void *b)
{
	const Slice *x = a;
	const Slice *y = b;
	int			c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

/* Writes the list sorted, each name once.  Needs no more bytes than `list` itself and a count. */
static uint8_t *
write_sorted(uint8_t *out, EnvelopeList list)
{
	Slice	   *names = xmalloc((list.count + 1) * sizeof(*names));
	uint8_t    *count_at = out;
	uint32_t	n = 0;
	uint32_t	kept = 0;

	while (envelope_next(&list, &names[n]))
		n++;
	qsort(names, n, sizeof(*names), compare_slices);
	out += 4;
	for (uint32_t i = 0; i < n; i++)
	{
		if (i > 0 && slice_equal(names[i], names[i - 1]))
			continue;
		out = write_string(out, names[i]);
		kept++;
	}
	write_u32(count_at, kept);
	free(names);
	return out;
}

static Slice
make_key(const Envelope *e)
{
	Slice		event = {0};
	uint8_t    *key;
	uint8_t    *at;

	if (!sio_event_name(e->packet, &event))
		event = (Slice) {0};
	key = xmalloc(1 + 4 + e->nsp.len + 4 + event.len + 4 + e->rooms.bytes.len + 4 + e->except.bytes.len);
	at = write_u8(key, (e->flags & ENVELOPE_ALL) != 0);
	at = write_string(at, e->nsp);
	at = write_string(at, event);
	at = write_sorted(at, e->rooms);
	at = write_sorted(at, e->except);
	return slice(key, (size_t) (at - key));
}

static Entry *
find_entry(Throttle *t, Slice key, uint32_t hash)
{
	for (HashLink *l = hash_chain(&t->entries, hash); l != NULL; l = l->next)
	{
		Entry	   *e = (Entry *) l;

		if (l->hash == hash && slice_equal(slice(e->key, e->key_len), key))
			return e;
	}
	return NULL;
}

static Entry *
new_entry(Throttle *t, Slice key, uint32_t hash)
{
	Entry	   *e = xcalloc(1, entry_size(key));

	e->throttle = t;
	e->timer.fire = interval_over;
	e->key_len = (uint32_t) key.len;
	memcpy(e->key, key.data, key.len);
	t->bytes += entry_size(key);
	hash_insert(&t->entries, &e->link, hash);
	return e;
}

/* ---- messages ---- */

static void
sent(Entry *entry, uint64_t now)
{
	free(take_waiting(entry));
	entry->sent = now;
	timer_set(entry->throttle->wheel, &entry->timer, now + entry->interval);
}

static ThrottleResult
keep(Entry *entry, Slice bytes)
{
	ThrottleResult result = entry->waiting != NULL ? THROTTLE_REPLACED : THROTTLE_KEPT;

	free(take_waiting(entry));
	entry->waiting = xmalloc(bytes.len);
	memcpy(entry->waiting, bytes.data, bytes.len);
	entry->waiting_len = (uint32_t) bytes.len;
	entry->throttle->bytes += bytes.len;
	timer_set(entry->throttle->wheel, &entry->timer, entry->sent + entry->interval);
	return result;
}

/* Is it a message's turn?  Gives the entry, new if there was none; NULL: there is no memory for one. */
static bool
is_due(Throttle *t, const Envelope *e, uint64_t now, Entry **entry)
{
	Slice		key = make_key(e);
	uint32_t	hash = hash_bytes(t->hash_key, 0, key);
	bool		due;

	*entry = find_entry(t, key, hash);
	due = *entry == NULL || now >= (*entry)->sent + e->throttle_ms;
	if (*entry == NULL && fits(t, entry_size(key), 0))
		*entry = new_entry(t, key, hash);
	if (*entry != NULL)
		(*entry)->interval = e->throttle_ms;
	free((void *) key.data);
	return due;
}

ThrottleResult
throttle_offer(Throttle *t, const Envelope *e, Slice bytes, uint64_t now)
{
	Entry	   *entry;
	bool		due = is_due(t, e, now, &entry);

	if (entry != NULL && !due && fits(t, bytes.len, entry->waiting_len))
		return keep(entry, bytes);
	if (entry != NULL)
		sent(entry, now);
	t->send(t->ctx, e);
	return due && entry != NULL ? THROTTLE_SENT : THROTTLE_FULL;
}

ThrottleResult
throttle_offer_past(Throttle *t, const Envelope *e, Slice bytes, uint64_t time, uint64_t now)
{
	Entry	   *entry;
	bool		due = is_due(t, e, time, &entry);

	if (entry == NULL || !fits(t, bytes.len, entry->waiting_len))
	{
		if (entry != NULL)
			sent(entry, time);
		t->send(t->ctx, e);
		return THROTTLE_FULL;
	}
	if (due)
		entry->sent = time;
	if (due && now < time + e->throttle_ms)
		t->send(t->ctx, e);
	return keep(entry, bytes);
}

static void
interval_over(Timer *timer, uint64_t now)
{
	Entry	   *entry = (Entry *) ((char *) timer - offsetof(Entry, timer));
	Throttle   *t = entry->throttle;
	Slice		bytes = slice(entry->waiting, entry->waiting_len);
	Envelope	e;

	if (bytes.len == 0)
	{
		entry_free(entry);
		return;
	}
	take_waiting(entry);
	sent(entry, now);
	if (envelope_decode(bytes, &e) == WIRE_OK)
		t->send(t->ctx, &e);
	free((void *) bytes.data);
}

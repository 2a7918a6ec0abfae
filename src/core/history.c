/*
 * history.c - ring of messages with an index by room.
 *
 * Entries are numbered from 0 on, for ever; entry n is in ring[n & mask].  For
 * each room that a held entry went to there is a Track: the numbers of those
 * entries, in order.  The oldest entry is the first in each of its tracks, so
 * it is taken off their fronts; a track that is empty vanishes.  What goes to
 * a whole namespace has the track of the empty name, which no room can have.
 */
#include "core/history.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"

/* A queue of numbers in a ring that doubles. */
typedef struct Track
{
	HashLink	link;			/* first: in h->tracks */
	uint64_t   *ring;
	uint32_t	space;			/* power of two */
	uint32_t	head;
	uint32_t	count;
	Slice		nsp;
	Slice		room;
	uint8_t		bytes[];
} Track;

struct History
{
	HashKey		key;
	HashTable	tracks;
	HistoryEntry **ring;
	uint32_t	space;			/* power of two */
	uint64_t	first;			/* number of the oldest entry */
	uint64_t	next;			/* ... of the one to come */
	Position	start;			/* everything behind it is held */
	size_t		bytes;
	size_t		max_bytes;
	uint64_t	window;
};

#define TRACK_SPACE 4

History *
history_new(HashKey key, size_t max_bytes, uint64_t window)
{
	History    *h = xcalloc(1, sizeof(*h));

	h->key = key;
	h->max_bytes = max_bytes;
	h->window = window;
	return h;
}

/* ---- tracks ---- */

static uint32_t
track_hash(const History *h, Slice nsp, Slice room)
{
	return hash_bytes(h->key, hash_bytes(h->key, 0, nsp), room);
}

static Track *
find_track(const History *h, Slice nsp, Slice room)
{
	uint32_t	hash = track_hash(h, nsp, room);

	for (HashLink *link = hash_chain(&h->tracks, hash); link != NULL; link = link->next)
	{
		Track	   *t = (Track *) link;

		if (link->hash == hash && slice_equal(t->room, room) && slice_equal(t->nsp, nsp))
			return t;
	}
	return NULL;
}

static size_t
track_size(const Track *t)
{
	return sizeof(*t) + t->nsp.len + t->room.len + t->space * sizeof(*t->ring);
}

static Track *
make_track(History *h, Slice nsp, Slice room)
{
	Track	   *t = xmalloc(sizeof(*t) + nsp.len + room.len);

	*t = (Track) {.space = TRACK_SPACE};
	t->nsp = slice(t->bytes, nsp.len);
	t->room = slice(t->bytes + nsp.len, room.len);
	write_bytes(write_bytes(t->bytes, nsp), room);
	t->ring = xmalloc(t->space * sizeof(*t->ring));
	hash_insert(&h->tracks, &t->link, track_hash(h, nsp, room));
	h->bytes += track_size(t);
	return t;
}

static inline uint64_t
track_at(const Track *t, uint32_t i)
{
	return t->ring[(t->head + i) & (t->space - 1)];
}

static void
track_push(History *h, Slice nsp, Slice room, uint64_t number)
{
	Track	   *t = find_track(h, nsp, room);

	if (t == NULL)
		t = make_track(h, nsp, room);
	else if (track_at(t, t->count - 1) == number)
		return;					/* the room was named twice */
	if (t->count == t->space)
	{
		uint64_t   *ring = xmalloc((size_t) t->space * 2 * sizeof(*ring));

		for (uint32_t i = 0; i < t->count; i++)
			ring[i] = track_at(t, i);
		free(t->ring);
		h->bytes += t->space * sizeof(*ring);
		t->ring = ring;
		t->space *= 2;
		t->head = 0;
	}
	t->ring[(t->head + t->count++) & (t->space - 1)] = number;
}

static void
track_shift(History *h, Slice nsp, Slice room, uint64_t number)
{
	Track	   *t = find_track(h, nsp, room);

	if (t == NULL || track_at(t, 0) != number)
		return;					/* the room was named twice */
	t->head = (t->head + 1) & (t->space - 1);
	if (--t->count > 0)
		return;
	h->bytes -= track_size(t);
	hash_remove(&h->tracks, &t->link);
	free(t->ring);
	free(t);
}

static void
each_track(History *h, const HistoryEntry *e, uint64_t number,
		   void (*f) (History *h, Slice nsp, Slice room, uint64_t number))
{
	EnvelopeList rooms = e->rooms;
	Slice		room;

	if (e->all)
		f(h, e->nsp, (Slice) {0}, number);
	while (envelope_next(&rooms, &room))
		f(h, e->nsp, room, number);
}

/* ---- the ring ---- */

static inline HistoryEntry *
entry_at(const History *h, uint64_t number)
{
	return h->ring[number & (h->space - 1)];
}

/* With its place in the ring, which is up to half empty. */
static size_t
entry_size(const HistoryEntry *e)
{
	return sizeof(*e) + 2 * sizeof(e) + e->nsp.len + e->rooms.bytes.len + e->except.bytes.len +
		sizeof(Frame) + e->frame->ws_len;
}

static void
drop_oldest(History *h)
{
	HistoryEntry *e = entry_at(h, h->first);

	each_track(h, e, h->first, track_shift);
	h->bytes -= entry_size(e);
	h->start = e->at;
	h->first++;
	frame_unref(e->frame);
	free(e);
}

static void
grow(History *h)
{
	uint32_t	space = h->space > 0 ? h->space * 2 : 64;
	HistoryEntry **ring = xmalloc(space * sizeof(*ring));

	for (uint64_t n = h->first; n < h->next; n++)
		ring[n & (space - 1)] = entry_at(h, n);
	free(h->ring);
	h->ring = ring;
	h->space = space;
}

static EnvelopeList
copy_list(uint8_t **at, EnvelopeList list)
{
	EnvelopeList copy = {list.count, slice(*at, list.bytes.len)};

	*at = write_bytes(*at, list.bytes);
	return copy;
}

void
history_add(History *h, const Envelope *e, Frame *f, Position at, uint64_t xid, uint64_t now)
{
	HistoryEntry *entry;
	uint8_t    *bytes;

	assert(h->first == h->next || position_compare(&entry_at(h, h->next - 1)->at, &at) < 0);
	if (h->space == h->next - h->first)
		grow(h);
	entry = xmalloc(sizeof(*entry) + e->nsp.len + e->rooms.bytes.len + e->except.bytes.len);
	*entry = (HistoryEntry) {.at = at, .xid = xid, .time = now, .frame = frame_ref(f),
	.all = (e->flags & ENVELOPE_ALL) != 0};
	entry->nsp = slice(entry->bytes, e->nsp.len);
	bytes = write_bytes(entry->bytes, e->nsp);
	entry->rooms = copy_list(&bytes, e->rooms);
	entry->except = copy_list(&bytes, e->except);

	h->ring[h->next & (h->space - 1)] = entry;
	h->bytes += entry_size(entry);
	each_track(h, entry, h->next++, track_push);
	history_expire(h, now);
}

void
history_expire(History *h, uint64_t now)
{
	while (h->first < h->next &&
		   (h->bytes > h->max_bytes || entry_at(h, h->first)->time + h->window < now))
		drop_oldest(h);
}

void
history_configure(History *h, size_t max_bytes, uint64_t window)
{
	h->max_bytes = max_bytes;
	h->window = window;
}

void
history_restart(History *h, Position start)
{
	while (h->first < h->next)
		drop_oldest(h);
	h->start = start;
}

void
history_free(History *h)
{
	history_restart(h, (Position) {0});
	hash_free(&h->tracks);
	free(h->ring);
	free(h);
}

bool
history_covers(const History *h, const Position *p)
{
	return position_compare(p, &h->start) >= 0;
}

size_t
history_bytes(const History *h)
{
	return h->bytes;
}

uint32_t
history_count(const History *h)
{
	return (uint32_t) (h->next - h->first);
}

/* ---- replay ---- */

/* A range that is being walked: [next, end) in its track. */
typedef struct Walk
{
	const Track *track;
	uint32_t	next;
	const Position *until;
} Walk;

/* The first place in the track whose entry stands behind `p`. */
static uint32_t
search_track(const History *h, const Track *t, const Position *p)
{
	uint32_t	low = 0,
				high = t->count;

	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (position_compare(&entry_at(h, track_at(t, middle))->at, p) > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * Merges the tracks.  A client is in a few rooms, a hundred at most: the next
 * entry is looked for in each.
 */
uint64_t
history_replay(History *h, Slice nsp, const HistoryRange *ranges, uint32_t count,
			   bool (*each) (void *ctx, const HistoryEntry *e), void *ctx)
{
	Walk	   *walks = xcalloc(count > 0 ? count : 1, sizeof(*walks));
	uint32_t	active = 0;
	uint64_t	scanned = 0;

	for (uint32_t i = 0; i < count; i++)
	{
		const Track *t = find_track(h, nsp, ranges[i].room);

		if (t != NULL)
			walks[active++] = (Walk) {t, search_track(h, t, &ranges[i].after), &ranges[i].until};
	}
	for (;;)
	{
		uint64_t	number = UINT64_MAX;

		for (uint32_t i = 0; i < active;)
		{
			Walk	   *w = &walks[i];
			bool		over = w->next == w->track->count;

			if (!over && position_compare(&entry_at(h, track_at(w->track, w->next))->at, w->until) > 0)
			{
				scanned++;
				over = true;
			}
			if (over)
				*w = walks[--active];
			else
			{
				if (track_at(w->track, w->next) < number)
					number = track_at(w->track, w->next);
				i++;
			}
		}
		if (active == 0)
			break;
		for (uint32_t i = 0; i < active; i++)
		{
			if (track_at(walks[i].track, walks[i].next) == number)
				walks[i].next++;
		}
		scanned++;
		if (!each(ctx, entry_at(h, number)))
			break;
	}
	free(walks);
	return scanned;
}

/*
 * registry.c - namespaces, rooms and who is in them.
 *
 * Called by socket.c (stays in a namespace) and server.c (fan-out, commands
 * of the bus).  The registry owns namespaces and rooms; members belong to
 * their sockets and must have left before those go.  Nothing here fails.
 *
 * Both sides of a membership know each other's place: a room's seat holds the
 * index of the member's entry for the room, and that entry the index of the
 * seat.  Removing swaps the last one into the gap on both sides and tells the
 * moved one's partner.
 */
#include "core/registry.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"

#define FIRST_SPACE 4

/* A member's place in a room. */
typedef struct Seat
{
	Member	   *member;
	uint32_t	entry;			/* index of the room in member->rooms */
} Seat;

struct Room
{
	HashLink	link;			/* first: in registry->rooms */
	Namespace  *nsp;
	uint32_t	count;
	uint32_t	space;			/* 1: `seats` points to `only` */
	Seat	   *seats;
	Seat		only;			/* most rooms are a socket's own, or one user's */
	uint32_t	name_len;
	char		name[];
};

struct Namespace
{
	Registry   *registry;
	uint64_t	id;				/* tells apart equal room names in the hash */
	Member	  **members;
	uint32_t	count;
	uint32_t	space;
	uint32_t	name_len;
	char		name[];
};

struct Registry
{
	HashKey		key;
	HashTable	rooms;
	Namespace **namespaces;		/* few: searched in order */
	uint32_t	namespace_count;
	uint64_t	next_id;
	uint64_t	mark;			/* of the newest broadcast */
	bool		walking;
};

Registry *
registry_new(HashKey key)
{
	Registry   *r = xcalloc(1, sizeof(*r));

	r->key = key;
	return r;
}

void
registry_free(Registry *r)
{
	assert(r->rooms.count == 0);
	while (r->namespace_count > 0)
		registry_remove_namespace(r, r->namespaces[0]);
	free(r->namespaces);
	hash_free(&r->rooms);
	free(r);
}

/* ---- namespaces ---- */

Namespace *
registry_add_namespace(Registry *r, Slice name)
{
	Namespace  *n = registry_find_namespace(r, name);

	if (n != NULL)
		return n;
	n = xcalloc(1, sizeof(*n) + name.len);
	n->registry = r;
	n->id = r->next_id++;
	n->name_len = (uint32_t) name.len;
	memcpy(n->name, name.data, name.len);
	r->namespaces = xrealloc(r->namespaces, (r->namespace_count + 1) * sizeof(*r->namespaces));
	r->namespaces[r->namespace_count++] = n;
	return n;
}

Namespace *
registry_find_namespace(Registry *r, Slice name)
{
	for (uint32_t i = 0; i < r->namespace_count; i++)
	{
		if (slice_equal(namespace_name(r->namespaces[i]), name))
			return r->namespaces[i];
	}
	return NULL;
}

void
registry_remove_namespace(Registry *r, Namespace *n)
{
	uint32_t	i = 0;

	assert(n->count == 0);
	while (r->namespaces[i] != n)
		i++;
	r->namespace_count--;
	memmove(&r->namespaces[i], &r->namespaces[i + 1], (r->namespace_count - i) * sizeof(*r->namespaces));
	free(n->members);
	free(n);
}

uint32_t
registry_namespaces(const Registry *r)
{
	return r->namespace_count;
}

Namespace *
registry_namespace(Registry *r, uint32_t i)
{
	assert(i < r->namespace_count);
	return r->namespaces[i];
}

Slice
namespace_name(const Namespace *n)
{
	return slice(n->name, n->name_len);
}

uint32_t
namespace_size(const Namespace *n)
{
	return n->count;
}

void
registry_enter(Namespace *n, Member *m)
{
	assert(m->nsp == NULL && !n->registry->walking);
	if (n->count == n->space)
	{
		n->space = n->space > 0 ? n->space * 2 : FIRST_SPACE;
		n->members = xrealloc(n->members, n->space * sizeof(*n->members));
	}
	m->nsp = n;
	m->nsp_index = n->count;
	n->members[n->count++] = m;
}

static void leave_entry(Member *m, uint32_t entry);

void
registry_exit(Member *m)
{
	Namespace  *n = m->nsp;
	Member	   *last;

	if (n == NULL)
		return;
	assert(!n->registry->walking);
	while (m->room_count > 0)
		leave_entry(m, m->room_count - 1);
	free(m->rooms);
	last = n->members[--n->count];
	n->members[m->nsp_index] = last;
	last->nsp_index = m->nsp_index;
	*m = (Member) {0};
}

/* ---- rooms ---- */

uint32_t
registry_rooms(const Registry *r)
{
	return r->rooms.count;
}

const HashTable *
registry_room_table(const Registry *r)
{
	return &r->rooms;
}

const Namespace *
room_namespace(const Room *room)
{
	return room->nsp;
}

Slice
room_name(const Room *room)
{
	return slice(room->name, room->name_len);
}

uint32_t
room_size(const Room *room)
{
	return room->count;
}

static Room *
room_find(const Namespace *n, Slice name, uint32_t hash)
{
	for (HashLink *l = hash_chain(&n->registry->rooms, hash); l != NULL; l = l->next)
	{
		Room	   *room = (Room *) l;

		if (l->hash == hash && room->nsp == n && slice_equal(room_name(room), name))
			return room;
	}
	return NULL;
}

static inline uint32_t
room_hash(const Namespace *n, Slice name)
{
	return hash_bytes(n->registry->key, n->id, name);
}

static Room *
room_new(Namespace *n, Slice name, uint32_t hash)
{
	Room	   *room = xmalloc(sizeof(*room) + name.len);

	*room = (Room) {.nsp = n, .space = 1, .name_len = (uint32_t) name.len};
	room->seats = &room->only;
	memcpy(room->name, name.data, name.len);
	hash_insert(&n->registry->rooms, &room->link, hash);
	return room;
}

static void
room_free(Room *room)
{
	hash_remove(&room->nsp->registry->rooms, &room->link);
	if (room->seats != &room->only)
		free(room->seats);
	free(room);
}

/* Index of the room in m->rooms, or -1; looks through the shorter list. */
static int64_t
find_entry(const Member *m, const Room *room)
{
	if (room->count < m->room_count)
	{
		for (uint32_t i = 0; i < room->count; i++)
		{
			if (room->seats[i].member == m)
				return room->seats[i].entry;
		}
	}
	else
	{
		for (uint32_t i = 0; i < m->room_count; i++)
		{
			if (m->rooms[i].room == room)
				return i;
		}
	}
	return -1;
}

static void
grow_seats(Room *room)
{
	uint32_t	space = room->space == 1 ? FIRST_SPACE : room->space * 2;
	Seat	   *seats = room->seats == &room->only ? NULL : room->seats;

	seats = xrealloc(seats, space * sizeof(*seats));
	if (room->seats == &room->only)
		seats[0] = room->only;
	room->seats = seats;
	room->space = space;
}

bool
registry_join(Member *m, Slice name)
{
	Namespace  *n = m->nsp;
	uint32_t	hash = room_hash(n, name);
	Room	   *room = room_find(n, name, hash);

	assert(!n->registry->walking);
	if (room == NULL)
		room = room_new(n, name, hash);
	else if (find_entry(m, room) >= 0)
		return false;
	if (room->count == room->space)
		grow_seats(room);
	if (m->room_count == m->room_space)
	{
		m->room_space = m->room_space > 0 ? m->room_space * 2 : FIRST_SPACE;
		m->rooms = xrealloc(m->rooms, m->room_space * sizeof(*m->rooms));
	}
	room->seats[room->count] = (Seat) {m, m->room_count};
	m->rooms[m->room_count++] = (RoomEntry) {.room = room,.index = room->count++};
	return true;
}

static void
leave_entry(Member *m, uint32_t entry)
{
	Room	   *room = m->rooms[entry].room;
	uint32_t	seat = m->rooms[entry].index;
	Seat		moved_seat = room->seats[--room->count];
	RoomEntry	moved_entry = m->rooms[--m->room_count];

	/* Fill both gaps with the last one, then tell the partners of those that moved. */
	room->seats[seat] = moved_seat;
	moved_seat.member->rooms[moved_seat.entry].index = seat;
	if (entry != m->room_count)
	{
		m->rooms[entry] = moved_entry;
		moved_entry.room->seats[moved_entry.index].entry = entry;
	}
	if (room->count == 0)
		room_free(room);
}

bool
registry_leave(Member *m, Slice name)
{
	Room	   *room = room_find(m->nsp, name, room_hash(m->nsp, name));
	int64_t		entry;

	assert(!m->nsp->registry->walking);
	if (room == NULL)
		return false;
	entry = find_entry(m, room);
	if (entry >= 0)
		leave_entry(m, (uint32_t) entry);
	return entry >= 0;
}

RoomEntry *
registry_entry(const Member *m, Slice name)
{
	Room	   *room = m->nsp != NULL ? room_find(m->nsp, name, room_hash(m->nsp, name)) : NULL;
	int64_t		entry = room != NULL ? find_entry(m, room) : -1;

	return entry >= 0 ? &m->rooms[entry] : NULL;
}

bool
registry_is_in(const Member *m, Slice name)
{
	return registry_entry(m, name) != NULL;
}

/* ---- fan-out ---- */

static Room *
next_room(Namespace *n, EnvelopeList *list, bool *more)
{
	Slice		name;

	*more = envelope_next(list, &name);
	return *more ? room_find(n, name, room_hash(n, name)) : NULL;
}

/* Members marked with this broadcast's number are passed over from now on. */
static void
mark_rooms(Namespace *n, EnvelopeList list, uint64_t mark)
{
	bool		more = true;

	while (more)
	{
		Room	   *room = next_room(n, &list, &more);

		for (uint32_t i = 0; room != NULL && i < room->count; i++)
			room->seats[i].member->mark = mark;
	}
}

/* How far ahead of the callback the members are fetched into the cache. */
#define AHEAD 8

static uint32_t
each_in_namespace(Namespace *n, uint64_t mark, void (*each) (void *ctx, Member *m), void *ctx)
{
	uint32_t	calls = 0;

	for (uint32_t i = 0; i < n->count; i++)
	{
		Member	   *m = n->members[i];

		if (i + AHEAD < n->count)
			__builtin_prefetch(n->members[i + AHEAD]);
		if (m->mark == mark)
			continue;
		each(ctx, m);
		calls++;
	}
	return calls;
}

static uint32_t
each_in_room(Room *room, uint64_t mark, void (*each) (void *ctx, Member *m), void *ctx)
{
	uint32_t	calls = 0;

	for (uint32_t i = 0; i < room->count; i++)
	{
		Member	   *m = room->seats[i].member;

		if (i + AHEAD < room->count)
			__builtin_prefetch(room->seats[i + AHEAD].member);
		if (m->mark == mark)
			continue;
		m->mark = mark;
		each(ctx, m);
		calls++;
	}
	return calls;
}

uint32_t
registry_each(Namespace *n, bool all, EnvelopeList rooms, EnvelopeList except,
			  void (*each) (void *ctx, Member *m), void *ctx)
{
	Registry   *r = n->registry;
	uint64_t	mark = ++r->mark;
	uint32_t	calls = 0;
	bool		more = !all;

	assert(!r->walking);
	r->walking = true;
	mark_rooms(n, except, mark);
	if (all)
		calls = each_in_namespace(n, mark, each, ctx);
	while (more)
	{
		Room	   *room = next_room(n, &rooms, &more);

		if (room != NULL)
			calls += each_in_room(room, mark, each, ctx);
	}
	r->walking = false;
	return calls;
}

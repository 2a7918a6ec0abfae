/*
 * registry.h - namespaces, rooms and who is in them.
 *
 * room -> members and member -> rooms are kept together and point into each
 * other, so leaving is O(1) in both; finding a member's place in a room costs
 * the smaller of its rooms and the room's members.  An empty room vanishes.
 * A Member is embedded in its owner (a Socket).  Nothing may join or leave
 * while registry_each() walks: the callback only queues and marks; asserted.
 */
#ifndef ROOMS_CORE_REGISTRY_H
#define ROOMS_CORE_REGISTRY_H

#include "core/hash.h"
#include "wire/envelope.h"

typedef struct Registry Registry;
typedef struct Namespace Namespace;
typedef struct Room Room;

typedef struct RoomEntry
{
	Room	   *room;
	uint32_t	index;			/* of this member in room's members */
	bool		by_rule;		/* recovery.c's, and the next; false to begin with */
	bool		checked;
	bool		followed;		/* follow.c's */
} RoomEntry;

typedef struct Member
{
	Namespace  *nsp;			/* NULL: in none */
	uint32_t	nsp_index;
	uint32_t	room_count;
	uint32_t	room_space;
	RoomEntry  *rooms;
	uint64_t	mark;			/* the last broadcast that has seen this member */
} Member;

extern Registry *registry_new(HashKey key);
extern void registry_free(Registry *r);		/* all members must have left */

/* Namespaces are made by the configuration only; find gives NULL if unknown. */
extern Namespace *registry_add_namespace(Registry *r, Slice name);
extern Namespace *registry_find_namespace(Registry *r, Slice name);
extern void registry_remove_namespace(Registry *r, Namespace *n);	/* must be empty */
extern uint32_t registry_namespaces(const Registry *r);
extern Namespace *registry_namespace(Registry *r, uint32_t i);	/* i < registry_namespaces() */
extern Slice namespace_name(const Namespace *n);
extern uint32_t namespace_size(const Namespace *n);
extern uint32_t registry_rooms(const Registry *r);	/* rooms in all namespaces */
extern const HashTable *registry_room_table(const Registry *r); /* of Rooms, for inspect.c */

/* Enters and leaves a namespace; leaving leaves all rooms. */
extern void registry_enter(Namespace *n, Member *m);
extern void registry_exit(Member *m);

/* Idempotent; true: something has changed. */
extern bool registry_join(Member *m, Slice room);
extern bool registry_leave(Member *m, Slice room);
extern bool registry_is_in(const Member *m, Slice room);
extern RoomEntry *registry_entry(const Member *m, Slice room);	/* NULL: not in it */
extern Slice room_name(const Room *room);
extern uint32_t room_size(const Room *room);
extern const Namespace *room_namespace(const Room *room);

/*
 * Calls `each` once for every member of any of `rooms` (all: of the whole
 * namespace) that is in none of `except`.  Gives the number of calls.
 */
extern uint32_t registry_each(Namespace *n, bool all, EnvelopeList rooms, EnvelopeList except,
							  void (*each) (void *ctx, Member *m), void *ctx);

#endif							/* ROOMS_CORE_REGISTRY_H */

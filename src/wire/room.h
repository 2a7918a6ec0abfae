/*
 * room.h - names of rooms, and the patterns that rules of joining have.
 *
 * Used by the gateway, which decides by the rules, and by backends, which
 * register them and decide again.
 */
#ifndef ROOMS_WIRE_ROOM_H
#define ROOMS_WIRE_ROOM_H

#include "wire/slice.h"

/* A Socket.IO sid, which is also the name of its socket's own room: '_' and base64url characters. */
#define ROOM_SID_LENGTH 20

extern bool room_is_sid(Slice room);

/*
 * Rooms that the server alone puts sockets into, whatever a rule says:
 * user:..., tenant:... and those that have the form of a sid.
 */
extern bool room_is_reserved(Slice room);

/* A name, or the beginning of names and one '*' behind it; of 1 to ENVELOPE_MAX_NAME bytes. */
extern bool room_pattern_valid(Slice pattern);

/*
 * How well a valid pattern fits: 0 is not at all.  Of several that fit the one
 * with the highest value decides: the name itself, else the longest beginning.
 */
extern size_t room_pattern_rank(Slice pattern, Slice room);

#endif							/* ROOMS_WIRE_ROOM_H */

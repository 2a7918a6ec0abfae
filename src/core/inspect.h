/*
 * inspect.h - who is connected, in slices: the rows of rooms.sockets and
 * rooms.rooms.
 *
 * A row is a string (wire/slice.h) of:
 *
 *   sockets  string sid | u8 flags (1: has a user, 2: has a tenant, 4: WebSocket)
 *            string user | string tenant | string namespace | string address
 *            u64 connected, Unix time in ms | u64 ms since it was last heard of
 *            u64 bytes queued | u64 messages in | u64 messages out
 *            u64 bytes in | u64 bytes out | u32 rooms | rooms x string
 *   rooms    string namespace | string room | u32 sockets
 *
 * What stays connected during the whole walk is in it exactly once; what
 * comes or goes meanwhile at most once.  There is one walk at a time.
 */
#ifndef ROOMS_CORE_INSPECT_H
#define ROOMS_CORE_INSPECT_H

#include "core/server.h"
#include "core/text.h"

#define INSPECT_HAS_USER	1
#define INSPECT_HAS_TENANT	2
#define INSPECT_WEBSOCKET	4

typedef struct Inspection
{
	uint64_t	id;
	LinkQuery	what;
	uint32_t	bucket;			/* the next one */
	bool		over;			/* the walk is; rows may be left */
	Text		rows;			/* those of one bucket and a few more */
	size_t		taken;			/* bytes of `rows` that were given */
} Inspection;

/*
 * Writes the next bytes of the rows to `out`, `max` at most (1 or more), and
 * gives how many; *more: there are more.  Another `id` than last time begins
 * a new walk.  Work and memory of one call are those for `max` bytes and the
 * row that goes beyond them.
 */
extern size_t server_inspect(Server *s, uint64_t id, LinkQuery what, uint8_t *out, size_t max, bool *more);

#endif							/* ROOMS_CORE_INSPECT_H */

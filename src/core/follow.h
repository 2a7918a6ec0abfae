/*
 * follow.h - rooms that a client follows from a snapshot on: room:join with
 * `since` (wire/since.h).
 *
 * A Follow is what stands between a socket and one of its rooms:
 *
 *   paused    the client has left a room that it is in by itself (user:, tenant:), to
 *             come again with a token: nothing of the room is sent
 *   feeding   what came since is being sent from the history, as the client
 *             takes it; what comes meanwhile is in the history, too
 *   live      it has caught up; of what comes now, some may be in its
 *             snapshot and is left out.  Over once the bus is beyond the token.
 *
 * The socket is a member of the room all the time, so commands find it there.
 * If it leaves the room, the Follow is void.  As long as there is one that is not
 * over, the socket cannot be recovered: the client follows anew.
 */
#ifndef ROOMS_CORE_FOLLOW_H
#define ROOMS_CORE_FOLLOW_H

#include "core/server.h"
#include "wire/since.h"

#define FOLLOWS_MAX 16			/* of one socket that are not over */

typedef struct Follow Follow;

/* One from `text`, the `since` of the client; NULL: that is none. */
extern Follow *follow_new(Slice room, Slice text);
extern void follow_free(Follow *f);

typedef enum FollowResult
{
	FOLLOW_DONE,				/* it has everything: the room is live */
	FOLLOW_MORE,				/* the client is to take some first: again when it has */
	FOLLOW_LEFT,				/* the socket was taken out of the room meanwhile */
	FOLLOW_NO_HISTORY,			/* recovery_window is 0 */
	FOLLOW_GAP,					/* what came since is not known, or not any more */
	FOLLOW_TOO_MANY
} FollowResult;

/*
 * Begins with f, which is taken over, in place of what was there for the room;
 * whoever is not in the room joins it.  Then follow_feed(), until it is not
 * FOLLOW_MORE.  After a failure the socket is not in the room if it was not
 * before; else the room is as it was, or paused if follow_feed() gave up.
 */
extern FollowResult follow_begin(Socket *socket, Follow *f);
extern FollowResult follow_feed(Socket *socket, Slice room);

/* The room is paused; false: it cannot be, there is no history to go on from. */
extern bool follow_pause(Socket *socket, Slice room);

/* The room is live again, as it was without all this; false: it was. */
extern bool follow_resume(Socket *socket, Slice room);

/* Is the message that is being processed for the socket?  of_bus: it has a place on the bus of its own. */
extern bool follow_wants(Socket *socket, const Envelope *e, bool of_bus);

/* Is there any that is not over? */
extern bool follow_pending(Socket *socket);

/* The socket ends. */
extern void follow_end(Socket *socket);

/* The server's timelines are others now: tokens that are not of them cannot be followed. */
extern void follow_timelines(Session *s);

#endif							/* ROOMS_CORE_FOLLOW_H */

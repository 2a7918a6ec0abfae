/*
 * follow.c - rooms that a client follows from a snapshot on.
 *
 * Called by builtin.c and call.c (room:join, room:leave), server.c (is this
 * message for it?), recovery.c and socket.c (the end).  What is sent from the
 * history gets the newest offset in place of its own: a client's offset must
 * not go back, or it would be sent again what it has of other rooms.
 */
#include "core/follow.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/recovery.h"
#include "core/session_state.h"

typedef enum FollowState
{
	FOLLOW_PAUSED,
	FOLLOW_FEEDING,
	FOLLOW_LIVE
} FollowState;

struct Follow
{
	Follow	   *next;			/* of the same socket */
	FollowState state;
	bool		joined;			/* feeding: the socket was not in the room before */
	Since		since;			/* not paused */
	uint64_t   *running;		/* of `since` */
	Position	cursor;			/* feeding: what stands behind it is still to be sent */
	Slice		room;
	uint8_t		bytes[];
};

static Follow *
make(Slice room)
{
	Follow	   *f = xcalloc(1, sizeof(*f) + room.len);

	f->room = slice(f->bytes, room.len);
	write_bytes(f->bytes, room);
	return f;
}

Follow *
follow_new(Slice room, Slice text)
{
	uint64_t   *space = xmalloc((since_space(text) + 1) * sizeof(*space));
	Follow	   *f = make(room);

	if (since_decode(text, &f->since, space) != WIRE_OK)
	{
		free(space);
		free(f);
		return NULL;
	}
	f->running = xrealloc(space, (f->since.running_count + 1) * sizeof(*space));
	f->since.running = f->running;
	return f;
}

void
follow_free(Follow *f)
{
	if (f == NULL)
		return;
	free(f->running);
	free(f);
}

/* ---- the socket's list ---- */

static inline const Recovery *
recovery_of(const Socket *socket)
{
	return &socket->session->server->recovery;
}

static Follow *
find(const Socket *socket, Slice room)
{
	Follow	   *f = socket->follows;

	while (f != NULL && !slice_equal(f->room, room))
		f = f->next;
	return f;
}

static void
drop(Socket *socket, Follow *f)
{
	Follow	  **at = &socket->follows;
	RoomEntry  *entry = registry_entry(&socket->member, f->room);

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	if (entry != NULL)
		entry->followed = false;
	follow_free(f);
}

/* All that comes now is wanted. */
static bool
is_over(const Socket *socket, const Follow *f)
{
	const Position *newest = &recovery_of(socket)->newest;

	return f->state == FOLLOW_LIVE && newest->lsn >= f->since.high && position_compare(newest, &f->since.low) >= 0;
}

/* Its room was left, and perhaps joined anew. */
static bool
is_void(const Socket *socket, const Follow *f)
{
	const RoomEntry *entry = registry_entry(&socket->member, f->room);

	return entry == NULL || !entry->followed;
}

static void
sweep(Socket *socket)
{
	Follow	   *next;

	for (Follow *f = socket->follows; f != NULL; f = next)
	{
		next = f->next;
		if (is_over(socket, f) || is_void(socket, f))
			drop(socket, f);
	}
}

static uint32_t
count(const Socket *socket)
{
	uint32_t	n = 0;

	for (const Follow *f = socket->follows; f != NULL; f = f->next)
		n++;
	return n;
}

/* In the list, in place of what was there; its room is one of the socket's. */
static void
put(Socket *socket, Follow *f)
{
	Follow	   *old = find(socket, f->room);

	if (old != NULL)
		drop(socket, old);
	f->next = socket->follows;
	socket->follows = f;
	registry_entry(&socket->member, f->room)->followed = true;
}

bool
follow_pending(Socket *socket)
{
	sweep(socket);
	return socket->follows != NULL;
}

void
follow_end(Socket *socket)
{
	while (socket->follows != NULL)
		drop(socket, socket->follows);
}

bool
follow_pause(Socket *socket, Slice room)
{
	Server	   *s = socket->session->server;

	sweep(socket);
	if (!recovery_keeps(s) || (find(socket, room) == NULL && count(socket) == FOLLOWS_MAX))
		return false;
	put(socket, make(room));
	return true;
}

bool
follow_resume(Socket *socket, Slice room)
{
	Follow	   *f;

	sweep(socket);
	f = find(socket, room);
	if (f == NULL)
		return false;
	drop(socket, f);
	return true;
}

void
follow_timelines(Session *s)
{
	for (Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		for (Follow *f = socket->follows; f != NULL; f = f->next)
		{
			if (f->state == FOLLOW_PAUSED || recovery_knows(s->server, &f->since))
				continue;
			session_close(s, CLOSE_FORCED);
			return;
		}
	}
}

/* ---- live ---- */

bool
follow_wants(Socket *socket, const Envelope *e, bool of_bus)
{
	const Recovery *r = recovery_of(socket);
	EnvelopeList rooms = e->rooms;
	Slice		room;

	sweep(socket);
	if ((e->flags & ENVELOPE_ALL) != 0)
		return true;
	while (envelope_next(&rooms, &room))
	{
		const RoomEntry *entry = registry_entry(&socket->member, room);
		const Follow *f;

		if (entry == NULL)
			continue;
		if (!entry->followed)
			return true;
		f = find(socket, room);
		if (f->state == FOLLOW_LIVE && (!of_bus || since_wants(&f->since, &r->newest, r->xid)))
			return true;
	}
	return false;
}

/* ---- from the history ---- */

FollowResult
follow_begin(Socket *socket, Follow *f)
{
	Server	   *s = socket->session->server;
	FollowResult result = FOLLOW_MORE;

	sweep(socket);
	if (!recovery_keeps(s))
		result = FOLLOW_NO_HISTORY;
	else if (!recovery_knows(s, &f->since) || !history_covers(s->recovery.history, &f->since.low))
		result = FOLLOW_GAP;
	else if (find(socket, f->room) == NULL && count(socket) == FOLLOWS_MAX)
		result = FOLLOW_TOO_MANY;
	if (result != FOLLOW_MORE)
	{
		follow_free(f);
		return result;
	}
	f->joined = !registry_is_in(&socket->member, f->room);
	if (f->joined)
		recovery_join(socket, f->room, true);
	f->state = FOLLOW_FEEDING;
	f->cursor = f->since.low;
	put(socket, f);
	return FOLLOW_MORE;
}

typedef struct Feed
{
	Socket	   *socket;
	Follow	   *follow;
	bool		full;			/* the client is to take this first */
} Feed;

static bool
is_excepted(const Socket *socket, const HistoryEntry *e)
{
	EnvelopeList except = e->except;
	Slice		room;

	while (envelope_next(&except, &room))
	{
		if (registry_is_in(&socket->member, room))
			return true;
	}
	return false;
}

static void
send(Socket *socket, const HistoryEntry *e)
{
	Session    *s = socket->session;
	char		old[POSITION_TEXT_MAX];
	char		text[POSITION_TEXT_MAX];
	Slice		offset = socket->stay != NULL ? recovery_offset(s->server, text) : (Slice) {0};
	Frame	   *f = frame_with_offset(e->frame, position_encode(old, &e->at), offset);

	session_push(s, s->base64 ? frame_base64(f) : f);
	frame_unref(f);
	s->server->counters[COUNTER_DELIVERIES]++;
}

/* At most half of what may wait is put into the queue, or one message. */
static bool
feed_one(void *ctx, const HistoryEntry *e)
{
	Feed	   *feed = ctx;
	Session    *s = feed->socket->session;
	size_t		waiting = s->queue.bytes + s->answer_len;

	if (since_wants(&feed->follow->since, &e->at, e->xid) && !is_excepted(feed->socket, e))
	{
		feed->full = waiting > 0 && waiting + e->frame->ws_len > s->server->options.max_queued / 2;
		if (feed->full)
			return false;
		send(feed->socket, e);
	}
	feed->follow->cursor = e->at;
	return true;
}

/* It takes more time than the history has. */
static FollowResult
give_up(Socket *socket, Follow *f)
{
	if (f->joined)
	{
		recovery_leave(socket, f->room);
		drop(socket, f);
	}
	else
		f->state = FOLLOW_PAUSED;
	return FOLLOW_GAP;
}

FollowResult
follow_feed(Socket *socket, Slice room)
{
	Server	   *s = socket->session->server;
	Feed		feed = {.socket = socket};
	HistoryRange range = {.room = room,.until = POSITION_END};

	sweep(socket);
	feed.follow = find(socket, room);
	if (feed.follow == NULL || feed.follow->state != FOLLOW_FEEDING)
		return FOLLOW_LEFT;
	range.after = feed.follow->cursor;
	if (!recovery_keeps(s) || !history_covers(s->recovery.history, &range.after))
		return give_up(socket, feed.follow);
	s->counters[COUNTER_HISTORY_FRAMES_SCANNED] +=
		history_replay(s->recovery.history, slice_cstring(socket->caller->nsp), &range, 1, feed_one, &feed);
	if (feed.full)
		return FOLLOW_MORE;
	feed.follow->state = FOLLOW_LIVE;
	sweep(socket);
	return FOLLOW_DONE;
}

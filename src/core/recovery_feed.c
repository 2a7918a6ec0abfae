/*
 * recovery_feed.c - what a client has missed, on its way to it.
 *
 * Called by socket.c and call.c when all has been asked about a claim, and by
 * session.c when its queue has room.  Messages come from the history, in
 * pieces that fit the queue, so however many come back at a time and however
 * much they have missed, nothing but the history is kept for them.  What is
 * committed meanwhile is at the history's end; with the last piece the socket
 * enters its rooms, and the next message is live.
 */
#include "core/recovery.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/call.h"
#include "core/session_state.h"

static void finish(Stay *stay);

typedef struct Feed
{
	Stay	   *stay;
	HistoryRange *ranges;
	uint32_t	count;
	bool		full;			/* the client is to take this first */
} Feed;

/* The range that is still open, of the first `count`. */
static HistoryRange *
open_range(HistoryRange *ranges, uint32_t count, Slice room)
{
	const Position end = POSITION_END;

	for (uint32_t i = 0; i < count; i++)
	{
		if (position_compare(&ranges[i].until, &end) == 0 && slice_equal(ranges[i].room, room))
			return &ranges[i];
	}
	return NULL;
}

static void
make_ranges(Feed *f)
{
	Stay	   *stay = f->stay;
	const Member *m = &stay->rooms;
	Reader		r = reader(text_slice(&stay->log));
	uint32_t	logged;

	f->ranges = xmalloc((1 + m->room_count + stay->log.len / (POSITION_BYTES + 5)) * sizeof(*f->ranges));
	f->ranges[0] = (HistoryRange) {.after = stay->cursor,.until = POSITION_END};
	f->count = 1;
	while (reader_left(&r) > 0)
	{
		Position	at = recovery_read_position(&r);
		bool		joined = read_u8(&r);
		Slice		room = read_string(&r);
		HistoryRange *open = open_range(f->ranges, f->count, room);

		if (joined)
			f->ranges[f->count++] = (HistoryRange) {room, position_later(at, stay->cursor), POSITION_END};
		else if (open != NULL)
			open->until = at;
		else
			f->ranges[f->count++] = (HistoryRange) {room, stay->cursor, at};
	}
	logged = f->count;
	for (uint32_t i = 0; i < m->room_count; i++)
	{
		Slice		room = room_name(m->rooms[i].room);

		if (open_range(f->ranges, logged, room) == NULL)
			f->ranges[f->count++] = (HistoryRange) {room, stay->cursor, POSITION_END};
	}
}

/* Was it then in one of the rooms that the message is not for? */
static bool
is_excepted(const Feed *f, const HistoryEntry *e)
{
	EnvelopeList except = e->except;
	Slice		room;

	while (envelope_next(&except, &room))
	{
		for (uint32_t i = 1; i < f->count; i++)
		{
			if (slice_equal(f->ranges[i].room, room) && position_compare(&f->ranges[i].after, &e->at) < 0 &&
				position_compare(&e->at, &f->ranges[i].until) <= 0)
				return true;
		}
	}
	return false;
}

/* ... in this claim? */
static bool
has_replayed(const Stay *stay)
{
	return position_compare(&stay->replayed, &stay->since) > 0;
}

/* At most half of what may wait is put into the queue, or one message. */
static bool
feed_one(void *ctx, const HistoryEntry *e)
{
	Feed	   *f = ctx;
	Stay	   *stay = f->stay;
	Session    *s = stay->socket->session;
	size_t		waiting = s->queue.bytes + s->answer_len;

	if (!is_excepted(f, e))
	{
		f->full = waiting > 0 && waiting + e->frame->ws_len > s->server->options.max_queued / 2;
		if (f->full)
			return false;
		session_push(s, s->base64 ? frame_base64(e->frame) : e->frame);
		s->server->counters[COUNTER_DELIVERIES]++;
		stay->replayed = e->at;
	}
	else if (!has_replayed(stay))
		stay->since = e->at;
	stay->cursor = e->at;
	return true;
}

void
recovery_feed(Socket *socket)
{
	Feed		f = {.stay = socket->stay};
	Server	   *s = socket->session->server;
	History    *h = s->recovery.history;

	f.stay->feeding = true;
	if (!history_covers(h, &f.stay->cursor))
	{
		/* It takes more time than the history has. */
		session_close(socket->session, CLOSE_SLOW);
		return;
	}
	make_ranges(&f);
	s->counters[COUNTER_HISTORY_FRAMES_SCANNED] +=
		history_replay(h, slice_cstring(socket->caller->nsp), f.ranges, f.count, feed_one, &f);
	free(f.ranges);
	if (!f.full)
		finish(f.stay);
	else
		recovery_tell(f.stay);
}

/* It has everything: from here on it is live. */
static void
finish(Stay *stay)
{
	Socket	   *socket = stay->socket;
	Server	   *s = stay->server;
	Member	   *m = &socket->member;

	registry_enter(registry_find_namespace(s->registry, slice_cstring(socket->caller->nsp)), m);
	for (uint32_t i = 0; i < stay->rooms.room_count; i++)
	{
		registry_join(m, room_name(stay->rooms.rooms[i].room));
		m->rooms[i].by_rule = stay->rooms.rooms[i].by_rule;
	}
	recovery_unlink(stay);
	stay->feeding = stay->departs = false;
	if (!has_replayed(stay))
		stay->since = s->recovery.newest;	/* nothing of what came concerned it */
	stay->pinged = stay->since;
	s->counters[COUNTER_RECOVERED]++;
	socket_connected(socket);
}

void
recovery_continue(Session *s)
{
	Socket	   *next;

	for (Socket *socket = s->sockets; socket != NULL && s->closing == CLOSE_NONE; socket = next)
	{
		next = socket->next;
		if (recovery_is_claim(socket) && socket->stay->feeding)
			recovery_feed(socket);
		else
			call_continue(socket->caller);
	}
}

/*
 * recovery.c - stays: who may come back, and what it has missed.
 *
 * Called by socket.c (a socket comes and goes), session.c (pings, room in the
 * queue), server.c (messages, commands, time) and call.c (rules).  A Stay is
 * owned by the Server's Recovery; it and its socket point to each other.
 * Nothing here fails: who cannot be taken back gets a new stay.
 *
 * The log of a stay tells when it joined and left rooms since `since`:
 *
 *   log     any number of (position | u8 joined | string room)
 *
 * A room that it is in and that is not in the log it has been in all the time.
 */
#include "core/recovery.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "wire/json.h"

#define POSITION_BYTES 20

static void forget(Stay *stay);
static void finish(Stay *stay);

void
recovery_init(Server *s, HashKey key)
{
	s->recovery.absent = registry_new(key);
	s->recovery.history = history_new(key, 0, 0);
	recovery_configured(s);
}

void
recovery_free(Server *s)
{
	Recovery   *r = &s->recovery;

	while (r->first != NULL)
		forget(r->first);
	assert(r->stays.count == 0);
	hash_free(&r->stays);
	registry_free(r->absent);
	history_free(r->history);
}

/* A client whose connection is lost may be noticed that much later. */
static uint64_t
history_window(const ServerOptions *o)
{
	return (uint64_t) o->recovery_window + o->ping_interval + o->ping_timeout;
}

void
recovery_configured(Server *s)
{
	Recovery   *r = &s->recovery;

	history_configure(r->history, s->options.history_size, history_window(&s->options));
	if (recovery_keeps(s))
		return;
	while (r->first != NULL)
	{
		if (r->first->socket != NULL)
			session_close(r->first->socket->session, CLOSE_FORCED);
		else
			forget(r->first);
	}
	history_restart(r->history, r->newest);
}

void
recovery_tick(Server *s)
{
	Stay	   *next;

	history_expire(s->recovery.history, s->now);
	for (Stay *stay = s->recovery.first; stay != NULL && stay->until + ABSENT_GRACE_MS < s->now; stay = next)
	{
		next = stay->next;
		if (stay->socket == NULL)
			forget(stay);
	}
}

/* ---- positions ---- */

static inline Position
later(Position a, Position b)
{
	return position_compare(&a, &b) > 0 ? a : b;
}

static uint8_t *
write_position(uint8_t *at, Position p)
{
	at = write_u64(at, p.lsn);
	at = write_u32(at, p.timeline);
	at = write_u32(at, p.index);
	return write_u32(at, p.late);
}

static Position
read_position(Reader *r)
{
	Position	p;

	p.lsn = read_u64(r);
	p.timeline = read_u32(r);
	p.index = read_u32(r);
	p.late = read_u32(r);
	return p;
}

void
recovery_advance(Server *s, const LinkMessage *m)
{
	s->recovery.newest = (Position) {.lsn = m->lsn, .timeline = m->timeline, .index = m->index + 1};
	s->recovery.xid = m->xid;
}

void
recovery_advance_late(Server *s)
{
	s->recovery.newest.late++;
	s->recovery.xid = 0;
}

Slice
recovery_offset(const Server *s, char text[POSITION_TEXT_MAX])
{
	return slice(text, position_encode(text, &s->recovery.newest));
}

bool
recovery_keeps(const Server *s)
{
	return s->options.recovery_window > 0;
}

void
recovery_keep(Server *s, const Envelope *e, Frame *f)
{
	history_add(s->recovery.history, e, f, s->recovery.newest, s->recovery.xid, s->now);
}

/* Does it stand where we have been? */
static bool
is_ours(const Server *s, const Position *p)
{
	return position_compare(p, &s->recovery.newest) <= 0 &&
		(p->timeline == s->recovery.newest.timeline || p->lsn == 0);
}

/* ---- what a CONNECT asks for ---- */

typedef struct Wish
{
	bool		none;			/* recovery: false */
	Slice		pid;
	bool		has_offset;
	Slice		offset;			/* its text; empty if it is no string */
} Wish;

/* The inside of a string without escapes, else empty. */
static Slice
plain_string(Slice raw)
{
	if (raw.len < 2 || raw.data[0] != '"' || memchr(raw.data, '\\', raw.len) != NULL)
		return (Slice) {0};
	return slice(raw.data + 1, raw.len - 2);
}

static Wish
read_wish(Slice auth)
{
	Wish		wish = {0};
	JsonWalk	walk;
	Slice		key,
				value;

	if (auth.len == 0 || !json_enter(auth, &walk) || !walk.object)
		return wish;
	while (json_next(&walk, &key, &value))
	{
		if (slice_equal(key, SLICE_LITERAL("\"recovery\"")))
			wish.none = slice_equal(value, SLICE_LITERAL("false"));
		else if (slice_equal(key, SLICE_LITERAL("\"pid\"")))
			wish.pid = plain_string(value);
		else if (slice_equal(key, SLICE_LITERAL("\"offset\"")))
		{
			wish.has_offset = !slice_equal(value, SLICE_LITERAL("null"));
			wish.offset = plain_string(value);
		}
	}
	return wish;
}

/* ---- stays ---- */

static uint32_t
pid_hash(const Server *s, Slice pid)
{
	return hash_bytes(s->key, 1, pid);
}

static Stay *
find(const Server *s, Slice pid)
{
	uint32_t	hash = pid_hash(s, pid);

	if (pid.len != PID_LENGTH)
		return NULL;
	for (HashLink *l = hash_chain(&s->recovery.stays, hash); l != NULL; l = l->next)
	{
		if (l->hash == hash && memcmp(((Stay *) l)->pid, pid.data, PID_LENGTH) == 0)
			return (Stay *) l;
	}
	return NULL;
}

static inline bool
is_live(const Stay *stay)
{
	return stay->rooms.nsp == NULL;
}

bool
recovery_is_claim(const Socket *socket)
{
	return socket->stay != NULL && !is_live(socket->stay);
}

static inline Member *
member(Stay *stay)
{
	return is_live(stay) ? &stay->socket->member : &stay->rooms;
}

void
recovery_begin(Socket *socket, Slice auth)
{
	Server	   *s = socket->session->server;
	Stay	   *stay;

	if (!recovery_keeps(s) || read_wish(auth).none)
		return;
	stay = xcalloc(1, sizeof(*stay));
	stay->server = s;
	stay->socket = socket;
	stay->since = stay->pinged = stay->log_from = s->recovery.newest;
	random_text(s, stay->pid, 16);
	hash_insert(&s->recovery.stays, &stay->link, pid_hash(s, slice_cstring(stay->pid)));
	socket->stay = stay;
}

static size_t
stay_size(const Stay *stay)
{
	const Caller *c = stay->caller;

	return sizeof(*stay) + sizeof(*c) + STAY_LOG_MAX / 4 + stay->rooms.room_space * sizeof(RoomEntry) +
		(c->auth != NULL ? strlen(c->auth) : 0) + peer_size(c->peer) +
		(c->identity.claims != NULL ? strlen(c->identity.claims) : 0);
}

static void
unlink_absent(Stay *stay)
{
	Recovery   *r = &stay->server->recovery;

	*(stay->prev != NULL ? &stay->prev->next : &r->first) = stay->next;
	*(stay->next != NULL ? &stay->next->prev : &r->last) = stay->prev;
	r->bytes -= stay->size;
	stay->server->counters[COUNTER_ABSENT]--;
	registry_exit(&stay->rooms);
	caller_unref(stay->caller);
	stay->caller = NULL;
}

static void
forget(Stay *stay)
{
	if (!is_live(stay))
		unlink_absent(stay);
	if (stay->socket != NULL)
		stay->socket->stay = NULL;
	hash_remove(&stay->server->recovery.stays, &stay->link);
	text_free(&stay->log);
	free(stay);
}

/* The connection is lost. */
static void
park(Stay *stay, Socket *socket)
{
	Server	   *s = stay->server;
	Recovery   *r = &s->recovery;
	const Member *m = &socket->member;

	stay->caller = socket->caller;
	stay->caller->refs++;
	registry_enter(registry_add_namespace(r->absent, slice_cstring(stay->caller->nsp)), &stay->rooms);
	for (uint32_t i = 0; i < m->room_count; i++)
	{
		registry_join(&stay->rooms, room_name(m->rooms[i].room));
		stay->rooms.rooms[i].by_rule = m->rooms[i].by_rule;
	}
	stay->until = s->now + s->options.recovery_window;
	stay->size = stay_size(stay);
	stay->next = NULL;
	stay->prev = r->last;
	*(r->last != NULL ? &r->last->next : &r->first) = stay;
	r->last = stay;
	r->bytes += stay->size;
	s->counters[COUNTER_ABSENT]++;
	for (Stay *old = r->first; old != NULL && (r->bytes > ABSENT_MAX || s->counters[COUNTER_ABSENT] > s->options.max_connections);)
	{
		Stay	   *next = old->next;

		if (old->socket == NULL)
			forget(old);
		old = next;
	}
}

void
recovery_left(Socket *socket)
{
	Stay	   *stay = socket->stay;
	bool		back = recovery_keeps(socket->session->server) && session_recoverable(socket->session);

	if (stay == NULL)
		return;
	if (!back || (is_live(stay) && !socket->connected))
	{
		forget(stay);
		return;
	}
	socket->stay = NULL;
	stay->feeding = false;
	if (is_live(stay))
		park(stay, socket);
	stay->socket = NULL;
}

/* ---- rooms ---- */

/* The oldest entry of the log, which it is taken off. */
static void
log_shift(Stay *stay)
{
	Reader		r = reader(text_slice(&stay->log));
	size_t		left;

	stay->log_from = read_position(&r);
	read_u8(&r);
	read_string(&r);
	left = reader_left(&r);
	memmove(stay->log.bytes, r.at, left);
	stay->log.len = left;
}

static void
log_add(Stay *stay, bool joined, Slice room)
{
	uint8_t		head[POSITION_BYTES + 1];
	const Position *now = &stay->server->recovery.newest;

	if (position_compare(now, &stay->since) <= 0)
		return;
	while (stay->log.len + sizeof(head) + 4 + room.len > STAY_LOG_MAX)
		log_shift(stay);
	write_u8(write_position(head, *now), joined);
	text_add(&stay->log, slice(head, sizeof(head)));
	text_add_item(&stay->log, room);
}

static void
join(Stay *stay, Slice room)
{
	if (registry_join(member(stay), room))
		log_add(stay, true, room);
	else
		registry_entry(member(stay), room)->by_rule = false;
}

static void
leave(Stay *stay, Slice room)
{
	if (registry_leave(member(stay), room))
		log_add(stay, false, room);
}

void
recovery_join(Socket *socket, Slice room, bool by_rule)
{
	if (socket->stay == NULL)
		registry_join(&socket->member, room);
	else if (!by_rule)
		join(socket->stay, room);
	else if (registry_join(member(socket->stay), room))
	{
		log_add(socket->stay, true, room);
		registry_entry(member(socket->stay), room)->by_rule = true;
	}
}

void
recovery_leave(Socket *socket, Slice room)
{
	if (socket->stay == NULL)
		registry_leave(&socket->member, room);
	else
		leave(socket->stay, room);
}

void
recovery_pinged(Session *s)
{
	for (Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		Stay	   *stay = socket->stay;

		if (stay != NULL)
			stay->pinged = socket->connected ? s->server->recovery.newest : stay->since;
	}
}

void
recovery_ponged(Session *s)
{
	for (Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		Stay	   *stay = socket->stay;

		if (stay == NULL)
			continue;
		stay->since = later(stay->since, stay->pinged);
		while (stay->log.len > 0)
		{
			Reader		r = reader(text_slice(&stay->log));
			Position	at = read_position(&r);

			if (position_compare(&at, &stay->since) > 0)
				break;
			log_shift(stay);
		}
	}
}

/* ---- commands ---- */

void
recovery_command(Server *s, const Envelope *e)
{
	Namespace  *n = registry_find_namespace(s->recovery.absent, e->nsp);

	if (n == NULL)
		return;
	server_pick(s, n, (e->flags & ENVELOPE_ALL) != 0, e->rooms);
	for (uint32_t i = 0; i < s->picked.count; i++)
	{
		Stay	   *stay = (Stay *) ((char *) s->picked.items[i] - offsetof(Stay, rooms));
		Socket	   *socket = stay->socket;
		EnvelopeList rooms = e->except;
		Slice		room;

		if (e->kind == ENVELOPE_SOCKETS_JOIN)
		{
			while (envelope_next(&rooms, &room))
				join(stay, room);
		}
		else if (e->kind == ENVELOPE_SOCKETS_LEAVE)
		{
			while (envelope_next(&rooms, &room))
				leave(stay, room);
			if (socket != NULL)
				call_overlap(socket->caller, e->except);
		}
		else
		{
			forget(stay);
			if (socket != NULL && (e->flags & ENVELOPE_CLOSE) != 0)
				session_drain(socket->session);
			else if (socket != NULL)
				socket_kick(socket);
		}
	}
}

void
recovery_remove_namespace(Server *s, Slice name)
{
	Namespace  *n = registry_find_namespace(s->recovery.absent, name);

	if (n == NULL)
		return;
	recovery_command(s, &(Envelope) {.kind = ENVELOPE_DISCONNECT_SOCKETS,.flags = ENVELOPE_ALL,.nsp = name});
	registry_remove_namespace(s->recovery.absent, n);
}

/* ---- claims ---- */

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const Caller *
who(const Stay *stay)
{
	return is_live(stay) ? stay->socket->caller : stay->caller;
}

static Stay *
refuse(Server *s, GatewayCounter why)
{
	s->counters[why]++;
	return NULL;
}

/* Sets stay->cursor.  False: not all that the client has missed is known. */
static bool
find_start(Stay *stay, const Wish *wish)
{
	Server	   *s = stay->server;
	Position	offset;

	stay->cursor = stay->since;
	if (wish->has_offset)
	{
		if (position_decode(wish->offset, &offset) != WIRE_OK)
			return false;
		stay->cursor = later(stay->since, offset);
	}
	return is_ours(s, &stay->cursor) && history_covers(s->recovery.history, &stay->cursor) &&
		position_compare(&stay->cursor, &stay->log_from) >= 0;
}

Stay *
recovery_claim(Session *session, Slice nsp, const Identity *identity, Slice auth)
{
	Server	   *s = session->server;
	Wish		wish = read_wish(auth);
	Stay	   *stay;

	if (!recovery_keeps(s) || wish.none || wish.pid.len == 0)
		return NULL;
	stay = find(s, wish.pid);
	if (stay == NULL)
		return refuse(s, COUNTER_RECOVERY_UNKNOWN_PID);
	if (!same(who(stay)->identity.user_id, identity->user_id) || !same(who(stay)->identity.tenant_id, identity->tenant_id) ||
		!slice_equal(slice_cstring(who(stay)->nsp), nsp))
		return refuse(s, COUNTER_RECOVERY_IDENTITY);
	if (stay->socket != NULL)
	{
		/* Its client is here, so that connection is dead, whether it knows or not. */
		session_close(stay->socket->session, CLOSE_TRANSPORT_CLOSE);
		stay = find(s, wish.pid);
		if (stay == NULL)
			return refuse(s, COUNTER_RECOVERY_UNKNOWN_PID);
	}
	if (stay->until < s->now)
	{
		forget(stay);
		return refuse(s, COUNTER_RECOVERY_WINDOW);
	}
	if (!find_start(stay, &wish))
	{
		forget(stay);
		s->hooks.recovery_gap(s->hooks.ctx);
		return refuse(s, COUNTER_RECOVERY_GAP);
	}
	return stay;
}

void
recovery_attach(Stay *stay, Socket *socket)
{
	socket->stay = stay;
	stay->socket = socket;
	stay->since = stay->cursor;
	memcpy(socket->caller->sid, stay->caller->sid, sizeof(stay->caller->sid));
	for (uint32_t i = 0; i < stay->rooms.room_count; i++)
		stay->rooms.rooms[i].checked = false;
	call_follow(socket->caller, stay->caller);
}

bool
recovery_unchecked(const Socket *socket, Slice *room)
{
	const Member *m = &socket->stay->rooms;

	for (uint32_t i = 0; i < m->room_count; i++)
	{
		*room = room_name(m->rooms[i].room);
		if (m->rooms[i].by_rule && !m->rooms[i].checked)
			return true;
	}
	return false;
}

/* As if it had never been in the room. */
static void
log_purge(Stay *stay, Slice room)
{
	Text		log = stay->log;
	Reader		r = reader(text_slice(&log));

	stay->log = (Text) {0};
	while (reader_left(&r) > 0)
	{
		const uint8_t *begin = r.at;
		Slice		name;

		read_bytes(&r, POSITION_BYTES + 1);
		name = read_string(&r);
		if (!slice_equal(name, room))
			text_add(&stay->log, slice(begin, (size_t) (r.at - begin)));
	}
	text_free(&log);
}

void
recovery_checked(Socket *socket, Slice room, bool allowed)
{
	Stay	   *stay = socket->stay;
	RoomEntry  *entry = registry_entry(&stay->rooms, room);

	/* It may have been taken out meanwhile, or put in by SQL. */
	if (entry == NULL || !entry->by_rule)
		return;
	entry->checked = true;
	if (allowed)
		return;
	log_purge(stay, room);
	registry_leave(&stay->rooms, room);
}

/* ---- what was missed ---- */

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
		Position	at = read_position(&r);
		bool		joined = read_u8(&r);
		Slice		room = read_string(&r);
		HistoryRange *open = open_range(f->ranges, f->count, room);

		if (joined)
			f->ranges[f->count++] = (HistoryRange) {room, later(at, stay->cursor), POSITION_END};
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
	}
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
	unlink_absent(stay);
	stay->feeding = false;
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
	}
}

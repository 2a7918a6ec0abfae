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
#include "core/follow.h"
#include "core/session_state.h"
#include "wire/json.h"

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
		recovery_forget(r->first);
	free(r->timelines);
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
	{
		if (!r->keeping)
			history_restart(r->history, r->newest);	/* nothing was kept until now */
		r->keeping = true;
		return;
	}
	r->keeping = r->filling = false;
	while (r->first != NULL)
	{
		if (r->first->socket != NULL)
			session_close(r->first->socket->session, CLOSE_FORCED);
		else
			recovery_forget(r->first);
	}
	history_restart(r->history, r->newest);
}

/* It is not back, and its gateway had died before it could run on_disconnect. */
static void
depart(Stay *stay)
{
	stay->departs = false;
	call_departed(stay->caller);
}

void
recovery_tick(Server *s)
{
	Stay	   *next;

	recovery_tell_rest(s);
	if (s->now < s->recovery.swept + SWEEP_MS)
		return;
	s->recovery.swept = s->now;
	history_expire(s->recovery.history, s->now);
	for (Stay *stay = s->recovery.first; stay != NULL && stay->until < s->now; stay = next)
	{
		next = stay->next;
		if (stay->departs && stay->socket == NULL)
		{
			depart(stay);
			recovery_tell(stay);
		}
		if (stay->socket == NULL && stay->until + ABSENT_GRACE_MS < s->now)
			recovery_forget(stay);
	}
}

/* ---- positions ---- */

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
	uint64_t	age = s->recovery.age;

	history_add(s->recovery.history, e, f, s->recovery.newest, s->recovery.xid, age < s->now ? s->now - age : 0);
}

/* Was this the server's timeline there?  Without the timelines: is it now? */
static bool
was_timeline(const Recovery *r, uint32_t timeline, uint64_t lsn)
{
	for (uint32_t i = 0; i < r->timeline_count; i++)
	{
		if (lsn >= r->timelines[i].begin && lsn < r->timelines[i].end)
			return timeline == r->timelines[i].timeline;
	}
	return timeline == r->newest.timeline || lsn == 0;
}

/* What stands before an LSN may be on the timeline that ended there. */
bool
recovery_knows(const Server *s, const Since *since)
{
	const Position *p = &since->low;

	if (since->high > 0)
		return was_timeline(&s->recovery, p->timeline, since->high - 1);
	return was_timeline(&s->recovery, p->timeline, p->lsn) ||
		(p->index == 0 && p->lsn > 0 && was_timeline(&s->recovery, p->timeline, p->lsn - 1));
}

/* Does it stand where we have been? */
static bool
is_ours(const Server *s, const Position *p)
{
	return position_compare(p, &s->recovery.newest) <= 0 && recovery_knows(s, &(Since) {.low = *p});
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

/* A key is a digest already. */
static uint32_t
key_hash(const uint8_t key[STAY_KEY])
{
	uint32_t	hash;

	memcpy(&hash, key, sizeof(hash));
	return hash;
}

Stay *
recovery_new(Server *s, const uint8_t key[STAY_KEY])
{
	Stay	   *stay = xcalloc(1, sizeof(*stay));

	stay->server = s;
	memcpy(stay->key, key, STAY_KEY);
	hash_insert(&s->recovery.stays, &stay->link, key_hash(key));
	return stay;
}

Stay *
recovery_find(const Server *s, const uint8_t key[STAY_KEY])
{
	uint32_t	hash = key_hash(key);

	for (HashLink *l = hash_chain(&s->recovery.stays, hash); l != NULL; l = l->next)
	{
		if (l->hash == hash && memcmp(((Stay *) l)->key, key, STAY_KEY) == 0)
			return (Stay *) l;
	}
	return NULL;
}

static Stay *
find(const Server *s, Slice pid)
{
	uint8_t		key[STAY_KEY];

	if (pid.len != PID_LENGTH)
		return NULL;
	s->hooks.digest(s->hooks.ctx, pid, key);
	return recovery_find(s, key);
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
	char		pid[PID_LENGTH + 1];
	uint8_t		key[STAY_KEY];

	if (!recovery_keeps(s) || read_wish(auth).none)
		return;
	random_text(s, pid, 16);
	s->hooks.digest(s->hooks.ctx, slice_cstring(pid), key);
	stay = recovery_new(s, key);
	memcpy(stay->pid, pid, sizeof(pid));
	stay->socket = socket;
	stay->since = stay->pinged = stay->log_from = s->recovery.newest;
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

void
recovery_unlink(Stay *stay)
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

void
recovery_forget(Stay *stay)
{
	if (stay->departs && !stay->server->recovery.over)
		depart(stay);
	if (!is_live(stay))
		recovery_unlink(stay);
	if (stay->socket != NULL)
		stay->socket->stay = NULL;
	recovery_tell_end(stay);
	hash_remove(&stay->server->recovery.stays, &stay->link);
	text_free(&stay->log);
	free(stay);
}

void
recovery_absent(Stay *stay)
{
	Server	   *s = stay->server;
	Recovery   *r = &s->recovery;

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

		if (old->socket == NULL && old != stay)
			recovery_forget(old);
		old = next;
	}
}

/* The connection is lost. */
static void
park(Stay *stay, Socket *socket)
{
	const Member *m = &socket->member;

	stay->caller = socket->caller;
	stay->caller->refs++;
	registry_enter(registry_add_namespace(stay->server->recovery.absent, slice_cstring(stay->caller->nsp)), &stay->rooms);
	for (uint32_t i = 0; i < m->room_count; i++)
	{
		registry_join(&stay->rooms, room_name(m->rooms[i].room));
		stay->rooms.rooms[i].by_rule = m->rooms[i].by_rule;
	}
	stay->socket = NULL;
	recovery_absent(stay);
	recovery_tell(stay);
}

void
recovery_left(Socket *socket)
{
	Stay	   *stay = socket->stay;
	bool		back = recovery_keeps(socket->session->server) && session_recoverable(socket->session);

	if (stay == NULL)
		return;
	if (!back || (is_live(stay) && !socket->connected) || follow_pending(socket))
	{
		recovery_forget(stay);
		return;
	}
	socket->stay = NULL;
	stay->feeding = false;
	if (is_live(stay))
		park(stay, socket);
	else
		stay->socket = NULL;
}

/* ---- rooms ---- */

/* The oldest entry of the log, which it is taken off. */
static void
log_shift(Stay *stay)
{
	Reader		r = reader(text_slice(&stay->log));
	size_t		left;

	stay->log_from = recovery_read_position(&r);
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
	write_u8(recovery_write_position(head, *now), joined);
	text_add(&stay->log, slice(head, sizeof(head)));
	text_add_item(&stay->log, room);
}

/* True: something has changed, of which the worker is to be told. */
static bool
join(Stay *stay, Slice room, bool by_rule)
{
	RoomEntry  *entry;
	bool		fresh = registry_join(member(stay), room);
	bool		was_by_rule;

	if (fresh)
		log_add(stay, true, room);
	entry = registry_entry(member(stay), room);
	was_by_rule = entry->by_rule;
	entry->by_rule = by_rule && (fresh || was_by_rule);
	return fresh || entry->by_rule != was_by_rule;
}

static bool
leave(Stay *stay, Slice room)
{
	if (!registry_leave(member(stay), room))
		return false;
	log_add(stay, false, room);
	return true;
}

/* Before its CONNECT was answered no client knows its pid. */
static void
tell_change(Stay *stay)
{
	if (!is_live(stay) || stay->socket->connected)
		recovery_tell(stay);
}

void
recovery_join(Socket *socket, Slice room, bool by_rule)
{
	if (socket->stay == NULL)
		registry_join(&socket->member, room);
	else if (join(socket->stay, room, by_rule))
		tell_change(socket->stay);
}

void
recovery_leave(Socket *socket, Slice room)
{
	if (socket->stay == NULL)
		registry_leave(&socket->member, room);
	else if (leave(socket->stay, room))
		tell_change(socket->stay);
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

		if (stay == NULL || position_compare(&stay->pinged, &stay->since) <= 0)
			continue;
		stay->since = stay->pinged;
		while (stay->log.len > 0)
		{
			Reader		r = reader(text_slice(&stay->log));
			Position	at = recovery_read_position(&r);

			if (position_compare(&at, &stay->since) > 0)
				break;
			log_shift(stay);
		}
		tell_change(stay);
	}
}

/* ---- commands ---- */

static Stay *
picked(const Server *s, uint32_t i)
{
	return (Stay *) ((char *) s->picked.items[i] - offsetof(Stay, rooms));
}

static void
disconnect(Stay *stay, bool close)
{
	Socket	   *socket = stay->socket;

	recovery_forget(stay);
	if (socket != NULL && close)
		session_drain(socket->session);
	else if (socket != NULL)
		socket_kick(socket);
}

void
recovery_command(Server *s, const Envelope *e)
{
	Namespace  *n = registry_find_namespace(s->recovery.absent, e->nsp);

	if (e->kind != ENVELOPE_SOCKETS_JOIN)
		call_revoked(s, s->recovery.newest.lsn + 1);
	if (n == NULL)
		return;
	server_pick(s, n, (e->flags & ENVELOPE_ALL) != 0, e->rooms);
	for (uint32_t i = 0; i < s->picked.count; i++)
	{
		Stay	   *stay = picked(s, i);
		Socket	   *socket = stay->socket;
		EnvelopeList rooms = e->except;
		bool		changed = false;
		Slice		room;

		if (position_compare(&stay->known, &s->recovery.newest) >= 0)
			continue;			/* it was live then */
		if (e->kind == ENVELOPE_SOCKETS_JOIN)
		{
			while (envelope_next(&rooms, &room))
				changed |= join(stay, room, false);
		}
		else if (e->kind == ENVELOPE_SOCKETS_LEAVE)
		{
			while (envelope_next(&rooms, &room))
				changed |= leave(stay, room);
			if (socket != NULL)
				call_overlap(socket->caller, e->except);
		}
		else
			disconnect(stay, (e->flags & ENVELOPE_CLOSE) != 0);
		if (changed)
			recovery_tell(stay);
	}
}

void
recovery_remove_namespace(Server *s, Slice name)
{
	Namespace  *n = registry_find_namespace(s->recovery.absent, name);

	if (n == NULL)
		return;
	server_pick(s, n, true, (EnvelopeList) {0});
	for (uint32_t i = 0; i < s->picked.count; i++)
		disconnect(picked(s, i), false);
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

/* Sets stay->cursor.  False: what the client has missed is not known, or not all of it. */
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
		stay->cursor = position_later(stay->since, offset);
	}

	/*
	 * What came before the answer to its CONNECT the stock client keeps, also
	 * over the next drop, and gives to the application when the next answer
	 * comes, whatever was sent again meanwhile.  If its offset does not say
	 * that it has had that answer, it might get messages twice.
	 */
	if (position_compare(&stay->replayed, &stay->cursor) > 0)
		return false;
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
		recovery_forget(stay);
		s->hooks.missed(s->hooks.ctx, MISSED_WINDOW);
		return refuse(s, COUNTER_RECOVERY_WINDOW);
	}
	if (!find_start(stay, &wish))
	{
		recovery_forget(stay);
		s->hooks.missed(s->hooks.ctx, MISSED_GAP);
		return refuse(s, COUNTER_RECOVERY_GAP);
	}
	memcpy(stay->pid, wish.pid.data, PID_LENGTH);
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

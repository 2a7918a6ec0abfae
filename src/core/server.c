/*
 * server.c - life of the server, messages of the bus, flush.
 *
 * gateway/ calls in with a clock, bytes and requests; what is to be sent waits
 * in the sessions' queues until server_flush() hands it to the transports.
 * One turn of the event loop: messages and requests come in and mark sessions
 * dirty, then one flush writes each of them once, however many frames it got.
 *
 * The path of a message: server_message() - [throttle] - server_emit() -
 * registry_each() - deliver() - session_push().  Nothing on it allocates per
 * recipient or looks into the message.
 *
 * Sessions end in two steps: session_close() takes them out of everything
 * that finds them, the next flush frees them.  Malformed messages are refused
 * with WIRE_BAD; nothing else here fails.
 */
#include "core/server.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/follow.h"
#include "core/session_state.h"

#define THROTTLE_MAX	(64 * 1024 * 1024)	/* bytes of throttled messages and their keys */

static void emit_throttled(void *ctx, const Envelope *e);
static void note_unflushed(Server *s, size_t bytes);
static void close_slow(Server *s);
static void free_dead(Server *s);

void
list_add(List *list, void *item)
{
	if (list->count == list->space)
	{
		list->space = list->space > 0 ? list->space * 2 : 64;
		list->items = xrealloc(list->items, list->space * sizeof(*list->items));
	}
	list->items[list->count++] = item;
}

void
identity_clear(Identity *id)
{
	free(id->user_id);
	free(id->tenant_id);
	free(id->role);
	free(id->claims);
	*id = (Identity) {0};
}

static HashKey
random_key(Server *s)
{
	HashKey		key;

	s->hooks.random(s->hooks.ctx, (uint8_t *) &key, sizeof(key));
	return key;
}

Server *
server_new(const ServerOptions *options, const ServerHooks *hooks, uint64_t now)
{
	Server	   *s = xcalloc(1, sizeof(*s));

	s->options = *options;
	s->hooks = *hooks;
	s->now = now;
	s->key = random_key(s);
	s->registry = registry_new(random_key(s));
	tally_init(&s->users, random_key(s));
	tally_init(&s->addresses, random_key(s));
	tally_init(&s->call_shares, random_key(s));
	timer_wheel_init(&s->wheel, now);
	s->throttle = throttle_new(&s->wheel, random_key(s), THROTTLE_MAX, emit_throttled, s);
	s->ping = frame_packet(SLICE_LITERAL("2"));
	recovery_init(s, random_key(s));
	s->hooks.random(s->hooks.ctx, (uint8_t *) &s->marker, sizeof(s->marker));
	return s;
}

void
server_each_session(Server *s, void (*f) (Session *session))
{
	for (uint32_t i = 0; i < s->sessions.size; i++)
	{
		HashLink   *link = s->sessions.buckets[i];

		while (link != NULL)
		{
			HashLink   *next = link->next;

			f(((SessionState *) link)->session);
			link = next;
		}
	}
}

static void
forget(Session *session)
{
	hash_remove(&session->server->sessions, &session->state->link);
	session_free(session);
}

void
server_free(Server *s)
{
	for (uint32_t i = 0; i < s->dirty.count; i++)
		((Session *) s->dirty.items[i])->dirty = false;
	free_dead(s);
	/* Nobody is there any more to run what the sockets would leave behind. */
	s->use_handlers = false;
	s->recovery.over = true;
	rules_free(s->rules);
	s->rules = NULL;
	server_each_session(s, forget);
	recovery_free(s);
	text_free(&s->inspection.rows);
	calls_free(s);
	throttle_free(s->throttle);
	registry_free(s->registry);
	tally_free(&s->users);
	tally_free(&s->addresses);
	tally_free(&s->call_shares);
	frame_unref(s->ping);
	hash_free(&s->sessions);
	free(s->dirty.items);
	free(s->slow.items);
	free(s->dead.items);
	free(s->picked.items);
	free(s);
}

void
server_configure(Server *s, const ServerOptions *options)
{
	s->options = *options;
	recovery_configured(s);
}

const ServerOptions *
server_options(const Server *s)
{
	return &s->options;
}

uint64_t
server_now(const Server *s)
{
	return s->now;
}

void
server_tick(Server *s, uint64_t now)
{
	s->now = now;
	if (!s->recovery.filling)
		timer_wheel_run(&s->wheel, now);
	recovery_tick(s);
}

uint64_t
server_next_tick(const Server *s)
{
	return s->recovery.filling ? TIMER_NEVER : timer_wheel_next(&s->wheel);
}

void
server_recheck(Server *s, bool (*good) (void *ctx, const Identity *id), void *ctx)
{
	for (uint32_t i = 0; i < s->sessions.size; i++)
	{
		HashLink   *link = s->sessions.buckets[i];

		while (link != NULL)
		{
			Session    *session = ((SessionState *) link)->session;
			bool		all_good = true;

			link = link->next;
			for (Socket *socket = session->sockets; socket != NULL; socket = socket->next)
				all_good = all_good && good(ctx, &socket->caller->identity);
			if (!all_good)
				session_close(session, CLOSE_EXPIRED);
		}
	}
}

static void
shut_down(Session *session)
{
	session_close(session, CLOSE_SHUTDOWN);
}

void
server_shutdown(Server *s)
{
	server_each_session(s, shut_down);
}

/* The order is that of a keyed hash of random names: whose turn it is says nothing. */
uint32_t
server_drain(Server *s, uint32_t ms, uint64_t now)
{
	uint32_t	count = 0;
	uint32_t	turn = 0;

	s->now = now;
	s->is_draining = true;
	for (int round = 0; round < 2; round++)
	{
		for (uint32_t i = 0; i < s->sessions.size; i++)
		{
			for (HashLink *link = s->sessions.buckets[i]; link != NULL; link = link->next)
			{
				SessionState *state = (SessionState *) link;

				if (state->session->closing != CLOSE_NONE)
					continue;
				if (round == 0)
					count++;
				else
				{
					state->drain_at = now + (uint64_t) ms * ++turn / count;
					session_arm(state->session);
				}
			}
		}
	}
	return count;
}

static void
stay(Session *session)
{
	session->state->drain_at = 0;
	session_arm(session);
}

void
server_drain_end(Server *s)
{
	s->is_draining = false;
	server_each_session(s, stay);
}

bool
server_draining(const Server *s)
{
	return s->is_draining;
}

static void
hang_up(Session *session)
{
	session_close(session, CLOSE_FORCED);
}

void
server_hang_up(Server *s)
{
	server_each_session(s, hang_up);
}

static void
add_queued(Session *session)
{
	session->server->counters[COUNTER_QUEUED_BYTES] += session->queue.bytes + session->answer_len;
}

uint64_t *
server_counters(Server *s)
{
	s->counters[COUNTER_ROOMS] = registry_rooms(s->registry);
	s->counters[COUNTER_CALLS_WAITING] = s->waiting.count;
	s->counters[COUNTER_HISTORY_BYTES] = history_bytes(s->recovery.history);
	s->counters[COUNTER_QUEUED_BYTES] = 0;
	server_each_session(s, add_queued);
	return s->counters;
}

/* ---- commands ---- */

static void
pick(void *ctx, Member *m)
{
	list_add(&((Server *) ctx)->picked, m);
}

void
server_pick(Server *s, Namespace *n, bool all, EnvelopeList rooms)
{
	s->picked.count = 0;
	registry_each(n, all, rooms, (EnvelopeList) {0}, pick, s);
}

static bool
is_named(const Slice *names, uint32_t count, Slice name)
{
	for (uint32_t i = 0; i < count; i++)
	{
		if (slice_equal(names[i], name))
			return true;
	}
	return false;
}

void
server_set_namespaces(Server *s, const Slice *names, uint32_t count)
{
	for (uint32_t i = registry_namespaces(s->registry); i > 0; i--)
	{
		Namespace  *n = registry_namespace(s->registry, i - 1);

		if (is_named(names, count, namespace_name(n)))
			continue;
		recovery_remove_namespace(s, namespace_name(n));
		server_pick(s, n, true, (EnvelopeList) {0});
		for (uint32_t k = 0; k < s->picked.count; k++)
			socket_kick(s->picked.items[k]);
		registry_remove_namespace(s->registry, n);
	}
	for (uint32_t i = 0; i < count; i++)
		registry_add_namespace(s->registry, names[i]);
}

static void
command(Server *s, const Envelope *e)
{
	Namespace  *n = registry_find_namespace(s->registry, e->nsp);

	if (n == NULL)
		return;
	server_pick(s, n, (e->flags & ENVELOPE_ALL) != 0, e->rooms);
	for (uint32_t i = 0; i < s->picked.count; i++)
	{
		Socket	   *socket = s->picked.items[i];
		Session    *session = socket->session;
		EnvelopeList rooms = e->except;
		Slice		room;

		switch (e->kind)
		{
			case ENVELOPE_SOCKETS_JOIN:
				while (envelope_next(&rooms, &room))
					recovery_join(socket, room, false);
				break;
			case ENVELOPE_SOCKETS_LEAVE:
				while (envelope_next(&rooms, &room))
					recovery_leave(socket, room);
				call_overlap(socket->caller, e->except);
				break;
			case ENVELOPE_DISCONNECT_SOCKETS:
				if ((e->flags & ENVELOPE_CLOSE) != 0)
					session_drain(session);
				else
					socket_kick(socket);
				break;
			case ENVELOPE_EMIT:
			case ENVELOPE_MARKER:
			case ENVELOPE_RULES:
				assert(false);
		}
	}
	if (e->kind == ENVELOPE_SOCKETS_LEAVE || e->kind == ENVELOPE_DISCONNECT_SOCKETS)
		call_overlap_rooms(s, e->nsp, e->kind == ENVELOPE_SOCKETS_LEAVE ? e->except : e->rooms, e->rooms);
	recovery_command(s, e);
}

/* ---- messages ---- */

typedef struct Delivery
{
	Server	   *server;
	const Envelope *envelope;
	bool		of_bus;
	Frame	   *plain;			/* each is made for the first recipient */
	Frame	   *with_offset;
} Delivery;

static Frame *
with_offset(Delivery *d)
{
	char		text[POSITION_TEXT_MAX];

	if (d->with_offset == NULL)
		d->with_offset = frame_event(d->envelope->packet, recovery_offset(d->server, text), d->envelope->attachments);
	return d->with_offset;
}

static Frame *
plain(Delivery *d)
{
	if (d->plain == NULL)
		d->plain = frame_message(d->envelope->packet, d->envelope->attachments);
	return d->plain;
}

/* A volatile message is for those who can be written to at this moment. */
static inline bool
is_ready(const Session *s)
{
	if (s->transport == TRANSPORT_POLLING)
		return s->poll != NULL;
	return s->writable && !s->backlog;
}

static void
deliver(void *ctx, Member *m)
{
	Delivery   *d = ctx;
	Socket	   *socket = (Socket *) m;
	Session    *s = socket->session;
	Frame	   *f;

	if (socket->follows != NULL && !follow_wants(socket, d->envelope, d->of_bus))
		return;
	if ((d->envelope->flags & ENVELOPE_VOLATILE) != 0 && !(socket->connected && is_ready(s)))
	{
		d->server->counters[COUNTER_DROPPED_VOLATILE]++;
		return;
	}
	f = socket->stay != NULL ? with_offset(d) : plain(d);
	socket_push(socket, s->base64 ? frame_base64(f) : f);
	d->server->counters[COUNTER_DELIVERIES]++;
}

void
server_emit(Server *s, const Envelope *e, bool keep)
{
	Namespace  *n = registry_find_namespace(s->registry, e->nsp);
	Delivery	d = {.server = s, .envelope = e, .of_bus = keep};

	if (n == NULL)
		return;
	registry_each(n, (e->flags & ENVELOPE_ALL) != 0, e->rooms, e->except, deliver, &d);
	if (keep && recovery_keeps(s) && (e->flags & ENVELOPE_VOLATILE) == 0)
		recovery_keep(s, e, with_offset(&d));
	if (d.plain != NULL)
		frame_unref(d.plain);
	if (d.with_offset != NULL)
		frame_unref(d.with_offset);
}

/* Called by the throttle: at once, or by its timer, where many keys may be due in one tick. */
static void
emit_throttled(void *ctx, const Envelope *e)
{
	Server	   *s = ctx;

	if (!s->on_time)
		recovery_advance_late(s);
	server_emit(s, e, true);
	note_unflushed(ctx, e->packet.len + e->attachments.bytes.len);
}

void
server_throttle(Server *s, const Envelope *e, Slice bytes, bool past)
{
	uint64_t	age = s->recovery.age;
	ThrottleResult result;

	s->on_time = true;
	if (past)
		result = throttle_offer_past(s->throttle, e, bytes, age < s->now ? s->now - age : 0, s->now);
	else
		result = throttle_offer(s->throttle, e, bytes, s->now);
	s->on_time = false;
	switch (result)
	{
		case THROTTLE_REPLACED:
			s->counters[COUNTER_THROTTLED]++;
			break;
		case THROTTLE_FULL:
			s->counters[COUNTER_THROTTLE_FULL]++;
			break;
		case THROTTLE_SENT:
		case THROTTLE_KEPT:
			break;
	}
}

/* Half a cap: what is queued between two flushes never makes a session slow. */
static void
note_unflushed(Server *s, size_t bytes)
{
	s->unflushed += bytes;
	if (s->unflushed > s->options.max_queued / 2)
		server_flush(s);
}

WireResult
server_message(Server *s, const LinkMessage *m, uint64_t now)
{
	Envelope	e;

	s->now = now;
	if (envelope_decode(m->envelope, &e) != WIRE_OK)
		return WIRE_BAD;
	s->counters[COUNTER_MESSAGES]++;
	s->recovery.filling = false;
	recovery_advance(s, m);
	if (e.kind == ENVELOPE_MARKER)
		call_marker(s, e.packet);
	else if (e.kind == ENVELOPE_RULES)
	{
		s->rules_stale = s->use_handlers;
		if (s->use_handlers)
			s->hooks.rules_changed(s->hooks.ctx);
	}
	else if (e.kind != ENVELOPE_EMIT)
		command(s, &e);
	else
	{
		s->counters[COUNTER_EMITS]++;
		if (e.throttle_ms == 0)
			server_emit(s, &e, true);
		else
			server_throttle(s, &e, m->envelope, false);
	}
	note_unflushed(s, m->envelope.len);
	return WIRE_OK;
}

/* ---- flush ---- */

void
session_mark_dirty(Session *s)
{
	if (s->dirty || s->closing != CLOSE_NONE)
		return;
	s->dirty = true;
	list_add(&s->server->dirty, s);
}

/* True if something was written. */
static bool
flush_session(Server *server, Session *s)
{
	uint32_t	queued = s->queue.count;
	bool		written;

	s->dirty = false;
	if (s->closing != CLOSE_NONE)
		return false;
	if (s->transport == TRANSPORT_WEBSOCKET ? s->queue.count > 0 || !s->writable || s->poll != NULL
		: s->poll != NULL && (s->queue.count > 0 || s->state->upgrading))
		server->hooks.flush(server->hooks.ctx, s);
	written = s->queue.count < queued;
	if (s->closing == CLOSE_NONE)
		session_flushed(s);
	return written;
}

uint32_t
server_flush(Server *s)
{
	uint32_t	count;
	uint32_t	written = 0;

	s->unflushed = 0;
	close_slow(s);

	/* A session that is marked again meanwhile waits for the next flush. */
	count = s->dirty.count;
	for (uint32_t i = 0; i < count; i++)
		written += flush_session(s, s->dirty.items[i]);
	s->dirty.count -= count;
	if (s->dirty.count > 0)
		memmove(s->dirty.items, s->dirty.items + count, s->dirty.count * sizeof(void *));
	free_dead(s);
	return written;
}

static void
close_slow(Server *s)
{
	for (uint32_t i = 0; i < s->slow.count; i++)
		session_close(s->slow.items[i], CLOSE_SLOW);
	s->slow.count = 0;
}

/* One that was marked dirty during this flush is still on that list. */
static void
free_dead(Server *s)
{
	uint32_t	kept = 0;

	for (uint32_t i = 0; i < s->dead.count; i++)
	{
		Session    *session = s->dead.items[i];

		if (session->dirty)
			s->dead.items[kept++] = session;
		else
			session_free(session);
	}
	s->dead.count = kept;
}

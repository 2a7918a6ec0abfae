/*
 * session.c - Engine.IO protocol 4: one session over polling or WebSocket.
 *
 * Called by gateway/'s transports with requests and messages, by the timer
 * wheel, and by socket.c and server.c to send.  Whatever a client does wrong
 * ends its session through session_close(), which is the only way out; the
 * memory goes with the next server_flush().  protocol.md section 1.
 *
 * Each session has one timer and several deadlines (SessionState); the timer
 * is set for the nearest, and one that was cleared meanwhile only makes it
 * fire for nothing.
 */
#include "core/server.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "wire/address.h"

static void session_timer(Timer *t, uint64_t now);
static void receive_packet(Session *s, const EioPacket *p);
static void receive_probe(Session *s, bool binary, Slice bytes);
static void retire(Session *s);
static bool push(Session *s, Frame *f);

/* ---- opening ---- */

static void
push_open_packet(Session *s)
{
	char		text[EIO_OPEN_MAX];
	EioHandshake h = {
		.sid = s->sid,
		.upgrades = s->transport == TRANSPORT_POLLING,
		.ping_interval_ms = s->state->ping_interval,
		.ping_timeout_ms = s->state->ping_timeout,
		.max_payload = s->server->options.max_payload
	};
	Frame	   *f = frame_packet(slice(text, eio_open_packet(text, &h)));

	session_push(s, f);
	frame_unref(f);
}

static uint32_t
sid_hash(const Server *server, Slice sid)
{
	return hash_bytes(server->key, 0, sid);
}

/* One more session of this address?  A handshake is taken off its rate only if so. */
static Refusal
judge(Server *server, Held *address)
{
	const ServerOptions *o = &server->options;

	if (server->is_draining)
		return REFUSED_DRAINING;
	if (server->sessions.count >= o->max_connections)
		return REFUSED_CONNECTIONS;
	if (o->max_connections_per_ip > 0 && address->count > o->max_connections_per_ip)
		return REFUSED_ADDRESS;
	if (o->max_handshakes_per_second > 0 && !bucket_take(&address->rate, o->max_handshakes_per_second, 1, server->now))
		return REFUSED_RATE;
	return REFUSED_NOT;
}

Session *
session_open(Server *server, Transport t, const SessionPeer *peer, uint64_t now, Refusal *refusal)
{
	static const GatewayCounter counters[] = {
		[REFUSED_DRAINING] = COUNTER_REFUSED_DRAINING,
		[REFUSED_CONNECTIONS] = COUNTER_REFUSED_MAX_CONNECTIONS,
		[REFUSED_ADDRESS] = COUNTER_REFUSED_PER_IP,
		[REFUSED_RATE] = COUNTER_REFUSED_HANDSHAKES,
	};
	const ServerOptions *o = &server->options;
	uint8_t		key[ADDRESS_KEY_MAX];
	Held	   *address;
	Session    *s;
	SessionState *state;

	server->now = now;
	address = tally_hold(&server->addresses, address_key(peer->address, key), now);
	*refusal = judge(server, address);
	if (*refusal != REFUSED_NOT)
	{
		server->counters[counters[*refusal]]++;
		tally_release(&server->addresses, address, now);
		return NULL;
	}
	s = xcalloc(1, sizeof(Session) + sizeof(SessionState));
	state = s->state = (SessionState *) (s + 1);
	state->session = s;
	state->peer = peer_new(peer);
	state->address = address;
	s->server = server;
	s->transport = t;
	s->base64 = peer->base64;
	s->writable = t == TRANSPORT_WEBSOCKET;
	s->timer.fire = session_timer;
	random_sid(server, s->sid);
	hash_insert(&server->sessions, &state->link, sid_hash(server, slice_cstring(s->sid)));

	state->ping_interval = o->ping_interval;
	state->ping_timeout = o->ping_timeout;
	state->last_seen = now;
	state->heartbeat_at = now + o->ping_interval;
	state->connect_by = now + o->connect_timeout;
	session_arm(s);
	push_open_packet(s);
	server->counters[COUNTER_HANDSHAKES]++;
	server->counters[COUNTER_CONNECTIONS]++;
	return s;
}

Session *
session_find(Server *server, Slice sid)
{
	uint32_t	hash;

	if (sid.len != SID_LENGTH)
		return NULL;
	hash = sid_hash(server, sid);
	for (HashLink *l = hash_chain(&server->sessions, hash); l != NULL; l = l->next)
	{
		Session    *s = ((SessionState *) l)->session;

		if (l->hash == hash && memcmp(s->sid, sid.data, SID_LENGTH) == 0)
			return s;
	}
	return NULL;
}

const SessionPeer *
session_peer(const Session *s)
{
	return &s->state->peer->known;
}

uint32_t
session_max_message(const Session *s, const void *ws)
{
	uint32_t	max = s->server->options.max_payload;
	bool		known = s->sockets != NULL || s->state->kicked;

	return (known && (ws == NULL || ws != s->probe)) || max < STRANGER_MAX ? max : STRANGER_MAX;
}

/* ---- closing ---- */

static const struct
{
	const char *words;			/* protocol.md 2.3 */
	GatewayCounter counter;
	bool		lingers;		/* ended by us: a polling client hears of it with its next GET */
	bool		final;			/* ... and is not to come back where it was */
	const char *farewell;
}			reasons[] = {
	[CLOSE_TRANSPORT_CLOSE] = {"transport close", COUNTER_DISCONNECT_CLIENT, false},
	[CLOSE_TRANSPORT_ERROR] = {"transport error", COUNTER_DISCONNECT_TRANSPORT, false},
	[CLOSE_PING_TIMEOUT] = {"ping timeout", COUNTER_DISCONNECT_PING_TIMEOUT, false},
	[CLOSE_PARSE_ERROR] = {"forced close", COUNTER_DISCONNECT_PARSE_ERROR, false,.farewell = "Parse error"},
	[CLOSE_FORCED] = {"forced server close", COUNTER_DISCONNECT_FORCED, true},
	[CLOSE_CONNECT_TIMEOUT] = {"forced server close", COUNTER_DISCONNECT_CONNECT_TIMEOUT, true,.farewell = "Connect timeout"},
	[CLOSE_SLOW] = {"transport error", COUNTER_DISCONNECT_SLOW, true,.farewell = "Too slow"},
	[CLOSE_EXPIRED] = {"forced server close", COUNTER_DISCONNECT_EXPIRED, true,.farewell = "Token expired"},
	[CLOSE_FLOOD] = {"forced server close", COUNTER_DISCONNECT_FLOOD, true,.farewell = "Too many packets"},
	[CLOSE_TOO_LARGE] = {"transport error", COUNTER_DISCONNECT_TOO_LARGE, true,.farewell = "Message too large"},
	[CLOSE_BY_SERVER] = {"server namespace disconnect", COUNTER_DISCONNECT_SERVER, true, true},
	[CLOSE_SHUTDOWN] = {"server shutting down", COUNTER_DISCONNECT_SERVER, true},
};

const char *
session_reason(CloseReason reason)
{
	return reason == CLOSE_NONE ? "open" : reasons[reason].words;
}

const char *
session_farewell(CloseReason reason)
{
	return reasons[reason].farewell != NULL ? reasons[reason].farewell : "";
}

bool
session_recoverable(const Session *s)
{
	return s->closing != CLOSE_NONE && !reasons[s->closing].final;
}

static void
release_address(Session *s)
{
	if (s->state->address != NULL)
		tally_release(&s->server->addresses, s->state->address, s->server->now);
	s->state->address = NULL;
}

/* Does its client, when it comes back, get what waits for it now? */
static bool
is_replayed(const Session *s)
{
	for (const Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		if (socket->stay != NULL)
			return session_recoverable(s);
	}
	return false;
}

void
session_close(Session *s, CloseReason reason)
{
	Server	   *server = s->server;
	bool		lingers;
	bool		replayed;

	if (s->closing != CLOSE_NONE)
		return;
	s->closing = reason;
	server->counters[reasons[reason].counter]++;
	server->counters[COUNTER_CONNECTIONS]--;
	release_address(s);
	replayed = is_replayed(s);
	socket_leave_all(s, session_reason(reason));

	/*
	 * In a payload that ends in a close packet the stock client heeds that
	 * first: messages before it are kept until it is back, and then it gets
	 * them once more.
	 */
	if (reason == CLOSE_SLOW || (replayed && s->transport == TRANSPORT_POLLING))
		queue_clear(&s->queue);
	lingers = reasons[reason].lingers && s->transport == TRANSPORT_POLLING && s->poll == NULL;
	server->hooks.closed(server->hooks.ctx, s, reason);
	s->ws = s->probe = s->poll = s->answering = s->posting = NULL;
	s->answer_len = 0;
	if (lingers)
	{
		s->state->linger_until = server->now + LINGER_MS;
		session_arm(s);
	}
	else
		retire(s);
}

/* Nobody finds it any more; freed by the next flush. */
static void
retire(Session *s)
{
	timer_clear(&s->server->wheel, &s->timer);
	hash_remove(&s->server->sessions, &s->state->link);
	queue_clear(&s->queue);
	list_add(&s->server->dead, s);
}

void
session_free(Session *s)
{
	socket_leave_all(s, session_reason(CLOSE_SHUTDOWN));
	release_address(s);
	timer_clear(&s->server->wheel, &s->timer);
	queue_clear(&s->queue);
	peer_unref(s->state->peer);
	free(s);
}

/* The DISCONNECTs have to get through, or stock clients would reconnect. */
void
session_drain(Session *s)
{
	if (s->closing != CLOSE_NONE)
		return;
	while (s->sockets != NULL)
		socket_kick(s->sockets);
	if (s->transport == TRANSPORT_POLLING)
	{
		session_close(s, CLOSE_BY_SERVER);
		return;
	}
	s->state->draining = true;
	s->state->linger_until = s->server->now + LINGER_MS;
	session_arm(s);
	session_mark_dirty(s);
}

/* ---- time ---- */

static inline uint64_t
nearer(uint64_t a, uint64_t b)
{
	return b != 0 && b < a ? b : a;
}

void
session_arm(Session *s)
{
	const SessionState *state = s->state;
	uint64_t	at = UINT64_MAX;

	at = nearer(at, state->linger_until);
	if (s->closing == CLOSE_NONE)
	{
		at = nearer(at, state->heartbeat_at);
		at = nearer(at, state->connect_by);
		at = nearer(at, state->upgrade_by);
		at = nearer(at, state->slow_by);
		at = nearer(at, state->expires_at);
		at = nearer(at, state->drain_at);
	}
	timer_set(&s->server->wheel, &s->timer, at);
}

void
session_expiry(Session *s)
{
	uint64_t	at = UINT64_MAX;

	for (const Socket *socket = s->sockets; socket != NULL; socket = socket->next)
		at = nearer(at, socket->caller->expires_at);
	s->state->expires_at = at == UINT64_MAX ? 0 : at;
	session_arm(s);
}

static void
heartbeat(Session *s, uint64_t now)
{
	s->state->awaiting_pong = true;
	s->state->connects = 0;
	s->state->heartbeat_at = now + s->state->ping_timeout;
	push(s, s->server->ping);
	recovery_pinged(s);
}

static void
receive_pong(Session *s)
{
	if (!s->state->awaiting_pong)
		return;
	s->state->awaiting_pong = false;
	recovery_ponged(s);
	s->state->heartbeat_at = s->server->now + s->state->ping_interval;
	session_arm(s);
}

static void
drop_probe(Session *s)
{
	s->state->upgrading = false;
	s->state->upgrade_by = 0;
	s->server->hooks.probe_close(s->server->hooks.ctx, s);
	s->probe = NULL;
}

static inline bool
is_due(uint64_t deadline, uint64_t now)
{
	return deadline != 0 && deadline <= now;
}

static void
session_timer(Timer *t, uint64_t now)
{
	Session    *s = (Session *) ((char *) t - offsetof(Session, timer));
	SessionState *state = s->state;

	if (s->closing != CLOSE_NONE)
		retire(s);
	else if (is_due(state->linger_until, now))
		session_close(s, CLOSE_BY_SERVER);
	else if (is_due(state->connect_by, now))
		session_close(s, CLOSE_CONNECT_TIMEOUT);
	else if (is_due(state->expires_at, now))
		session_close(s, CLOSE_EXPIRED);
	else if (is_due(state->drain_at, now))
		session_close(s, CLOSE_SHUTDOWN);
	else if (is_due(state->slow_by, now))
		session_close(s, CLOSE_SLOW);
	else if (is_due(state->heartbeat_at, now) && state->awaiting_pong)
		session_close(s, CLOSE_PING_TIMEOUT);
	else
	{
		if (is_due(state->heartbeat_at, now))
			heartbeat(s, now);
		if (is_due(state->upgrade_by, now))
			drop_probe(s);
		session_arm(s);
	}
}

/* ---- sending ---- */

void
session_slow(Session *s)
{
	if (s->slow)
		return;
	s->slow = true;
	list_add(&s->server->slow, s);
}

/* Bytes kept for the client; what libwebsockets buffers for a WebSocket is bounded otherwise. */
static inline size_t
waiting_bytes(const Session *s)
{
	return s->queue.bytes + s->answer_len;
}

/*
 * One message is always taken, however large, when nothing else waits; so the
 * caps are only looked at from the second on.
 */
static bool
push(Session *s, Frame *f)
{
	Server	   *server = s->server;
	size_t		cap = server->options.max_queued;
	size_t		waiting = waiting_bytes(s);

	if (s->closing != CLOSE_NONE || s->slow)
		return false;
	if (waiting > 0 && waiting + f->ws_len > cap)
	{
		if (waiting + f->ws_len > HARD_CAP * cap)
		{
			/* Not closed here: the caller may be walking a room. */
			session_slow(s);
			return false;
		}
		if (s->state->slow_by == 0)
		{
			s->state->slow_by = server->now + SLOW_GRACE_MS;
			session_arm(s);
		}
	}
	queue_push(&s->queue, f);
	s->bytes_out += f->ws_len;
	session_mark_dirty(s);
	return true;
}

void
session_push(Session *s, Frame *f)
{
	if (!push(s, f))
		return;
	s->messages_out++;
	s->server->counters[COUNTER_MESSAGES_OUT]++;
}

static void
judge_queue(Session *s)
{
	if (s->queue.count + (s->answer_len > 0) <= 1 || waiting_bytes(s) <= s->server->options.max_queued)
		s->state->slow_by = 0;
}

void
session_flushed(Session *s)
{
	s->backlog = s->queue.count > 0;
	judge_queue(s);
	recovery_continue(s);
	if (s->state->draining && !s->backlog && s->writable)
		session_close(s, CLOSE_BY_SERVER);
}

/* ---- receiving ---- */

/* False: s is flooding, and closed.  What is only too much is refused where it is an event (socket.c). */
static bool
take_flood(Session *s, Bucket *b, uint64_t rate, uint64_t n)
{
	uint32_t	most = rate * FLOOD_FACTOR < UINT32_MAX ? (uint32_t) (rate * FLOOD_FACTOR) : UINT32_MAX;

	if (rate == 0 || bucket_take(b, most, n, s->server->now))
		return true;
	session_close(s, CLOSE_FLOOD);
	return false;
}

/* A message or body of so many bytes has come.  One of max_payload is none too many. */
static bool
take_bytes(Session *s, size_t n)
{
	const ServerOptions *o = &s->server->options;
	uint64_t	rate = o->max_bytes_per_second;

	return take_flood(s, &s->state->all_bytes, rate > 0 && rate < o->max_payload ? o->max_payload : rate, n);
}

static void
heard(Session *s, size_t bytes)
{
	s->state->last_seen = s->server->now;
	s->state->bytes_in += bytes;
	s->server->counters[COUNTER_BYTES_IN] += bytes;
}

static void
receive_packet(Session *s, const EioPacket *p)
{
	s->server->counters[COUNTER_PACKETS_IN]++;
	if (!p->binary && !take_flood(s, &s->state->all_packets, s->server->options.max_events_per_second, 1))
		return;
	switch (p->type)
	{
		case EIO_PONG:
			receive_pong(s);
			break;
		case EIO_MESSAGE:
			s->state->messages_in++;
			s->server->counters[COUNTER_MESSAGES_IN]++;
			if (s->state->draining)
				break;
			if (p->binary)
				socket_receive_binary(s, p->data);
			else
				socket_receive(s, p->data);
			break;
		case EIO_CLOSE:
			s->state->hung_up = true;
			session_close(s, CLOSE_TRANSPORT_CLOSE);
			break;
		case EIO_PING:
			/* Pings are ours to send since protocol 4. */
			session_close(s, CLOSE_FORCED);
			break;
		case EIO_OPEN:
		case EIO_UPGRADE:
		case EIO_NOOP:
			break;
	}
}

/* A client that sends no binary frames (forceBase64) sends them as in a polling body. */
static void
receive_base64(Session *s, Slice text)
{
	uint8_t    *copy = xmalloc(text.len);
	EioBody		body = {.at = copy, .len = text.len};
	EioPacket	p;

	memcpy(copy, text.data, text.len);
	if (eio_body_next(&body, &p) == WIRE_OK && body.done)
		receive_packet(s, &p);
	else
		session_close(s, CLOSE_PARSE_ERROR);
	free(copy);
}

void
session_receive_ws(Session *s, void *ws, bool binary, Slice bytes, uint64_t now)
{
	EioPacket	p = {.type = EIO_MESSAGE, .binary = true, .data = bytes};

	s->server->now = now;
	if (s->closing != CLOSE_NONE || ws == NULL)
		return;
	heard(s, bytes.len);
	if (ws == s->probe)
		receive_probe(s, binary, bytes);
	else if (ws != s->ws || !take_bytes(s, bytes.len))
		return;
	else if (!binary && bytes.len > 0 && bytes.data[0] == 'b')
		receive_base64(s, bytes);
	else if (binary || eio_decode(bytes, &p) == WIRE_OK)
		receive_packet(s, &p);
	else
		session_close(s, CLOSE_PARSE_ERROR);
}

void
session_ws_gone(Session *s, void *ws)
{
	if (s->closing != CLOSE_NONE || ws == NULL)
		return;
	if (ws == s->probe)
	{
		s->probe = NULL;
		s->state->upgrading = false;
		s->state->upgrade_by = 0;
	}
	else if (ws == s->ws)
	{
		s->ws = NULL;
		session_close(s, CLOSE_TRANSPORT_CLOSE);
	}
}

/* ---- upgrade ---- */

bool
session_upgrade_begin(Session *s, void *ws, uint64_t now)
{
	s->server->now = now;
	if (s->closing != CLOSE_NONE || s->transport != TRANSPORT_POLLING || s->probe != NULL)
		return false;
	s->probe = ws;
	s->state->upgrade_by = now + s->server->options.upgrade_timeout;
	session_arm(s);
	return true;
}

/* From here on everything queued goes over the WebSocket, in order. */
static void
upgrade(Session *s)
{
	s->transport = TRANSPORT_WEBSOCKET;
	s->ws = s->probe;
	s->probe = NULL;
	s->writable = true;
	s->backlog = false;
	s->state->upgrading = false;
	s->state->upgrade_by = 0;
	session_mark_dirty(s);
}

static void
receive_probe(Session *s, bool binary, Slice bytes)
{
	EioPacket	p;

	s->server->counters[COUNTER_PACKETS_IN]++;
	if (binary || eio_decode(bytes, &p) != WIRE_OK)
		drop_probe(s);
	else if (p.type == EIO_PING && slice_equal(p.data, SLICE_LITERAL("probe")))
	{
		s->state->upgrading = true;
		s->server->hooks.probe_send(s->server->hooks.ctx, s, SLICE_LITERAL("3probe"));
		/* The client waits for its GET before it sends "5". */
		session_mark_dirty(s);
	}
	else if (p.type == EIO_UPGRADE)
		upgrade(s);
	else
		drop_probe(s);
}

/* ---- polling ---- */

PollResult
session_poll(Session *s, void *request, uint64_t now)
{
	s->server->now = now;
	if (s->closing != CLOSE_NONE)
		return s->state->linger_until != 0 ? POLL_READY : POLL_REFUSED;
	if (s->transport != TRANSPORT_POLLING)
		return POLL_REFUSED;
	if (s->poll != NULL || s->answering != NULL)
	{
		session_close(s, CLOSE_TRANSPORT_ERROR);
		return POLL_REFUSED;
	}
	heard(s, 0);
	recovery_continue(s);
	if (s->closing != CLOSE_NONE)
		return POLL_REFUSED;
	s->poll = request;
	return s->queue.count > 0 || s->state->upgrading ? POLL_READY : POLL_PARKED;
}

/* The frames that fit into one payload. */
static uint32_t
payload_frames(Session *s, size_t *size)
{
	uint32_t	n = 0;

	*size = 0;
	while (n < s->queue.count)
	{
		size_t		len = frame_poll(queue_at(&s->queue, n)).len + (n > 0);

		if (n > 0 && *size + len > s->server->options.max_payload && s->closing == CLOSE_NONE)
			break;
		*size += len;
		n++;
	}
	return n;
}

uint8_t *
session_poll_take(Session *s, size_t *len)
{
	SessionState *state = s->state;
	size_t		size = 0;
	uint32_t	n = 0;
	char		last = 0;		/* a packet without data behind the frames */
	uint8_t    *payload;
	uint8_t    *at;

	if (s->transport == TRANSPORT_POLLING && !state->hung_up)
		n = payload_frames(s, &size);
	if (s->closing != CLOSE_NONE && s->transport == TRANSPORT_POLLING && !state->hung_up)
		last = '1';
	else if (n == 0)
		last = '6';

	at = payload = xmalloc(size + 2);
	for (uint32_t i = 0; i < n; i++)
	{
		if (i > 0)
			at = write_u8(at, EIO_SEPARATOR);
		at = write_bytes(at, frame_poll(queue_at(&s->queue, i)));
	}
	if (last != 0)
	{
		if (n > 0)
			at = write_u8(at, EIO_SEPARATOR);
		at = write_u8(at, (uint8_t) last);
	}
	queue_drop(&s->queue, n);
	*len = (size_t) (at - payload);
	if (s->closing == CLOSE_NONE)
	{
		s->answering = s->poll;
		s->answer_len = *len;
		judge_queue(s);
	}
	s->poll = NULL;
	if (state->linger_until != 0 && s->closing != CLOSE_NONE)
		retire(s);
	s->server->counters[COUNTER_BYTES_OUT] += *len;
	return payload;
}

void
session_poll_sent(Session *s)
{
	s->answering = NULL;
	s->answer_len = 0;
	judge_queue(s);
}

void
session_poll_aborted(Session *s)
{
	s->poll = s->answering = NULL;
	s->answer_len = 0;
	if (s->transport == TRANSPORT_POLLING)
		session_close(s, CLOSE_TRANSPORT_ERROR);
}

bool
session_post_begin(Session *s, void *request)
{
	if (s->closing != CLOSE_NONE || s->transport != TRANSPORT_POLLING)
		return false;
	if (s->posting != NULL)
	{
		session_close(s, CLOSE_TRANSPORT_ERROR);
		return false;
	}
	s->posting = request;
	return true;
}

bool
session_post(Session *s, uint8_t *body, size_t len, uint64_t now)
{
	EioBody		rest = {.at = body, .len = len};
	EioPacket	p;

	s->server->now = now;
	s->posting = NULL;
	if (s->closing != CLOSE_NONE || !take_bytes(s, len))
		return false;
	heard(s, len);
	do
	{
		if (eio_body_next(&rest, &p) == WIRE_OK)
			receive_packet(s, &p);
		else
			session_close(s, CLOSE_PARSE_ERROR);
	} while (s->closing == CLOSE_NONE && !rest.done);
	return s->closing == CLOSE_NONE || s->state->hung_up;
}

void
session_post_failed(Session *s, bool aborted)
{
	s->posting = NULL;
	if (aborted)
		session_close(s, CLOSE_TRANSPORT_ERROR);
}

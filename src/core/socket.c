/*
 * socket.c - Socket.IO protocol 5: the stays of a session in namespaces.
 *
 * Called by session.c with the content of Engine.IO messages.  A Socket lives
 * from an accepted CONNECT to a DISCONNECT of either side or to the end of
 * its session; it belongs to the session's list and is in its namespace's
 * registry.  Any violation ends the whole session.  protocol.md section 2.
 */
#include "core/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/follow.h"
#include "core/session_state.h"
#include "core/text.h"

/* All attachments of one event together: so many times max_payload. */
#define COLLECTED_MAX 4

/* "user:" or "tenant:" and an id; longer names could not be emitted to. */
#define ID_ROOM_MAX ENVELOPE_MAX_NAME

static void collect(Session *s, Socket *socket, const SioPacket *p, Slice text);
static void left(Session *s);

void
random_text(Server *server, char *text, size_t bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t		random[18] = {0};

	assert(bytes <= 16);
	server->hooks.random(server->hooks.ctx, random, bytes);
	for (size_t bit = 0; bit < 8 * bytes; bit += 6)
	{
		const uint8_t *at = random + bit / 8;

		*text++ = digits[(at[0] << 8 | at[1]) >> (10 - bit % 8) & 63];
	}
	*text = '\0';
}

void
random_sid(Server *server, char sid[SID_LENGTH + 1])
{
	random_text(server, sid, SID_LENGTH / 4 * 3);
}

/* ---- what the server says ---- */

static void
send_packet(Session *s, SioType type, Slice nsp, Slice json)
{
	size_t		len = sio_encode(NULL, type, nsp, json);
	uint8_t    *text = xmalloc(len);
	Frame	   *f;

	sio_encode(text, type, nsp, json);
	f = frame_message(slice(text, len), (EnvelopeList) {0});
	session_push(s, f);
	frame_unref(f);
	free(text);
}

static void
send_connect_error(Session *s, Slice nsp, const ConnectError *err)
{
	char		json[256];
	int			len;

	if (err->code != NULL)
		len = snprintf(json, sizeof(json), "{\"message\":\"%s\",\"data\":{\"code\":\"%s\"}}", err->message, err->code);
	else
		len = snprintf(json, sizeof(json), "{\"message\":\"%s\"}", err->message);
	assert(len > 0 && (size_t) len < sizeof(json));
	send_packet(s, SIO_CONNECT_ERROR, nsp, slice(json, (size_t) len));
}

static void
send_connected(const Socket *socket)
{
	char		json[SID_LENGTH + PID_LENGTH + 32];
	const Caller *caller = socket->caller;
	int			len;

	if (socket->stay != NULL)
		len = snprintf(json, sizeof(json), "{\"sid\":\"%s\",\"pid\":\"%s\"}", caller->sid, socket->stay->pid);
	else
		len = snprintf(json, sizeof(json), "{\"sid\":\"%s\"}", caller->sid);
	send_packet(socket->session, SIO_CONNECT, slice_cstring(caller->nsp), slice(json, (size_t) len));
}

void
socket_send(Socket *socket, Slice packet, EnvelopeList attachments)
{
	Frame	   *f = frame_message(packet, attachments);

	socket_push(socket, socket->session->base64 ? frame_base64(f) : f);
	frame_unref(f);
}

/* ---- coming and going ---- */

static void
log_socket(const Socket *socket, const char *reason)
{
	const Server *server = socket->session->server;

	if (server->options.log_connections)
		server->hooks.socket_log(server->hooks.ctx, socket, reason);
}

static Socket *
find_socket(const Session *s, Slice nsp)
{
	for (Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		if (slice_equal(slice_cstring(socket->caller->nsp), nsp))
			return socket;
	}
	return NULL;
}

static void
join_id(Socket *socket, const char *prefix, const char *id)
{
	char		room[ID_ROOM_MAX + 1];
	int			len;

	if (id == NULL)
		return;
	len = snprintf(room, sizeof(room), "%s%s", prefix, id);
	if ((size_t) len < sizeof(room))
		registry_join(&socket->member, slice(room, (size_t) len));
}

/* A user's connections are counted, not sockets: those of one session are one. */
static Socket *
same_user(const Session *s, const char *user)
{
	Socket	   *socket = s->sockets;

	while (socket != NULL && (socket->caller->identity.user_id == NULL || strcmp(socket->caller->identity.user_id, user) != 0))
		socket = socket->next;
	return socket;
}

static bool
has_too_many(const Session *s, const char *user)
{
	uint32_t	max = s->server->options.max_connections_per_user;

	return max > 0 && user != NULL && same_user(s, user) == NULL &&
		tally_count(&s->server->users, slice_cstring(user)) >= max;
}

static bool
has_all_namespaces(const Session *s)
{
	uint32_t	max = s->server->options.max_namespaces_per_connection;
	uint32_t	n = 0;

	for (const Socket *socket = s->sockets; socket != NULL; socket = socket->next)
		n++;
	return max > 0 && n >= max;
}

static void
release_user(Session *s, Socket *socket)
{
	Socket	   *other;

	if (socket->user == NULL)
		return;
	other = same_user(s, socket->caller->identity.user_id);
	if (other != NULL)
		other->user = socket->user;
	else
		tally_release(&s->server->users, socket->user, s->server->now);
}

/*
 * A new socket is in its rooms at once, so that nothing that is committed from
 * now on is missed; what comes before its CONNECT is answered is held.  One
 * that is to be recovered is in none before it has got what it missed.
 */
static void
enter(Session *s, Namespace *n, Identity *identity, Slice auth, Stay *stay)
{
	Server	   *server = s->server;
	Socket	   *socket = xcalloc(1, sizeof(*socket));
	Caller	   *caller;

	if (identity->user_id != NULL && same_user(s, identity->user_id) == NULL)
		socket->user = tally_hold(&server->users, slice_cstring(identity->user_id), server->now);
	socket->session = s;
	socket->caller = caller = caller_new(socket, namespace_name(n), identity, auth, stay != NULL);
	socket->next = s->sockets;
	s->sockets = socket;
	s->state->connect_by = 0;
	session_expiry(s);
	server->counters[COUNTER_SOCKETS]++;

	if (stay != NULL)
		recovery_attach(stay, socket);
	else
	{
		recovery_begin(socket, auth);
		registry_enter(n, &socket->member);
		registry_join(&socket->member, slice_cstring(caller->sid));
		join_id(socket, "user:", caller->identity.user_id);
		join_id(socket, "tenant:", caller->identity.tenant_id);
	}
	if (!server->use_handlers)
		socket_connected(socket);
	else
		call_connect(caller);
}

void
socket_connected(Socket *socket)
{
	if (recovery_is_claim(socket))
	{
		recovery_feed(socket);
		return;
	}
	socket->connected = true;
	socket->session->server->counters[COUNTER_CONNECTS]++;
	log_socket(socket, NULL);
	if (socket->stay != NULL)
		recovery_tell(socket->stay);
	send_connected(socket);
	for (uint32_t i = 0; i < socket->held.count; i++)
		session_push(socket->session, queue_at(&socket->held, i));
	queue_clear(&socket->held);
}

static void
connect_socket(Session *s, const SioPacket *p)
{
	static const ConnectError unknown = {.message = "Invalid namespace"};
	static const ConnectError too_large = {.message = "Auth payload too large",.code = "auth_too_large"};
	static const ConnectError unstorable = {.message = "Auth payload cannot be handled",.code = "auth_invalid"};
	static const ConnectError namespaces = {.message = "Too many namespaces",.code = "too_many_namespaces"};
	static const ConnectError too_many = {.message = "Too many connections",.code = "too_many_connections"};
	Server	   *server = s->server;
	Namespace  *n = registry_find_namespace(server->registry, p->nsp);
	Identity	identity = {0};
	ConnectError err = {0};
	Stay	   *stay;

	/*
	 * One body or one turn of the loop can carry hundreds of thousands of
	 * CONNECTs, and each means checking a signature and an answer in the
	 * queue; a name that long is nobody's namespace and not worth an echo.
	 */
	if (++s->state->connects > CONNECTS_MAX)
		session_close(s, CLOSE_FLOOD);
	else if (p->nsp.len > ENVELOPE_MAX_NAME)
		session_close(s, CLOSE_FORCED);
	else if (n == NULL)
	{
		server->counters[COUNTER_REFUSED_NAMESPACE]++;
		send_connect_error(s, p->nsp, &unknown);
	}
	else if (find_socket(s, p->nsp) != NULL)
		session_close(s, CLOSE_FORCED);
	else if (has_all_namespaces(s))
	{
		server->counters[COUNTER_REFUSED_NAMESPACES]++;
		send_connect_error(s, p->nsp, &namespaces);
	}
	else if (!server->hooks.authorize(server->hooks.ctx, s, p->json, &identity, &err))
	{
		server->counters[COUNTER_REFUSED_AUTH]++;
		send_connect_error(s, p->nsp, &err);
		identity_clear(&identity);
	}
	else if (server->use_handlers && !caller_auth_fits(p->json))
	{
		server->counters[COUNTER_REFUSED_AUTH_SIZE]++;
		send_connect_error(s, p->nsp, &too_large);
		identity_clear(&identity);
	}
	else if (server->use_handlers && !caller_auth_storable(p->json))
	{
		server->counters[COUNTER_REFUSED_AUTH]++;
		send_connect_error(s, p->nsp, &unstorable);
		identity_clear(&identity);
	}
	else
	{
		/* First, since it ends the connection that the client comes back from. */
		stay = recovery_claim(s, namespace_name(n), &identity, p->json);
		if (!has_too_many(s, identity.user_id))
			enter(s, n, &identity, p->json, stay);
		else
		{
			server->counters[COUNTER_REFUSED_PER_USER]++;
			send_connect_error(s, p->nsp, &too_many);
			identity_clear(&identity);
		}
	}
}

void
socket_leave(Socket *socket, const char *reason)
{
	Session    *s = socket->session;
	Socket	  **at = &s->sockets;

	if (socket->connected)
		log_socket(socket, reason);
	while (*at != socket)
		at = &(*at)->next;
	*at = socket->next;
	release_user(s, socket);
	if (s->state->collected != NULL && s->state->collected->socket == socket)
		s->state->collected->socket = NULL;
	recovery_left(socket);
	follow_end(socket);
	registry_exit(&socket->member);
	caller_leave(socket->caller, socket->connected, reason);
	queue_clear(&socket->held);
	free(socket);
	s->server->counters[COUNTER_SOCKETS]--;
	if (s->closing == CLOSE_NONE)
		session_expiry(s);
}

/* A session without sockets has connect_timeout to get one again. */
static void
left(Session *s)
{
	if (s->sockets != NULL)
		return;
	s->state->connect_by = s->server->now + s->server->options.connect_timeout;
	session_arm(s);
}

void
socket_refused(Socket *socket, Slice error)
{
	Session    *s = socket->session;

	send_packet(s, SIO_CONNECT_ERROR, slice_cstring(socket->caller->nsp), error);
	socket_leave(socket, "server namespace disconnect");
	left(s);
}

void
socket_kick(Socket *socket)
{
	Session    *s = socket->session;

	send_packet(s, SIO_DISCONNECT, slice_cstring(socket->caller->nsp), (Slice) {0});
	socket_leave(socket, "server namespace disconnect");
	s->state->kicked = true;
	left(s);
}

static void
drop_collected(Session *s)
{
	if (s->state->collected == NULL)
		return;
	free(s->state->collected->bytes);
	free(s->state->collected);
	s->state->collected = NULL;
}

void
socket_leave_all(Session *s, const char *reason)
{
	while (s->sockets != NULL)
		socket_leave(s->sockets, reason);
	drop_collected(s);
}

/* ---- events ---- */

/*
 * An event or an ack is complete, attachments included.  We never ask for an
 * ack, so those are ignored, and so is an event without a name.
 */
static void
receive_event(Socket *socket, const SioPacket *p, EnvelopeList attachments)
{
	SessionState *state = socket->session->state;
	Server	   *server = socket->session->server;
	const ServerOptions *o = &server->options;

	if (p->event.len == 0)
		return;
	if (o->max_events_per_second > 0 && !bucket_take(&state->events, o->max_events_per_second, 1, server->now))
	{
		server->counters[COUNTER_REFUSED_EVENTS]++;
		call_refuse_event(socket->caller, p, "too many events", "rate_limited");
	}
	else if (o->max_bytes_per_second > 0 &&
			 !bucket_take(&state->bytes, o->max_bytes_per_second, p->json.len + attachments.bytes.len, server->now))
	{
		server->counters[COUNTER_REFUSED_BYTES]++;
		call_refuse_event(socket->caller, p, "too many bytes", "rate_limited");
	}
	else
		call_event(socket->caller, p, attachments);
}

void
socket_receive(Session *s, Slice text)
{
	SioPacket	p;
	Socket	   *socket;

	/* Only attachments may come while some are due. */
	if (s->state->collected != NULL || sio_decode(text, &p) != WIRE_OK)
	{
		session_close(s, CLOSE_PARSE_ERROR);
		return;
	}
	if (p.type == SIO_CONNECT)
	{
		connect_socket(s, &p);
		return;
	}

	/*
	 * What a client sent before it heard that we disconnected it there is no
	 * violation.
	 */
	socket = find_socket(s, p.nsp);
	if (p.type == SIO_CONNECT_ERROR || (socket == NULL && !s->state->kicked) ||
		(socket != NULL && !socket->connected))
		session_close(s, CLOSE_FORCED);
	else if (p.attachments > 0)
		collect(s, socket, &p, text);
	else if (socket == NULL)
		return;
	else if (p.type == SIO_DISCONNECT)
	{
		socket_leave(socket, "client namespace disconnect");
		left(s);
	}
	else
		receive_event(socket, &p, (EnvelopeList) {0});
}

/* ---- attachments ---- */

static void
append(Collected *c, Slice bytes)
{
	if (c->len + bytes.len > c->space)
	{
		c->space = (c->len + bytes.len) * 3 / 2;
		c->bytes = xrealloc(c->bytes, c->space);
	}
	write_bytes(c->bytes + c->len, bytes);
	c->len += bytes.len;
}

static void
collect(Session *s, Socket *socket, const SioPacket *p, Slice text)
{
	Collected  *c = xcalloc(1, sizeof(*c));

	c->socket = socket;
	c->expected = p->attachments;
	append(c, text);
	c->text_len = c->len;
	s->state->collected = c;
}

static void
collected_all(Session *s)
{
	Collected  *c = s->state->collected;
	SioPacket	p;
	Text		attachments = {0};
	size_t		at = c->text_len;

	/* It was checked when it came; now it is read where it is kept. */
	s->state->collected = NULL;
	if (c->socket != NULL && sio_decode(slice(c->bytes, c->text_len), &p) == WIRE_OK)
	{
		for (uint32_t i = 0; i < c->count; at = c->ends[i++])
			text_add_item(&attachments, slice(c->bytes + at, c->ends[i] - at));
		receive_event(c->socket, &p, (EnvelopeList) {c->count, text_slice(&attachments)});
	}
	text_free(&attachments);
	free(c->bytes);
	free(c);
}

void
socket_receive_binary(Session *s, Slice bytes)
{
	Collected  *c = s->state->collected;

	if (c == NULL)
		session_close(s, CLOSE_PARSE_ERROR);
	else if (c->len + bytes.len > (size_t) COLLECTED_MAX * s->server->options.max_payload)
		session_close(s, CLOSE_TOO_LARGE);
	else
	{
		append(c, bytes);
		c->ends[c->count++] = c->len;
		if (c->count == c->expected)
			collected_all(s);
	}
}

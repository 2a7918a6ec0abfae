/*
 * fuzz_session.c - any order of calls into the server, as hostile clients,
 * a stalling transport, the bus and the clock may bring about.
 *
 * A script is bytes: a call, the client it is for, operands; texts are taken
 * from the script or from a list that gets past the codecs.  After each step
 * what is cheap to check is checked; the sanitizers see the rest.
 */
#include "../unit/rig.h"

#include "core/session_state.h"

typedef struct Script
{
	const uint8_t *at;
	const uint8_t *end;
} Script;

static const ServerOptions options = {
	.ping_interval = 300, .ping_timeout = 200, .connect_timeout = 450, .upgrade_timeout = 100,
	.max_payload = 200, .max_connections = 6, .max_connections_per_user = 2, .max_queued = 2000,
	.recovery_window = 600, .history_size = 8000, .max_connections_per_ip = 5, .max_handshakes_per_second = 20,
	.max_events_per_second = 20, .max_bytes_per_second = 2000, .max_rooms_per_socket = 5
};

/* The newest pids, to come back with. */
#define PIDS 8
static char pids[PIDS][PID_LENGTH + 1];

/* What the script reads here decides how the transports behave. */
static Script script;

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t
next(void)
{
	return script.at < script.end ? *script.at++ : 0;
}

static Slice
text(char *buffer, size_t space)
{
	static const char *const texts[] = {
		"40", "40/admin,", "40{\"user\":\"1\",\"tenant\":\"t\"}", "40{\"refuse\":1}", "41", "41/admin,", "42[\"x\"]",
		"42/admin,7[\"x\"]", "43[]", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]", "452-[\"x\"]", "461-7[1]",
		"421[\"room:join\",\"r\"]", "422[\"room:leave\",\"r\"]", "42[\"room:emit\",\"r\",\"x\",1]", "423[\"auth:refresh\",\"t\"]",
		"2probe", "5", "3", "1", "2", "6", "40/nowhere,", "44{}", "b", "bAQID", "x", ""
	};
	uint8_t		n = next();
	size_t		len;

	if (n >= 240)
	{
		size_t		at = (size_t) snprintf(buffer, space, "40{\"user\":\"1\",\"tenant\":\"t\",\"pid\":\"%s\"", pids[next() % PIDS]);
		uint8_t		offset = next() % 4;

		if (offset == 1 || offset == 2)
			at += (size_t) snprintf(buffer + at, space - at, offset == 1 ? ",\"offset\":\"1.%x.1\"" : ",\"offset\":\"1.0.0.%x\"", next());
		else
			at += (size_t) snprintf(buffer + at, space - at, "%s", offset == 3 ? ",\"recovery\":false" : "");
		at += (size_t) snprintf(buffer + at, space - at, "}");
		return slice(buffer, at);
	}
	if (n < sizeof(texts) / sizeof(texts[0]))
		return slice(buffer, (size_t) snprintf(buffer, space, "%s", texts[n]));
	len = n % 32;
	len = len < (size_t) (script.end - script.at) ? len : (size_t) (script.end - script.at);
	memcpy(buffer, script.at, len);
	script.at += len;
	return slice(buffer, len);
}

/* Like the unit tests' transport, but it marks and hangs up at odd moments. */
static void
odd_flush(void *ctx, Session *s)
{
	Client	   *c = rig_client(s);
	uint8_t		mood = next();

	rig_flush(ctx, s);
	c->log[c->len = 0] = '\0';
	if (c->pid[0] != '\0')
		memcpy(pids[c - rig.clients > 7 ? 7 : c - rig.clients], c->pid, sizeof(c->pid));
	if (mood % 16 == 15)
		session_mark_dirty(s);
	if (mood % 64 == 63 && s->ws != NULL)
		session_ws_gone(s, s->ws);
	if (mood % 8 == 7)
		c->stalled = !c->stalled;
}

static void
odd_closed(void *ctx, Session *s, CloseReason reason)
{
	Client	   *c = rig_client(s);

	rig_closed(ctx, s, reason);
	c->log[c->len = 0] = '\0';
}

static void
bus(uint8_t what)
{
	static const char *const lists[] = {"", "user:1", "tenant:t", "user:1,tenant:t", "p", "p,q,user:1"};
	static const char *const packets[] = {"2[\"x\"]", "2[\"y\",1]", "51-[\"b\",{\"_placeholder\":true,\"num\":0}]"};
	static char large[3000];
	Envelope	e = {
		.kind = what & 8 ? ENVELOPE_SOCKETS_JOIN + next() % 3 : ENVELOPE_EMIT,
		.nsp = what & 16 ? SLICE_LITERAL("/admin") : SLICE_LITERAL("/"),
		.rooms = rig_list(lists[next() % 6]), .except = rig_list(lists[next() % 6])
	};

	if (e.kind == ENVELOPE_DISCONNECT_SOCKETS)
	{
		e.flags = what & 1 ? ENVELOPE_CLOSE : 0;
		e.except = (EnvelopeList) {0};
	}
	if (e.kind == ENVELOPE_EMIT)
	{
		e.flags = what & 1 ? ENVELOPE_VOLATILE : 0;
		e.throttle_ms = what & 2 ? next() : 0;
		e.packet = slice_cstring(packets[what % 3]);
		if (what % 3 == 2)
			e.attachments = rig_list("abc");
		if (what % 7 == 6)
		{
			memset(large, 'x', sizeof(large));
			large[0] = '2';
			e.packet = slice(large, 100 + next() * 10u);
		}
	}
	if (what & 4)
	{
		e.flags |= ENVELOPE_ALL;
		e.rooms = (EnvelopeList) {0};
	}
	if (rig_message(&e) == WIRE_BAD && e.packet.data != NULL)
		abort();
}

static void
post(Client *c)
{
	char		buffer[128];
	char		body[500];
	size_t		len = 0;

	for (int n = next() % 3; n >= 0; n--)
	{
		Slice		t = text(buffer, sizeof(buffer));

		memcpy(body + len, t.data, t.len);
		len += t.len;
		if (n > 0)
			body[len++] = EIO_SEPARATOR;
	}
	(void) session_post(c->s, (uint8_t *) body, len, rig.now);
}

static void
client_step(Client *c, uint8_t what)
{
	char		buffer[128];
	Slice		t;

	switch (what)
	{
		case 0:
		case 1:
		case 2:
			t = text(buffer, sizeof(buffer));
			session_receive_ws(c->s, next() % 8 ? c->s->ws : &c->get, false, t, rig.now);
			break;
		case 3:
			t = text(buffer, sizeof(buffer));
			session_receive_ws(c->s, c->s->ws, true, t, rig.now);
			break;
		case 4:
			t = text(buffer, sizeof(buffer));
			session_receive_ws(c->s, c->s->probe, next() % 16 == 0, t, rig.now);
			break;
		case 5:
			(void) session_upgrade_begin(c->s, &c->probe, rig.now);
			break;
		case 6:
			session_ws_gone(c->s, next() % 2 ? c->s->ws : c->s->probe);
			break;
		case 7:
			if (c->s->poll != NULL || c->s->answering != NULL)
				session_poll_aborted(c->s);
			break;
		case 8:
			if (session_post_begin(c->s, &c->post) && next() % 4)
				post(c);
			break;
		case 9:
			if (c->s->posting != NULL && next() % 2)
				post(c);
			else
				session_post_failed(c->s, next() % 2);
			break;
		case 10:
			c->stalled = !c->stalled;
			if (c->s->answering != NULL && !c->stalled)
				session_poll_sent(c->s);
			session_mark_dirty(c->s);
			break;
		case 11:
			session_close(c->s, (CloseReason) (1 + next() % CLOSE_SHUTDOWN));
			break;
	}
}

/* The database: its calls in flight, answered in any order. */
#define RUNNING 8
static Call *running[RUNNING];
static uint64_t ids[RUNNING];

static void
database(uint8_t what)
{
	static const char *const rules[] = {"", "e / x\ne /admin x\n", "c /\nd /\nj / r x\ne / x\n", "j / * x\nd /admin\n"};
	static const char *const replies[] = {"[]", "[true]", "[false]", "[\"r\",\"s\"]", "{", "[1,{}]"};
	int			i = next() % RUNNING;
	CallResult	r = {.message = SLICE_LITERAL("no"), .code = SLICE_LITERAL("PT400")};
	uint8_t		marker[HANDLER_MARKER_SIZE];
	Envelope	e = {.kind = ENVELOPE_MARKER, .nsp = SLICE_LITERAL("/"), .packet = slice(marker, sizeof(marker))};
	Text		reply = {0};
	uint8_t		none[4] = {0};

	switch (what % 8)
	{
		case 0:
			server_use_handlers(rig.server, next() % 4 != 0);
			break;
		case 1:
			if (rig_set_rules(rules[next() % 4]) != WIRE_OK)
				abort();
			break;
		case 2:
		case 3:
			if (running[i] == NULL && (running[i] = server_call_next(rig.server)) != NULL)
				ids[i] = running[i]->id;
			break;
		case 4:
		case 5:
			if (running[i] == NULL)
				break;
			r.outcome = (CallOutcome) (next() % 3);
			r.marked = next() % 2;
			text_add_item(&reply, slice_cstring(replies[next() % 6]));
			text_add(&reply, slice(none, 4));
			r.reply = text_slice(&reply);
			server_call_done(rig.server, running[i], &r, rig.now);
			running[i] = NULL;
			break;
		case 6:
			write_u64(write_u64(marker, server_marker(rig.server)), ids[i]);
			if (rig_message(&e) != WIRE_OK)
				abort();
			break;
		case 7:
			server_expire_calls(rig.server, rig.now, next());
			break;
	}
	text_free(&reply);
}

static void
step(void)
{
	const Slice names[] = {SLICE_LITERAL("/admin"), SLICE_LITERAL("/"), SLICE_LITERAL("/x")};
	uint8_t		what = next() % 30;
	int			i = next() % 8;
	Client	   *c = &rig.clients[i];
	SessionPeer peer = {.base64 = i == 1, .address = SLICE_LITERAL("::1")};

	if (what < 12 && c->s != NULL)
		client_step(c, what);
	else if (what < 12)
		rig_open_with(i, (Transport) (what & 1), &peer);
	else if (what < 14)
		rig_get(c);
	else if (what < 19)
		bus(next());
	else if (what < 22)
	{
		rig.now += next();
		server_tick(rig.server, rig.now);
	}
	else if (what >= 24)
		database(next());
	else if (what == 22)
		server_set_namespaces(rig.server, names + next() % 2, 2);
	else if (i == 0)
		server_shutdown(rig.server);
	else if (i == 1)
	{
		ServerOptions other = options;

		other.recovery_window = next() % 2 ? options.recovery_window : 0;
		other.history_size = next() * 100u;
		server_configure(rig.server, &other);
	}
	else
		server_flush(rig.server);
	if (next() % 4 == 0)
		server_flush(rig.server);
	c->log[c->len = 0] = '\0';
}

static void
check(void)
{
	uint64_t   *counters = server_counters(rig.server);
	uint64_t	open = 0;
	uint64_t	sockets = 0;
	uint64_t	absent = 0;

	for (int i = 0; i < RIG_CLIENTS; i++)
	{
		Session    *s = rig.clients[i].s;

		if (s == NULL)
			continue;
		open++;
		for (Socket *socket = s->sockets; socket != NULL; socket = socket->next)
		{
			sockets++;
			if (!recovery_is_claim(socket) && !registry_is_in(&socket->member, slice_cstring(socket->caller->sid)))
				abort();
			if (recovery_is_claim(socket) && (socket->connected || socket->member.nsp != NULL || socket->stay->socket != socket))
				abort();
		}
		if (s->closing != CLOSE_NONE || session_find(rig.server, slice_cstring(s->sid)) != s)
			abort();
		if (s->queue.count > 1 && s->queue.bytes > HARD_CAP * options.max_queued)
			abort();
		if ((s->answering != NULL) != (s->answer_len > 0) || (s->answering != NULL && s->poll != NULL))
			abort();
		if ((s->transport == TRANSPORT_WEBSOCKET) != (s->ws != NULL) || !timer_is_set(&s->timer))
			abort();
	}
	for (const Stay *stay = rig.server->recovery.first; stay != NULL; stay = stay->next)
		absent++;
	if (counters[COUNTER_ABSENT] != absent || absent > options.max_connections + open ||
		counters[COUNTER_HISTORY_BYTES] > 25500)
		abort();
	if (counters[COUNTER_CONNECTIONS] != open || counters[COUNTER_SOCKETS] != sockets)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	script = (Script) {data, data + size};
	rig_start_with(&options);
	rig.server->hooks.flush = odd_flush;
	rig.server->hooks.closed = odd_closed;
	memset(running, 0, sizeof(running));
	memset(pids, 0, sizeof(pids));
	while (script.at < script.end)
	{
		step();
		check();
	}
	rig_stop();
	return 0;
}

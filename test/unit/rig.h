/*
 * rig.h - a server on a test clock, with transports that write down what
 * they were told.
 *
 * Each Client stands for one browser.  What the server says to it is a line
 * of words in client->log, compared and emptied by SAID():
 *
 *     2                 a text packet over WebSocket
 *     <0102>            a binary packet over WebSocket, in hexadecimal
 *     get(2|40{..})     a GET was answered; packets separated by |
 *     probe(3probe)     said on the probing WebSocket
 *     probe-closed      ... which was hung up
 *     post-dropped      the POST being read is not wanted any more
 *     closed(reason)    hooks.closed
 *
 * Session ids and pids are shown as *.  Also used by the fuzzers of core/.
 */
#ifndef ROOMS_TEST_RIG_H
#define ROOMS_TEST_RIG_H

#include "core/call.h"
#include "core/recovery.h"
#include "core/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RIG_CLIENTS 16
#define RIG_UNUSED __attribute__((unused))

typedef struct Client
{
	Session    *s;				/* NULL when closed */
	CloseReason reason;
	bool		stalled;		/* its WebSocket takes nothing, answers to its GETs do not get out */
	char		sid[SID_LENGTH + 1];
	char		pid[PID_LENGTH + 1];	/* of the newest CONNECT that was answered */
	char		log[8192];
	size_t		len;
	int			ws,
				probe,
				get,
				post;			/* their addresses stand for connections and requests */
} Client;

static struct
{
	Server	   *server;
	uint64_t	now;
	uint64_t	random;
	uint64_t	lsn;			/* of the newest message: 1, 2, ... */
	Refusal		refusal;		/* of the newest session */
	const char *refreshed;		/* the user that {"token":...} is of, tenant t */
	uint64_t	valid_ms;		/* of the tokens that come from now on */
	Client		clients[RIG_CLIENTS];
} rig;

static const ServerOptions rig_options = {
	.ping_interval = 25000, .ping_timeout = 20000, .connect_timeout = 45000, .upgrade_timeout = 10000,
	.max_payload = 1000000, .max_connections = RIG_CLIENTS, .max_queued = 4000000
};

/* ---- hooks ---- */

/* What stands behind `before` becomes *; `kept`, if any, is told what it was. */
static void
rig_hide(Client *c, const char *before, size_t length, char *kept)
{
	for (char *at = c->log; (at = strstr(at, before)) != NULL;)
	{
		at += strlen(before);
		if (*at == '*' || strlen(at) < length)
			continue;
		if (kept != NULL)
			memcpy(kept, at, length);
		*at++ = '*';
		memmove(at, at + length - 1, strlen(at + length - 1) + 1);
		c->len = strlen(c->log);
	}
}

static void
rig_say(Client *c, const char *before, Slice text, const char *after)
{
	int			n = snprintf(c->log + c->len, sizeof(c->log) - c->len, "%s%s%.*s%s",
							 c->len > 0 ? " " : "", before, (int) text.len, (const char *) text.data, after);

	c->len += (size_t) n < sizeof(c->log) - c->len ? (size_t) n : 0;
	c->log[c->len] = '\0';
	for (char *at = c->log; (at = strchr(at, EIO_SEPARATOR)) != NULL;)
		*at = '|';
	rig_hide(c, "\"sid\":\"", SID_LENGTH, NULL);
	rig_hide(c, "\"pid\":\"", PID_LENGTH, c->pid);
}

static Client *
rig_client(const Session *s)
{
	for (int i = 0; i < RIG_CLIENTS; i++)
	{
		if (rig.clients[i].s == s)
			return &rig.clients[i];
	}
	return NULL;
}

static void
rig_random(void *ctx, uint8_t *out, size_t n)
{
	(void) ctx;
	for (size_t i = 0; i < n; i++)
	{
		rig.random = rig.random * 6364136223846793005u + 1442695040888963407u;
		out[i] = (uint8_t) (rig.random >> 56);
	}
}

/* {"user":"7","tenant":"t"}: that is who it is; {"refuse":...}: refused. */
static bool
rig_authorize(void *ctx, const Session *s, Slice auth, Identity *id, ConnectError *err)
{
	char		user[64];
	char		tenant[64];
	char	   *text = strndup((const char *) auth.data, auth.len);
	int			n = sscanf(text, "{\"user\":\"%63[^\"]\",\"tenant\":\"%63[^\"]\"}", user, tenant);
	bool		refuse = strncmp(text, "{\"refuse\"", 9) == 0;

	(void) ctx;
	(void) s;
	free(text);
	if (refuse)
	{
		*err = (ConnectError) {"Invalid token", "bad_signature"};
		return false;
	}
	if (n == 0 && rig.refreshed != NULL)
	{
		snprintf(user, sizeof(user), "%s", rig.refreshed);
		strcpy(tenant, "t");
		n = 2;
	}
	id->user_id = n > 0 ? strdup(user) : NULL;
	id->tenant_id = n > 1 ? strdup(tenant) : NULL;
	id->valid_ms = rig.valid_ms;
	return true;
}

static void
rig_answer_get(Client *c, Session *s)
{
	size_t		len;
	uint8_t    *payload = session_poll_take(s, &len);

	rig_say(c, "get(", slice(payload, len), ")");
	free(payload);
	if (s->answering != NULL && !c->stalled)
		session_poll_sent(s);
}

/* Takes server frames apart (RFC 6455 5.2, unmasked, final). */
static void
rig_say_frames(Client *c, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;

	while (at < end)
	{
		bool		binary = at[0] == 0x82;
		uint64_t	n = at[1];
		int			extra = n < 126 ? 0 : n == 126 ? 2 : 8;

		assert(at[0] == 0x81 || at[0] == 0x82);
		n = extra > 0 ? 0 : n;
		for (int i = 0; i < extra; i++)
			n = n << 8 | at[2 + i];
		at += 2 + extra;
		assert(n <= (uint64_t) (end - at));
		if (binary)
		{
			char		hex[65];
			size_t		shown = n < 32 ? n : 32;

			for (size_t i = 0; i < shown; i++)
				snprintf(hex + 2 * i, 3, "%02x", at[i]);
			rig_say(c, "<", slice(hex, 2 * shown), ">");
		}
		else
			rig_say(c, "", slice(at, n), "");
		at += n;
	}
}

static void
rig_flush(void *ctx, Session *s)
{
	Client	   *c = rig_client(s);

	(void) ctx;
	assert(c != NULL && s->closing == CLOSE_NONE);
	if (s->poll != NULL)
		rig_answer_get(c, s);
	if (s->transport != TRANSPORT_WEBSOCKET)
		return;
	s->writable = !c->stalled;
	while (!c->stalled && s->queue.count > 0)
	{
		Frame	   *f = queue_at(&s->queue, 0);

		rig_say_frames(c, f->ws, f->ws_len);
		queue_drop(&s->queue, 1);
	}
}

static void
rig_closed(void *ctx, Session *s, CloseReason reason)
{
	Client	   *c = rig_client(s);

	(void) ctx;
	assert(c != NULL && reason != CLOSE_NONE && s->closing == reason);
	if (s->poll != NULL)
		rig_answer_get(c, s);
	if (s->posting != NULL)
		rig_say(c, "post-dropped", (Slice) {0}, "");
	rig_say(c, "closed(", slice_cstring(session_reason(reason)), ")");
	c->s = NULL;
	c->reason = reason;
}

static void
rig_probe_send(void *ctx, Session *s, Slice packet)
{
	(void) ctx;
	rig_say(rig_client(s), "probe(", packet, ")");
}

static void
rig_probe_close(void *ctx, Session *s)
{
	(void) ctx;
	assert(s->probe != NULL);
	rig_say(rig_client(s), "probe-closed", (Slice) {0}, "");
}

static void
rig_nothing(void *ctx)
{
	(void) ctx;
}

static int	rig_misses[MISSED_KINDS];

static void
rig_missed(void *ctx, MissedKind why)
{
	(void) ctx;
	rig_misses[why]++;
}

/* No digest, but as good as one for tests. */
static void
rig_digest(void *ctx, Slice secret, uint8_t out[32])
{
	(void) ctx;
	for (int i = 0; i < 4; i++)
	{
		uint64_t	h = 14695981039346656037u + (uint64_t) i;

		for (size_t k = 0; k < secret.len; k++)
			h = (h ^ secret.data[k]) * 1099511628211u;
		write_u64(out + 8 * i, h);
	}
}

static ServerHooks rig_hooks = {
	.digest = rig_digest,
	.missed = rig_missed,
	.call_waiting = rig_nothing, .rules_changed = rig_nothing,
	.random = rig_random, .authorize = rig_authorize, .flush = rig_flush, .closed = rig_closed,
	.probe_send = rig_probe_send, .probe_close = rig_probe_close
};

/* ---- what a test does ---- */

static void
rig_start_with(const ServerOptions *options)
{
	const Slice names[] = {SLICE_LITERAL("/"), SLICE_LITERAL("/admin")};

	memset(&rig, 0, sizeof(rig));
	rig.now = 1000000;
	rig.valid_ms = UINT64_MAX;
	rig.server = server_new(options, &rig_hooks, rig.now);
	server_set_namespaces(rig.server, names, 2);
}

static void RIG_UNUSED
rig_start(void)
{
	rig_start_with(&rig_options);
}

static void RIG_UNUSED
rig_stop(void)
{
	server_free(rig.server);
	rig.server = NULL;
}

/* Lets time pass as the loop would: a tick and a flush at a time. */
static void RIG_UNUSED
rig_wait(uint64_t ms)
{
	uint64_t	until = rig.now + ms;

	while (rig.now < until)
	{
		rig.now = rig.now + TIMER_TICK_MS < until ? rig.now + TIMER_TICK_MS : until;
		server_tick(rig.server, rig.now);
		server_flush(rig.server);
	}
}

static Client *RIG_UNUSED
rig_open_with(int i, Transport t, const SessionPeer *peer)
{
	Client	   *c = &rig.clients[i];

	memset(c, 0, sizeof(*c));
	c->s = session_open(rig.server, t, peer, rig.now, &rig.refusal);
	if (c->s == NULL)
		return c;
	memcpy(c->sid, c->s->sid, sizeof(c->sid));
	if (t == TRANSPORT_WEBSOCKET)
	{
		c->s->ws = &c->ws;
		server_flush(rig.server);
	}
	else if (session_poll(c->s, &c->get, rig.now) == POLL_READY)
		rig_answer_get(c, c->s);
	return c;
}

static Client *RIG_UNUSED
rig_open(int i, Transport t)
{
	const SessionPeer peer = {.address = SLICE_LITERAL("127.0.0.1"), .authorization = SLICE_LITERAL("Bearer x")};

	return rig_open_with(i, t, &peer);
}

static void RIG_UNUSED
rig_send(Client *c, const char *text)
{
	if (c->s != NULL)
		session_receive_ws(c->s, &c->ws, false, slice_cstring(text), rig.now);
	server_flush(rig.server);
}

static void RIG_UNUSED
rig_send_binary(Client *c, const void *bytes, size_t n)
{
	if (c->s != NULL)
		session_receive_ws(c->s, &c->ws, true, slice(bytes, n), rig.now);
	server_flush(rig.server);
}

static void RIG_UNUSED
rig_probe(Client *c, const char *text)
{
	if (c->s != NULL)
		session_receive_ws(c->s, &c->probe, false, slice_cstring(text), rig.now);
	server_flush(rig.server);
}

/* A GET; a lingering session is found by its sid, as the gateway does. */
static PollResult RIG_UNUSED
rig_get(Client *c)
{
	Session    *s = session_find(rig.server, slice_cstring(c->sid));
	PollResult	r;

	if (s == NULL)
		return POLL_REFUSED;
	r = session_poll(s, &c->get, rig.now);
	if (r == POLL_READY)
		rig_answer_get(c, s);
	server_flush(rig.server);
	return r;
}

/* A POST; '|' separates packets. */
static bool RIG_UNUSED
rig_post(Client *c, const char *text)
{
	char	   *body = strdup(text);
	size_t		len = strlen(body);
	bool		ok = false;

	for (char *at = body; (at = strchr(at, '|')) != NULL;)
		*at = EIO_SEPARATOR;
	if (c->s != NULL && session_post_begin(c->s, &c->post))
		ok = session_post(c->s, (uint8_t *) body, len, rig.now);
	free(body);
	server_flush(rig.server);
	return ok;
}

/* What was said so far is of no interest. */
static void RIG_UNUSED
rig_forget(Client *c)
{
	c->len = 0;
	c->log[0] = '\0';
}

/* Opened over WebSocket and connected to "/"; the log is emptied. */
static Client *RIG_UNUSED
rig_connect(int i, const char *user, const char *tenant)
{
	Client	   *c = rig_open(i, TRANSPORT_WEBSOCKET);
	char		text[200];

	snprintf(text, sizeof(text), "40{\"user\":\"%s\",\"tenant\":\"%s\"}", user, tenant);
	rig_send(c, text);
	rig_forget(c);
	return c;
}

/* "a,b" as a list; at most 16 names, 2000 bytes.  The newest four are valid. */
static EnvelopeList RIG_UNUSED
rig_list(const char *names)
{
	static uint8_t buffers[4][2200];
	static int	turn;
	uint8_t    *buffer = buffers[turn++ & 3];
	uint8_t    *at = buffer;
	EnvelopeList list = {0};

	while (*names != '\0')
	{
		size_t		n = strcspn(names, ",");

		at = write_string(at, slice(names, n));
		list.count++;
		names += n + (names[n] == ',');
	}
	list.bytes = slice(buffer, (size_t) (at - buffer));
	return list;
}

/* Sends an envelope over the bus; no flush. */
static WireResult RIG_UNUSED
rig_message(const Envelope *e)
{
	size_t		size = envelope_size(e);
	uint8_t    *bytes = malloc(size);
	LinkMessage m = {.timeline = 1, .lsn = ++rig.lsn, .envelope = slice(bytes, size)};
	WireResult	r;

	envelope_encode(e, bytes);
	r = server_message(rig.server, &m, rig.now);
	free(bytes);
	return r;
}

/* Emits to rooms ("*": everybody) of "/" and flushes. */
static void RIG_UNUSED
rig_emit(const char *rooms, const char *except, uint8_t flags, uint32_t throttle_ms, const char *packet)
{
	bool		all = strcmp(rooms, "*") == 0;
	Envelope	e = {
		.kind = ENVELOPE_EMIT, .flags = flags | (all ? ENVELOPE_ALL : 0), .throttle_ms = throttle_ms,
		.nsp = SLICE_LITERAL("/"), .rooms = rig_list(all ? "" : rooms), .except = rig_list(except),
		.packet = slice_cstring(packet)
	};
	WireResult	r = rig_message(&e);

	assert(r == WIRE_OK);
	(void) r;
	server_flush(rig.server);
}

/* Was exactly this said since the last time? */
static bool RIG_UNUSED
rig_said(Client *c, const char *expected)
{
	bool		same = strcmp(c->log, expected) == 0;

	if (!same)
		printf("# said %s\n", c->log);
	rig_forget(c);
	return same;
}

#define SAID(c, expected) CHECK(rig_said(c, expected))

/* "e / name", "j / ticket:* cursor,typing", "c /", "d /", lines of them. */
static void RIG_UNUSED
rig_add_rules(Text *t, const char *lines)
{
	uint32_t	count = 0;
	uint8_t		word[4];

	for (const char *at = lines; *at != '\0'; at++)
		count += *at == '\n';
	write_u32(word, count);
	text_add(t, slice(word, 4));
	while (*lines != '\0')
	{
		char		nsp[64] = "",
					name[64] = "",
					relay[64] = "";
		EnvelopeList list;

		sscanf(lines, "%*c %63s%63[^\n]", nsp, name);
		if (name[0] == ' ')
			sscanf(name, " %63s %63s", name, relay);
		text_add(t, slice(lines, 1));
		text_add_item(t, slice_cstring(nsp));
		text_add_item(t, slice_cstring(name));
		list = rig_list(relay);
		write_u32(word, list.count);
		text_add(t, slice(word, 4));
		text_add(t, list.bytes);
		lines = strchr(lines, '\n') + 1;
	}
}

static WireResult RIG_UNUSED
rig_set_rules(const char *lines)
{
	Text		t = {0};
	WireResult	r;

	rig_add_rules(&t, lines);
	r = server_set_rules(rig.server, text_slice(&t));
	text_free(&t);
	server_flush(rig.server);
	return r;
}

/* The handshake that a handler would be given. */
static inline const char *
rig_handshake(const Caller *caller)
{
	static char text[500];
	Text		t = {0};

	caller_handshake(caller, &t);
	snprintf(text, sizeof(text), "%.*s", (int) t.len, (const char *) t.bytes);
	text_free(&t);
	return text;
}

#endif							/* ROOMS_TEST_RIG_H */

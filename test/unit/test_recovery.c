/*
 * test_recovery.c - sockets that come back: what they get, and who is not
 * taken back.  Message n of the bus stands at offset 1.n.1.
 */
#include "calls.h"

#include "core/session_state.h"

#define WINDOW 60000

static ServerOptions options;
static void
start(void)
{
	options = rig_options;
	options.recovery_window = WINDOW;
	options.history_size = 1000000;
	rig_start_with(&options);
	memset(rig_misses, 0, sizeof(rig_misses));
}

static uint64_t
counter(GatewayCounter c)
{
	return server_counters(rig.server)[c];
}

/* A new connection that shows a pid, and an offset unless that is NULL.  `more` of auth. */
static Client *
back_with(int i, const char *pid, const char *offset, const char *who, const char *more)
{
	Client	   *c;
	char		text[400];

	snprintf(text, sizeof(text), "40{%s,\"pid\":\"%s\"%s%s%s%s}", who, pid, offset != NULL ? ",\"offset\":\"" : "",
			 offset != NULL ? offset : "", offset != NULL ? "\"" : "", more);
	c = rig_open(i, TRANSPORT_WEBSOCKET);
	rig_forget(c);
	rig_send(c, text);
	return c;
}

#define ALICE "\"user\":\"1\",\"tenant\":\"t\""

static Client *
back(int i, const char *pid, const char *offset)
{
	char		copy[PID_LENGTH + 1];	/* it may be in the client that is opened anew */

	snprintf(copy, sizeof(copy), "%s", pid);
	return back_with(i, copy, offset, ALICE, "");
}

static void
drop(Client *c)
{
	if (c->s != NULL)
		session_ws_gone(c->s, &c->ws);
	server_flush(rig.server);
}

static void
command(EnvelopeKind kind, uint8_t flags, const char *in, const char *rooms)
{
	Envelope	e = {.kind = kind,.flags = flags,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(in),.except = rig_list(rooms)};

	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static void
emit(const char *rooms, const char *packet)
{
	rig_emit(rooms, "", 0, 0, packet);
}

#define CONNECTED	"40{\"sid\":\"*\",\"pid\":\"*\"}"

static void
wire(void)
{
	Client	   *a;
	Client	   *b;
	Client	   *c;

	unit_case("without recovery_window: the plain protocol, whatever a client asks for");
	rig_start();
	a = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_forget(a);
	rig_send(a, "40{" ALICE ",\"recovery\":true,\"pid\":\"0123456789012345678901\",\"offset\":\"1.1.1\"}");
	SAID(a, "40{\"sid\":\"*\"}");
	emit("user:1", "2[\"x\"]");
	SAID(a, "42[\"x\"]");
	rig_stop();

	unit_case("every event ends in its offset");
	start();
	a = rig_connect(0, "1", "t");
	CHECK(strlen(a->pid) == PID_LENGTH);
	emit("user:1", "2[\"x\"]");
	emit("user:1", "2[\"y\",{\"a\":[1]}]");
	SAID(a, "42[\"x\",\"1.1.1\"] 42[\"y\",{\"a\":[1]},\"1.2.1\"]");
	rig_emit("user:1", "", ENVELOPE_VOLATILE, 0, "2[\"v\"]");
	SAID(a, "42[\"v\",\"1.3.1\"]");

	unit_case("... with attachments, on both transports, and as base64");
	{
		const SessionPeer old = {.base64 = true};
		Envelope	e = {.kind = ENVELOPE_EMIT,.flags = ENVELOPE_ALL,.nsp = SLICE_LITERAL("/"),
		.packet = SLICE_LITERAL("51-[\"b\",{\"_placeholder\":true,\"num\":0}]"),.attachments = rig_list("abc")};

		b = rig_open(1, TRANSPORT_POLLING);
		rig_post(b, "40{" ALICE "}");
		rig_get(b);
		c = rig_open_with(2, TRANSPORT_WEBSOCKET, &old);
		rig_send(c, "40{" ALICE "}");
		rig_forget(b);
		rig_forget(c);
		CHECK(rig_message(&e) == WIRE_OK);
		server_flush(rig.server);
		SAID(a, "451-[\"b\",{\"_placeholder\":true,\"num\":0},\"1.4.1\"] <616263>");
		rig_get(b);
		SAID(b, "get(451-[\"b\",{\"_placeholder\":true,\"num\":0},\"1.4.1\"]|bYWJj)");
		SAID(c, "451-[\"b\",{\"_placeholder\":true,\"num\":0},\"1.4.1\"] bYWJj");
	}

	unit_case("... unless the client wants none");
	b = rig_open(3, TRANSPORT_WEBSOCKET);
	rig_forget(b);
	rig_send(b, "40{\"user\":\"2\",\"tenant\":\"t\",\"recovery\":false}");
	SAID(b, "40{\"sid\":\"*\"}");
	emit("user:1,user:2", "2[\"x\"]");
	SAID(b, "42[\"x\"]");
	SAID(a, "42[\"x\",\"1.5.1\"]");
	rig_stop();

	unit_case("what has no place on the bus has the newest: relays, errors; a late value stands behind it");
	start();
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("j / r* say\n") == WIRE_OK);
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	recovery_join(a->s->sockets, SLICE_LITERAL("r"), true);
	recovery_join(b->s->sockets, SLICE_LITERAL("r"), true);
	rig_emit("user:2", "", 0, 1000, "2[\"t\",1]");
	rig_emit("user:2", "", 0, 1000, "2[\"t\",2]");
	rig_emit("user:2", "", 0, 1000, "2[\"t\",3]");
	emit("user:3", "2[\"x\"]");
	SAID(b, "42[\"t\",1,\"1.1.1\"]");
	rig_send(a, "42[\"room:emit\",\"r\",\"say\",1]");
	SAID(b, "42[\"say\",1,{\"userId\":\"1\",\"sid\":\"*\"},\"1.4.1\"]");
	rig_wait(1100);
	SAID(b, "42[\"t\",3,\"1.4.1.1\"]");
	rig_send(b, "427[\"room:emit\",\"q\",\"say\",1]");
	SAID(b, "42[\"error\",{\"event\":\"room:emit\",\"message\":\"not in the room\",\"code\":\"not_in_room\"},\"1.4.1.1\"] "
		 "437[{\"error\":{\"message\":\"not in the room\",\"code\":\"not_in_room\"}}]");
	rig_stop();
}

static void
recovery(void)
{
	Client	   *a;
	char		sid[SID_LENGTH + 1];
	char		pid[PID_LENGTH + 1];

	unit_case("who comes back gets what it missed, then its CONNECT's answer, as the same socket");
	start();
	a = rig_connect(0, "1", "t");
	strcpy(sid, a->s->sockets->caller->sid);
	strcpy(pid, a->pid);
	emit("user:1", "2[\"a\"]");
	SAID(a, "42[\"a\",\"1.1.1\"]");
	drop(a);
	CHECK(counter(COUNTER_ABSENT) == 1);
	emit("user:1", "2[\"b\"]");
	emit("user:2", "2[\"-\"]");
	emit("*", "2[\"c\"]");
	emit("tenant:t,user:1", "2[\"d\"]");
	a = back(1, pid, "1.1.1");
	SAID(a, "42[\"b\",\"1.2.1\"] 42[\"c\",\"1.4.1\"] 42[\"d\",\"1.5.1\"] " CONNECTED);
	CHECK(strcmp(a->pid, pid) == 0 && strcmp(a->s->sockets->caller->sid, sid) == 0);
	emit("user:1", "2[\"e\"]");
	SAID(a, "42[\"e\",\"1.6.1\"]");
	CHECK(counter(COUNTER_RECOVERED) == 1 && counter(COUNTER_ABSENT) == 0);

	unit_case("again and again");
	for (int i = 0; i < 3; i++)
	{
		char		offset[20];

		snprintf(offset, sizeof(offset), "1.%x.1", 6 + i);
		drop(a);
		emit("user:1", "2[\"f\"]");
		a = back(i, pid, offset);
		CHECK(strncmp(a->log, "42[\"f\",", 7) == 0 && strstr(a->log, "42[\"f\"") == a->log &&
			  strstr(a->log + 1, "42[\"f\"") == NULL);
	}
	rig_stop();

	unit_case("a pid without an offset, before the first event; an offset from before the CONNECT is older than that");
	start();
	emit("user:1", "2[\"a\"]");
	a = rig_connect(0, "1", "t");
	drop(a);
	emit("user:1", "2[\"b\"]");
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"b\",\"1.2.1\"] " CONNECTED);
	rig_stop();
	start();
	emit("user:1", "2[\"a\"]");
	a = rig_connect(0, "1", "t");
	drop(a);
	emit("user:1", "2[\"b\"]");
	a = back(1, a->pid, "1.0.0");
	SAID(a, "42[\"b\",\"1.2.1\"] " CONNECTED);
	rig_stop();

	unit_case("a connection that ended before the client had the answer: what it got it may keep, so nothing is sent again");
	start();
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	drop(a);
	emit("user:1", "2[\"a\"]");
	emit("user:1", "2[\"b\"]");
	a = back(1, pid, NULL);
	drop(a);
	a = back(2, pid, "1.1.1");
	SAID(a, CONNECTED);
	CHECK(strcmp(a->pid, pid) != 0 && counter(COUNTER_RECOVERY_GAP) == 1);

	unit_case("... but if nothing had been sent it may try again, and if its offset shows that it had the answer");
	strcpy(pid, a->pid);
	drop(a);
	a = back(1, pid, NULL);
	drop(a);
	emit("user:1", "2[\"a\"]");
	emit("user:1", "2[\"b\"]");
	a = back(2, pid, NULL);
	SAID(a, "42[\"a\",\"1.3.1\"] 42[\"b\",\"1.4.1\"] " CONNECTED);
	drop(a);
	emit("user:1", "2[\"c\"]");
	a = back(3, pid, "1.4.1");
	SAID(a, "42[\"c\",\"1.5.1\"] " CONNECTED);

	unit_case("... or a pong does");
	rig_wait(rig_options.ping_interval + 100);
	rig_send(a, "3");
	drop(a);
	a = back(4, pid, NULL);
	SAID(a, CONNECTED);
	CHECK(strcmp(a->pid, pid) == 0);
	rig_stop();

	unit_case("by polling");
	start();
	a = rig_open(0, TRANSPORT_POLLING);
	rig_post(a, "40{" ALICE "}");
	rig_get(a);
	strcpy(pid, a->pid);
	rig_get(a);
	session_poll_aborted(a->s);
	server_flush(rig.server);
	emit("user:1", "2[\"a\"]");
	{
		char		text[200];

		snprintf(text, sizeof(text), "40{" ALICE ",\"pid\":\"%s\"}", pid);
		a = rig_open(1, TRANSPORT_POLLING);
		rig_forget(a);
		rig_post(a, text);
	}
	rig_get(a);
	SAID(a, "get(42[\"a\",\"1.1.1\"]|" CONNECTED ")");

	unit_case("... no message in a payload that closes: the stock client would give it out twice");
	emit("user:1", "2[\"b\"]");
	session_close(a->s, CLOSE_SHUTDOWN);
	server_flush(rig.server);
	rig_get(a);
	SAID(a, "closed(server shutting down) get(1)");
	a = back(2, pid, "1.1.1");
	SAID(a, "42[\"b\",\"1.2.1\"] " CONNECTED);
	rig_stop();

	unit_case("two namespaces of one connection, each for itself");
	start();
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	rig_send(a, "40/admin,{" ALICE "}");
	CHECK(strcmp(pid, a->pid) != 0);
	drop(a);
	CHECK(counter(COUNTER_ABSENT) == 2);
	emit("user:1", "2[\"a\"]");
	{
		char		text[200];

		snprintf(text, sizeof(text), "40/admin,{" ALICE ",\"pid\":\"%s\"}", a->pid);
		a = back(1, pid, NULL);
		rig_send(a, text);
	}
	SAID(a, "42[\"a\",\"1.1.1\"] " CONNECTED " 40/admin,{\"sid\":\"*\",\"pid\":\"*\"}");
	CHECK(counter(COUNTER_RECOVERED) == 2);
	rig_stop();
}

/* Not taken back: a new socket, which has missed nothing; counted as `why`. */
static void
refused(const char *what, const char *offset, const char *who, GatewayCounter why)
{
	Client	   *a;
	char		pid[PID_LENGTH + 1];

	unit_case("%s: a new socket", what);
	start();
	emit("user:1", "2[\"a\"]");
	emit("user:1", "2[\"b\"]");
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	drop(a);
	emit("user:1,user:2", "2[\"c\"]");
	a = back_with(1, pid, offset, who, "");
	SAID(a, CONNECTED);
	CHECK(strcmp(a->pid, pid) != 0);
	CHECK(counter(why) == 1 && counter(COUNTER_RECOVERED) == 0 && rig_misses[MISSED_GAP] == (why == COUNTER_RECOVERY_GAP));
	if (why != COUNTER_RECOVERY_IDENTITY)
		CHECK(counter(COUNTER_ABSENT) == 0);
	else
	{
		/* The one whose it is may still come. */
		a = back(2, pid, NULL);
		SAID(a, "42[\"c\",\"1.3.1\"] " CONNECTED);
	}
	rig_stop();
}

static void
refusals(void)
{
	static const char *const forged[] = {
		"", "01234567890123456789", "0123456789012345678901", "012345678901234567890123456789", "\\u0041", "\",\"x\":\""
	};
	Client	   *a;
	Client	   *b;
	char		pid[PID_LENGTH + 1];

	refused("another user", NULL, "\"user\":\"2\",\"tenant\":\"t\"", COUNTER_RECOVERY_IDENTITY);
	refused("another tenant", NULL, "\"user\":\"1\",\"tenant\":\"u\"", COUNTER_RECOVERY_IDENTITY);
	refused("nobody", NULL, "\"nobody\":1", COUNTER_RECOVERY_IDENTITY);
	refused("an offset that is none", "x", ALICE, COUNTER_RECOVERY_GAP);
	refused("an offset in the future", "1.4.1", ALICE, COUNTER_RECOVERY_GAP);
	refused("an offset of another timeline", "2.3.1", ALICE, COUNTER_RECOVERY_GAP);

	unit_case("a forged pid costs nothing");
	start();
	for (size_t i = 0; i < sizeof(forged) / sizeof(*forged); i++)
	{
		a = back(0, forged[i], "1.1.1");
		SAID(a, CONNECTED);
		rig_send(a, "41");
		drop(a);
	}
	CHECK(counter(COUNTER_RECOVERED) == 0 && counter(COUNTER_ABSENT) == 0);
	rig_stop();

	unit_case("the token is verified as ever");
	start();
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	drop(a);
	a = back_with(1, pid, NULL, "\"refuse\":1", "");
	SAID(a, "44{\"message\":\"Invalid token\",\"data\":{\"code\":\"bad_signature\"}}");
	CHECK(counter(COUNTER_ABSENT) == 1);
	rig_stop();

	unit_case("another namespace");
	start();
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	drop(a);
	{
		char		text[200];

		snprintf(text, sizeof(text), "40/admin,{" ALICE ",\"pid\":\"%s\"}", pid);
		a = rig_open(1, TRANSPORT_WEBSOCKET);
		rig_send(a, text);
	}
	CHECK(counter(COUNTER_RECOVERY_IDENTITY) == 1);
	rig_stop();

	unit_case("within the window; after it, not");
	start();
	a = rig_connect(0, "1", "t");
	drop(a);
	rig_wait(WINDOW);
	a = back(1, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERED) == 1);
	drop(a);
	rig_wait(WINDOW + 100);
	a = back(2, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERED) == 1 && counter(COUNTER_RECOVERY_WINDOW) == 1 && rig_misses[MISSED_WINDOW] == 1);
	drop(a);
	rig_wait(WINDOW + ABSENT_GRACE_MS + SWEEP_MS + 100);
	CHECK(counter(COUNTER_ABSENT) == 0);
	a = back(2, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERY_UNKNOWN_PID) == 1);
	rig_stop();

	unit_case("one that took its leave: DISCONNECT of either side, or the server's close");
	start();
	a = rig_connect(0, "1", "t");
	rig_send(a, "41");
	b = rig_connect(1, "2", "t");
	command(ENVELOPE_DISCONNECT_SOCKETS, 0, "user:2", "");
	CHECK(counter(COUNTER_ABSENT) == 0);
	(void) rig_connect(2, "3", "t");
	command(ENVELOPE_DISCONNECT_SOCKETS, ENVELOPE_CLOSE, "user:3", "");
	CHECK(counter(COUNTER_ABSENT) == 0);
	drop(a);
	drop(b);
	CHECK(counter(COUNTER_ABSENT) == 0);
	a = back(3, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERY_UNKNOWN_PID) == 1);
	rig_stop();

	unit_case("every other end of a connection may be one to come back from");
	for (CloseReason reason = CLOSE_TRANSPORT_CLOSE; reason <= CLOSE_SHUTDOWN; reason++)
	{
		start();
		a = rig_connect(0, "1", "t");
		session_close(a->s, reason);
		CHECK(counter(COUNTER_ABSENT) == (reason != CLOSE_BY_SERVER));
		rig_stop();
	}

	unit_case("the history has not all of it: told, counted, a new socket");
	start();
	a = rig_connect(0, "1", "t");
	drop(a);
	options.history_size = 2000;
	server_configure(rig.server, &options);
	for (int i = 0; i < 20; i++)
		emit("user:9", "2[\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]");
	CHECK(counter(COUNTER_HISTORY_BYTES) <= 2000);
	a = back(1, a->pid, NULL);
	SAID(a, CONNECTED);
	CHECK(counter(COUNTER_RECOVERY_GAP) == 1 && rig_misses[MISSED_GAP] == 1 && counter(COUNTER_RECOVERED) == 0);
	rig_stop();

	unit_case("turned off: nobody is kept, nothing either");
	start();
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	drop(a);
	emit("user:1", "2[\"a\"]");
	options.recovery_window = 0;
	server_configure(rig.server, &options);
	CHECK(counter(COUNTER_ABSENT) == 0 && counter(COUNTER_HISTORY_BYTES) == 0);
	drop(b);
	CHECK(counter(COUNTER_ABSENT) == 0);
	a = back(2, a->pid, NULL);
	SAID(a, "40{\"sid\":\"*\"}");
	rig_stop();
}

/* Half-dead sockets, and others that want to be the same. */
static void
claims(void)
{
	Client	   *a;
	Client	   *b;

	unit_case("a pid that is in use replaces its predecessor, which nobody had heard of its end");
	start();
	a = rig_connect(0, "1", "t");
	a->stalled = true;
	emit("user:1", "2[\"a\"]");
	b = back(1, a->pid, NULL);
	SAID(b, "42[\"a\",\"1.1.1\"] " CONNECTED);
	SAID(a, "closed(transport close)");
	CHECK(counter(COUNTER_CONNECTIONS) == 1 && counter(COUNTER_SOCKETS) == 1);
	emit("user:1", "2[\"b\"]");
	SAID(b, "42[\"b\",\"1.2.1\"]");

	unit_case("... also when it is refused");
	a = back(0, b->pid, "x");
	SAID(a, CONNECTED);
	SAID(b, "closed(transport close)");
	CHECK(counter(COUNTER_CONNECTIONS) == 1);

	unit_case("... but not by somebody else");
	b = back_with(1, a->pid, NULL, "\"user\":\"2\",\"tenant\":\"t\"", "");
	SAID(b, CONNECTED);
	SAID(a, "");

	unit_case("the same connection cannot be its own successor");
	{
		char		text[200];

		snprintf(text, sizeof(text), "40{" ALICE ",\"pid\":\"%s\"}", a->pid);
		rig_send(a, text);
	}
	SAID(a, "closed(forced server close)");
	rig_stop();
}

static void
rooms(void)
{
	Client	   *a;

	unit_case("rooms are as they were; a leave, a join and a disconnect reach the absent");
	start();
	a = rig_connect(0, "1", "t");
	command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "r,s");
	drop(a);
	emit("r", "2[\"a\"]");
	command(ENVELOPE_SOCKETS_LEAVE, 0, "user:1", "r");
	emit("r", "2[\"-\"]");
	emit("q", "2[\"-\"]");
	command(ENVELOPE_SOCKETS_JOIN, 0, "s", "q");
	emit("q,s", "2[\"b\"]");
	command(ENVELOPE_SOCKETS_LEAVE, 0, "q", "q");
	command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "r");
	emit("r", "2[\"c\"]");
	emit("q", "2[\"-\"]");
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.2.1\"] 42[\"b\",\"1.7.1\"] 42[\"c\",\"1.a.1\"] " CONNECTED);
	emit("q", "2[\"-\"]");
	emit("r", "2[\"d\"]");
	SAID(a, "42[\"d\",\"1.d.1\"]");
	drop(a);
	command(ENVELOPE_DISCONNECT_SOCKETS, 0, "s", "");
	CHECK(counter(COUNTER_ABSENT) == 0);
	a = back(1, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERY_UNKNOWN_PID) == 1);
	rig_stop();

	unit_case("joins and leaves before the drop count from where they were, too");
	start();
	a = rig_connect(0, "1", "t");
	a->stalled = true;			/* none of this arrives */
	emit("r", "2[\"-\"]");
	command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "r");
	emit("r", "2[\"a\"]");
	command(ENVELOPE_SOCKETS_LEAVE, 0, "user:1", "r");
	emit("r", "2[\"-\"]");
	drop(a);
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.3.1\"] " CONNECTED);
	rig_stop();

	unit_case("more joins and leaves than can be remembered are a gap");
	start();
	a = rig_connect(0, "1", "t");
	for (int i = 0; i < STAY_LOG_MAX / 20; i++)
		command(i % 2 ? ENVELOPE_SOCKETS_LEAVE : ENVELOPE_SOCKETS_JOIN, 0, "user:1", "r");
	drop(a);
	a = back(1, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERY_GAP) == 1);
	rig_stop();

	unit_case("who is excepted is judged for the moment of the message");
	start();
	a = rig_connect(0, "1", "t");
	drop(a);
	rig_emit("user:1", "r", 0, 0, "2[\"a\"]");
	command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "r");
	rig_emit("*", "r", 0, 0, "2[\"-\"]");
	rig_emit("*", "tenant:t", 0, 0, "2[\"-\"]");
	command(ENVELOPE_SOCKETS_LEAVE, 0, "user:1", "r");
	rig_emit("*", "r", 0, 0, "2[\"b\"]");
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.1.1\"] 42[\"b\",\"1.6.1\"] " CONNECTED);
	rig_stop();

	unit_case("a namespace that is taken away takes them along");
	start();
	a = rig_connect(0, "1", "t");
	rig_send(a, "40/admin,{" ALICE "}");
	drop(a);
	server_set_namespaces(rig.server, (Slice[]) {SLICE_LITERAL("/")}, 1);
	CHECK(counter(COUNTER_ABSENT) == 1);
	rig_stop();
}

static void
messages(void)
{
	Client	   *a;

	unit_case("throttled: superseded values are not sent again, the last one is; volatile ones and relays are not");
	start();
	a = rig_connect(0, "1", "t");
	rig_emit("user:1", "", 0, 1000, "2[\"t\",1]");
	SAID(a, "42[\"t\",1,\"1.1.1\"]");
	drop(a);
	rig_emit("user:1", "", 0, 1000, "2[\"t\",2]");
	rig_emit("user:1", "", 0, 1000, "2[\"t\",3]");
	rig_emit("user:1", "", ENVELOPE_VOLATILE, 0, "2[\"v\"]");
	rig_wait(1100);
	a = back(1, a->pid, "1.1.1");
	SAID(a, "42[\"t\",3,\"1.4.1.1\"] " CONNECTED);
	drop(a);
	a = back(1, a->pid, "1.4.1.1");
	SAID(a, CONNECTED);

	unit_case("a value that waits when its client is back comes when it is due, once");
	rig_emit("user:1", "", 0, 1000, "2[\"t\",4]");
	rig_emit("user:1", "", 0, 1000, "2[\"t\",5]");
	drop(a);
	a = back(1, a->pid, "1.5.1");
	SAID(a, CONNECTED);
	rig_wait(1100);
	SAID(a, "42[\"t\",5,\"1.6.1.1\"]");
	rig_stop();

	unit_case("a client that hears nothing on a busy server may come back: pongs count");
	start();
	a = rig_connect(0, "1", "t");
	for (int i = 0; i < 20; i++)
	{
		emit("user:9", "2[\"x\"]");
		rig_wait(rig_options.ping_interval + 100);
		rig_send(a, "3");
	}
	CHECK(a->s != NULL && counter(COUNTER_HISTORY_BYTES) < 3000);
	rig_forget(a);
	emit("user:1", "2[\"a\"]");
	drop(a);
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.15.1\"] " CONNECTED);
	rig_stop();

	unit_case("... also twice, before the first pong");
	start();
	a = rig_connect(0, "1", "t");
	for (int i = 0; i < 3; i++)
	{
		drop(a);
		emit("user:9", "2[\"x\"]");
		rig_wait(WINDOW - 100);
		emit("user:9", "2[\"x\"]");
		a = back(i, a->pid, NULL);
		SAID(a, CONNECTED);
	}
	CHECK(counter(COUNTER_RECOVERED) == 3);
	rig_stop();

	unit_case("... but not the pong for a ping that was before a message");
	start();
	a = rig_connect(0, "1", "t");
	rig_wait(rig_options.ping_interval + 100);
	SAID(a, "2");
	a->stalled = true;
	emit("user:1", "2[\"a\"]");
	session_receive_ws(a->s, &a->ws, false, SLICE_LITERAL("3"), rig.now);
	drop(a);
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.1.1\"] " CONNECTED);
	rig_stop();

	unit_case("what a client missed is looked at, not what the history holds");
	start();
	a = rig_connect(0, "1", "t");
	drop(a);
	for (int i = 0; i < 1000; i++)
		emit(i % 100 ? "user:9" : "user:1", "2[\"x\"]");
	a = back(1, a->pid, NULL);
	CHECK(counter(COUNTER_HISTORY_FRAMES_SCANNED) <= 10 + 5);
	rig_stop();
}

/* Reads the numbers of events "e" from the log: they must go on from *last. */
static void
count_on(Client *c, int *last)
{
	for (const char *at = c->log; (at = strstr(at, "[\"e\",")) != NULL; at++)
	{
		int			n = atoi(at + 5);

		CHECK(n == *last + 1);
		*last = n;
	}
	if (strstr(c->log, CONNECTED) != NULL)
		c->probe = 1;
	rig_forget(c);
}

static void
emit_number(int n)
{
	char		packet[200];

	snprintf(packet, sizeof(packet), "2[\"e\",%d,\"%0100d\"]", n, n);
	emit("user:1", packet);
}

static void
pieces(void)
{
	Client	   *a;
	int			sent = 0;
	int			got = 0;

	unit_case("much that was missed comes in pieces that fit the queue, in order with what comes meanwhile");
	start();
	options.max_queued = 4000;
	server_configure(rig.server, &options);
	a = rig_connect(0, "1", "t");
	drop(a);
	while (sent < 1000)
		emit_number(++sent);
	a = back(1, a->pid, NULL);
	for (int i = 0; i < 1000 && a->probe == 0; i++)
	{
		CHECK(a->s != NULL);
		if (a->s == NULL)
			break;
		CHECK(a->s->queue.bytes <= options.max_queued);
		count_on(a, &got);
		if (i % 2)
			emit_number(++sent);
		server_flush(rig.server);
	}
	count_on(a, &got);
	CHECK(a->probe == 1 && got == sent && sent > 1010);
	emit_number(++sent);
	count_on(a, &got);
	CHECK(got == sent);

	unit_case("... also by polling");
	drop(a);
	for (int i = 0; i < 200; i++)
		emit_number(++sent);
	{
		char		text[200];
		char		pid[PID_LENGTH + 1];

		strcpy(pid, a->pid);
		snprintf(text, sizeof(text), "40{" ALICE ",\"pid\":\"%s\",\"offset\":\"1.%x.1\"}", pid, got);
		a = rig_open(1, TRANSPORT_POLLING);
		rig_forget(a);
		rig_post(a, text);
	}
	for (int i = 0; i < 1000 && a->probe == 0; i++)
	{
		CHECK(rig_get(a) != POLL_REFUSED);
		count_on(a, &got);
	}
	CHECK(a->probe == 1 && got == sent);
	rig_stop();

	unit_case("a client that takes longer than the history has is to try again");
	start();
	options.max_queued = 4000;
	options.history_size = 100000;
	server_configure(rig.server, &options);
	a = rig_connect(0, "1", "t");
	drop(a);
	for (sent = 0; sent < 200; sent++)
		emit_number(sent);
	a = rig_open(1, TRANSPORT_WEBSOCKET);
	a->stalled = true;
	{
		char		text[200];

		snprintf(text, sizeof(text), "40{" ALICE ",\"pid\":\"%s\"}", rig.clients[0].pid);
		rig_send(a, text);
	}
	for (int i = 0; i < 1000; i++)
		emit_number(++sent);
	CHECK(a->s != NULL);
	a->stalled = false;
	session_mark_dirty(a->s);
	server_flush(rig.server);
	CHECK(a->s == NULL && a->reason == CLOSE_SLOW);
	rig_stop();
}

/* ---- with handlers ---- */

/* In r1 and r2 by their rule, in s by SQL; then gone. */
static Client *
handled(const char *rules)
{
	Client	   *a;

	start();
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("j / r* x\n") == WIRE_OK);
	a = rig_connect(0, "1", "t");
	rig_send(a, "42[\"room:join\",\"r1\"]");
	answer(next(HANDLER_JOIN, "r1", "[\"r1\"]"), "[true]");
	rig_send(a, "42[\"room:join\",\"r2\"]");
	answer(next(HANDLER_JOIN, "r2", "[\"r2\"]"), "[true]");
	command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "rs");
	rig_forget(a);
	drop(a);
	CHECK(rig_set_rules(rules) == WIRE_OK);
	return a;
}

static void
handlers(void)
{
	Client	   *a;
	Call	   *c;

	unit_case("rules are asked again; what comes meanwhile is not lost");
	a = handled("j / r* x\n");
	emit("r1", "2[\"a\"]");
	emit("r2", "2[\"-\"]");
	a = back(1, a->pid, NULL);
	SAID(a, "");
	c = next(HANDLER_JOIN, "r1", "[\"r1\"]");
	CHECK(strstr(rig_handshake(c->caller), "\"recovered\":true") != NULL && strstr(rig_handshake(c->caller), "pid") == NULL);
	emit("r1", "2[\"b\"]");
	answer(c, "[true]");
	emit("rs", "2[\"c\"]");
	answer(next(HANDLER_JOIN, "r2", "[\"r2\"]"), "[false]");
	SAID(a, "42[\"a\",\"1.2.1\"] 42[\"b\",\"1.4.1\"] 42[\"c\",\"1.5.1\"] " CONNECTED);
	CHECK(server_call_next(rig.server) == NULL);
	emit("r2", "2[\"-\"]");
	emit("r1", "2[\"d\"]");
	SAID(a, "42[\"d\",\"1.7.1\"]");

	unit_case("... with each recovery");
	drop(a);
	a = back(0, a->pid, "1.7.1");
	answer(next(HANDLER_JOIN, "r1", "[\"r1\"]"), "[true]");
	SAID(a, CONNECTED);
	rig_stop();

	unit_case("without a rule nobody comes back into what a rule had allowed");
	a = handled("e / x\n");
	emit("r1,r2", "2[\"-\"]");
	emit("rs", "2[\"a\"]");
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.3.1\"] " CONNECTED);
	rig_stop();

	unit_case("a leave while the rule is asked counts, whatever it says");
	a = handled("j / r* x\n");
	emit("r1", "2[\"a\"]");
	a = back(1, a->pid, NULL);
	c = next(HANDLER_JOIN, "r1", "[\"r1\"]");
	command(ENVELOPE_SOCKETS_LEAVE, 0, "user:1", "r1");
	emit("r1", "2[\"-\"]");
	answer(c, "[true]");
	answer(next(HANDLER_JOIN, "r2", "[\"r2\"]"), "[true]");
	SAID(a, "42[\"a\",\"1.2.1\"] " CONNECTED);
	emit("r1", "2[\"-\"]");
	SAID(a, "");
	rig_stop();

	unit_case("a disconnect while it is asked ends it");
	a = handled("j / r* x\n");
	a = back(1, a->pid, NULL);
	c = next(HANDLER_JOIN, "r1", "[\"r1\"]");
	command(ENVELOPE_DISCONNECT_SOCKETS, 0, "user:1", "");
	SAID(a, "41");
	answer(c, "[true]");
	SAID(a, "");
	CHECK(server_call_next(rig.server) == NULL && counter(COUNTER_ABSENT) == 0 && counter(COUNTER_RECOVERED) == 0);
	rig_stop();

	unit_case("an error is a no; a database that cannot be reached ends the connection, to be tried again");
	a = handled("j / r* x\n");
	a = back(1, a->pid, NULL);
	fail_with(next(HANDLER_JOIN, "r1", "[\"r1\"]"), CALL_FAILED, "no", "internal_error");
	fail_with(next(HANDLER_JOIN, "r2", "[\"r2\"]"), CALL_FAILED, "no", "unavailable");
	SAID(a, "closed(forced server close)");
	CHECK(counter(COUNTER_ABSENT) == 1);
	a = back(2, rig.clients[0].pid, NULL);
	answer(next(HANDLER_JOIN, "r2", "[\"r2\"]"), "[true]");
	SAID(a, CONNECTED);
	rig_stop();

	unit_case("of two that claim it at a time the second one has it");
	a = handled("j / r* x\n");
	emit("r1", "2[\"a\"]");
	(void) back(1, a->pid, NULL);
	c = next(HANDLER_JOIN, "r1", "[\"r1\"]");
	a = back(2, rig.clients[0].pid, NULL);
	SAID(&rig.clients[1], "closed(transport close)");
	answer(c, "[true]");
	SAID(a, "");
	answer(next(HANDLER_JOIN, "r1", "[\"r1\"]"), "[true]");
	answer(next(HANDLER_JOIN, "r2", "[\"r2\"]"), "[true]");
	SAID(a, "42[\"a\",\"1.2.1\"] " CONNECTED);
	CHECK(counter(COUNTER_RECOVERED) == 1 && server_call_next(rig.server) == NULL);
	rig_stop();

	unit_case("on_disconnect runs at the drop, on_connect after it; both for the same socket");
	start();
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("c /\nd /\n") == WIRE_OK);
	a = rig_connect(0, "1", "t");
	c = next(HANDLER_CONNECT, "", "[]");
	CHECK(strstr(rig_handshake(c->caller), "\"recovered\":false") != NULL);
	answer(c, "[\"s\"]");
	rig_forget(a);
	drop(a);
	c = next(HANDLER_DISCONNECT, "", "[\"transport close\"]");
	emit("s", "2[\"a\"]");
	a = back(1, a->pid, NULL);
	CHECK(server_call_next(rig.server) == NULL);
	{
		char		sid[SID_LENGTH + 1];

		strcpy(sid, c->caller->sid);
		answer(c, "[]");
		c = next(HANDLER_CONNECT, "", "[]");
		CHECK(strcmp(c->caller->sid, sid) == 0 && strstr(rig_handshake(c->caller), "\"recovered\":true") != NULL);
	}
	SAID(a, "");
	emit("q", "2[\"-\"]");
	answer(c, "[\"q\"]");
	SAID(a, "42[\"a\",\"1.1.1\"] " CONNECTED);
	emit("q", "2[\"b\"]");
	SAID(a, "42[\"b\",\"1.3.1\"]");

	unit_case("refused by on_connect it is gone");
	drop(a);
	answer(next(HANDLER_DISCONNECT, "", "[\"transport close\"]"), "[]");
	a = back(0, a->pid, NULL);
	fail_with(next(HANDLER_CONNECT, "", "[]"), CALL_REFUSED, "no", "PT403");
	SAID(a, "44{\"message\":\"no\",\"data\":{\"code\":\"PT403\"}}");
	CHECK(counter(COUNTER_ABSENT) == 0 && server_call_next(rig.server) == NULL);

	unit_case("who left while on_disconnect of the time before still ran may come again");
	a = rig_connect(2, "1", "t");
	answer(next(HANDLER_CONNECT, "", "[]"), "[]");
	server_flush(rig.server);
	drop(a);
	c = next(HANDLER_DISCONNECT, "", "[\"transport close\"]");
	(void) back(3, a->pid, NULL);
	drop(&rig.clients[3]);
	a = back(4, a->pid, NULL);
	answer(c, "[]");
	answer(next(HANDLER_CONNECT, "", "[]"), "[]");
	CHECK(server_call_next(rig.server) == NULL && a->s->sockets->connected);

	unit_case("who waits for on_disconnect of the time before does not do so for ever");
	drop(a);
	rig_wait(5000);
	(void) back(5, a->pid, NULL);
	a = &rig.clients[5];
	rig_wait(9000);
	server_expire_calls(rig.server, rig.now, 10000);
	server_flush(rig.server);
	SAID(a, "");
	rig_wait(2000);
	server_expire_calls(rig.server, rig.now, 10000);
	server_flush(rig.server);
	SAID(a, "closed(forced server close)");
	answer(next(HANDLER_DISCONNECT, "", "[\"transport close\"]"), "[]");
	CHECK(server_call_next(rig.server) == NULL);
	rig_stop();
}

/* ---- another gateway ---- */

/* The worker's session table. */
#define ENTRIES 16
static struct
{
	uint8_t		key[STAY_KEY];
	uint8_t		value[4096];
	size_t		len;			/* 0: free */
}			table[ENTRIES];
static bool table_full;

static bool
tabulate(void *ctx, Slice key, Slice value)
{
	int			free_entry = -1;

	(void) ctx;
	CHECK(key.len == STAY_KEY && value.len <= sizeof(table[0].value));
	if (table_full)
		return false;
	for (int i = 0; i < ENTRIES; i++)
	{
		if (table[i].len > 0 && memcmp(table[i].key, key.data, STAY_KEY) == 0)
		{
			write_bytes(table[i].value, value);
			table[i].len = value.len;
			return true;
		}
		if (table[i].len == 0)
			free_entry = i;
	}
	if (value.len == 0)
		return true;
	CHECK(free_entry >= 0);
	memcpy(table[free_entry].key, key.data, STAY_KEY);
	memcpy(table[free_entry].value, value.data, value.len);
	table[free_entry].len = value.len;
	return true;
}

static int
tabulated(void)
{
	int			n = 0;

	for (int i = 0; i < ENTRIES; i++)
		n += table[i].len > 0;
	return n;
}

/* What the bus carried, for the next gateway. */
static struct
{
	uint8_t		bytes[400];
	size_t		len;
}			wal[100];

static void
log_emit(const char *rooms, uint32_t throttle_ms, const char *packet)
{
	Envelope	e = {.kind = ENVELOPE_EMIT,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(rooms),
	.throttle_ms = throttle_ms,.packet = slice_cstring(packet)};
	size_t		n = rig.lsn + 1;

	wal[n].len = (size_t) (envelope_encode(&e, wal[n].bytes) - wal[n].bytes);
	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static void
log_command(EnvelopeKind kind, const char *in, const char *rooms)
{
	Envelope	e = {.kind = kind,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(in),.except = rig_list(rooms)};
	size_t		n = rig.lsn + 1;

	wal[n].len = (size_t) (envelope_encode(&e, wal[n].bytes) - wal[n].bytes);
	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static void
start_with_table(void)
{
	start();
	memset(table, 0, sizeof(table));
	table_full = false;
	rig.server->hooks.session_table = tabulate;
	server_position(rig.server, &(LinkPosition) {.timeline = 1,.lsn = 1});
}

/* The gateway dies; the next one gets the session table, and the messages from number `from` on. */
static void
crash(uint64_t from, uint32_t timeline, const char *rules)
{
	const Slice names[] = {SLICE_LITERAL("/")};
	ServerHooks hooks = rig_hooks;
	uint64_t	now = rig.now;
	uint64_t	lsn = rig.lsn;
	uint64_t	random = rig.random;
	uint8_t		encoded[4 + 2 * LINK_TIMELINE_SIZE];
	const LinkTimeline timelines[] = {{1, 0, timeline == 1 ? UINT64_MAX : lsn - 1}, {2, lsn - 1, UINT64_MAX}};
	LinkTimelines list;
	LinkPosition p = {.timeline = 1,.lsn = from};

	hooks.session_table = tabulate;
	rig_stop();					/* a dead one says nothing */
	for (int i = 0; i < RIG_CLIENTS; i++)
		rig.clients[i].s = NULL;
	rig.now = now + 5000;
	rig.server = server_new(&options, &hooks, rig.now);
	rig.random = random + 1;
	server_set_namespaces(rig.server, names, 1);
	if (rules != NULL)
	{
		server_use_handlers(rig.server, true);
		CHECK(rig_set_rules(rules) == WIRE_OK);
	}
	CHECK(link_timelines_decode(slice(encoded, (size_t) (link_timelines_encode(encoded, timelines, timeline) - encoded)),
								&list) == WIRE_OK);
	server_set_timelines(rig.server, list);
	for (int i = 0; i < ENTRIES; i++)
	{
		if (table[i].len > 0)
			CHECK(server_session(rig.server, slice(table[i].key, STAY_KEY), slice(table[i].value, table[i].len), rig.now) == WIRE_OK);
	}
	server_covered(rig.server, &p, rig.now);
	for (uint64_t n = from; n <= lsn; n++)
	{
		LinkMessage m = {.timeline = 1,.lsn = n,.xid = n,.envelope = slice(wal[n].bytes, wal[n].len)};

		CHECK(server_history(rig.server, (uint32_t) (5000 + (lsn - n) * 10), &m, rig.now) == WIRE_OK);
		rig_wait(TIMER_TICK_MS);	/* the loop turns meanwhile */
		CHECK(server_next_tick(rig.server) == TIMER_NEVER);
	}
	p = (LinkPosition) {.timeline = timeline,.lsn = lsn + 1};
	server_position(rig.server, &p);
	rig.lsn = lsn + 1;
}

static void
another_gateway(void)
{
	Client	   *a;
	Client	   *b;
	Call	   *c;
	char		pid[PID_LENGTH + 1];
	char		sid[SID_LENGTH + 1];

	unit_case("a gateway that dies: as if the network had been lost");
	start_with_table();
	a = rig_connect(0, "1", "t");
	strcpy(pid, a->pid);
	strcpy(sid, a->s->sockets->caller->sid);
	CHECK(tabulated() == 1);
	log_command(ENVELOPE_SOCKETS_JOIN, "user:1", "r");
	log_emit("r", 0, "2[\"a\"]");
	log_command(ENVELOPE_SOCKETS_LEAVE, "user:1", "r");
	log_emit("r", 0, "2[\"-\"]");
	SAID(a, "42[\"a\",\"1.2.1\"]");
	log_command(ENVELOPE_SOCKETS_JOIN, "user:1", "q");
	log_emit("q", 0, "2[\"b\"]");
	crash(1, 1, NULL);
	CHECK(counter(COUNTER_ABSENT) == 1);
	a = back(1, pid, "1.2.1");
	SAID(a, "42[\"b\",\"1.6.1\"] " CONNECTED);
	CHECK(strcmp(a->s->sockets->caller->sid, sid) == 0);
	emit("q", "2[\"c\"]");
	emit("r", "2[\"-\"]");
	SAID(a, "42[\"c\",\"1.8.1\"]");
	rig_stop();

	unit_case("... with what the worker was not told of before it died");
	start_with_table();
	a = rig_connect(0, "1", "t");
	table_full = true;
	log_command(ENVELOPE_SOCKETS_JOIN, "user:1", "r");
	log_emit("r", 0, "2[\"a\"]");
	crash(1, 1, NULL);
	table_full = false;
	a = back(1, a->pid, NULL);
	SAID(a, "42[\"a\",\"1.2.1\"] " CONNECTED);
	rig_stop();

	unit_case("the worker is told again when it could not listen");
	start_with_table();
	table_full = true;
	a = rig_connect(0, "1", "t");
	CHECK(tabulated() == 0);
	table_full = false;
	rig_wait(100);
	CHECK(tabulated() == 1);

	unit_case("... and of everybody who leaves for good");
	rig_send(a, "41");
	CHECK(tabulated() == 0);
	a = rig_connect(1, "1", "t");
	drop(a);
	CHECK(tabulated() == 1);
	rig_wait(WINDOW + ABSENT_GRACE_MS + SWEEP_MS + 100);
	CHECK(tabulated() == 0);
	a = rig_open(2, TRANSPORT_WEBSOCKET);
	rig_send(a, "40{\"user\":\"2\",\"recovery\":false}");
	CHECK(tabulated() == 0);
	rig_stop();

	unit_case("history that does not reach back far enough is a gap");
	start_with_table();
	a = rig_connect(0, "1", "t");
	log_emit("user:1", 0, "2[\"a\"]");
	log_emit("user:1", 0, "2[\"b\"]");
	crash(2, 1, NULL);
	b = back(1, a->pid, "1.1.1");
	SAID(b, CONNECTED);
	CHECK(counter(COUNTER_RECOVERY_GAP) == 1 && rig_misses[MISSED_GAP] == 1);
	rig_stop();

	unit_case("... one that does is none, nor is an offset from before a promotion");
	start_with_table();
	a = rig_connect(0, "1", "t");
	log_emit("user:1", 0, "2[\"a\"]");
	log_emit("user:1", 0, "2[\"b\"]");
	log_emit("user:1", 0, "2[\"c\"]");
	log_emit("user:1", 0, "2[\"d\"]");
	crash(1, 2, NULL);
	b = back(1, a->pid, "1.2.1");
	SAID(b, "42[\"c\",\"1.3.1\"] 42[\"d\",\"1.4.1\"] " CONNECTED);
	rig_stop();

	unit_case("... nor is what stands before the first message of a timeline");
	start_with_table();
	log_emit("user:1", 0, "2[\"a\"]");
	log_emit("user:1", 0, "2[\"b\"]");
	log_emit("user:1", 0, "2[\"c\"]");
	server_position(rig.server, &(LinkPosition) {.timeline = 1,.lsn = 4});
	a = rig_connect(0, "1", "t");
	log_emit("user:1", 0, "2[\"d\"]");
	rig.lsn = 5;				/* the timeline begins at 4 */
	wal[5].len = wal[4].len;
	memcpy(wal[5].bytes, wal[4].bytes, wal[4].len);
	crash(4, 2, NULL);
	b = back(1, a->pid, NULL);
	CHECK(counter(COUNTER_RECOVERED) == 1);
	rig_stop();

	unit_case("... but one of a timeline that the server never had there");
	start_with_table();
	a = rig_connect(0, "1", "t");
	log_emit("user:1", 0, "2[\"a\"]");
	log_emit("user:1", 0, "2[\"b\"]");
	log_emit("user:1", 0, "2[\"c\"]");
	crash(1, 2, NULL);
	b = back(1, a->pid, "1.3.1");
	SAID(b, CONNECTED);
	CHECK(counter(COUNTER_RECOVERY_GAP) == 1);
	rig_stop();

	unit_case("throttled values of the past: the last one, which is due");
	start_with_table();
	a = rig_connect(0, "1", "t");
	for (int i = 1; i <= 4; i++)
	{
		char		packet[20];

		snprintf(packet, sizeof(packet), "2[\"t\",%d]", i);
		log_emit("user:1", 1000, packet);
	}
	crash(1, 1, NULL);
	rig_wait(20);
	b = back(1, a->pid, NULL);
	SAID(b, "42[\"t\",4,\"1.5.0.1\"] " CONNECTED);
	rig_stop();

	unit_case("... also to who knows a later message, as it may have waited: the pace is known to the dead alone");
	start_with_table();
	a = rig_connect(0, "1", "t");
	log_emit("user:1", 1000, "2[\"t\",1]");
	log_emit("user:1", 1000, "2[\"t\",2]");
	log_emit("user:1", 0, "2[\"a\"]");
	SAID(a, "42[\"t\",1,\"1.1.1\"] 42[\"a\",\"1.3.1\"]");
	crash(2, 1, NULL);			/* the history begins with what had waited */
	rig_wait(20);
	b = back(1, a->pid, "1.3.1");
	SAID(b, "42[\"t\",2,\"1.4.0.1\"] " CONNECTED);
	rig_stop();

	unit_case("on_disconnect runs for those that are not back in time, and not for those that are");
	start_with_table();
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("d /\nj / r* x\n") == WIRE_OK);
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	rig_send(b, "42[\"room:join\",\"r1\"]");
	answer(next(HANDLER_JOIN, "r1", "[\"r1\"]"), "[true]");
	crash(1, 1, "d /\nj / r* x\n");
	b = back_with(2, b->pid, NULL, "\"user\":\"2\",\"tenant\":\"t\"", "");
	answer(next(HANDLER_JOIN, "r1", "[\"r1\"]"), "[true]");
	SAID(b, CONNECTED);
	CHECK(server_call_next(rig.server) == NULL);
	rig_send(b, "41");
	answer(next(HANDLER_DISCONNECT, "", "[\"client namespace disconnect\"]"), "[]");
	rig_wait(WINDOW + SWEEP_MS + 100);
	c = next(HANDLER_DISCONNECT, "", "[\"transport close\"]");
	CHECK(is(slice_cstring(c->caller->identity.user_id), "1") && strstr(rig_handshake(c->caller), "127.0.0.1") != NULL);
	answer(c, "[]");
	CHECK(server_call_next(rig.server) == NULL);
	rig_stop();

	unit_case("WAL that could not be read while clients are here: they are told");
	start_with_table();
	a = rig_connect(0, "1", "t");
	emit("user:1", "2[\"a\"]");
	rig_forget(a);
	server_covered(rig.server, &(LinkPosition) {.timeline = 1,.lsn = 10}, rig.now);
	SAID(a, "closed(forced server close)");
	rig.lsn = 10;
	b = back(1, a->pid, "1.1.1");
	SAID(b, CONNECTED);
	CHECK(counter(COUNTER_RECOVERY_GAP) == 1);
	rig_stop();

	unit_case("a malformed entry is ignored: any part of one, any bit of it flipped");
	start_with_table();
	a = rig_connect(0, "1", "t");
	log_command(ENVELOPE_SOCKETS_JOIN, "user:1", "r");
	for (int i = 0, flipped = 0; i < ENTRIES; i++)
	{
		uint8_t		key[STAY_KEY] = {0};

		for (size_t n = 0; n < table[i].len; n++)
		{
			Slice		part = unit_copy(table[i].value, n);

			CHECK(server_session(rig.server, slice(key, sizeof(key)), part, rig.now) == WIRE_BAD);
			UNIT_FREE(part);
		}
		for (size_t bit = 0; bit < 8 * table[i].len; bit++)
		{
			Slice		bad = unit_copy(table[i].value, table[i].len);

			((uint8_t *) bad.data)[bit / 8] ^= (uint8_t) (1 << bit % 8);
			write_u32(key, (uint32_t) bit);
			if (server_session(rig.server, slice(key, sizeof(key)), bad, rig.now) == WIRE_OK)
				flipped++;		/* a bit of a name, say */
			UNIT_FREE(bad);
		}
	}
	rig_stop();
}

static void
bounds(void)
{
	Client	   *a;

	unit_case("no more are kept than may be connected; the oldest go");
	start();
	options.max_connections = 3;
	server_configure(rig.server, &options);
	for (int i = 0; i < 5; i++)
		drop(rig_connect(i, "1", "t"));
	CHECK(counter(COUNTER_ABSENT) == 3);
	a = back(6, rig.clients[1].pid, NULL);
	CHECK(counter(COUNTER_RECOVERY_UNKNOWN_PID) == 1);
	drop(a);
	a = back(7, rig.clients[4].pid, NULL);
	CHECK(counter(COUNTER_RECOVERED) == 1);
	rig_stop();
}

int
main(void)
{
	wire();
	recovery();
	refusals();
	claims();
	rooms();
	messages();
	pieces();
	handlers();
	another_gateway();
	bounds();
	return unit_done();
}

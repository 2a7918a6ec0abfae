/*
 * test_server.c - messages of the bus: who gets them, in which order, who is
 * too slow for them, and the commands that ride the same bus.
 */
#include "unit.h"

#include "rig.h"

static uint64_t
counter(GatewayCounter c)
{
	return server_counters(rig.server)[c];
}

static void
rooms(void)
{
	Client	   *a;
	Client	   *b;
	Client	   *c;

	unit_case("everybody in the rooms gets a message once, those in except not at all");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "2", "x");
	c = rig_connect(2, "3", "y");
	rig_emit("tenant:x,user:1,user:2", "", 0, 0, "2[\"a\"]");
	rig_emit("tenant:x,tenant:y", "user:2", 0, 0, "2[\"b\"]");
	rig_emit("*", "", 0, 0, "2[\"c\"]");
	rig_emit("*", "tenant:x", 0, 0, "2[\"d\"]");
	rig_emit("nobody", "", 0, 0, "2[\"e\"]");
	SAID(a, "42[\"a\"] 42[\"b\"] 42[\"c\"]");
	SAID(b, "42[\"a\"] 42[\"c\"]");
	SAID(c, "42[\"b\"] 42[\"c\"] 42[\"d\"]");
	CHECK(counter(COUNTER_MESSAGES) == 5);
	CHECK(counter(COUNTER_DELIVERIES) == 8);
	rig_stop();

	unit_case("no rooms: nobody");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_emit("", "", 0, 0, "2[\"a\"]");
	SAID(a, "");
	rig_stop();

	unit_case("rooms of one name in two namespaces are two");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "1", "x");
	rig_send(b, "40/admin,{\"user\":\"9\"}");
	SAID(b, "40/admin,{\"sid\":\"*\"}");
	{
		Envelope	e = {
			.kind = ENVELOPE_EMIT, .nsp = SLICE_LITERAL("/admin"), .rooms = rig_list("user:1,user:9"),
			.packet = SLICE_LITERAL("2/admin,[\"x\"]")
		};

		CHECK(rig_message(&e) == WIRE_OK);
		e.nsp = SLICE_LITERAL("/nowhere");
		CHECK(rig_message(&e) == WIRE_OK);
		server_flush(rig.server);
	}
	SAID(a, "");
	SAID(b, "42/admin,[\"x\"]");
	rig_stop();

	unit_case("messages of one turn leave in one flush, in order");
	rig_start();
	a = rig_connect(0, "1", "x");
	for (int i = 0; i < 3; i++)
	{
		Envelope	e = {.kind = ENVELOPE_EMIT, .flags = ENVELOPE_ALL, .nsp = SLICE_LITERAL("/")};
		char		packet[20];

		e.packet = slice(packet, (size_t) snprintf(packet, sizeof(packet), "2[%d]", i));
		CHECK(rig_message(&e) == WIRE_OK);
	}
	SAID(a, "");
	server_flush(rig.server);
	SAID(a, "42[0] 42[1] 42[2]");
	rig_stop();

	unit_case("a flush tells how many it wrote to: not those that take nothing");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "2", "x");
	c = rig_connect(2, "3", "x");
	c->stalled = true;
	{
		Envelope	e = {.kind = ENVELOPE_EMIT, .flags = ENVELOPE_ALL, .nsp = SLICE_LITERAL("/"), .packet = SLICE_LITERAL("2[1]")};

		CHECK(rig_message(&e) == WIRE_OK);
	}
	CHECK(server_flush(rig.server) == 2);
	CHECK(server_flush(rig.server) == 0);
	rig_stop();

	unit_case("what is no envelope is refused and harms nobody");
	rig_start();
	a = rig_connect(0, "1", "x");
	{
		LinkMessage m = {.envelope = SLICE_LITERAL("\x63nonsense")};

		CHECK(server_message(rig.server, &m, rig.now) == WIRE_BAD);
	}
	CHECK(counter(COUNTER_MESSAGES) == 0);
	SAID(a, "");
	rig_stop();

	unit_case("one frame is shared by all recipients");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "1", "x");
	a->stalled = b->stalled = true;
	rig_emit("user:1", "", 0, 0, "2[\"a\"]");
	CHECK(queue_at(&a->s->queue, 0) == queue_at(&b->s->queue, 0) && queue_at(&a->s->queue, 0)->refs == 2);
	CHECK(counter(COUNTER_QUEUED_BYTES) == 2 * a->s->queue.bytes);
	rig_stop();
}

static void
volatiles(void)
{
	Client	   *a;

	unit_case("volatile: two of one turn reach a client that can be written to");
	rig_start();
	a = rig_connect(0, "1", "x");
	{
		Envelope	e = {
			.kind = ENVELOPE_EMIT, .flags = ENVELOPE_ALL | ENVELOPE_VOLATILE, .nsp = SLICE_LITERAL("/"),
			.packet = SLICE_LITERAL("2[\"v\"]")
		};

		CHECK(rig_message(&e) == WIRE_OK && rig_message(&e) == WIRE_OK);
		server_flush(rig.server);
	}
	SAID(a, "42[\"v\"] 42[\"v\"]");
	rig_stop();

	unit_case("volatile: dropped while a WebSocket takes nothing, counted, and sent again afterwards");
	rig_start();
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	rig_emit("*", "", 0, 0, "2[\"kept\"]");
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"dropped\"]");
	CHECK(counter(COUNTER_DROPPED_VOLATILE) == 1);
	a->stalled = false;
	session_mark_dirty(a->s);
	server_flush(rig.server);
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"sent\"]");
	SAID(a, "42[\"kept\"] 42[\"sent\"]");
	rig_stop();

	unit_case("volatile: sent again when the transport is rid of its own rest, though nothing is queued");
	rig_start();
	a = rig_connect(0, "1", "x");
	a->s->writable = false;
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"dropped\"]");
	session_mark_dirty(a->s);
	server_flush(rig.server);
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"sent\"]");
	SAID(a, "42[\"sent\"]");
	rig_stop();

	unit_case("volatile: dropped when something was left behind, even if the transport says writable");
	rig_start();
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	rig_emit("*", "", 0, 0, "2[\"kept\"]");
	a->s->writable = true;
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"dropped\"]");
	CHECK(a->s->queue.count == 1);
	rig_stop();

	unit_case("volatile: a polling client gets it only while a GET is pending");
	rig_start();
	a = rig_open(0, TRANSPORT_POLLING);
	CHECK(rig_post(a, "40"));
	rig_get(a);
	a->log[a->len = 0] = '\0';
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"dropped\"]");
	CHECK(rig_get(a) == POLL_PARKED);
	rig_emit("*", "", ENVELOPE_VOLATILE, 0, "2[\"sent\"]");
	SAID(a, "get(42[\"sent\"])");
	rig_stop();
}

static void
slow(void)
{
	ServerOptions options = rig_options;
	char		packet[1001];
	Client	   *a;
	Client	   *b;

	options.max_queued = 10000;
	memset(packet, 'x', sizeof(packet) - 1);
	packet[0] = '2';
	packet[1000] = '\0';

	unit_case("slow: over four times max_queued is closed at once, others go on");
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "2", "x");
	a->stalled = true;
	for (int i = 0; i < 39; i++)
		rig_emit("user:1", "", 0, 0, packet);
	CHECK(a->s != NULL && a->s->queue.count == 39);
	rig_emit("user:1", "", 0, 0, packet);
	server_flush(rig.server);
	SAID(a, "closed(transport error)");
	CHECK(counter(COUNTER_DISCONNECT_SLOW) == 1 && counter(COUNTER_QUEUED_BYTES) == 0);
	rig_emit("*", "", 0, 0, "2[\"on\"]");
	SAID(b, "42[\"on\"]");
	rig_stop();

	unit_case("slow: over max_queued for 10 s is closed, without another message");
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	for (int i = 0; i < 11; i++)
		rig_emit("user:1", "", 0, 0, packet);
	rig_wait(9980);
	CHECK(a->s != NULL);
	rig_wait(20 + TIMER_TICK_MS);
	SAID(a, "closed(transport error)");
	rig_stop();

	unit_case("slow: below max_queued again within 10 s is fine");
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	for (int round = 0; round < 3; round++)
	{
		a->stalled = true;
		for (int i = 0; i < 11; i++)
			rig_emit("user:1", "", 0, 0, packet);
		rig_wait(6000);
		a->stalled = false;
		session_mark_dirty(a->s);
		rig_wait(TIMER_TICK_MS);
	}
	CHECK(a->s != NULL);
	rig_stop();

	unit_case("slow: one message alone is always taken, however large");
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	{
		char	   *huge = malloc(100001);

		memset(huge, 'x', 100000);
		huge[0] = '2';
		huge[100000] = '\0';
		rig_emit("user:1", "", 0, 0, huge);
		rig_wait(15000);
		CHECK(a->s != NULL && a->s->queue.count == 1);
		rig_emit("user:1", "", 0, 0, huge);
		server_flush(rig.server);
		SAID(a, "closed(transport error)");
		free(huge);
	}
	rig_stop();

	unit_case("slow: a large transaction in one turn closes nobody who reads");
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	for (int i = 0; i < 1000; i++)
	{
		Envelope	e = {
			.kind = ENVELOPE_EMIT, .flags = ENVELOPE_ALL, .nsp = SLICE_LITERAL("/"), .packet = slice_cstring(packet)
		};

		CHECK(rig_message(&e) == WIRE_OK);
	}
	server_flush(rig.server);
	CHECK(a->s != NULL && counter(COUNTER_DELIVERIES) == 1000);
	rig_stop();

	unit_case("slow: replies count too, so a client that never reads cannot fill memory");
	options.max_queued = 3000;
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	{
		/* The longest name that is answered: 60 answers are over the hard cap of this test. */
		char		text[ENVELOPE_MAX_NAME + 4];

		memset(text, 'x', sizeof(text));
		memcpy(text, "40/", 3);
		memcpy(text + sizeof(text) - 2, ",", 2);
		for (int i = 0; i < 60 && a->s != NULL; i++)
			rig_send(a, text);
	}
	SAID(a, "closed(transport error)");
	rig_stop();
	options.max_queued = 10000;

	unit_case("slow: an answer that a polling client does not read counts");
	rig_start_with(&options);
	a = rig_open(0, TRANSPORT_POLLING);
	CHECK(rig_post(a, "40"));
	rig_get(a);
	a->stalled = true;
	for (int i = 0; i < 9; i++)
		rig_emit("*", "", 0, 0, packet);
	CHECK(rig_get(a) == POLL_READY);
	a->log[a->len = 0] = '\0';
	CHECK(counter(COUNTER_QUEUED_BYTES) > 9000 && a->s->queue.count == 0);
	rig_emit("*", "", 0, 0, packet);
	rig_emit("*", "", 0, 0, packet);
	rig_wait(9980);
	SAID(a, "");
	rig_wait(20 + TIMER_TICK_MS);
	SAID(a, "closed(transport error)");
	rig_stop();

	unit_case("slow: a polling client that reads too late, but reads, is fine");
	rig_start_with(&options);
	a = rig_open(0, TRANSPORT_POLLING);
	CHECK(rig_post(a, "40"));
	rig_get(a);
	a->stalled = true;
	for (int i = 0; i < 9; i++)
		rig_emit("*", "", 0, 0, packet);
	CHECK(rig_get(a) == POLL_READY);
	rig_emit("*", "", 0, 0, packet);
	rig_emit("*", "", 0, 0, packet);
	rig_wait(9000);
	session_poll_sent(a->s);
	rig_wait(9000);
	CHECK(a->s != NULL);
	rig_stop();

	unit_case("slow: a polling client is told with its next GET; what waited is gone");
	rig_start_with(&options);
	a = rig_open(0, TRANSPORT_POLLING);
	CHECK(rig_post(a, "40"));
	rig_get(a);
	a->log[a->len = 0] = '\0';
	for (int i = 0; i < 41; i++)
		rig_emit("*", "", 0, 0, packet);
	server_flush(rig.server);
	rig_get(a);
	SAID(a, "closed(transport error) get(1)");
	rig_stop();
}

static void
throttled(void)
{
	Client	   *a;

	unit_case("throttle: first at once, then the newest, to those who are there by then");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_emit("tenant:x", "", 0, 1000, "2[\"t\",1]");
	rig_emit("tenant:x", "", 0, 1000, "2[\"t\",2]");
	rig_emit("tenant:x", "", 0, 1000, "2[\"t\",3]");
	rig_emit("tenant:x", "", 0, 1000, "2[\"other\",1]");
	SAID(a, "42[\"t\",1] 42[\"other\",1]");
	CHECK(counter(COUNTER_THROTTLED) == 1);
	rig_wait(990);
	SAID(a, "");
	{
		Client	   *b = rig_connect(1, "2", "x");

		rig_wait(10 + TIMER_TICK_MS);
		SAID(a, "42[\"t\",3]");
		SAID(b, "42[\"t\",3]");
	}
	rig_stop();
}

static void
throttled_at_once(void)
{
	ServerOptions options = rig_options;
	char		packet[1001];
	char		event[24];
	Client	   *a;

	unit_case("throttle: many messages that are due at once do not make their client slow");
	options.max_queued = 10000;
	rig_start_with(&options);
	a = rig_connect(0, "1", "x");
	memset(packet, 'x', sizeof(packet) - 1);
	packet[1000] = '\0';
	for (int i = 0; i < 2 * 60; i++)
	{
		snprintf(event, sizeof(event), "2[\"%03d\"", i / 2);
		memcpy(packet, event, 7);
		rig_emit("user:1", "", 0, 1000, packet);
		rig_forget(a);
	}
	CHECK(counter(COUNTER_DELIVERIES) == 60);
	rig_wait(1000 + TIMER_TICK_MS);
	CHECK(a->s != NULL && counter(COUNTER_DELIVERIES) == 120);
	rig_stop();
}

static bool
run_command(EnvelopeKind kind, uint8_t flags, const char *in, const char *rooms)
{
	Envelope	e = {
		.kind = kind, .flags = flags, .nsp = SLICE_LITERAL("/"), .rooms = rig_list(in), .except = rig_list(rooms)
	};
	WireResult	r = rig_message(&e);

	server_flush(rig.server);
	return r == WIRE_OK;
}

static void
commands(void)
{
	Client	   *a;
	Client	   *b;

	unit_case("sockets_join and sockets_leave");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "2", "x");
	CHECK(run_command(ENVELOPE_SOCKETS_JOIN, 0, "user:1", "p,q"));
	CHECK(run_command(ENVELOPE_SOCKETS_JOIN, ENVELOPE_ALL, "", "r"));
	rig_emit("p", "", 0, 0, "2[\"p\"]");
	rig_emit("r", "", 0, 0, "2[\"r\"]");
	CHECK(run_command(ENVELOPE_SOCKETS_LEAVE, 0, "r", "r,p"));
	rig_emit("p,r", "", 0, 0, "2[\"none\"]");
	rig_emit("q", "", 0, 0, "2[\"q\"]");
	SAID(a, "42[\"p\"] 42[\"r\"] 42[\"q\"]");
	SAID(b, "42[\"r\"]");
	rig_stop();

	unit_case("disconnect_sockets: DISCONNECT to the members, the session stays for other namespaces");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "2", "y");
	rig_send(a, "40/admin,");
	SAID(a, "40/admin,{\"sid\":\"*\"}");
	CHECK(run_command(ENVELOPE_DISCONNECT_SOCKETS, 0, "tenant:x,user:1", ""));
	SAID(a, "41");
	rig_emit("*", "", 0, 0, "2[\"x\"]");
	SAID(a, "");
	SAID(b, "42[\"x\"]");
	CHECK(counter(COUNTER_SOCKETS) == 2);
	rig_stop();

	unit_case("what a client sent before it heard of its DISCONNECT does not end its session");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_send(a, "40/admin,");
	rig_send(a, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	CHECK(run_command(ENVELOPE_DISCONNECT_SOCKETS, 0, "user:1", ""));
	rig_send_binary(a, "x", 1);
	rig_send(a, "42[\"x\"]");
	rig_send(a, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_send_binary(a, "x", 1);
	rig_send(a, "41");
	SAID(a, "40/admin,{\"sid\":\"*\"} 41");
	rig_send(a, "40");
	SAID(a, "40{\"sid\":\"*\"}");
	rig_stop();

	unit_case("disconnect_sockets with close: DISCONNECT everywhere, then the session ends");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_send(a, "40/admin,");
	SAID(a, "40/admin,{\"sid\":\"*\"}");
	CHECK(run_command(ENVELOPE_DISCONNECT_SOCKETS, ENVELOPE_CLOSE, "user:1", ""));
	SAID(a, "41/admin, 41 closed(server namespace disconnect)");
	rig_stop();

	unit_case("... but not before a slow WebSocket has taken the DISCONNECT, or 30 s have passed");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_connect(1, "1", "x");
	a->stalled = b->stalled = true;
	CHECK(run_command(ENVELOPE_DISCONNECT_SOCKETS, ENVELOPE_CLOSE, "user:1", ""));
	rig_send(a, "40");
	rig_send(a, "42[\"x\"]");
	rig_wait(1000);
	SAID(a, "");
	a->stalled = false;
	session_mark_dirty(a->s);
	server_flush(rig.server);
	SAID(a, "41 closed(server namespace disconnect)");
	rig_wait(28900);
	CHECK(b->s != NULL);
	rig_wait(100 + TIMER_TICK_MS);
	SAID(b, "closed(server namespace disconnect)");
	rig_stop();

	unit_case("... and a polling client gets both with its next GET");
	rig_start();
	a = rig_open(0, TRANSPORT_POLLING);
	CHECK(rig_post(a, "40{\"user\":\"1\"}"));
	rig_get(a);
	a->log[a->len = 0] = '\0';
	CHECK(run_command(ENVELOPE_DISCONNECT_SOCKETS, ENVELOPE_CLOSE, "user:1", ""));
	rig_get(a);
	SAID(a, "closed(server namespace disconnect) get(41|1)");
	rig_stop();
}

static void
life(void)
{
	const Slice admin[] = {SLICE_LITERAL("/admin"), SLICE_LITERAL("/new")};
	Client	   *a;
	Client	   *b;

	unit_case("a namespace that is configured away disconnects its sockets");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_send(a, "40/admin,");
	SAID(a, "40/admin,{\"sid\":\"*\"}");
	server_set_namespaces(rig.server, admin, 2);
	server_flush(rig.server);
	SAID(a, "41");
	rig_send(a, "40");
	rig_send(a, "40/new,");
	SAID(a, "44{\"message\":\"Invalid namespace\"} 40/new,{\"sid\":\"*\"}");
	rig_stop();

	unit_case("shutdown closes everybody, without DISCONNECT so that they come back");
	rig_start();
	a = rig_connect(0, "1", "x");
	b = rig_open(1, TRANSPORT_POLLING);
	b->log[b->len = 0] = '\0';
	CHECK(rig_get(b) == POLL_PARKED);
	server_shutdown(rig.server);
	SAID(a, "closed(server shutting down)");
	SAID(b, "get(1) closed(server shutting down)");
	server_flush(rig.server);
	CHECK(counter(COUNTER_CONNECTIONS) == 0);
	rig_stop();

	unit_case("a session marked again while it is flushed, then closed, is freed once");
	rig_start();
	a = rig_connect(0, "1", "x");
	{
		Session    *s = a->s;

		session_mark_dirty(s);
		session_close(s, CLOSE_FORCED);
		CHECK(s->dirty && s->closing == CLOSE_FORCED);
		server_flush(rig.server);
		server_flush(rig.server);
	}
	rig_stop();

	unit_case("the server can be freed with open, dirty, slow and lingering sessions");
	rig_start();
	a = rig_connect(0, "1", "x");
	a->stalled = true;
	rig_emit("*", "", 0, 1000, "2[\"x\",1]");
	rig_emit("*", "", 0, 1000, "2[\"x\",2]");
	rig_send(a, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	session_mark_dirty(a->s);
	b = rig_open(1, TRANSPORT_POLLING);
	session_close(b->s, CLOSE_FORCED);
	b = rig_open(2, TRANSPORT_POLLING);
	session_mark_dirty(b->s);
	session_close(b->s, CLOSE_TRANSPORT_ERROR);
	rig_stop();
	CHECK(true);
}

int
main(void)
{
	rooms();
	volatiles();
	slow();
	throttled();
	throttled_at_once();
	commands();
	life();
	return unit_done();
}

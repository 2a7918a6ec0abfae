/*
 * test_call.c - clients' events, rooms and life cycle, against a database
 * that answers when and what the test wants.
 */
#include "calls.h"

#include "core/session_state.h"

static int	rules_asked;

static int	waiting_told;

static void
on_waiting(void *ctx)
{
	(void) ctx;
	waiting_told++;
}

static void
on_rules_changed(void *ctx)
{
	(void) ctx;
	rules_asked++;
}

static void
start(const char *rules)
{
	ServerOptions quiet = rig_options;

	quiet.ping_interval = 1000000000;	/* no pings between what tests wait for */
	rig_start_with(&quiet);
	server_use_handlers(rig.server, true);
	rules_asked = 0;
	if (rules != NULL)
		CHECK(rig_set_rules(rules) == WIRE_OK);
}

static void
refuse(Call *c, const char *message, const char *code)
{
	fail_with(c, CALL_REFUSED, message, code);
}

static void
marker(uint64_t gateway, uint64_t id)
{
	uint8_t		bytes[HANDLER_MARKER_SIZE];
	Envelope	e = {.kind = ENVELOPE_MARKER,.nsp = SLICE_LITERAL("/"),.packet = slice(bytes, sizeof(bytes))};

	write_u64(write_u64(bytes, gateway), id);
	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static void
command(EnvelopeKind kind, const char *in, const char *rooms)
{
	Envelope	e = {.kind = kind,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(in),.except = rig_list(rooms)};

	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static const char *
sid_of(const Client *c)
{
	return c->s->sockets->caller->sid;
}

static void
events(void)
{
	Client	   *a;
	Client	   *b;
	Call	   *c;
	Call	   *d;
	uint64_t	id;

	unit_case("an event runs its handler; the reply is the acknowledgement");
	start("e / add\ne /admin add\n");
	a = rig_connect(0, "1", "t");
	rig_send(a, "4217[\"add\",1, {\"x\":[2]} ]");
	c = next(HANDLER_EVENT, "add", "[1, {\"x\":[2]} ]");
	CHECK(is(slice_cstring(c->caller->identity.user_id), "1"));
	CHECK(strstr(rig_handshake(c->caller), "\"auth\":{\"user\":\"1\",\"tenant\":\"t\"}") != NULL);
	SAID(a, "");
	answer(c, "[3]");
	SAID(a, "4317[3]");
	rig_send(a, "42[\"add\"]");
	answer(next(HANDLER_EVENT, "add", "[]"), "[3]");
	SAID(a, "");
	rig_send(a, "42[\"unknown\",1]");
	rig_send(a, "425[7,1]");
	CHECK(server_call_next(rig.server) == NULL);
	SAID(a, "");
	rig_send(a, "42[\"\\ud800\",1]");
	SAID(a, "42[\"error\",{\"event\":\"\\ud800\",\"message\":\"invalid event name\",\"code\":\"invalid_arguments\"}]");
	rig_send(a, "422[\"a\\u0000\",1]");
	SAID(a, "42[\"error\",{\"event\":\"a\\u0000\",\"message\":\"invalid event name\",\"code\":\"invalid_arguments\"}] "
		 "432[{\"error\":{\"message\":\"invalid event name\",\"code\":\"invalid_arguments\"}}]");

	unit_case("an escaped name is the same name; attachments come along");
	rig_send(a, "42[\"\\u0061dd\",\"\\u0061\"]");
	answer(next(HANDLER_EVENT, "add", "[\"\\u0061\"]"), "[]");
	rig_send(a, "451-9[\"add\",{\"_placeholder\":true,\"num\":0}]");
	rig_send_binary(a, "xyz", 3);
	c = next(HANDLER_EVENT, "add", "[{\"_placeholder\":true,\"num\":0}]");
	{
		EnvelopeList list = c->attachments;
		Slice		bytes;

		CHECK(envelope_next(&list, &bytes) && is(bytes, "xyz") && !envelope_next(&list, &bytes));
	}
	{
		Text		t = {0};
		uint8_t		one[4] = {1};
		CallResult	r = {.outcome = CALL_OK};

		text_add_item(&t, SLICE_LITERAL("[{\"_placeholder\":true,\"num\":0}]"));
		text_add(&t, slice(one, 4));
		text_add_item(&t, SLICE_LITERAL("\x01\x02"));
		r.reply = text_slice(&t);
		server_call_done(rig.server, c, &r, rig.now);
		server_flush(rig.server);
		text_free(&t);
	}
	SAID(a, "461-9[{\"_placeholder\":true,\"num\":0}] <0102>");

	unit_case("errors: as an event, and as the acknowledgement");
	rig_send(a, "421[\"add\",\"x\"]");
	refuse(next(HANDLER_EVENT, "add", "[\"x\"]"), "not \"this\"", "P0001");
	SAID(a, "42[\"error\",{\"event\":\"add\",\"message\":\"not \\\"this\\\"\",\"code\":\"P0001\"}] "
		 "431[{\"error\":{\"message\":\"not \\\"this\\\"\",\"code\":\"P0001\"}}]");
	rig_send(a, "421[\"add\"]");
	{
		CallResult	r = {.outcome = CALL_OK,.reply = SLICE_LITERAL("nonsense")};

		server_call_done(rig.server, next(HANDLER_EVENT, "add", "[]"), &r, rig.now);
		server_flush(rig.server);
	}
	SAID(a, "42[\"error\",{\"event\":\"add\",\"message\":\"internal error\",\"code\":\"internal_error\"}] "
		 "431[{\"error\":{\"message\":\"internal error\",\"code\":\"internal_error\"}}]");

	unit_case("one socket's events run one after the other, two sockets' side by side");
	b = rig_connect(1, "2", "t");
	rig_send(a, "421[\"add\",1]");
	rig_send(a, "422[\"add\",2]");
	rig_send(a, "424[\"add\",4]");
	rig_send(b, "423[\"add\",3]");
	c = next(HANDLER_EVENT, "add", "[1]");
	d = next(HANDLER_EVENT, "add", "[3]");
	CHECK(server_call_next(rig.server) == NULL);
	answer(d, "[]");
	SAID(b, "433[]");
	answer(c, "[]");
	SAID(a, "431[]");
	answer(next(HANDLER_EVENT, "add", "[2]"), "[]");
	answer(next(HANDLER_EVENT, "add", "[4]"), "[]");
	SAID(a, "432[] 434[]");

	unit_case("... but the sockets of one user after those of others");
	for (int i = 2; i < 5; i++)
		rig_send(rig_connect(i, "1", "t"), "42[\"add\",1]");
	rig_send(b, "42[\"add\",2]");
	c = next(HANDLER_EVENT, "add", "[1]");
	d = next(HANDLER_EVENT, "add", "[2]");
	answer(next(HANDLER_EVENT, "add", "[1]"), "[]");
	answer(c, "[]");
	answer(next(HANDLER_EVENT, "add", "[1]"), "[]");
	answer(d, "[]");
	for (int i = 2; i < 5; i++)
		rig_send(&rig.clients[i], "1");

	unit_case("a handler that emitted: its acknowledgement waits for the marker");
	rig_send(a, "421[\"add\",1]");
	c = next(HANDLER_EVENT, "add", "[1]");
	id = c->id;
	answer_marked(c, "[\"one\"]");
	SAID(a, "");
	marker(server_marker(rig.server), id + 1);
	marker(server_marker(rig.server) + 1, id);
	SAID(a, "");
	rig_emit("user:1", "", 0, 0, "2[\"said\"]");
	marker(server_marker(rig.server), id);
	SAID(a, "42[\"said\"] 431[\"one\"]");
	rig_send(a, "422[\"add\",1]");
	c = next(HANDLER_EVENT, "add", "[1]");
	marker(server_marker(rig.server), c->id);
	SAID(a, "");
	answer_marked(c, "[\"two\"]");
	SAID(a, "432[\"two\"]");

	unit_case("what was sent before leaving still runs; nobody is answered");
	rig_send(a, "421[\"add\",1]");
	rig_send(a, "422[\"add\",2]");
	c = next(HANDLER_EVENT, "add", "[1]");
	rig_send(a, "1");
	answer(c, "[]");
	answer(next(HANDLER_EVENT, "add", "[2]"), "[]");
	SAID(a, "closed(transport close)");

	unit_case("... unless the server threw it out, which ends what waits, too");
	a = rig_connect(0, "1", "t");
	rig_send(a, "421[\"add\",1]");
	rig_send(a, "422[\"add\",2]");
	command(ENVELOPE_DISCONNECT_SOCKETS, "user:1", "");
	SAID(a, "41");
	CHECK(server_call_next(rig.server) == NULL && !server_has_calls(rig.server));

	unit_case("another namespace answers there");
	rig_send(b, "40/admin,{}");
	rig_forget(b);
	rig_send(b, "42/admin,4[\"add\"]");
	answer(next(HANDLER_EVENT, "add", "[]"), "[1]");
	SAID(b, "43/admin,4[1]");

	unit_case("caps: of one socket, and the counter");
	for (int i = 0; i < CALLER_MAX_CALLS + 1; i++)
		rig_send(b, "42[\"add\"]");
	SAID(b, "42[\"error\",{\"event\":\"add\",\"message\":\"too many events are waiting\",\"code\":\"queue_full\"}]");
	CHECK(server_counters(rig.server)[COUNTER_CALLS_DROPPED] == 1);
	rig_stop();

	unit_case("caps: disconnects go beyond that of bytes, events do not");
	start("d /\ne / add\n");
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	rig.server->call_bytes += SERVER_MAX_CALL_BYTES - 5;
	rig_send(a, "41");
	rig_send(b, "42[\"add\",\"more than fits\"]");
	SAID(b, "42[\"error\",{\"event\":\"add\",\"message\":\"too many events are waiting\",\"code\":\"queue_full\"}]");
	rig.server->call_bytes -= SERVER_MAX_CALL_BYTES - 5;
	rig_stop();

	unit_case("caps: of all sockets of one user, whom others do not suffer from; of an address without users");
	start("e / add\n");
	for (int user = 0; user < 2; user++)
	{
		const char *const ids[] = {"1", NULL};
		uint32_t	sent = 0;

		for (int i = 0; i < 3; i++)
		{
			a = rig_open(i, TRANSPORT_WEBSOCKET);
			rig_send(a, ids[user] != NULL ? "40{\"user\":\"1\",\"tenant\":\"t\"}" : "40");
			rig_forget(a);
			for (int k = 0; k < CALLER_MAX_CALLS && sent < USER_MAX_CALLS; k++, sent++)
				rig_send(a, "42[\"add\"]");
			SAID(a, "");
		}
		rig_send(a, "42[\"add\"]");
		SAID(a, "42[\"error\",{\"event\":\"add\",\"message\":\"too many events are waiting\",\"code\":\"queue_full\"}]");
		b = rig_connect(3, "2", "t");
		rig_send(b, "42[\"add\"]");
		SAID(b, "");
		c = server_call_next(rig.server);
		answer(c, "[]");
		rig_send(a, "42[\"add\"]");
		SAID(a, "");
		for (int i = 0; i < 4; i++)
			rig_send(&rig.clients[i], "1");
		while ((c = server_call_next(rig.server)) != NULL)
			answer(c, "[]");
	}
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	rig_send(a, "42[\"add\"]");
	c = next(HANDLER_EVENT, "add", "[]");
	c->share->bytes += USER_MAX_CALL_BYTES - 10;
	rig_send(a, "42[\"add\"]");
	SAID(a, "42[\"error\",{\"event\":\"add\",\"message\":\"too many events are waiting\",\"code\":\"queue_full\"}]");
	rig_send(b, "42[\"add\"]");
	SAID(b, "");
	c->share->bytes -= USER_MAX_CALL_BYTES - 10;
	rig_stop();

	unit_case("the end comes while calls wait and run; nobody is asked to run more");
	start("e / add\nd /\n");
	a = rig_connect(0, "1", "t");
	rig_send(a, "421[\"add\",1]");
	rig_send(a, "421[\"add\",2]");
	CHECK(server_call_next(rig.server) != NULL);
	rig_connect(1, "2", "t");	/* on_disconnect is due for it */
	waiting_told = 0;
	rig_stop();
	CHECK(waiting_told == 0);
}

#define UNAVAILABLE "42[\"error\",{\"event\":\"other\",\"message\":\"the database is not available\",\"code\":\"unavailable\"}]"

/* Time passes, then calls older than this end. */
static void
expire(uint64_t wait, uint64_t ms)
{
	rig_wait(wait);
	server_expire_calls(rig.server, rig.now, ms);
	server_flush(rig.server);
}

static void
rules(void)
{
	Client	   *a;
	Client	   *b;
	Call	   *c;

	unit_case("until the rules are known everything waits");
	start(NULL);
	a = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_forget(a);
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	SAID(a, "");
	CHECK(server_call_next(rig.server) == NULL);
	rig_emit("user:1", "", 0, 0, "2[\"early\"]");
	SAID(a, "");
	CHECK(rig_set_rules("e / add\n") == WIRE_OK);
	SAID(a, "40{\"sid\":\"*\"} 42[\"early\"]");
	server_use_handlers(rig.server, true);
	rig_send(a, "421[\"add\",1]");
	CHECK(rig_set_rules("e / other\n") == WIRE_OK);
	CHECK(server_call_next(rig.server) == NULL);
	SAID(a, "");

	unit_case("rules that are malformed change nothing");
	CHECK(server_set_rules(rig.server, SLICE_LITERAL("\1\0\0\0e")) == WIRE_BAD);
	CHECK(rig_set_rules("x / other\n") == WIRE_BAD);
	rig_send(a, "421[\"other\"]");
	answer(next(HANDLER_EVENT, "other", "[]"), "[]");
	SAID(a, "431[]");

	unit_case("a marker that does not come is not waited for for ever");
	rig_send(a, "424[\"other\",1]");
	answer_marked(next(HANDLER_EVENT, "other", "[1]"), "[5]");
	server_expire_calls(rig.server, rig.now + MARKER_MS, 100000);
	server_flush(rig.server);
	SAID(a, "");
	server_expire_calls(rig.server, rig.now + MARKER_MS + 1, 100000);
	server_flush(rig.server);
	SAID(a, "434[5]");

	unit_case("... nor are several, one after the other");
	b = rig_connect(1, "2", "t");
	rig_send(a, "424[\"other\",1]");
	rig_send(b, "425[\"other\",1]");
	answer_marked(next(HANDLER_EVENT, "other", "[1]"), "[1]");
	answer_marked(next(HANDLER_EVENT, "other", "[1]"), "[2]");
	expire(MARKER_MS + 1, 100000);
	SAID(a, "434[1]");
	SAID(b, "435[2]");
	CHECK(server_counters(rig.server)[COUNTER_MARKERS_MISSED] == 3);
	rig_send(b, "1");

	unit_case("what waits for too long is refused");
	rig_send(a, "421[\"other\",1]");
	rig_wait(5000);
	server_expire_calls(rig.server, rig.now, 10000);
	server_flush(rig.server);
	SAID(a, "");
	rig_wait(6000);
	server_expire_calls(rig.server, rig.now, 10000);
	server_flush(rig.server);
	SAID(a, "42[\"error\",{\"event\":\"other\",\"message\":\"the database is not available\",\"code\":\"unavailable\"}] "
		 "431[{\"error\":{\"message\":\"the database is not available\",\"code\":\"unavailable\"}}]");

	unit_case("... each of a queue when it has waited for so long itself");
	for (int i = 0; i < 4; i++)
	{
		rig_send(a, "42[\"other\",1]");
		rig_wait(1000);
	}
	expire(6001, 10000);
	SAID(a, UNAVAILABLE);
	expire(2000, 10000);
	SAID(a, UNAVAILABLE " " UNAVAILABLE);
	expire(1000, 10000);
	SAID(a, UNAVAILABLE);
	CHECK(!server_has_calls(rig.server));

	unit_case("... also behind one whose connection broke, but not behind one that ran");
	for (int i = 0; i < 2; i++)
	{
		rig_send(a, "42[\"other\",1]");
		rig_send(a, "42[\"other\",2]");
		rig_wait(9000);
		c = next(HANDLER_EVENT, "other", "[1]");
		rig_wait(9000);
		if (i == 0)
			fail_with(c, CALL_FAILED, "the database is not available", "unavailable");
		else
			answer(c, "[]");
		SAID(a, i == 0 ? UNAVAILABLE : "");
		expire(2000, 10000);
		SAID(a, i == 0 ? UNAVAILABLE : "");
	}
	answer(next(HANDLER_EVENT, "other", "[2]"), "[]");

	unit_case("... on_disconnect stays, for nobody waits for it, while there is room");
	CHECK(rig_set_rules("d /\n") == WIRE_OK);
	b = rig_connect(1, "2", "t");
	rig_send(b, "1");
	b = rig_connect(1, "3", "t");
	rig_send(b, "1");
	expire(100000, 10000);
	answer(next(HANDLER_DISCONNECT, "", "[\"transport close\"]"), "[]");
	CHECK(server_counters(rig.server)[COUNTER_DISCONNECTS_LOST] == 0);
	rig.server->call_count += CALLS_KEEP_LEFT;
	expire(100000, 10000);
	rig.server->call_count -= CALLS_KEEP_LEFT;
	CHECK(!server_has_calls(rig.server) && server_counters(rig.server)[COUNTER_DISCONNECTS_LOST] == 1);
	b = rig_connect(1, "4", "t");
	rig_send(b, "1");
	fail_with(next(HANDLER_DISCONNECT, "", "[\"transport close\"]"), CALL_FAILED, "the database is not available", "unavailable");
	CHECK(!server_has_calls(rig.server) && server_counters(rig.server)[COUNTER_DISCONNECTS_LOST] == 2);
	CHECK(rig_set_rules("e / other\n") == WIRE_OK);

	unit_case("... a CONNECT, too, and so that the client tries again; so when handlers are turned off");
	CHECK(rig_set_rules("c /\nd /\ne / other\n") == WIRE_OK);
	for (int i = 0; i < 2; i++)
	{
		b = rig_open(1, TRANSPORT_WEBSOCKET);
		rig_forget(b);
		rig_send(b, "40{\"user\":\"2\",\"tenant\":\"t\"}");
		SAID(b, "");
		if (i == 0)
		{
			rig_wait(11000);
			server_expire_calls(rig.server, rig.now, 10000);
			server_flush(rig.server);
			SAID(b, "closed(forced server close)");
			CHECK(server_call_next(rig.server) == NULL);
		}
	}
	server_use_handlers(rig.server, false);
	server_flush(rig.server);
	SAID(b, "closed(forced server close)");
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("e / other\n") == WIRE_OK);

	unit_case("without handlers events are ignored, CONNECTs answered");
	rig_send(a, "421[\"other\",1]");
	rig_send(a, "422[\"other\",1]");
	server_use_handlers(rig.server, false);
	server_flush(rig.server);
	SAID(a, "42[\"error\",{\"event\":\"other\",\"message\":\"events are not handled any more\",\"code\":\"unavailable\"}] "
		 "431[{\"error\":{\"message\":\"events are not handled any more\",\"code\":\"unavailable\"}}]");
	rig_send(a, "423[\"other\",1]");
	rig_send(a, "424[\"room:join\",\"x\"]");
	SAID(a, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}] "
		 "434[{\"error\":{\"message\":\"not allowed\",\"code\":\"forbidden\"}}]");
	rig_stop();

	unit_case("a change on the bus asks for the rules");
	start("");
	a = rig_connect(0, "1", "t");
	{
		Envelope	e = {.kind = ENVELOPE_RULES,.nsp = SLICE_LITERAL("/")};

		CHECK(rig_message(&e) == WIRE_OK && rules_asked == 1);
	}

	unit_case("... and until they are there nothing is taken for unknown");
	rig_send(a, "421[\"new\"]");
	CHECK(server_call_next(rig.server) == NULL && server_has_calls(rig.server));
	CHECK(rig_set_rules("e / new\n") == WIRE_OK);
	answer(next(HANDLER_EVENT, "new", "[]"), "[]");
	SAID(a, "431[]");
	rig_stop();
}

static void
joins(void)
{
	Client	   *a;
	Client	   *b;
	Call	   *c;
	uint64_t	left;
	char		text[200];

	unit_case("room:join: the handler decides");
	start("j / ticket:* cursor,typing\nj / ticket:9 cursor\nj / * \n");
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	rig_send(a, "421[\"room:join\",\"ticket:1\"]");
	answer(next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]"), "[true]");
	SAID(a, "431[]");
	rig_send(a, "422[\"room:join\",\"ticket:2\"]");
	answer(next(HANDLER_JOIN, "ticket:2", "[\"ticket:2\"]"), "[false]");
	SAID(a, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}] "
		 "432[{\"error\":{\"message\":\"not allowed\",\"code\":\"forbidden\"}}]");
	rig_emit("ticket:1,ticket:2", "", 0, 0, "2[\"n\"]");
	SAID(a, "42[\"n\"]");
	SAID(b, "");

	unit_case("what no rule can allow");
	for (int i = 0; i < 5; i++)
	{
		const char *const rooms[] = {"user:2", "tenant:u", "user:1", sid_of(b), "tenant:"};

		snprintf(text, sizeof(text), "42[\"room:join\",\"%s\"]", rooms[i]);
		rig_send(a, text);
		SAID(a, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}]");
	}
	for (int i = 0; i < 7; i++)
	{
		const char *const args[] = {"", ",1", ",\"\"", ",\"a\\n\"", ",\"a\",1", ",[\"a\"]", ",\"\\ud800\""};

		snprintf(text, sizeof(text), "42[\"room:join\"%s]", args[i]);
		rig_send(a, text);
		SAID(a, "42[\"error\",{\"event\":\"room:join\",\"message\":\"invalid arguments\",\"code\":\"invalid_arguments\"}]");
	}

	unit_case("room:emit: to the others, with who sent it");
	rig_send(b, "421[\"room:join\",\"ticket:1\"]");
	answer(next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]"), "[true]");
	SAID(b, "431[]");
	rig_send(a, "425[\"room:emit\",\"ticket:1\",\"cursor\",{\"x\":1}, 2]");
	SAID(a, "435[]");
	SAID(b, "42[\"cursor\",{\"x\":1},2,{\"userId\":\"1\",\"sid\":\"*\"}]");
	rig_send(a, "451-[\"room:emit\",\"ticket:1\",\"typing\",{\"_placeholder\":true,\"num\":0}]");
	rig_send_binary(a, "\x07", 1);
	SAID(b, "451-[\"typing\",{\"_placeholder\":true,\"num\":0},{\"userId\":\"1\",\"sid\":\"*\"}] <07>");
	rig_send(a, "42[\"room:emit\",\"ticket:1\",\"ticket:updated\",1]");
	SAID(a, "42[\"error\",{\"event\":\"room:emit\",\"message\":\"not allowed\",\"code\":\"forbidden\"}]");
	rig_send(a, "42[\"room:emit\",\"ticket:2\",\"cursor\",1]");
	SAID(a, "42[\"error\",{\"event\":\"room:emit\",\"message\":\"not in the room\",\"code\":\"not_in_room\"}]");
	rig_send(a, "42[\"room:emit\",\"user:1\",\"cursor\",1]");
	SAID(a, "42[\"error\",{\"event\":\"room:emit\",\"message\":\"not allowed\",\"code\":\"forbidden\"}]");
	SAID(b, "");

	unit_case("room:leave");
	rig_send(b, "422[\"room:leave\",\"ticket:1\"]");
	SAID(b, "432[]");
	rig_send(b, "42[\"room:leave\",\"user:2\"]");
	SAID(b, "42[\"error\",{\"event\":\"room:leave\",\"message\":\"not allowed\",\"code\":\"forbidden\"}]");
	rig_emit("ticket:1", "", 0, 0, "2[\"n\"]");
	SAID(a, "42[\"n\"]");
	SAID(b, "");

	unit_case("a leave that overlaps the check: it is made again");
	rig_send(b, "421[\"room:join\",\"ticket:1\"]");
	c = next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]");
	command(ENVELOPE_SOCKETS_LEAVE, "user:2", "ticket:1");
	left = rig.lsn;
	answer(c, "[true]");
	SAID(b, "");
	rig_emit("ticket:1", "", 0, 0, "2[\"secret\"]");
	SAID(b, "");
	c = next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]");
	CHECK(call_after(c) == left + 1);	/* by what holds once the leave has committed */
	answer(c, "[false]");
	SAID(b, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}] "
		 "431[{\"error\":{\"message\":\"not allowed\",\"code\":\"forbidden\"}}]");
	rig_send(b, "421[\"room:join\",\"ticket:1\"]");
	c = next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]");
	command(ENVELOPE_SOCKETS_LEAVE, "user:2", "ticket:2,ticket:3");
	command(ENVELOPE_SOCKETS_LEAVE, "user:1", "ticket:1");
	answer(c, "[true]");
	SAID(b, "431[]");

	unit_case("so it is when the whole room has to leave, or is disconnected");
	rig_send(b, "422[\"room:leave\",\"ticket:1\"]");
	SAID(b, "432[]");
	for (int i = 0; i < 2; i++)
	{
		rig_send(b, "421[\"room:join\",\"ticket:2\"]");
		c = next(HANDLER_JOIN, "ticket:2", "[\"ticket:2\"]");
		if (i == 0)
			command(ENVELOPE_SOCKETS_LEAVE, "ticket:2", "ticket:2");
		else
			command(ENVELOPE_DISCONNECT_SOCKETS, "ticket:2", "");
		answer(c, "[true]");
		SAID(b, "");
		answer(next(HANDLER_JOIN, "ticket:2", "[\"ticket:2\"]"), "[false]");
		SAID(b, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}] "
			 "431[{\"error\":{\"message\":\"not allowed\",\"code\":\"forbidden\"}}]");
	}
	rig_send(b, "421[\"room:join\",\"ticket:1\"]");
	answer(next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]"), "[true]");
	SAID(b, "431[]");

	unit_case("... but not for ever");
	rig_send(b, "422[\"room:leave\",\"ticket:1\"]");
	rig_send(b, "421[\"room:join\",\"ticket:1\"]");
	SAID(b, "432[]");
	for (int i = 0; i <= JOIN_CHECKS_MAX; i++)
	{
		c = next(HANDLER_JOIN, "ticket:1", "[\"ticket:1\"]");
		command(ENVELOPE_SOCKETS_LEAVE, "user:2", "ticket:1");
		answer(c, "[true]");
	}
	SAID(b, "42[\"error\",{\"event\":\"room:join\",\"message\":\"not allowed\",\"code\":\"forbidden\"}] "
		 "431[{\"error\":{\"message\":\"not allowed\",\"code\":\"forbidden\"}}]");
	rig_stop();

	unit_case("a registered handler takes the place of a built-in, in its namespace");
	start("e / room:join\nj / *\n");
	a = rig_connect(0, "1", "t");
	rig_send(a, "421[\"room:join\",5]");
	answer(next(HANDLER_EVENT, "room:join", "[5]"), "[\"mine\"]");
	SAID(a, "431[\"mine\"]");
	rig_stop();
}

static void
life(void)
{
	Client	   *a;
	Call	   *c;

	unit_case("on_connect: the reply, then what came meanwhile; further rooms");
	start("c /\nd /\ne / add\n");
	a = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_forget(a);
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	c = next(HANDLER_CONNECT, "", "[]");
	rig_emit("user:1", "", 0, 0, "2[\"hello\"]");
	rig_emit("user:1", "", ENVELOPE_VOLATILE, 0, "2[\"volatile\"]");
	command(ENVELOPE_SOCKETS_LEAVE, "user:1", "gone");
	SAID(a, "");
	answer_marked(c, "[\"extra\",\"gone\",5,\"\"]");
	SAID(a, "");
	marker(server_marker(rig.server), c->id);
	SAID(a, "40{\"sid\":\"*\"} 42[\"hello\"]");
	rig_emit("extra", "", 0, 0, "2[\"n\"]");
	rig_emit("gone", "", 0, 0, "2[\"n\"]");
	SAID(a, "42[\"n\"]");

	unit_case("on_disconnect: last, with the reason");
	rig_send(a, "42[\"add\"]");
	rig_send(a, "41");
	answer(next(HANDLER_EVENT, "add", "[]"), "[]");
	answer(next(HANDLER_DISCONNECT, "", "[\"client namespace disconnect\"]"), "[]");
	SAID(a, "");

	unit_case("a refusal is a CONNECT_ERROR; nothing was sent, nobody departs");
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	c = next(HANDLER_CONNECT, "", "[]");
	rig_emit("user:1", "", 0, 0, "2[\"hello\"]");
	refuse(c, "not \"you\"", "PT403");
	SAID(a, "44{\"message\":\"not \\\"you\\\"\",\"data\":{\"code\":\"PT403\"}}");
	CHECK(server_call_next(rig.server) == NULL);
	rig_emit("user:1", "", 0, 0, "2[\"hello\"]");
	SAID(a, "");

	unit_case("the token is not passed on, however it is written; headers and query are objects");
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\",\"token\":\"x\",\"\\u0074ok\\u0065n\":\"y\",\"z\":\"token\"}");
	c = next(HANDLER_CONNECT, "", "[]");
	CHECK(strstr(rig_handshake(c->caller), "{\"auth\":{\"user\":\"1\",\"tenant\":\"t\",\"z\":\"token\"},\"headers\":{},\"query\":{},") != NULL);
	refuse(c, "no", "PT403");
	rig_forget(a);

	unit_case("auth that is too large to be kept is refused, a token does not count");
	{
		char		text[2 * AUTH_KEPT_MAX];
		const char *const names[] = {"token", "pad"};

		for (int i = 0; i < 2; i++)
		{
			snprintf(text, sizeof(text), "40{\"user\":\"1\",\"tenant\":\"t\",\"%s\":\"%0*d\"}", names[i], AUTH_KEPT_MAX, 0);
			rig_send(a, text);
			if (i == 0)
				refuse(next(HANDLER_CONNECT, "", "[]"), "no", "PT403");
			SAID(a, i == 0 ? "44{\"message\":\"no\",\"data\":{\"code\":\"PT403\"}}" :
				 "44{\"message\":\"Auth payload too large\",\"data\":{\"code\":\"auth_too_large\"}}");
		}
		CHECK(server_counters(rig.server)[COUNTER_REFUSED_AUTH_SIZE] == 1);
	}

	unit_case("auth that jsonb cannot hold is refused: on_disconnect could not run");
	{
		const char *const bad[] = {"{\"a\":\"x\\u0000\"}", "[\"\\ud800\"]", "{\"\\udc00\":1}", "1e10001", "-1E-99999999999999999999"};
		const char *const good[] = {"1e400", "\"\\ud83d\\ude00\\u0001\"", "[-1.5E+3,{}]"};
		char		text[200];

		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		{
			snprintf(text, sizeof(text), "40{\"user\":\"1\",\"tenant\":\"t\",\"x\":%s}", bad[i]);
			rig_send(a, text);
			SAID(a, "44{\"message\":\"Auth payload cannot be handled\",\"data\":{\"code\":\"auth_invalid\"}}");
		}
		for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		{
			snprintf(text, sizeof(text), "40{\"user\":\"1\",\"tenant\":\"t\",\"token\":\"\\u0000\",\"x\":%s}", good[i]);
			rig_send(a, text);
			refuse(next(HANDLER_CONNECT, "", "[]"), "no", "PT403");
			SAID(a, "44{\"message\":\"no\",\"data\":{\"code\":\"PT403\"}}");
		}
	}

	unit_case("more leaves during on_connect than are remembered: no further room");
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	c = next(HANDLER_CONNECT, "", "[]");
	for (size_t len = 0; len <= CALL_MAX_LEFT; len += 4 + strlen("other"))
		command(ENVELOPE_SOCKETS_LEAVE, "user:1", "other");
	answer(c, "[\"extra\"]");
	rig_emit("extra", "", 0, 0, "2[\"n\"]");
	SAID(a, "40{\"sid\":\"*\"}");
	rig_send(a, "41");
	answer(next(HANDLER_DISCONNECT, "", "[\"client namespace disconnect\"]"), "[]");

	unit_case("who leaves while on_connect runs departs when it has");
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	c = next(HANDLER_CONNECT, "", "[]");
	rig_send(a, "1");
	CHECK(server_call_next(rig.server) == NULL);
	answer(c, "[]");
	answer(next(HANDLER_DISCONNECT, "", "[\"transport close\"]"), "[]");
	SAID(a, "closed(transport close)");
	a = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	rig_send(a, "1");
	CHECK(server_call_next(rig.server) == NULL);

	unit_case("events before the reply are a violation");
	a = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_forget(a);
	rig_send(a, "40{\"user\":\"1\",\"tenant\":\"t\"}");
	rig_send(a, "42[\"add\"]");
	SAID(a, "closed(forced server close)");
	rig_stop();
}

static bool
good(void *ctx, const Identity *id)
{
	return strcmp(id->user_id, ctx) == 0;
}

static void
tokens(void)
{
	Client	   *a;
	Client	   *b;
	Client	   *c;

	unit_case("a token that runs out ends the session");
	start("");
	rig.valid_ms = 5000;
	a = rig_connect(0, "1", "t");
	rig.valid_ms = 9000;
	rig_send(a, "40/admin,{\"user\":\"1\",\"tenant\":\"t\"}");
	rig_forget(a);
	rig_wait(4900);
	SAID(a, "");
	rig_wait(200);
	SAID(a, "closed(forced server close)");
	CHECK(server_counters(rig.server)[COUNTER_DISCONNECT_EXPIRED] == 1);

	unit_case("auth:refresh renews it");
	rig.valid_ms = 5000;
	a = rig_connect(0, "1", "t");
	b = rig_connect(1, "2", "t");
	rig.valid_ms = 50000;
	rig_send(a, "421[\"auth:refresh\",\"x\"]");
	SAID(a, "42[\"error\",{\"event\":\"auth:refresh\",\"message\":\"the token is not of the same user and tenant\",\"code\":\"identity_mismatch\"}] "
		 "431[{\"error\":{\"message\":\"the token is not of the same user and tenant\",\"code\":\"identity_mismatch\"}}]");
	rig_send(a, "42[\"auth:refresh\"]");
	SAID(a, "42[\"error\",{\"event\":\"auth:refresh\",\"message\":\"invalid arguments\",\"code\":\"invalid_arguments\"}]");
	rig.refreshed = "2";
	rig_send(a, "42[\"auth:refresh\",\"x\"]");
	SAID(a, "42[\"error\",{\"event\":\"auth:refresh\",\"message\":\"the token is not of the same user and tenant\",\"code\":\"identity_mismatch\"}]");
	rig.refreshed = "1";
	c = rig_connect(2, "1", "u");
	rig_send(c, "42[\"auth:refresh\",\"x\"]");
	SAID(c, "42[\"error\",{\"event\":\"auth:refresh\",\"message\":\"the token is not of the same user and tenant\",\"code\":\"identity_mismatch\"}]");
	rig_send(a, "422[\"auth:refresh\",\"x\"]");
	SAID(a, "432[]");
	rig_wait(5100);
	SAID(a, "");
	SAID(b, "closed(forced server close)");

	unit_case("keys that are taken away");
	rig.valid_ms = UINT64_MAX;
	b = rig_connect(1, "2", "t");
	server_recheck(rig.server, good, "2");
	server_flush(rig.server);
	SAID(a, "closed(forced server close)");
	SAID(b, "");
	rig_stop();
}

int
main(void)
{
	rig_hooks.call_waiting = on_waiting;
	rig_hooks.rules_changed = on_rules_changed;
	events();
	rules();
	joins();
	life();
	tokens();
	return unit_done();
}

/*
 * test_session.c - Engine.IO sessions and Socket.IO sockets on a test clock:
 * protocol.md 1.3 to 1.7 and 2, said by a scripted client.
 */
#include "unit.h"

#include "rig.h"

#include "core/call.h"

#define OPEN(upgrades) "0{\"sid\":\"*\",\"upgrades\":[" upgrades "],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"
#define OPEN_WS OPEN("")
#define OPEN_POLLING "get(" OPEN("\"websocket\"") ")"
#define CONNECTED "40{\"sid\":\"*\"}"

static Client *
open_ws(void)
{
	Client	   *c = rig_open(0, TRANSPORT_WEBSOCKET);

	SAID(c, OPEN_WS);
	rig_send(c, "40");
	SAID(c, CONNECTED);
	return c;
}

static Client *
open_polling(void)
{
	Client	   *c = rig_open(0, TRANSPORT_POLLING);

	SAID(c, OPEN_POLLING);
	CHECK(rig_post(c, "40"));
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(" CONNECTED ")");
	return c;
}

static void
handshake(void)
{
	const SessionPeer peer = {
		.address = SLICE_LITERAL("::1"), .authorization = SLICE_LITERAL("Bearer secret"), .base64 = true
	};
	Refusal		refusal;
	Client	   *c;

	unit_case("the handshake over WebSocket offers no upgrade");
	rig_start();
	SAID(rig_open(0, TRANSPORT_WEBSOCKET), OPEN_WS);
	rig_stop();

	unit_case("the handshake over polling offers websocket");
	rig_start();
	SAID(rig_open(0, TRANSPORT_POLLING), OPEN_POLLING);
	rig_stop();

	unit_case("a session is found by its sid, which is not its socket's");
	rig_start();
	c = open_ws();
	CHECK(strlen(c->s->sid) == SID_LENGTH);
	CHECK(session_find(rig.server, slice_cstring(c->s->sid)) == c->s);
	CHECK(session_find(rig.server, SLICE_LITERAL("__proto__")) == NULL);
	CHECK(session_find(rig.server, SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaa")) == NULL);
	CHECK(session_find(rig.server, SLICE_LITERAL("")) == NULL);
	CHECK(session_find(rig.server, slice_cstring(c->s->sockets->caller->sid)) == NULL);
	rig_stop();

	unit_case("what the transport knew of the peer is kept");
	rig_start();
	c = rig_open_with(0, TRANSPORT_POLLING, &peer);
	CHECK(slice_equal(session_peer(c->s)->address, peer.address));
	CHECK(slice_equal(session_peer(c->s)->authorization, peer.authorization));
	CHECK(session_peer(c->s)->base64);
	rig_stop();

	unit_case("max_connections refuses one more, and counts it");
	rig_start();
	for (int i = 0; i < RIG_CLIENTS - 1; i++)
		CHECK(rig_open(i, TRANSPORT_WEBSOCKET)->s != NULL);
	CHECK(rig_open(RIG_CLIENTS - 1, TRANSPORT_WEBSOCKET)->s != NULL);
	CHECK(session_open(rig.server, TRANSPORT_POLLING, &peer, rig.now, &refusal) == NULL && refusal == REFUSED_CONNECTIONS);
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_MAX_CONNECTIONS] == 1);
	session_ws_gone(rig.clients[0].s, &rig.clients[0].ws);
	server_flush(rig.server);
	CHECK(rig_open(0, TRANSPORT_WEBSOCKET)->s != NULL);
	rig_stop();
}

static void
heartbeat(void)
{
	ServerOptions slower = rig_options;
	Client	   *c;

	unit_case("a ping comes ping_interval after opening and after each pong");
	rig_start();
	c = open_ws();
	rig_wait(24990);
	SAID(c, "");
	rig_wait(10 + TIMER_TICK_MS);
	SAID(c, "2");
	rig_wait(5000);
	rig_send(c, "3");
	rig_wait(24990);
	SAID(c, "");
	rig_wait(10 + TIMER_TICK_MS);
	SAID(c, "2");
	rig_stop();

	unit_case("no pong within ping_timeout closes, without a packet");
	rig_start();
	c = open_ws();
	rig_wait(25000 + TIMER_TICK_MS);
	SAID(c, "2");
	rig_wait(19980);
	SAID(c, "");
	rig_wait(2 * TIMER_TICK_MS + 20);
	SAID(c, "closed(ping timeout)");
	CHECK(server_counters(rig.server)[COUNTER_DISCONNECT_PING_TIMEOUT] == 1);
	rig_stop();

	unit_case("a second pong does not put the next ping off");
	rig_start();
	c = open_ws();
	rig_wait(25000 + TIMER_TICK_MS);
	rig_send(c, "3");
	rig_wait(20000);
	rig_send(c, "3");
	SAID(c, "2");
	rig_wait(5000 + TIMER_TICK_MS);
	SAID(c, "2");
	rig_stop();

	unit_case("polling has the same heartbeat");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	rig_wait(25000 + TIMER_TICK_MS);
	SAID(c, "get(2)");
	CHECK(rig_post(c, "3"));
	CHECK(rig_get(c) == POLL_PARKED);
	rig_wait(25000 + TIMER_TICK_MS);
	SAID(c, "get(2)");
	rig_wait(20000 + TIMER_TICK_MS);
	SAID(c, "closed(ping timeout)");
	CHECK(rig_get(c) == POLL_REFUSED);
	rig_stop();

	unit_case("a reload does not change what a handshake has promised");
	rig_start();
	c = open_ws();
	slower.ping_interval = 60000;
	server_configure(rig.server, &slower);
	rig_wait(25000 + TIMER_TICK_MS);
	rig_send(c, "3");
	rig_wait(25000 + TIMER_TICK_MS);
	SAID(c, "2 2");
	rig_stop();
}

static void
engine_packets(void)
{
	static const struct
	{
		const char *packet;
		const char *said;
	}			table[] = {
		{"3", ""}, {"6", ""}, {"5", ""}, {"0{}", ""},
		{"1", "closed(transport close)"},
		{"2", "closed(forced server close)"},
		{"2probe", "closed(forced server close)"},
		{"7", "closed(forced close)"},
		{"", "closed(forced close)"},
		{"x", "closed(forced close)"},
		{"b!", "closed(forced close)"},
	};
	Client	   *c;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		unit_case("on an open WebSocket '%s': %s", table[i].packet, table[i].said[0] ? table[i].said : "ignored");
		rig_start();
		c = open_ws();
		rig_send(c, table[i].packet);
		SAID(c, table[i].said);
		rig_stop();
	}

	unit_case("a WebSocket that hangs up ends the session");
	rig_start();
	c = open_ws();
	session_ws_gone(c->s, &c->ws);
	SAID(c, "closed(transport close)");
	server_flush(rig.server);
	CHECK(session_find(rig.server, slice_cstring(c->sid)) == NULL);
	rig_stop();

	unit_case("messages of a WebSocket that is not the session's are ignored");
	rig_start();
	c = open_ws();
	rig_probe(c, "2");
	session_ws_gone(c->s, &c->probe);
	SAID(c, "");
	rig_stop();
}

static void
polling(void)
{
	Client	   *c;

	unit_case("a GET hangs until there is something, then takes all of it");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	SAID(c, "");
	rig_emit("*", "", 0, 0, "2[\"a\"]");
	SAID(c, "get(42[\"a\"])");
	rig_emit("*", "", 0, 0, "2[\"b\"]");
	rig_emit("*", "", 0, 0, "2[\"c\"]");
	SAID(c, "");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"b\"]|42[\"c\"])");
	rig_stop();

	unit_case("a second GET: the first gets a close packet, the session ends");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(rig_get(c) == POLL_REFUSED);
	SAID(c, "get(1) closed(transport error)");
	CHECK(rig_get(c) == POLL_REFUSED);
	rig_stop();

	unit_case("a second GET while the answer of the first is on its way ends the session, too");
	rig_start();
	c = open_polling();
	c->stalled = true;
	rig_emit("*", "", 0, 0, "2[\"a\"]");
	rig_emit("*", "", 0, 0, "2[\"b\"]");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"a\"]|42[\"b\"])");
	rig_emit("*", "", 0, 0, "2[\"c\"]");
	CHECK(rig_get(c) == POLL_REFUSED);
	SAID(c, "closed(transport error)");
	rig_stop();

	unit_case("a GET after the answer of the last is out is fine");
	rig_start();
	c = open_polling();
	c->stalled = true;
	CHECK(rig_get(c) == POLL_PARKED);
	rig_emit("*", "", 0, 0, "2[\"a\"]");
	rig_emit("*", "", 0, 0, "2[\"b\"]");
	SAID(c, "get(42[\"a\"])");
	CHECK(c->s->answering == &c->get && c->s->poll == NULL);
	session_poll_sent(c->s);
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"b\"])");
	rig_stop();

	unit_case("a GET aborted while its answer is on its way ends the session");
	rig_start();
	c = open_polling();
	c->stalled = true;
	CHECK(rig_get(c) == POLL_PARKED);
	rig_emit("*", "", 0, 0, "2[\"a\"]");
	session_poll_aborted(c->s);
	server_flush(rig.server);
	SAID(c, "get(42[\"a\"]) closed(transport error)");
	rig_stop();

	unit_case("an aborted GET ends the session");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	session_poll_aborted(c->s);
	server_flush(rig.server);
	SAID(c, "closed(transport error)");
	rig_stop();

	unit_case("a second POST while one is read ends the session");
	rig_start();
	c = open_polling();
	CHECK(session_post_begin(c->s, &c->post));
	CHECK(!session_post_begin(c->s, &c->get));
	server_flush(rig.server);
	SAID(c, "post-dropped closed(transport error)");
	rig_stop();

	unit_case("a POST that was too large leaves the session usable");
	rig_start();
	c = open_polling();
	CHECK(session_post_begin(c->s, &c->post));
	session_post_failed(c->s, false);
	CHECK(rig_post(c, "3"));
	SAID(c, "");
	rig_stop();

	unit_case("an aborted POST ends the session");
	rig_start();
	c = open_polling();
	CHECK(session_post_begin(c->s, &c->post));
	session_post_failed(c->s, true);
	server_flush(rig.server);
	SAID(c, "closed(transport error)");
	rig_stop();

	unit_case("POST 1: the pending GET gets 6, the session is gone");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(rig_post(c, "1"));
	SAID(c, "get(6) closed(transport close)");
	CHECK(rig_get(c) == POLL_REFUSED);
	rig_stop();

	unit_case("a packet that cannot be decoded in a POST: 400, session gone, later packets not looked at");
	rig_start();
	c = open_polling();
	CHECK(!rig_post(c, "3|x|41"));
	SAID(c, "closed(forced close)");
	CHECK(rig_get(c) == POLL_REFUSED);
	rig_stop();

	unit_case("an empty POST is a parse error");
	rig_start();
	c = open_polling();
	CHECK(!rig_post(c, ""));
	SAID(c, "closed(forced close)");
	rig_stop();

	unit_case("several packets in a POST are handled in order");
	rig_start();
	c = open_polling();
	CHECK(rig_post(c, "41|40|40/admin,|42[\"x\"]"));
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(" CONNECTED "|40/admin,{\"sid\":\"*\"})");
	rig_stop();

	unit_case("a payload is cut at max_payload, but one message always goes");
	rig_start();
	c = open_polling();
	{
		ServerOptions small = rig_options;

		small.max_payload = 30;
		server_configure(rig.server, &small);
	}
	rig_emit("*", "", 0, 0, "2[\"0123456789\"]");
	rig_emit("*", "", 0, 0, "2[\"9876543210\"]");
	rig_emit("*", "", 0, 0, "2[\"0123456789012345678901234567890123456789\"]");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"0123456789\"])");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"9876543210\"])");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"0123456789012345678901234567890123456789\"])");
	CHECK(rig_get(c) == POLL_PARKED);
	rig_stop();
}

static void
closing(void)
{
	Client	   *c;

	unit_case("closed by the server while a GET is pending: it gets 1");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	session_close(c->s, CLOSE_FORCED);
	server_flush(rig.server);
	SAID(c, "get(1) closed(forced server close)");
	CHECK(rig_get(c) == POLL_REFUSED);
	rig_stop();

	unit_case("closed by the server between GETs: the next one gets the rest and 1, then it is gone");
	rig_start();
	c = open_polling();
	rig_emit("*", "", 0, 0, "2[\"last\"]");
	session_close(c->s, CLOSE_BY_SERVER);
	server_flush(rig.server);
	SAID(c, "closed(server namespace disconnect)");
	rig_emit("*", "", 0, 0, "2[\"too late\"]");
	CHECK(!rig_post(c, "3"));
	rig_wait(29000);
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"last\"]|1)");
	CHECK(rig_get(c) == POLL_REFUSED);
	SAID(c, "");
	rig_stop();

	unit_case("... and after 30 s it is gone without");
	rig_start();
	c = open_polling();
	session_close(c->s, CLOSE_FORCED);
	rig_wait(30000 + TIMER_TICK_MS);
	CHECK(rig_get(c) == POLL_REFUSED);
	CHECK(session_find(rig.server, slice_cstring(c->sid)) == NULL);
	SAID(c, "closed(forced server close)");
	rig_stop();

	unit_case("a closed session takes no WebSocket and no POST");
	rig_start();
	c = open_polling();
	session_close(c->s, CLOSE_FORCED);
	{
		Session    *s = session_find(rig.server, slice_cstring(c->sid));

		CHECK(!session_upgrade_begin(s, &c->probe, rig.now));
		CHECK(!session_post_begin(s, &c->post));
	}
	rig_stop();

	unit_case("closing twice is closing once");
	rig_start();
	c = open_ws();
	{
		Session    *s = c->s;

		session_close(s, CLOSE_FORCED);
		session_close(s, CLOSE_SHUTDOWN);
	}
	SAID(c, "closed(forced server close)");
	CHECK(server_counters(rig.server)[COUNTER_CONNECTIONS] == 0);
	CHECK(server_counters(rig.server)[COUNTER_SOCKETS] == 0);
	CHECK(server_counters(rig.server)[COUNTER_ROOMS] == 0);
	rig_stop();

	unit_case("no namespace joined within connect_timeout closes");
	rig_start();
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	SAID(c, OPEN_WS);
	rig_wait(25000 + TIMER_TICK_MS);
	SAID(c, "2");
	rig_send(c, "3");
	rig_wait(19950 - TIMER_TICK_MS);
	SAID(c, "");
	rig_wait(50 + TIMER_TICK_MS);
	SAID(c, "closed(forced server close)");
	CHECK(server_counters(rig.server)[COUNTER_DISCONNECT_CONNECT_TIMEOUT] == 1);
	rig_stop();

	unit_case("a message is at most 64 kB while no namespace is joined");
	rig_start();
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	CHECK(session_max_message(c->s, &c->ws) == 65536);
	rig_send(c, "40");
	CHECK(session_max_message(c->s, &c->ws) == rig_options.max_payload);
	rig_stop();

	unit_case("leaving the last namespace starts connect_timeout again");
	rig_start();
	c = open_ws();
	rig_wait(20000);
	rig_send(c, "41");
	for (int i = 0; i < 4; i++)
	{
		rig_wait(11000);
		rig_send(c, "3");
	}
	SAID(c, "2 2");
	rig_wait(1000 + TIMER_TICK_MS);
	SAID(c, "closed(forced server close)");
	rig_stop();
}

static void
upgrading(void)
{
	Client	   *c;

	unit_case("upgrade: probe, the pending GET gets 6, then the WebSocket carries on in order");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	SAID(c, "");
	rig_probe(c, "2probe");
	SAID(c, "probe(3probe) get(6)");
	rig_emit("*", "", 0, 0, "2[\"1\"]");
	CHECK(rig_post(c, "40/admin,"));
	rig_emit("*", "", 0, 0, "2[\"2\"]");
	SAID(c, "");
	rig_probe(c, "5");
	SAID(c, "42[\"1\"] 40/admin,{\"sid\":\"*\"} 42[\"2\"]");
	CHECK(c->s->transport == TRANSPORT_WEBSOCKET && c->s->ws == &c->probe);
	CHECK(rig_get(c) == POLL_REFUSED);
	CHECK(!session_post_begin(c->s, &c->post));
	rig_emit("*", "", 0, 0, "2[\"3\"]");
	SAID(c, "42[\"3\"]");
	rig_stop();

	unit_case("a GET during the upgrade is answered at once, with what there is or with 6");
	rig_start();
	c = open_polling();
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	rig_probe(c, "2probe");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "probe(3probe) get(6)");
	rig_emit("*", "", 0, 0, "2[\"x\"]");
	CHECK(rig_get(c) == POLL_READY);
	SAID(c, "get(42[\"x\"])");
	rig_stop();

	unit_case("5 without a probe is accepted; a GET that is pending gets 6");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	rig_probe(c, "5");
	SAID(c, "get(6)");
	rig_emit("*", "", 0, 0, "2[\"x\"]");
	SAID(c, "42[\"x\"]");
	rig_stop();

	unit_case("5 in the same turn as 2probe: the GET gets 6, the messages the WebSocket");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	session_receive_ws(c->s, &c->probe, false, SLICE_LITERAL("2probe"), rig.now);
	session_receive_ws(c->s, &c->probe, false, SLICE_LITERAL("5"), rig.now);
	rig_emit("*", "", 0, 0, "2[\"x\"]");
	SAID(c, "probe(3probe) get(6) 42[\"x\"]");
	rig_stop();

	unit_case("anything else on the probe hangs up the probe only");
	{
		static const char *const texts[] = {"2", "2other", "3", "4x", "40", "x", ""};

		rig_start();
		c = open_polling();
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		{
			CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
			rig_probe(c, texts[i]);
			SAID(c, "probe-closed");
			CHECK(c->s->probe == NULL);
		}
		CHECK(rig_get(c) == POLL_PARKED);
		rig_emit("*", "", 0, 0, "2[\"x\"]");
		SAID(c, "get(42[\"x\"])");
		rig_stop();
	}

	unit_case("a probe that hangs up leaves polling alive, and another may come");
	rig_start();
	c = open_polling();
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	rig_probe(c, "2probe");
	session_ws_gone(c->s, &c->probe);
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	SAID(c, "probe(3probe)");
	rig_stop();

	unit_case("a second WebSocket while upgrading or afterwards does no harm");
	rig_start();
	c = open_polling();
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	CHECK(!session_upgrade_begin(c->s, &c->ws, rig.now));
	rig_probe(c, "2probe");
	rig_probe(c, "5");
	CHECK(!session_upgrade_begin(c->s, &c->ws, rig.now));
	session_ws_gone(c->s, &c->ws);
	SAID(c, "probe(3probe)");
	rig_stop();

	unit_case("upgrade_timeout hangs up the probe only");
	rig_start();
	c = open_polling();
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	rig_probe(c, "2probe");
	SAID(c, "probe(3probe)");
	rig_wait(9980);
	SAID(c, "");
	rig_wait(20 + TIMER_TICK_MS);
	SAID(c, "probe-closed");
	CHECK(rig_get(c) == POLL_PARKED);
	rig_wait(60000 - 10000);
	rig_stop();

	unit_case("a GET aborted after the upgrade does not end the session");
	rig_start();
	c = open_polling();
	CHECK(rig_get(c) == POLL_PARKED);
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	session_receive_ws(c->s, &c->probe, false, SLICE_LITERAL("5"), rig.now);
	session_poll_aborted(c->s);
	server_flush(rig.server);
	SAID(c, "");
	rig_stop();

	unit_case("a POST that began before the upgrade is still taken");
	rig_start();
	c = open_polling();
	CHECK(session_upgrade_begin(c->s, &c->probe, rig.now));
	CHECK(session_post_begin(c->s, &c->post));
	rig_probe(c, "5");
	{
		uint8_t		body[] = "40/admin,";

		CHECK(session_post(c->s, body, sizeof(body) - 1, rig.now));
	}
	server_flush(rig.server);
	SAID(c, "40/admin,{\"sid\":\"*\"}");
	rig_stop();
}

static void
connecting(void)
{
	static const struct
	{
		const char *name;
		const char *packet;
		const char *said;
	}			table[] = {
		{"an event", "42[\"x\",1]", ""},
		{"an event with an ack id", "427[\"x\"]", ""},
		{"an event without payload", "42", ""},
		{"an ack nobody asked for", "437[]", ""},
		{"a second CONNECT", "40", "closed(forced server close)"},
		{"CONNECT_ERROR", "44{}", "closed(forced server close)"},
		{"an event for a namespace not joined", "42/admin,[\"x\"]", "closed(forced server close)"},
		{"DISCONNECT from a namespace not joined", "41/admin,", "closed(forced server close)"},
		{"a reserved event", "42[\"disconnect\"]", "closed(forced close)"},
		{"bad JSON", "42[\"x\"", "closed(forced close)"},
		{"a bad type", "47", "closed(forced close)"},
		{"an empty message", "4", "closed(forced close)"},
		{"an unknown namespace", "40/nowhere,", "44/nowhere,{\"message\":\"Invalid namespace\"}"},
		{"a namespace with a query", "40/admin?a=b,", "44/admin?a=b,{\"message\":\"Invalid namespace\"}"},
		{"another namespace", "40/admin,{\"user\":\"1\"}", "40/admin,{\"sid\":\"*\"}"},
		{"a refused CONNECT", "40/admin,{\"refuse\":1}",
		"44/admin,{\"message\":\"Invalid token\",\"data\":{\"code\":\"bad_signature\"}}"},
	};
	Client	   *c;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		unit_case("a connected client sends %s: %s", table[i].name, table[i].said[0] ? table[i].said : "ignored");
		rig_start();
		c = open_ws();
		rig_send(c, table[i].packet);
		SAID(c, table[i].said);
		rig_stop();
	}

	unit_case("an event before CONNECT closes");
	rig_start();
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	SAID(c, OPEN_WS);
	rig_send(c, "42[\"x\"]");
	SAID(c, "closed(forced server close)");
	rig_stop();

	unit_case("DISCONNECT leaves the namespace and its rooms; CONNECT again gives a new sid");
	rig_start();
	c = rig_connect(0, "7", "t");
	{
		char		before[SID_LENGTH + 1];

		memcpy(before, c->s->sockets->caller->sid, sizeof(before));
		CHECK(server_counters(rig.server)[COUNTER_ROOMS] == 3);
		rig_send(c, "41");
		SAID(c, "");
		CHECK(server_counters(rig.server)[COUNTER_ROOMS] == 0);
		CHECK(server_counters(rig.server)[COUNTER_SOCKETS] == 0);
		rig_emit("user:7", "", 0, 0, "2[\"x\"]");
		SAID(c, "");
		rig_send(c, "40");
		SAID(c, CONNECTED);
		CHECK(strcmp(before, c->s->sockets->caller->sid) != 0);
	}
	rig_stop();

	unit_case("a refused CONNECT may be tried again");
	rig_start();
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	SAID(c, OPEN_WS);
	rig_send(c, "40{\"refuse\":1}");
	rig_send(c, "40");
	SAID(c, "44{\"message\":\"Invalid token\",\"data\":{\"code\":\"bad_signature\"}} " CONNECTED);
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_AUTH] == 1);
	CHECK(server_counters(rig.server)[COUNTER_CONNECTS] == 1);
	rig_stop();

	unit_case("a flood of CONNECTs ends the session, refused or not, before it costs much");
	rig_start();
	{
		static const char *const floods[] = {"40{\"refuse\":1}\x1e", "40\x1e" "41\x1e", "40/nowhere,\x1e"};

		for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
		{
			char		body[200 * 32] = "";
			uint64_t	before = server_counters(rig.server)[COUNTER_CONNECTS] +
				server_counters(rig.server)[COUNTER_REFUSED_AUTH] +
				server_counters(rig.server)[COUNTER_REFUSED_NAMESPACE];
			uint64_t	tried;

			c = rig_open((int) i, TRANSPORT_POLLING);
			for (int n = 0; n < 200; n++)
				strcat(body, floods[i]);
			body[strlen(body) - 1] = '\0';
			CHECK(session_post_begin(c->s, &c->post));
			CHECK(!session_post(c->s, (uint8_t *) body, strlen(body), rig.now));
			tried = server_counters(rig.server)[COUNTER_CONNECTS] +
				server_counters(rig.server)[COUNTER_REFUSED_AUTH] +
				server_counters(rig.server)[COUNTER_REFUSED_NAMESPACE] - before;
			CHECK(tried >= 10 && tried <= 64 && c->reason == CLOSE_FLOOD);
		}
	}
	rig_stop();

	unit_case("an overlong namespace is not echoed");
	rig_start();
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	SAID(c, OPEN_WS);
	{
		char		text[300] = "40/";

		memset(text + 3, 'x', 256);
		text[259] = ',';
		rig_send(c, text);
	}
	SAID(c, "closed(forced server close)");
	rig_stop();

	unit_case("a socket is in the rooms of its sid, its user and its tenant");
	rig_start();
	c = rig_connect(0, "7", "acme");
	{
		char		own[SID_LENGTH + 1];

		memcpy(own, c->s->sockets->caller->sid, sizeof(own));
		rig_emit(own, "", 0, 0, "2[\"own\"]");
	}
	rig_emit("user:7", "", 0, 0, "2[\"user\"]");
	rig_emit("tenant:acme", "", 0, 0, "2[\"tenant\"]");
	rig_emit("user:acme,tenant:7,7,acme", "", 0, 0, "2[\"none\"]");
	SAID(c, "42[\"own\"] 42[\"user\"] 42[\"tenant\"]");
	rig_stop();
}

static void
binary(void)
{
	ServerOptions small = rig_options;
	const SessionPeer base64 = {.base64 = true};
	Client	   *c;

	unit_case("a binary event and its attachments are taken, the next packet is a new one");
	rig_start();
	c = open_ws();
	rig_send(c, "452-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]");
	rig_send_binary(c, "ab", 2);
	rig_send_binary(c, "", 0);
	rig_send(c, "42[\"y\"]");
	SAID(c, "");
	rig_stop();

	unit_case("pongs and pings go on between an event and its attachments");
	rig_start();
	c = open_ws();
	rig_send(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_wait(25000 + TIMER_TICK_MS);
	rig_send(c, "3");
	rig_send_binary(c, "ab", 2);
	rig_send(c, "42[\"y\"]");
	SAID(c, "2");
	rig_stop();

	unit_case("attachments in a polling body");
	rig_start();
	c = open_polling();
	CHECK(rig_post(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]|bAQID|42[\"y\"]"));
	CHECK(rig_post(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"));
	CHECK(rig_post(c, "bAQID|42[\"y\"]"));
	SAID(c, "");
	rig_stop();

	unit_case("attachments as text on a WebSocket (forceBase64)");
	rig_start();
	c = open_ws();
	rig_send(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_send(c, "bAQID");
	rig_send(c, "42[\"y\"]");
	SAID(c, "");
	rig_stop();

	unit_case("an attachment nobody announced closes");
	rig_start();
	c = open_ws();
	rig_send_binary(c, "ab", 2);
	SAID(c, "closed(forced close)");
	rig_stop();

	unit_case("one attachment too many closes");
	rig_start();
	c = open_ws();
	rig_send(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_send_binary(c, "ab", 2);
	SAID(c, "");
	rig_send_binary(c, "ab", 2);
	SAID(c, "closed(forced close)");
	rig_stop();

	unit_case("a text packet between an event and its attachments closes");
	rig_start();
	c = open_ws();
	rig_send(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_send(c, "42[\"y\"]");
	SAID(c, "closed(forced close)");
	rig_stop();

	unit_case("all attachments of an event together are bounded");
	rig_start();
	c = open_ws();
	small.max_payload = 1000;
	server_configure(rig.server, &small);
	rig_send(c, "459-[\"x\"]");
	{
		char		kilobyte[1000] = {0};

		for (int i = 0; i < 3; i++)
			rig_send_binary(c, kilobyte, sizeof(kilobyte));
		CHECK(c->s != NULL);
		rig_send_binary(c, kilobyte, sizeof(kilobyte));
		SAID(c, "closed(transport error)");
		CHECK(server_counters(rig.server)[COUNTER_DISCONNECT_TOO_LARGE] == 1);
	}
	rig_stop();

	unit_case("attachments to the client: frames, and b packets in a payload");
	rig_start();
	{
		Envelope	e = {
			.kind = ENVELOPE_EMIT, .flags = ENVELOPE_ALL, .nsp = SLICE_LITERAL("/"),
			.packet = SLICE_LITERAL("52-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]")
		};
		Client	   *poller;
		Client	   *text;
		const char *packet = "452-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
		char		expected[300];

		c = open_ws();
		poller = rig_open(1, TRANSPORT_POLLING);
		CHECK(rig_post(poller, "40"));
		rig_get(poller);
		poller->log[poller->len = 0] = '\0';
		text = rig_open_with(2, TRANSPORT_WEBSOCKET, &base64);
		rig_send(text, "40");
		text->log[text->len = 0] = '\0';

		e.attachments = rig_list("AAA,B");
		CHECK(rig_message(&e) == WIRE_OK);
		server_flush(rig.server);
		rig_get(poller);
		snprintf(expected, sizeof(expected), "%s <414141> <42>", packet);
		SAID(c, expected);
		snprintf(expected, sizeof(expected), "get(%s|bQUFB|bQg==)", packet);
		SAID(poller, expected);
		snprintf(expected, sizeof(expected), "%s bQUFB bQg==", packet);
		SAID(text, expected);
	}
	rig_stop();
}

int
main(void)
{
	handshake();
	heartbeat();
	engine_packets();
	polling();
	closing();
	upgrading();
	connecting();
	binary();
	return unit_done();
}

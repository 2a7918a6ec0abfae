/*
 * test_limits.c - rates and counts by key, and the limits of sessions that
 * are made of them.
 */
#include "unit.h"

#include "rig.h"

#include "core/recovery.h"

#define START 1000000

static const HashKey hash_key = {1, 2};

/* How many of one unit every `step` ms pass in `ms`? */
static uint64_t
passes(Bucket *b, uint32_t rate, uint64_t from, uint64_t ms, uint64_t step)
{
	uint64_t	n = 0;

	for (uint64_t now = from; now < from + ms; now += step)
		for (uint64_t i = 0; i < 2 * rate * step / 1000 + 2; i++)
			n += bucket_take(b, rate, 1, now);
	return n;
}

static void
buckets(void)
{
	static const uint32_t rates[] = {1, 3, 7, 100, 999, 1000, 1001, 12345};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		Bucket		b = {0};
		uint64_t	first;

		unit_case("%u per second: a burst of one second's worth, then %u in a minute", rates[i], rates[i] * 60);
		for (first = 0; bucket_take(&b, rates[i], 1, START); first++)
			;
		CHECK(first == rates[i]);
		CHECK(passes(&b, rates[i], START, 60000 + 1, 1) == 60ull * rates[i]);
		/* Asked every 40 ms only: what the last 40 ms would have given may be missing. */
		first = passes(&b, rates[i], START + 60001, 60000, 40);
		CHECK(first <= 60ull * rates[i] + 1 && first + rates[i] / 25 + 1 >= 60ull * rates[i]);
	}

	unit_case("what was not used for long is one second's worth");
	{
		Bucket		b = {0};
		uint64_t	n = 0;

		CHECK(bucket_take(&b, 10, 1, START));
		while (bucket_take(&b, 10, 1, START + UINT32_MAX * 5ull))
			n++;
		CHECK(n == 10);
	}

	unit_case("a large piece passes when anything is left, and is made up for");
	{
		Bucket		b = {0};
		uint64_t	bytes = 0;

		CHECK(bucket_take(&b, 1000, 5000, START));
		CHECK(!bucket_take(&b, 1000, 1, START + 4000));
		CHECK(bucket_take(&b, 1000, 1, START + 4001));
		b = (Bucket) {0};
		for (uint64_t now = START; now < START + 600000; now += 10)
			bytes += bucket_take(&b, 1000, 3000, now) ? 3000 : 0;
		CHECK(bytes >= 600000 && bytes <= 600000 + 3000 + 1000);
	}

	unit_case("a clock that stands still or goes back gives nothing");
	{
		Bucket		b = {0};

		CHECK(bucket_take(&b, 1, 1, START));
		CHECK(!bucket_take(&b, 1, 1, START) && !bucket_take(&b, 1, 1, START - 500) && !bucket_take(&b, 1, 1, START + 999));
		CHECK(bucket_take(&b, 1, 1, START + 1000));
	}

	unit_case("a rate that is changed counts from then on");
	{
		Bucket		b = {0};

		for (int i = 0; i < 100; i++)
			CHECK(bucket_take(&b, 100, 1, START));
		CHECK(!bucket_take(&b, 10, 1, START + 100));
		CHECK(bucket_take(&b, 200, 1, START + 100));
	}
}

static void
counts(void)
{
	Tally		t;
	Held	   *a[3];
	Held	   *b;
	Slice		ada = SLICE_LITERAL("ada");

	unit_case("each key has its own count, which goes up and down");
	tally_init(&t, hash_key);
	CHECK(tally_count(&t, ada) == 0);
	for (uint32_t i = 0; i < 3; i++)
	{
		a[i] = tally_hold(&t, ada, START);
		CHECK(a[i] == a[0] && a[i]->count == i + 1);
	}
	b = tally_hold(&t, SLICE_LITERAL("ad"), START);
	CHECK(tally_count(&t, ada) == 3 && tally_count(&t, SLICE_LITERAL("ad")) == 1 && tally_count(&t, SLICE_LITERAL("")) == 0);
	for (uint32_t i = 0; i < 3; i++)
	{
		CHECK(tally_count(&t, ada) == 3 - i);
		tally_release(&t, a[i], START);
	}
	CHECK(tally_count(&t, ada) == 0);

	unit_case("a key without a count and with a full bucket takes no memory");
	CHECK(t.table.count == 1);
	tally_release(&t, b, START);
	CHECK(t.table.count == 0 && t.idle_count == 0);

	unit_case("a bucket outlives the count until it is full again");
	b = tally_hold(&t, ada, START);
	CHECK(bucket_take(&b->rate, 2, 1, START) && bucket_take(&b->rate, 2, 1, START));
	tally_release(&t, b, START);
	b = tally_hold(&t, ada, START + 100);
	CHECK(b->count == 1 && !bucket_take(&b->rate, 2, 1, START + 100));
	tally_release(&t, b, START + 100);
	CHECK(t.idle_count == 1);
	a[0] = tally_hold(&t, SLICE_LITERAL("bob"), START + 1099);
	CHECK(t.table.count == 2);
	tally_release(&t, a[0], START + 1099);
	a[0] = tally_hold(&t, SLICE_LITERAL("bob"), START + 1100);
	CHECK(t.table.count == 1 && t.idle_count == 0);
	tally_release(&t, a[0], START + 1100);
	tally_free(&t);
}

static void
memory(void)
{
	Tally		t;
	uint32_t	most = 0;

	unit_case("memory is bounded however many keys come in a second");
	tally_init(&t, hash_key);
	for (uint32_t i = 0; i < 3 * TALLY_MAX_IDLE; i++)
	{
		Held	   *h = tally_hold(&t, slice(&i, sizeof(i)), START);

		CHECK(bucket_take(&h->rate, 100, 1, START));
		tally_release(&t, h, START);
		most = t.table.count > most ? t.table.count : most;
	}
	CHECK(most <= TALLY_MAX_IDLE + 1 && t.idle_count == t.table.count);

	unit_case("... and what is held is never forgotten");
	{
		uint32_t	first = 3 * TALLY_MAX_IDLE;
		Held	   *held = tally_hold(&t, slice(&first, sizeof(first)), START);

		CHECK(bucket_take(&held->rate, 100, 1, START));
		for (uint32_t i = 0; i < TALLY_MAX_IDLE + 10; i++)
		{
			Held	   *h = tally_hold(&t, slice(&i, sizeof(i)), START + 1);

			CHECK(bucket_take(&h->rate, 100, 1, START + 1));
			tally_release(&t, h, START + 1);
		}
		CHECK(tally_count(&t, slice(&first, sizeof(first))) == 1);
		tally_release(&t, held, START + 5000);
	}
	tally_free(&t);
}

static const char *const refused = "44{\"message\":\"Too many connections\",\"data\":{\"code\":\"too_many_connections\"}}";

static void
start_with_users(uint32_t max)
{
	ServerOptions options = rig_options;

	options.max_connections_per_user = max;
	rig_start_with(&options);
}

/* Is the user's connection taken? */
static bool
taken(int i, const char *user, const char *tenant)
{
	Client	   *c = rig_open(i, TRANSPORT_WEBSOCKET);
	char		text[100];
	bool		good;

	rig_forget(c);
	snprintf(text, sizeof(text), "40{\"user\":\"%s\",\"tenant\":\"%s\"}", user, tenant);
	rig_send(c, text);
	good = c->s->sockets != NULL;
	if (good)
		SAID(c, "40{\"sid\":\"*\"}");
	else
		SAID(c, refused);
	return good;
}

static void
leave_namespace(Client *c)
{
	rig_send(c, "41");
}

static void
send_close(Client *c)
{
	rig_send(c, "1");
}

static void
cut(Client *c)
{
	session_ws_gone(c->s, &c->ws);
}

static void
send_nonsense(Client *c)
{
	rig_send(c, "9");
}

static void
send_no_pong(Client *c)
{
	rig_wait(25000 + 20000 + 2 * TIMER_TICK_MS);
	CHECK(c->reason == CLOSE_PING_TIMEOUT);
}

static void
read_nothing(Client *c)
{
	char		large[600];
	char		text[700];

	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	snprintf(text, sizeof(text), "2[\"%s\"]", large);
	c->stalled = true;
	for (int i = 0; i < 30000; i++)
		rig_emit("user:ada", "", 0, 0, text);
	CHECK(c->reason == CLOSE_SLOW);
}

static void
disconnect(uint8_t flags)
{
	const Envelope e = {.kind = ENVELOPE_DISCONNECT_SOCKETS,.flags = flags,.nsp = SLICE_LITERAL("/"),.rooms = rig_list("user:ada")};

	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

static void
be_disconnected(Client *c)
{
	disconnect(0);
	CHECK(c->s != NULL && c->s->sockets == NULL);
}

static void
be_closed(Client *c)
{
	disconnect(ENVELOPE_CLOSE);
	CHECK(c->s == NULL);
}

static void
lose_the_namespace(Client *c)
{
	const Slice names[] = {SLICE_LITERAL("/admin")};
	const Slice both[] = {SLICE_LITERAL("/"), SLICE_LITERAL("/admin")};

	server_set_namespaces(rig.server, names, 1);
	server_set_namespaces(rig.server, both, 2);
	CHECK(c->s->sockets == NULL);
}

static bool
never(void *ctx, const Identity *id)
{
	(void) ctx;
	(void) id;
	return false;
}

static void
lose_the_key(Client *c)
{
	server_recheck(rig.server, never, NULL);
	CHECK(c->reason == CLOSE_EXPIRED);
}

static const struct
{
	const char *how;
	void		(*leave) (Client *c);
	bool		closes;			/* the session, too */
}			ends[] = {
	{"a DISCONNECT", leave_namespace, false},
	{"a close packet", send_close, true},
	{"a cut", cut, true},
	{"a parse error", send_nonsense, true},
	{"a ping timeout", send_no_pong, true},
	{"reading nothing", read_nothing, true},
	{"disconnect_sockets", be_disconnected, false},
	{"disconnect_sockets with close", be_closed, true},
	{"a namespace that goes", lose_the_namespace, false},
	{"a key that goes", lose_the_key, true},
};

static void
users(void)
{
	Client	   *c;

	unit_case("a user has so many connections, the next one is refused and counted");
	start_with_users(2);
	CHECK(taken(0, "ada", "x") && taken(1, "ada", "y") && !taken(2, "ada", "x") && taken(3, "bob", "x"));
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_PER_USER] == 1);
	rig_stop();

	unit_case("0 is no limit, and a reload changes it");
	start_with_users(0);
	for (int i = 0; i < 2; i++)
		CHECK(rig_connect(i, "ada", "x")->s->sockets != NULL);
	{
		ServerOptions options = rig_options;

		options.max_connections_per_user = 1;
		server_configure(rig.server, &options);
	}
	CHECK(!taken(2, "ada", "x"));
	rig_stop();

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		unit_case("the count goes down with %s", ends[i].how);
		start_with_users(1);
		CHECK(taken(0, "ada", "x") && !taken(1, "ada", "x"));
		session_ws_gone(rig.clients[1].s, &rig.clients[1].ws);
		ends[i].leave(&rig.clients[0]);
		CHECK(taken(2, "ada", "x") && !taken(3, "ada", "x"));
		rig_stop();
	}

	unit_case("two namespaces over one connection are one, until both are left");
	start_with_users(1);
	CHECK(taken(0, "ada", "x"));
	c = &rig.clients[0];
	rig_send(c, "40/admin,{\"user\":\"ada\",\"tenant\":\"x\"}");
	SAID(c, "40/admin,{\"sid\":\"*\"}");
	rig_send(c, "41");
	CHECK(!taken(1, "ada", "x"));
	rig_send(c, "40{\"user\":\"ada\",\"tenant\":\"x\"}");
	SAID(c, "40{\"sid\":\"*\"}");
	rig_send(c, "41/admin,");
	CHECK(!taken(2, "ada", "x"));
	rig_send(c, "41");
	CHECK(taken(3, "ada", "x"));
	rig_stop();

	unit_case("who comes back with a valid pid is not counted twice, also when its old connection is still open");
	{
		ServerOptions options = rig_options;
		char		pid[PID_LENGTH + 1];
		char		text[200];

		options.max_connections_per_user = 1;
		options.recovery_window = 60000;
		options.history_size = 1000000;
		rig_start_with(&options);
		c = rig_connect(0, "ada", "x");
		memcpy(pid, c->pid, sizeof(pid));
		snprintf(text, sizeof(text), "40{\"user\":\"ada\",\"tenant\":\"x\",\"pid\":\"%s\"}", pid);
		for (int i = 1; i < 5; i++)
		{
			if (i % 2 == 0)
				cut(&rig.clients[i - 1]);
			c = rig_open(i, TRANSPORT_WEBSOCKET);
			rig_forget(c);
			rig_send(c, text);
			SAID(c, "40{\"sid\":\"*\",\"pid\":\"*\"}");
			CHECK(rig.clients[i - 1].s == NULL && strcmp(c->pid, pid) == 0);
			CHECK(!taken(5, "ada", "x"));
		}
		cut(c);
		c = rig_connect(6, "ada", "x");
		CHECK(c->s->sockets != NULL);
		rig_stop();
	}

	unit_case("whoever has no user id is not counted");
	start_with_users(1);
	for (int i = 0; i < 3; i++)
	{
		c = rig_open(i, TRANSPORT_WEBSOCKET);
		rig_forget(c);
		rig_send(c, "40");
		SAID(c, "40{\"sid\":\"*\"}");
	}
	rig_stop();

	unit_case("a connection that on_connect refuses counts while it waits");
	start_with_users(1);
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("c /\n") == WIRE_OK);
	c = rig_open(0, TRANSPORT_WEBSOCKET);
	rig_send(c, "40{\"user\":\"ada\",\"tenant\":\"x\"}");
	{
		Call	   *call = server_call_next(rig.server);
		const CallResult no = {.outcome = CALL_REFUSED,.message = SLICE_LITERAL("no"),.code = SLICE_LITERAL("P0001")};

		CHECK(!taken(1, "ada", "x"));
		server_call_done(rig.server, call, &no, rig.now);
		server_use_handlers(rig.server, false);
		CHECK(taken(2, "ada", "x"));
	}
	rig_stop();
}

static void
start_with_addresses(uint32_t connections, uint32_t handshakes)
{
	ServerOptions options = rig_options;

	options.max_connections_per_ip = connections;
	options.max_handshakes_per_second = handshakes;
	rig_start_with(&options);
}

/* Is there a session for this address? */
static bool
opened(int i, Transport t, const char *address)
{
	const SessionPeer peer = {.address = slice_cstring(address)};

	return rig_open_with(i, t, &peer)->s != NULL;
}

static void
addresses(void)
{
	Client	   *c;
	int			n;

	unit_case("an address has so many sessions, the next one is refused and counted");
	start_with_addresses(2, 0);
	CHECK(opened(0, TRANSPORT_WEBSOCKET, "10.0.0.1") && opened(1, TRANSPORT_POLLING, "10.0.0.1"));
	CHECK(!opened(2, TRANSPORT_POLLING, "10.0.0.1") && rig.refusal == REFUSED_ADDRESS);
	CHECK(!opened(2, TRANSPORT_WEBSOCKET, "::ffff:10.0.0.1") && opened(3, TRANSPORT_WEBSOCKET, "10.0.0.2"));
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_PER_IP] == 2);
	rig_stop();

	unit_case("a whole IPv6 /64 is one address");
	start_with_addresses(2, 0);
	CHECK(opened(0, TRANSPORT_WEBSOCKET, "2001:db8::1") && opened(1, TRANSPORT_WEBSOCKET, "2001:db8::2"));
	CHECK(!opened(2, TRANSPORT_WEBSOCKET, "2001:db8::3") && opened(3, TRANSPORT_WEBSOCKET, "2001:db8:0:1::1"));
	rig_stop();

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		if (!ends[i].closes)
			continue;
		unit_case("an address's count goes down with %s", ends[i].how);
		start_with_addresses(1, 0);
		c = rig_connect(0, "ada", "x");
		CHECK(!opened(1, TRANSPORT_WEBSOCKET, "127.0.0.1"));
		ends[i].leave(c);
		CHECK(c->s == NULL);
		CHECK(opened(2, TRANSPORT_WEBSOCKET, "127.0.0.1") && !opened(3, TRANSPORT_WEBSOCKET, "127.0.0.1"));
		rig_stop();
	}

	unit_case("a polling session that lingers for its close packet is not counted");
	start_with_addresses(1, 0);
	CHECK(opened(0, TRANSPORT_POLLING, "127.0.0.1"));
	session_close(rig.clients[0].s, CLOSE_FORCED);
	CHECK(opened(1, TRANSPORT_WEBSOCKET, "127.0.0.1"));
	rig_stop();

	unit_case("handshakes of an address pass at the rate that is set, sessions that end or not");
	start_with_addresses(0, 5);
	for (n = 0; n < 100 && opened(0, TRANSPORT_WEBSOCKET, "10.0.0.1"); n++)
		cut(&rig.clients[0]);
	CHECK(n == 5 && rig.refusal == REFUSED_RATE);
	CHECK(opened(0, TRANSPORT_WEBSOCKET, "10.0.0.2"));
	for (n = 0; rig.now < 1000000 + 60000; rig_wait(50))
	{
		if (!opened(1, TRANSPORT_WEBSOCKET, "10.0.0.1"))
			continue;
		cut(&rig.clients[1]);
		n++;
	}
	CHECK(n >= 5 * 60 - 1 && n <= 5 * 60);
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_HANDSHAKES] > 800);
	rig_stop();

	unit_case("a handshake that is refused for another reason takes nothing off the rate");
	start_with_addresses(1, 2);
	CHECK(opened(0, TRANSPORT_WEBSOCKET, "10.0.0.1"));
	for (n = 0; n < 10; n++)
		CHECK(!opened(1, TRANSPORT_WEBSOCKET, "10.0.0.1") && rig.refusal == REFUSED_ADDRESS);
	cut(&rig.clients[0]);
	CHECK(opened(0, TRANSPORT_WEBSOCKET, "10.0.0.1"));
	rig_stop();
}

#define TOO_MANY(event, what) "42[\"error\",{\"event\":" event ",\"message\":\"too many " what "\",\"code\":\"rate_limited\"}]"

static Client *
start_with_rates(uint32_t events, uint32_t bytes)
{
	ServerOptions options = rig_options;

	options.max_events_per_second = events;
	options.max_bytes_per_second = bytes;
	options.ping_interval = 1000000;
	rig_start_with(&options);
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("e / x\nj / r:*\n") == WIRE_OK);
	return rig_connect(0, "ada", "x");
}

/* How many events wait for a handler, which never comes?  They are gone then. */
static uint32_t
ran(void)
{
	const CallResult no = {.outcome = CALL_REFUSED,.message = SLICE_LITERAL("no"),.code = SLICE_LITERAL("no")};
	uint32_t	n = 0;
	Call	   *c;

	while ((c = server_call_next(rig.server)) != NULL)
	{
		n++;
		server_call_done(rig.server, c, &no, rig.now);
	}
	server_flush(rig.server);
	return n;
}

static void
rates(void)
{
	Client	   *c;
	uint32_t	n;
	char		text[2000];

	unit_case("events over the rate are not run, and their client is told, with and without an acknowledgement");
	c = start_with_rates(2, 0);
	for (int i = 0; i < 2; i++)
		rig_send(c, "42[\"x\"]");
	CHECK(ran() == 2);
	rig_forget(c);
	rig_send(c, "42[\"x\",1]");
	SAID(c, TOO_MANY("\"x\"", "events"));
	rig_send(c, "427[\"x\",1]");
	SAID(c, TOO_MANY("\"x\"", "events") " 437[{\"error\":{\"message\":\"too many events\",\"code\":\"rate_limited\"}}]");
	CHECK(ran() == 0 && server_counters(rig.server)[COUNTER_REFUSED_EVENTS] == 2);
	rig_wait(512);
	rig_send(c, "42[\"x\",1]");
	CHECK(ran() == 1);
	rig_stop();

	unit_case("over a minute exactly the rate passes, at four times as many");
	c = start_with_rates(10, 0);
	for (n = 0; n < 10; n++)
		rig_send(c, "42[\"x\"]");
	CHECK(ran() == 10);
	n = 0;
	for (int i = 0; i < 60 * 40; i++)
	{
		rig_wait(25);
		rig_send(c, "42[\"x\"]");
		n += ran();
		rig_forget(c);
	}
	CHECK(n == 600 && c->s != NULL);
	rig_stop();

	unit_case("... and of bytes the same, in events of different sizes");
	c = start_with_rates(0, 1000);
	{
		uint64_t	passed = 0;

		for (int i = 0; i < 61 * 40; i++)
		{
			size_t		size = 20 + (size_t) (i * 37 % 200);

			snprintf(text, sizeof(text), "42[\"x\",\"%0*d\"]", (int) size - 8, 0);
			rig_send(c, text);
			/* The first second's worth may come at once. */
			passed += ran() * size;
			rig_forget(c);
			rig_wait(25);
		}
		CHECK(passed >= 61 * 1000 && passed <= 62 * 1000 + 220 && c->s != NULL);
	}
	rig_stop();

	unit_case("namespaces of one connection share its rate, connections do not");
	c = start_with_rates(2, 0);
	rig_send(c, "40/admin,{\"user\":\"ada\",\"tenant\":\"x\"}");
	rig_send(c, "42[\"x\"]");
	rig_send(c, "42/admin,[\"x\"]");
	rig_forget(c);
	rig_send(c, "42/admin,[\"x\"]");
	SAID(c, "42/admin,[\"error\",{\"event\":\"x\",\"message\":\"too many events\",\"code\":\"rate_limited\"}]");
	rig_send(rig_connect(1, "ada", "x"), "42[\"x\"]");
	CHECK(ran() == 2);
	rig_stop();

	unit_case("bytes over the rate, attachments too; a large event passes and the next ones wait");
	c = start_with_rates(0, 100);
	snprintf(text, sizeof(text), "42[\"x\",\"%0300d\"]", 0);
	rig_send(c, text);
	CHECK(ran() == 1);
	rig_wait(2000);
	rig_forget(c);
	rig_send(c, "42[\"x\"]");
	SAID(c, TOO_MANY("\"x\"", "bytes"));
	rig_wait(3000);
	rig_send(c, "451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
	rig_send_binary(c, text, 200);
	CHECK(ran() == 1);
	rig_forget(c);
	rig_send(c, "42[\"x\"]");
	SAID(c, TOO_MANY("\"x\"", "bytes"));
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_BYTES] == 2);
	rig_stop();

	unit_case("ten times as many packets of any kind end the session");
	c = start_with_rates(10, 0);
	for (n = 0; c->s != NULL && n < 1000; n++)
		rig_send(c, n % 2 ? "3" : "6");
	CHECK(n == 101 - 1 && c->reason == CLOSE_FLOOD);	/* the CONNECT was one */
	CHECK(server_counters(rig.server)[COUNTER_DISCONNECT_FLOOD] == 1);
	rig_stop();

	unit_case("... by polling in the middle of a body");
	c = start_with_rates(10, 0);
	c = rig_open(1, TRANSPORT_POLLING);
	memset(text, '\0', sizeof(text));
	for (n = 0; n < 101; n++)
		strcat(text, n > 0 ? "|3" : "3");
	CHECK(!rig_post(c, text) && c->reason == CLOSE_FLOOD);
	rig_stop();

	unit_case("... and so do ten times as many bytes, in whatever they come");
	{
		ServerOptions options = rig_options;
		char	   *large = calloc(1, 100001);

		options.max_bytes_per_second = 1000;
		options.max_payload = 100000;
		rig_start_with(&options);
		c = rig_connect(0, "ada", "x");
		memset(large, '3', 100000);
		for (n = 0; c->s != NULL && n < 100; n++)
			rig_send(c, large);
		CHECK(n == 11 && c->reason == CLOSE_FLOOD);
		free(large);
		rig_stop();
	}

	unit_case("attachments are no packets of their own");
	c = start_with_rates(10, 0);
	for (n = 0; n < 10; n++)
	{
		rig_send(c, "4510-[\"x\"]");
		for (int i = 0; i < 10; i++)
			rig_send_binary(c, "b", 1);
	}
	CHECK(c->s != NULL && ran() == 10);
	rig_stop();
}

static void
names(void)
{
	ServerOptions options = rig_options;
	Client	   *c;
	char		text[2000];

	unit_case("a socket joins so many rooms; those that SQL gives count and are never refused");
	options.max_rooms_per_socket = 5;
	rig_start_with(&options);
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("j / r:*\n") == WIRE_OK);
	c = rig_connect(0, "ada", "x");
	{
		const Envelope join = {.kind = ENVELOPE_SOCKETS_JOIN,.nsp = SLICE_LITERAL("/"),.rooms = rig_list("user:ada"),.except = rig_list("a")};
		const Envelope more = {.kind = ENVELOPE_SOCKETS_JOIN,.nsp = SLICE_LITERAL("/"),.rooms = rig_list("user:ada"),.except = rig_list("b,c")};

		CHECK(rig_message(&join) == WIRE_OK);
		rig_send(c, "421[\"room:join\",\"r:1\"]");
		CHECK(server_calls_waiting(rig.server) == 1);
		CHECK(rig_message(&more) == WIRE_OK && c->s->sockets->member.room_count == 6);
		CHECK(ran() == 1);
	}
	rig_forget(c);
	rig_send(c, "422[\"room:join\",\"r:2\"]");
	SAID(c, "42[\"error\",{\"event\":\"room:join\",\"message\":\"too many rooms\",\"code\":\"too_many_rooms\"}] "
		 "432[{\"error\":{\"message\":\"too many rooms\",\"code\":\"too_many_rooms\"}}]");
	CHECK(server_calls_waiting(rig.server) == 0 && server_counters(rig.server)[COUNTER_REFUSED_ROOMS] == 1);
	rig_send(c, "423[\"room:join\",\"a\"]");
	SAID(c, "433[]");
	rig_send(c, "42[\"room:leave\",\"a\"]");
	rig_send(c, "42[\"room:leave\",\"b\"]");
	rig_send(c, "424[\"room:join\",\"r:2\"]");
	CHECK(server_calls_waiting(rig.server) == 1);
	rig_stop();

	unit_case("a connection joins so many namespaces");
	options = rig_options;
	options.max_namespaces_per_connection = 1;
	rig_start_with(&options);
	c = rig_connect(0, "ada", "x");
	rig_send(c, "40/admin,");
	SAID(c, "44/admin,{\"message\":\"Too many namespaces\",\"data\":{\"code\":\"too_many_namespaces\"}}");
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_NAMESPACES] == 1);
	rig_send(c, "41");
	rig_send(c, "40/admin,");
	SAID(c, "40/admin,{\"sid\":\"*\"}");
	rig_stop();

	unit_case("an event's name has at most 255 bytes, however it is written");
	rig_start();
	c = rig_connect(0, "ada", "x");
	snprintf(text, sizeof(text), "421[\"%0255d\"]", 0);
	rig_send(c, text);
	SAID(c, "");
	text[0] = '\0';
	for (int i = 0; i < 255; i++)
		strcat(text, "\\u0061");
	memmove(text + 5, text, strlen(text) + 1);
	memcpy(text, "421[\"", 5);
	strcat(text, "\"]");
	rig_send(c, text);
	SAID(c, "");
	snprintf(text, sizeof(text), "421[\"%0256d\"]", 0);
	for (int i = 0; i < 2; i++)
	{
		rig_send(c, text);
		SAID(c, "42[\"error\",{\"event\":null,\"message\":\"the event's name is too long\",\"code\":\"name_too_long\"}] "
			 "431[{\"error\":{\"message\":\"the event's name is too long\",\"code\":\"name_too_long\"}}]");
		snprintf(text, sizeof(text), "421[\"%01900d\"]", 0);
	}
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_NAME] == 2);
	rig_stop();

	unit_case("and so has a room's");
	rig_start();
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules("j / 0* x\n") == WIRE_OK);
	c = rig_connect(0, "ada", "x");
	snprintf(text, sizeof(text), "421[\"room:join\",\"%0255d\"]", 0);
	rig_send(c, text);
	CHECK(ran() == 1);
	rig_forget(c);
	for (int i = 0; i < 3; i++)
	{
		static const char *const forms[] = {"42[\"room:join\",\"%0256d\"]", "42[\"room:leave\",\"%01700d\"]",
		"42[\"room:emit\",\"%0256d\",\"x\"]"};
		static const char *const events[] = {"room:join", "room:leave", "room:emit"};
		char		said[200];

		snprintf(text, sizeof(text), forms[i], 0);
		rig_send(c, text);
		snprintf(said, sizeof(said), "42[\"error\",{\"event\":\"%s\",\"message\":\"the room's name is too long\","
				 "\"code\":\"name_too_long\"}]", events[i]);
		SAID(c, said);
	}
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_ROOM_NAME] == 3);
	rig_stop();
}

int
main(void)
{
	rates();
	names();
	addresses();
	users();
	buckets();
	counts();
	memory();
	return unit_done();
}

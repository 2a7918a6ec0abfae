/*
 * test_follow.c - room:join with `since`: what a client gets that goes on from
 * a snapshot.  Message n of the bus stands at LSN n, timeline 1, and is of
 * transaction 1000 + n.
 */
#include "unit.h"

#include "rig.h"

#include "core/follow.h"
#include "core/session_state.h"
#include "core/text.h"

static ServerOptions options;

static void
start_with(const char *rules, size_t history)
{
	options = rig_options;
	options.recovery_window = 60000;
	options.history_size = history;
	rig_start_with(&options);
	if (rules == NULL)
		return;
	server_use_handlers(rig.server, true);
	CHECK(rig_set_rules(rules) == WIRE_OK);
}

static void
start(const char *rules)
{
	start_with(rules, 1000000);
}

/* Transaction 1000 + n, whatever n the next message has. */
static void
emit_as(uint64_t xid, const char *rooms, const char *packet)
{
	uint8_t		bytes[1000];
	Envelope	e = {.kind = ENVELOPE_EMIT,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(rooms),.packet = slice_cstring(packet)};
	LinkMessage m = {.timeline = 1,.lsn = ++rig.lsn,.xid = xid,.envelope = slice(bytes, envelope_size(&e))};

	envelope_encode(&e, bytes);
	CHECK(server_message(rig.server, &m, rig.now) == WIRE_OK);
	server_flush(rig.server);
}

static void
emit(const char *rooms, const char *packet)
{
	emit_as(1000 + rig.lsn + 1, rooms, packet);
}

static void
command(EnvelopeKind kind, const char *in, const char *rooms)
{
	Envelope	e = {.kind = kind,.nsp = SLICE_LITERAL("/"),.rooms = rig_list(in),.except = rig_list(rooms)};

	CHECK(rig_message(&e) == WIRE_OK);
	server_flush(rig.server);
}

/* Answers the join that waits for the rule. */
static void
decide(const char *args, const char *answer)
{
	Call	   *c = server_call_next(rig.server);
	Text		t = {0};
	CallResult	r = {.outcome = CALL_OK};
	uint8_t		none[4] = {0};

	if (!CHECK(c != NULL && c->kind == HANDLER_JOIN && slice_equal(c->args, slice_cstring(args))))
		return;
	text_add_item(&t, slice_cstring(answer));
	text_add(&t, slice(none, 4));
	r.reply = text_slice(&t);
	server_call_done(rig.server, c, &r, rig.now);
	text_free(&t);
	server_flush(rig.server);
}

/* low, high, xmax in decimal, and xids that run. */
static const char *
token(uint64_t low, uint64_t high, uint64_t xmax, uint64_t running)
{
	static char text[100];
	const Since s = {.low = {.lsn = low,.timeline = 1},.high = high,.xmax = xmax,.running_count = running != 0,.running = &running};

	text[since_encode(text, &s)] = '\0';
	return text;
}

/* Asks for an acknowledgement, number 1. */
static void
join(Client *c, const char *room, const char *since)
{
	char		text[300];

	snprintf(text, sizeof(text), "421[\"room:join\",\"%s\",{\"since\":\"%s\"}]", room, since);
	rig_send(c, text);
}

static void
leave(Client *c, const char *room)
{
	char		text[300];

	snprintf(text, sizeof(text), "420[\"room:leave\",\"%s\"]", room);
	rig_send(c, text);
}

#define REFUSED(message, code) \
	"42[\"error\",{\"event\":\"room:join\",\"message\":\"" message "\",\"code\":\"" code "\"},\"*\"] " \
	"431[{\"error\":{\"message\":\"" message "\",\"code\":\"" code "\"}}]"

/* The offset of an error is of no interest. */
static bool
refused(Client *c, const char *text)
{
	for (char *at = c->log; (at = strstr(at, "\"},\"")) != NULL && at[4] != '*';)
	{
		char	   *end = strchr(at + 4, '"');

		at[4] = '*';
		memmove(at + 5, end, strlen(end) + 1);
	}
	if (strcmp(c->log, text) != 0)
		printf("# %s\n# wanted %s\n", c->log, text);
	return strcmp(c->log, text) == 0 && (rig_forget(c), true);
}

static Client *
connect(void)
{
	Client	   *c = rig_connect(0, "1", "t");

	return c;
}

static void
own_rooms(void)
{
	Client	   *a;

	unit_case("a client follows its tenant's room from a snapshot on");
	start(NULL);
	a = connect();
	emit("tenant:t", "2[\"a\"]");	/* 1: before low */
	emit("tenant:t", "2[\"b\"]");	/* 2: in the snapshot */
	emit("tenant:t", "2[\"c\"]");	/* 3: still ran */
	emit("tenant:u", "2[\"other\"]");
	emit("tenant:t", "2[\"d\"]");	/* 5: committed later */
	rig_forget(a);
	leave(a, "tenant:t");
	SAID(a, "430[]");
	emit("tenant:t", "2[\"e\"]");	/* 6: likewise, and of it nothing is heard before the join */
	emit("user:1", "2[\"user\"]");
	SAID(a, "42[\"user\",\"1.7.1\"]");
	join(a, "tenant:t", token(2, 5, 1005, 1003));
	SAID(a, "42[\"c\",\"1.7.1\"] 42[\"d\",\"1.7.1\"] 42[\"e\",\"1.7.1\"] 431[]");
	emit("tenant:t", "2[\"f\"]");
	SAID(a, "42[\"f\",\"1.8.1\"]");
	CHECK(a->s->sockets->follows == NULL);

	unit_case("... also without leaving it first, and from an offset");
	join(a, "tenant:t", "1.3.1");
	SAID(a, "42[\"d\",\"1.8.1\"] 42[\"e\",\"1.8.1\"] 42[\"f\",\"1.8.1\"] 431[]");
	emit("tenant:t", "2[\"g\"]");
	SAID(a, "42[\"g\",\"1.9.1\"]");
	rig_stop();

	unit_case("what is behind the client's position is told apart live");
	start(NULL);
	a = connect();
	leave(a, "tenant:t");
	emit("tenant:t", "2[\"a\"]");
	rig_forget(a);
	join(a, "tenant:t", token(1, 5, 1010, 1009));
	SAID(a, "431[]");
	emit("tenant:t", "2[\"b\"]");	/* 2: 1002 is in the snapshot */
	emit_as(1009, "tenant:t", "2[\"c\"]");	/* 3 */
	emit_as(1010, "tenant:t", "2[\"d\"]");	/* 4 */
	SAID(a, "42[\"c\",\"1.3.1\"] 42[\"d\",\"1.4.1\"]");
	emit_as(1001, "tenant:t,user:1", "2[\"both\"]");	/* 5, beyond high */
	SAID(a, "42[\"both\",\"1.5.1\"]");
	CHECK(!follow_pending(a->s->sockets));
	rig_stop();

	unit_case("... a message for another of its rooms comes all the same, and one for everybody");
	start(NULL);
	a = connect();
	emit("tenant:t", "2[\"a\"]");
	rig_forget(a);
	join(a, "tenant:t", token(1, 9, 2000, 0));
	SAID(a, "431[]");
	emit("tenant:t,user:1", "2[\"both\"]");
	SAID(a, "42[\"both\",\"1.2.1\"]");
	rig_emit("", "", ENVELOPE_ALL, 0, "2[\"all\"]");
	SAID(a, "42[\"all\",\"1.3.1\"]");
	emit("tenant:t", "2[\"seen\"]");
	SAID(a, "");

	unit_case("... a snapshot of a server that is ahead of us");
	join(a, "tenant:t", token(6, 9, 2000, 1008));
	SAID(a, "431[]");
	for (int i = 0; i < 5; i++)
		emit("tenant:t", "2[\"x\"]");
	SAID(a, "42[\"x\",\"1.8.1\"] 42[\"x\",\"1.9.1\"]");
	rig_stop();

	unit_case("a room that was left can be joined again without a snapshot");
	start(NULL);
	a = connect();
	leave(a, "user:1");
	emit("user:1", "2[\"x\"]");
	SAID(a, "430[]");
	rig_send(a, "421[\"room:join\",\"user:1\"]");
	emit("user:1", "2[\"y\"]");
	SAID(a, "431[] 42[\"y\",\"1.2.1\"]");

	unit_case("... commands find the socket there all the time");
	leave(a, "user:1");
	rig_forget(a);
	command(ENVELOPE_SOCKETS_JOIN, "user:1", "given");
	emit("given", "2[\"z\"]");
	SAID(a, "42[\"z\",\"1.4.1\"]");
	command(ENVELOPE_SOCKETS_LEAVE, "user:1", "tenant:t");
	join(a, "tenant:t", "1.1.0");
	CHECK(refused(a, REFUSED("not allowed", "forbidden")));
	rig_stop();
}

static void
rules(void)
{
	Client	   *a;

	unit_case("other rooms: the rule is asked first, without the option");
	start("j / ticket:*\n");
	a = connect();
	emit("ticket:1", "2[\"a\"]");
	emit("ticket:1", "2[\"b\"]");
	join(a, "ticket:1", "1.1.1");
	SAID(a, "");
	decide("[\"ticket:1\"]", "[true]");
	SAID(a, "42[\"b\",\"1.2.1\"] 431[]");
	emit("ticket:1", "2[\"c\"]");
	SAID(a, "42[\"c\",\"1.3.1\"]");

	unit_case("... who may not join gets nothing");
	join(a, "ticket:2", "1.0.0");
	decide("[\"ticket:2\"]", "[false]");
	CHECK(refused(a, REFUSED("not allowed", "forbidden")));
	join(a, "other", "1.0.0");
	CHECK(refused(a, REFUSED("not allowed", "forbidden")));
	join(a, "tenant:u", "1.0.0");
	CHECK(refused(a, REFUSED("not allowed", "forbidden")));
	emit("ticket:2", "2[\"x\"]");
	SAID(a, "");
	rig_stop();

	unit_case("what is no token");
	start(NULL);
	a = connect();
	join(a, "tenant:t", "s1.2");
	CHECK(refused(a, REFUSED("invalid arguments", "invalid_arguments")));
	rig_send(a, "421[\"room:join\",\"tenant:t\",{\"since\":1}]");
	CHECK(refused(a, REFUSED("invalid arguments", "invalid_arguments")));
	rig_send(a, "421[\"room:join\",\"tenant:t\",\"1.1.1\"]");
	CHECK(refused(a, REFUSED("invalid arguments", "invalid_arguments")));
	rig_send(a, "421[\"room:join\",\"tenant:t\",{},1]");
	CHECK(refused(a, REFUSED("invalid arguments", "invalid_arguments")));
	rig_stop();
}

static void
gaps(void)
{
	const LinkTimeline lines[] = {{1, 0, 5}, {2, 5, UINT64_MAX}};
	uint8_t		bytes[4 + 2 * LINK_TIMELINE_SIZE];
	LinkTimelines list;
	Client	   *a;

	unit_case("what the history has let go is told");
	start_with(NULL, 1);
	a = connect();
	emit("tenant:t", "2[\"a\"]");
	emit("tenant:t", "2[\"b\"]");
	rig_forget(a);
	rig_misses[MISSED_SINCE] = 0;
	join(a, "tenant:t", "1.1.1");
	CHECK(refused(a, REFUSED("not all that came since is known", "gap")));
	CHECK(server_counters(rig.server)[COUNTER_FOLLOWS_GAP] == 1 && rig_misses[MISSED_SINCE] == 1);
	rig_stop();

	unit_case("... and that there is none");
	rig_start();
	a = connect();
	join(a, "tenant:t", "1.1.1");
	SAID(a, "42[\"error\",{\"event\":\"room:join\",\"message\":\"there is no history\",\"code\":\"no_history\"}] "
		 "431[{\"error\":{\"message\":\"there is no history\",\"code\":\"no_history\"}}]");
	emit("tenant:t", "2[\"a\"]");

	unit_case("... nor was before it was turned on");
	options = rig_options;
	options.recovery_window = 60000;
	options.history_size = 1000000;
	server_configure(rig.server, &options);
	rig_forget(a);
	join(a, "tenant:t", "1.0.0");
	CHECK(strstr(a->log, "\"gap\"") != NULL);
	rig_stop();

	unit_case("... and what is of another timeline");
	start(NULL);
	a = connect();
	emit("tenant:t", "2[\"a\"]");
	rig_forget(a);
	join(a, "tenant:t", "2.5.1");
	CHECK(refused(a, REFUSED("not all that came since is known", "gap")));

	unit_case("... also if it becomes one: then the client is told by a new connection");
	join(a, "tenant:t", token(1, 9, 2000, 0));
	SAID(a, "431[]");
	link_timelines_encode(bytes, lines, 2);
	CHECK(link_timelines_decode(slice(bytes, sizeof(bytes)), &list) == WIRE_OK);
	server_set_timelines(rig.server, list);
	server_flush(rig.server);
	SAID(a, "closed(forced server close)");

	unit_case("a token counts up to where it tells messages apart");
	a = connect();
	join(a, "tenant:t", token(1, 5, 2000, 0));	/* up to the end of the timeline */
	SAID(a, "431[]");
	join(a, "tenant:t", token(1, 6, 2000, 0));	/* beyond it */
	CHECK(refused(a, REFUSED("not all that came since is known", "gap")));
	rig_stop();
}

static void
drops(void)
{
	char		pid[PID_LENGTH + 1];
	char		text[200];
	Client	   *a;
	Client	   *b;
	uint64_t	absent;

	unit_case("who loses the connection before the bus is beyond the token is not recovered");
	start(NULL);
	for (int i = 0; i < 2; i++)
	{
		a = connect();
		snprintf(pid, sizeof(pid), "%s", a->pid);
		emit("tenant:t", "2[\"a\"]");
		rig_forget(a);
		join(a, "tenant:t", token(rig.lsn, rig.lsn + 1, 2000, 0));
		SAID(a, "431[]");
		if (i == 1)
			emit("user:1", "2[\"beyond\"]");
		session_ws_gone(a->s, &a->ws);
		server_flush(rig.server);
		b = rig_open(1, TRANSPORT_WEBSOCKET);
		snprintf(text, sizeof(text), "40{\"user\":\"1\",\"tenant\":\"t\",\"pid\":\"%s\"}", pid);
		rig_send(b, text);
		CHECK((strcmp(pid, b->pid) == 0) == (i == 1));
		session_ws_gone(b->s, &b->ws);
		server_flush(rig.server);
		if (i == 0)
			unit_case("... later it is");
	}

	unit_case("... nor is one that has left a room of its own");
	a = connect();
	absent = server_counters(rig.server)[COUNTER_ABSENT];
	leave(a, "tenant:t");
	session_ws_gone(a->s, &a->ws);
	server_flush(rig.server);
	CHECK(server_counters(rig.server)[COUNTER_ABSENT] == absent);
	rig_stop();
}

static void
flow(void)
{
	static char packet[1000];
	Client	   *a;
	int			sent = 0;

	unit_case("a client gets what it takes, and in between nothing else of the room");
	start(NULL);
	options.max_queued = 4000;
	server_configure(rig.server, &options);
	a = connect();
	leave(a, "tenant:t");
	snprintf(packet, sizeof(packet), "2[\"%.500s\"]", "x");
	memset(packet + 3, 'x', 900);
	strcpy(packet + 903, "\"]");
	for (int i = 0; i < 5; i++)
		emit("tenant:t", packet);
	rig_forget(a);
	a->stalled = true;
	join(a, "tenant:t", "1.0.0");
	CHECK(a->s->queue.count == 2);
	rig_send(a, "425[\"room:leave\",\"nowhere\"]");	/* waits for its turn */
	CHECK(a->s->queue.count == 2);
	emit("tenant:t", "2[\"live\"]");
	CHECK(a->s->queue.count == 2);
	a->stalled = false;
	for (int i = 0; i < 10; i++)
	{
		session_mark_dirty(a->s);
		server_flush(rig.server);
	}
	for (const char *at = a->log; (at = strstr(at, "xxx\"")) != NULL; at++)
		sent++;
	CHECK(sent == 5);
	CHECK(strstr(a->log, "42[\"live\",\"1.6.1\"] 431[] 435[]") != NULL);

	unit_case("... unless it is taken out of the room");
	rig_forget(a);
	a->stalled = true;
	join(a, "tenant:t", "1.0.0");
	command(ENVELOPE_SOCKETS_LEAVE, "user:1", "tenant:t");
	a->stalled = false;
	for (int i = 0; i < 10; i++)
	{
		session_mark_dirty(a->s);
		server_flush(rig.server);
	}
	CHECK(strstr(a->log, "forbidden") != NULL && strstr(a->log, "live") == NULL);

	unit_case("... or the history does not last so long");
	command(ENVELOPE_SOCKETS_JOIN, "user:1", "tenant:t");
	rig_forget(a);
	a->stalled = true;
	join(a, "tenant:t", "1.0.0");
	options.history_size = 1;
	server_configure(rig.server, &options);
	emit("tenant:t", "2[\"live\"]");
	a->stalled = false;
	for (int i = 0; i < 10; i++)
	{
		session_mark_dirty(a->s);
		server_flush(rig.server);
	}
	CHECK(strstr(a->log, "gap") != NULL && strstr(a->log, "live") == NULL);

	unit_case("... or it goes");
	options.history_size = 1000000;
	server_configure(rig.server, &options);
	emit("tenant:t", packet);
	emit("tenant:t", packet);
	emit("tenant:t", packet);
	emit("tenant:t", packet);
	a->stalled = true;
	snprintf(packet, sizeof(packet), "1.%llx.1", (unsigned long long) rig.lsn - 4);
	join(a, "tenant:t", packet);
	CHECK(a->s->queue.count > 0);
	session_ws_gone(a->s, &a->ws);
	server_flush(rig.server);
	CHECK(!server_has_calls(rig.server));
	rig_stop();
}

int
main(void)
{
	own_rooms();
	rules();
	gaps();
	drops();
	flow();
	return unit_done();
}

/*
 * test_inspect.c - who is connected, told in slices, while everything changes.
 */
#include "unit.h"

#include "core/inspect.h"
#include "rig.h"

#define ROOMS_MAX 2000

static uint8_t all[1 << 20];
static size_t all_len;

/* One more slice; false: it was the last one. */
static bool
slice_of(uint64_t id, LinkQuery what, size_t max)
{
	uint8_t		bytes[4096];
	bool		more;
	size_t		len = server_inspect(rig.server, id, what, bytes, max, &more);

	CHECK(len <= max && all_len + len <= sizeof(all));
	memcpy(all + all_len, bytes, len);
	all_len += len;
	return more;
}

static void
whole(uint64_t id, LinkQuery what, size_t max)
{
	int			slices = 0;

	all_len = 0;
	while (slice_of(id, what, max))
		CHECK(++slices < 100000);
}

static void
join(int from, int to)
{
	static char names[ROOMS_MAX * 8];
	size_t		len = 0;
	Envelope	e = {.kind = ENVELOPE_SOCKETS_JOIN,.nsp = SLICE_LITERAL("/"),.rooms = rig_list("user:1")};

	for (int i = from; i < to; i++)
	{
		char		name[8];
		int			n = snprintf(name, sizeof(name), "r%d", i);

		len = (size_t) (write_string((uint8_t *) names + len, slice(name, (size_t) n)) - (uint8_t *) names);
	}
	e.except = (EnvelopeList) {(uint32_t) (to - from), slice(names, len)};
	CHECK(rig_message(&e) == WIRE_OK);
}

/* How often room r<i> is told of; the rows must be whole. */
static void
count_rooms(int *times)
{
	Reader		r = reader(slice(all, all_len));

	memset(times, 0, ROOMS_MAX * sizeof(*times));
	while (reader_left(&r) > 0)
	{
		Slice		row = read_string(&r);
		Reader		inner = reader(row);
		Slice		nsp = read_string(&inner);
		Slice		room = read_string(&inner);
		uint32_t	sockets = read_u32(&inner);

		CHECK(!r.bad && !inner.bad && reader_left(&inner) == 0 && slice_equal(nsp, SLICE_LITERAL("/")) && sockets > 0);
		if (room.len > 1 && room.data[0] == 'r')
		{
			char		digits[8] = {0};

			memcpy(digits, room.data + 1, room.len - 1);
			times[atoi(digits)]++;
		}
	}
}

static void
test_rooms(void)
{
	static int	times[ROOMS_MAX];
	int			made = 100;

	unit_case("each room once, whatever the size of the slices");
	rig_start();
	rig_connect(0, "1", "x");
	join(0, made);
	for (size_t max = 1; max < 4000; max = max * 3 + 1)
	{
		whole(max, LINK_QUERY_ROOMS, max);
		count_rooms(times);
		for (int i = 0; i < made; i++)
			CHECK(times[i] == 1);
	}

	unit_case("rooms that come while the table grows: the old ones once, the new ones once at most");
	all_len = 0;
	while (slice_of(100000, LINK_QUERY_ROOMS, 100))
	{
		int			from = made;

		made = made + 70 < ROOMS_MAX ? made + 70 : ROOMS_MAX;
		if (from < made)
			join(from, made);
	}
	CHECK(made > 1000);
	count_rooms(times);
	for (int i = 0; i < made; i++)
		CHECK(times[i] == 1 || (i >= 100 && times[i] == 0));

	unit_case("an id that is new begins anew, one that is over stays so");
	all_len = 0;
	CHECK(!slice_of(100000, LINK_QUERY_ROOMS, 4000) && all_len == 0);
	CHECK(slice_of(100001, LINK_QUERY_ROOMS, 4000) && all_len > 0);
	CHECK(!slice_of(0, LINK_QUERY_NONE, 4000));
	rig_stop();
}

static void
test_sockets(void)
{
	Reader		r;
	Slice		sid;
	Client	   *a;
	Client	   *b;

	unit_case("all there is to say of a socket");
	rig_start();
	a = rig_connect(0, "1", "x");
	rig_connect(1, "2", "y");
	rig_open(2, TRANSPORT_WEBSOCKET);	/* in no namespace: not connected */
	rig_wait(300);
	rig_send(a, "42[\"hello\"]");
	rig_wait(200);
	a->stalled = true;
	rig_emit("user:1", "", 0, 0, "2[\"x\"]");
	whole(1, LINK_QUERY_SOCKETS, 4096);
	r = reader(slice(all, all_len));
	for (int i = 0; i < 2; i++)
	{
		Slice		row = read_string(&r);
		Reader		in = reader(row);
		uint8_t		flags;
		Slice		user;
		Slice		tenant;
		bool		first;
		uint32_t	rooms;

		sid = read_string(&in);
		flags = read_u8(&in);
		user = read_string(&in);
		tenant = read_string(&in);
		first = slice_equal(user, SLICE_LITERAL("1"));
		CHECK(first || slice_equal(user, SLICE_LITERAL("2")));
		CHECK(sid.len == SID_LENGTH && sid.data[0] == '_');
		CHECK(flags == (INSPECT_HAS_USER | INSPECT_HAS_TENANT | INSPECT_WEBSOCKET));
		CHECK(slice_equal(tenant, first ? SLICE_LITERAL("x") : SLICE_LITERAL("y")));
		CHECK(slice_equal(read_string(&in), SLICE_LITERAL("/")));
		CHECK(slice_equal(read_string(&in), SLICE_LITERAL("127.0.0.1")));
		CHECK(read_u64(&in) == 0);
		CHECK(read_u64(&in) == (first ? 200 : 500));
		CHECK((read_u64(&in) > 0) == first);
		CHECK(read_u64(&in) == (first ? 2 : 1));	/* CONNECT, event */
		CHECK(read_u64(&in) == (first ? 3 : 2));	/* open, connected, event */
		CHECK(read_u64(&in) == strlen("40{\"user\":\"1\",\"tenant\":\"x\"}") + (first ? strlen("42[\"hello\"]") : 0));
		CHECK(read_u64(&in) > 0);
		rooms = read_u32(&in);
		CHECK(rooms == 3);
		for (uint32_t k = 0; k < rooms; k++)
			CHECK(read_string(&in).len > 0);
		CHECK(!in.bad && reader_left(&in) == 0);
	}
	CHECK(!r.bad && reader_left(&r) == 0);

	unit_case("heartbeats are no messages; who has gone is not told of");
	rig_wait(25000);
	b = &rig.clients[1];
	rig_send(b, "3");
	rig_wait(100);
	session_ws_gone(a->s, &a->ws);
	server_flush(rig.server);
	whole(2, LINK_QUERY_SOCKETS, 4096);
	r = reader(slice(all, all_len));
	{
		Slice		row = read_string(&r);
		Reader		in = reader(row);

		read_string(&in);
		read_u8(&in);
		for (int i = 0; i < 4; i++)
			read_string(&in);
		read_u64(&in);
		CHECK(read_u64(&in) == 100);
		CHECK(read_u64(&in) == 0);
		CHECK(read_u64(&in) == 1 && read_u64(&in) == 2);
		CHECK(!in.bad && reader_left(&r) == 0);
	}
	rig_stop();
}

int
main(void)
{
	test_rooms();
	test_sockets();
	return unit_done();
}

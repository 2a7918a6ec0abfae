/*
 * test_link.c - frames between worker and gateway: whole, in parts, wrong.
 */
#include "unit.h"

#include "wire/link.h"

static void
test_frames(void)
{
	uint8_t		buffer[64];
	uint8_t    *at = link_header(buffer, LINK_PING, 8);
	size_t		len;
	LinkFrame	frame;
	size_t		used;

	unit_case("a frame there and back");
	CHECK(at == buffer + LINK_HEADER);
	at = write_u64(at, 0x0102030405060708);
	len = (size_t) (at - buffer);
	CHECK(slice_equal(slice(buffer, len), SLICE_LITERAL("\10\0\0\0\5\10\7\6\5\4\3\2\1")));
	CHECK(link_decode(slice(buffer, len), &frame, &used) == WIRE_OK);
	CHECK(frame.type == LINK_PING && frame.payload.len == 8 && frame.payload.data == buffer + LINK_HEADER && used == len);

	unit_case("every prefix asks for more");
	for (size_t n = 0; n < len; n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_decode(part, &frame, &used) == WIRE_MORE);
		UNIT_FREE(part);
	}

	unit_case("a frame is taken off those behind it");
	link_header(at, LINK_STOP, 0);
	CHECK(link_decode(slice(buffer, len + LINK_HEADER), &frame, &used) == WIRE_OK && used == len);
	CHECK(link_decode(slice(buffer + used, LINK_HEADER), &frame, &used) == WIRE_OK);
	CHECK(frame.type == LINK_STOP && frame.payload.len == 0 && used == LINK_HEADER);

	unit_case("every type, and none beside them");
	for (int type = 0; type < 256; type++)
	{
		bool		known = type >= LINK_HELLO && type < LINK_TYPE_END;

		link_header(buffer, (LinkType) type, 0);
		CHECK(link_decode(slice(buffer, LINK_HEADER), &frame, &used) == (known ? WIRE_OK : WIRE_BAD));
		if (known)
			CHECK(frame.type == (LinkType) type);
	}

	unit_case("the longest payload, and one byte more");
	link_header(buffer, LINK_MESSAGE, LINK_MAX_PAYLOAD);
	CHECK(link_decode(slice(buffer, LINK_HEADER), &frame, &used) == WIRE_MORE);
	link_header(buffer, LINK_MESSAGE, LINK_MAX_PAYLOAD + 1);
	CHECK(link_decode(slice(buffer, LINK_HEADER), &frame, &used) == WIRE_BAD);
	link_header(buffer, LINK_MESSAGE, UINT32_MAX);
	CHECK(link_decode(slice(buffer, LINK_HEADER), &frame, &used) == WIRE_BAD);
}

static void
test_message(void)
{
	const LinkMessage m = {.timeline = 7, .lsn = UINT64_C(0x1122334455667788), .index = 9, .xid = UINT64_C(0x8000000000000001)};
	uint8_t		buffer[LINK_MESSAGE_HEADER + 3];
	LinkMessage back;

	unit_case("a message there and back");
	CHECK(link_message_header(buffer, &m) == buffer + LINK_MESSAGE_HEADER);
	memcpy(buffer + LINK_MESSAGE_HEADER, "abc", 3);
	CHECK(link_message_decode(slice(buffer, sizeof(buffer)), &back) == WIRE_OK);
	CHECK(back.timeline == m.timeline && back.lsn == m.lsn && back.index == m.index && back.xid == m.xid);
	CHECK(slice_equal(back.envelope, SLICE_LITERAL("abc")));

	unit_case("every prefix of a message's header is refused");
	for (size_t n = 0; n < LINK_MESSAGE_HEADER; n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_message_decode(part, &back) == WIRE_BAD);
		UNIT_FREE(part);
	}
}

static void
test_history(void)
{
	const LinkMessage m = {.timeline = 7, .lsn = UINT64_C(0x1122334455667788), .index = 9, .xid = 10};
	uint8_t		buffer[LINK_HISTORY_HEADER + 3];
	LinkMessage back;
	uint32_t	age;

	unit_case("a message of the past there and back");
	CHECK(link_history_header(buffer, 60000, &m) == buffer + LINK_HISTORY_HEADER);
	memcpy(buffer + LINK_HISTORY_HEADER, "abc", 3);
	CHECK(link_history_decode(slice(buffer, sizeof(buffer)), &age, &back) == WIRE_OK);
	CHECK(age == 60000 && back.timeline == m.timeline && back.lsn == m.lsn && back.index == m.index && back.xid == m.xid);
	CHECK(slice_equal(back.envelope, SLICE_LITERAL("abc")));
	for (size_t n = 0; n < LINK_HISTORY_HEADER; n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_history_decode(part, &age, &back) == WIRE_BAD);
		UNIT_FREE(part);
	}
}

static bool
timelines_good(const LinkTimeline *list, uint32_t count)
{
	uint8_t		buffer[4 + 3 * LINK_TIMELINE_SIZE];
	LinkTimelines back;

	return link_timelines_decode(slice(buffer, (size_t) (link_timelines_encode(buffer, list, count) - buffer)), &back) == WIRE_OK;
}

static void
test_timelines(void)
{
	const LinkTimeline list[] = {{3, 5, 100}, {4, 100, 100}, {7, 100, UINT64_MAX}};
	uint8_t		buffer[4 + 3 * LINK_TIMELINE_SIZE + 1];
	uint8_t    *end = link_timelines_encode(buffer, list, 3);
	LinkTimelines back;
	LinkTimeline t;

	unit_case("timelines there and back");
	CHECK(end == buffer + sizeof(buffer) - 1);
	CHECK(link_timelines_decode(slice(buffer, sizeof(buffer) - 1), &back) == WIRE_OK && back.count == 3);
	for (int i = 0; i < 3; i++)
		CHECK(link_timelines_next(&back, &t) && t.timeline == list[i].timeline && t.begin == list[i].begin && t.end == list[i].end);
	CHECK(!link_timelines_next(&back, &t));

	unit_case("a part, or more, is refused");
	for (size_t n = 0; n <= sizeof(buffer); n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_timelines_decode(part, &back) == (n == sizeof(buffer) - 1 ? WIRE_OK : WIRE_BAD));
		UNIT_FREE(part);
	}

	unit_case("none, too many, a hole, an end that is none");
	CHECK(!timelines_good(list, 0));
	write_u32(buffer, LINK_MAX_TIMELINES + 1);
	CHECK(link_timelines_decode(slice(buffer, sizeof(buffer) - 1), &back) == WIRE_BAD);
	CHECK(timelines_good((LinkTimeline[]) {{1, 0, UINT64_MAX}}, 1));
	CHECK(!timelines_good((LinkTimeline[]) {{1, 0, 10}}, 1));
	CHECK(!timelines_good((LinkTimeline[]) {{1, 0, 10}, {2, 11, UINT64_MAX}}, 2));
	CHECK(!timelines_good((LinkTimeline[]) {{1, 0, 10}, {2, 9, UINT64_MAX}}, 2));
	CHECK(!timelines_good((LinkTimeline[]) {{1, 11, 10}, {2, 10, UINT64_MAX}}, 2));
}

static void
test_position(void)
{
	const LinkPosition p = {.age = 1, .timeline = 2, .lsn = UINT64_C(0x1122334455667788)};
	uint8_t		buffer[LINK_POSITION_SIZE + 1];
	LinkPosition back;

	unit_case("a position there and back");
	CHECK(link_position_encode(buffer, &p) == buffer + LINK_POSITION_SIZE);
	for (size_t n = 0; n <= sizeof(buffer); n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_position_decode(part, &back) == (n == LINK_POSITION_SIZE ? WIRE_OK : WIRE_BAD));
		if (n == LINK_POSITION_SIZE)
			CHECK(back.age == p.age && back.timeline == p.timeline && back.lsn == p.lsn);
		UNIT_FREE(part);
	}
}

/* Encodes s and gives what the decoder says of it. */
static WireResult
session_there_and_back(const LinkSession *s)
{
	size_t		size = link_session_size(s);
	uint8_t    *buffer = malloc(size);
	LinkSession back;
	WireResult	r;

	CHECK(link_session_encode(buffer, s) == buffer + size);
	r = link_session_decode(slice(buffer, size), &back);
	if (r == WIRE_OK)
		CHECK(back.set == s->set && slice_equal(back.key, s->key) && slice_equal(back.value, s->value));
	free(buffer);
	return r;
}

static void
test_session(void)
{
	static uint8_t bytes[LINK_MAX_SESSION_VALUE + 1];
	const LinkSession s = {.set = true, .key = SLICE_LITERAL("key"), .value = SLICE_LITERAL("value")};
	uint8_t		buffer[64];
	uint8_t    *end = link_session_encode(buffer, &s);
	LinkSession back;

	unit_case("entries of the session table, within their bounds");
	CHECK(session_there_and_back(&s) == WIRE_OK);
	CHECK(session_there_and_back(&(LinkSession) {.key = s.key}) == WIRE_OK);
	CHECK(session_there_and_back(&(LinkSession) {.set = true, .key = slice(bytes, LINK_MAX_SESSION_KEY),
								 .value = slice(bytes, LINK_MAX_SESSION_VALUE)}) == WIRE_OK);
	CHECK(session_there_and_back(&(LinkSession) {.set = true}) == WIRE_BAD);
	CHECK(session_there_and_back(&(LinkSession) {.key = s.key, .value = s.value}) == WIRE_BAD);
	CHECK(session_there_and_back(&(LinkSession) {.set = true, .key = slice(bytes, LINK_MAX_SESSION_KEY + 1)}) == WIRE_BAD);
	CHECK(session_there_and_back(&(LinkSession) {.set = true, .key = s.key,
								 .value = slice(bytes, LINK_MAX_SESSION_VALUE + 1)}) == WIRE_BAD);

	unit_case("a part of an entry, or more, is refused");
	*end++ = 0;
	for (size_t n = 0; n <= (size_t) (end - buffer); n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_session_decode(part, &back) == (n == (size_t) (end - buffer) - 1 ? WIRE_OK : WIRE_BAD));
		UNIT_FREE(part);
	}
	buffer[0] = 2;
	CHECK(link_session_decode(slice(buffer, (size_t) (end - buffer) - 1), &back) == WIRE_BAD);
}

static void
test_rows(void)
{
	uint8_t		buffer[LINK_ROWS_HEADER + LINK_MAX_ROWS + 1] = {0};
	LinkQuery	what;
	LinkRows	rows;
	uint64_t	id;

	unit_case("a query there and back, a part of it, and what is none");
	CHECK(link_query_encode(buffer, 7, LINK_QUERY_ROOMS) == buffer + LINK_QUERY_SIZE);
	for (size_t n = 0; n <= LINK_QUERY_SIZE + 1; n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(link_query_decode(part, &id, &what) == (n == LINK_QUERY_SIZE ? WIRE_OK : WIRE_BAD));
		CHECK(n != LINK_QUERY_SIZE || (id == 7 && what == LINK_QUERY_ROOMS));
		UNIT_FREE(part);
	}
	buffer[8] = LINK_QUERY_END;
	CHECK(link_query_decode(slice(buffer, LINK_QUERY_SIZE), &id, &what) == WIRE_BAD);

	unit_case("rows there and back, and too many of them");
	CHECK(link_rows_header(buffer, 8, true) == buffer + LINK_ROWS_HEADER);
	CHECK(link_rows_decode(slice(buffer, LINK_ROWS_HEADER + LINK_MAX_ROWS), &rows) == WIRE_OK);
	CHECK(rows.id == 8 && rows.more && rows.bytes.len == LINK_MAX_ROWS);
	CHECK(link_rows_decode(slice(buffer, LINK_ROWS_HEADER), &rows) == WIRE_OK && rows.bytes.len == 0);
	CHECK(link_rows_decode(slice(buffer, LINK_ROWS_HEADER + LINK_MAX_ROWS + 1), &rows) == WIRE_BAD);
	CHECK(link_rows_decode(slice(buffer, LINK_ROWS_HEADER - 1), &rows) == WIRE_BAD);
	buffer[8] = 2;
	CHECK(link_rows_decode(slice(buffer, LINK_ROWS_HEADER), &rows) == WIRE_BAD);
}

int
main(void)
{
	test_frames();
	test_message();
	test_history();
	test_timelines();
	test_position();
	test_session();
	test_rows();
	return unit_done();
}

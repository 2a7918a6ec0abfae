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
		bool		known = type >= LINK_HELLO && type <= LINK_REFUSED;

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

int
main(void)
{
	test_frames();
	test_message();
	return unit_done();
}

/*
 * fuzz_link.c - a stream of link frames: taken whole or in parts it gives the
 * same frames, and each header and message header is written as it was read.
 */
#include <assert.h>

#include "wire/link.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_message(Slice payload)
{
	LinkMessage m;
	uint8_t		header[LINK_MESSAGE_HEADER];

	if (link_message_decode(payload, &m) != WIRE_OK)
	{
		assert(payload.len < LINK_MESSAGE_HEADER);
		return;
	}
	assert(m.envelope.data == payload.data + LINK_MESSAGE_HEADER && m.envelope.len == payload.len - LINK_MESSAGE_HEADER);
	assert(link_message_header(header, &m) == header + LINK_MESSAGE_HEADER);
	assert(memcmp(header, payload.data, LINK_MESSAGE_HEADER) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		rest = slice(data, size);
	LinkFrame	frame;
	LinkFrame	other;
	uint8_t		header[LINK_HEADER];
	size_t		used = 0;
	size_t		other_used;

	while (link_decode(rest, &frame, &used) == WIRE_OK)
	{
		assert(used == LINK_HEADER + frame.payload.len && used <= rest.len);
		assert(frame.payload.len == 0 || frame.payload.data == rest.data + LINK_HEADER);
		link_header(header, frame.type, (uint32_t) frame.payload.len);
		assert(memcmp(header, rest.data, LINK_HEADER) == 0);

		/* One byte less is not enough; none more is needed. */
		assert(link_decode(slice(rest.data, used - 1), &other, &other_used) == WIRE_MORE);
		assert(link_decode(slice(rest.data, used), &other, &other_used) == WIRE_OK && other_used == used);

		if (frame.type == LINK_MESSAGE)
			check_message(frame.payload);
		rest = slice(rest.data + used, rest.len - used);
	}
	return 0;
}

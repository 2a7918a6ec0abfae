/*
 * fuzz_link.c - a stream of link frames: taken whole or in parts it gives the
 * same frames, and each header and each payload that can be decoded is written
 * as it was read.
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

static void
check_history(Slice payload)
{
	LinkMessage m;
	uint32_t	age;
	uint8_t		header[LINK_HISTORY_HEADER];

	if (link_history_decode(payload, &age, &m) != WIRE_OK)
	{
		assert(payload.len < LINK_HISTORY_HEADER);
		return;
	}
	assert(m.envelope.data == payload.data + LINK_HISTORY_HEADER && m.envelope.len == payload.len - LINK_HISTORY_HEADER);
	assert(link_history_header(header, age, &m) == header + LINK_HISTORY_HEADER);
	assert(memcmp(header, payload.data, LINK_HISTORY_HEADER) == 0);
}

static void
check_timelines(Slice payload)
{
	static LinkTimeline list[LINK_MAX_TIMELINES];
	static uint8_t back[4 + LINK_MAX_TIMELINES * LINK_TIMELINE_SIZE];
	LinkTimelines walk;
	uint32_t	count = 0;

	if (link_timelines_decode(payload, &walk) != WIRE_OK)
		return;
	while (link_timelines_next(&walk, &list[count]))
		count++;
	assert(link_timelines_encode(back, list, count) == back + payload.len && memcmp(back, payload.data, payload.len) == 0);
}

static void
check_position(Slice payload)
{
	LinkPosition p;
	uint8_t		back[LINK_POSITION_SIZE];

	if (link_position_decode(payload, &p) != WIRE_OK)
	{
		assert(payload.len != LINK_POSITION_SIZE);
		return;
	}
	assert(link_position_encode(back, &p) == back + payload.len && memcmp(back, payload.data, payload.len) == 0);
}

static void
check_session(Slice payload)
{
	LinkSession s;
	static uint8_t back[9 + LINK_MAX_SESSION_KEY + LINK_MAX_SESSION_VALUE];

	if (link_session_decode(payload, &s) != WIRE_OK)
		return;
	assert(link_session_size(&s) == payload.len && payload.len <= sizeof(back));
	assert(link_session_encode(back, &s) == back + payload.len && memcmp(back, payload.data, payload.len) == 0);
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

		/* Whatever its type: each decoder is to stand any bytes. */
		check_message(frame.payload);
		check_history(frame.payload);
		check_timelines(frame.payload);
		check_position(frame.payload);
		check_session(frame.payload);
		rest = slice(rest.data + used, rest.len - used);
	}
	return 0;
}

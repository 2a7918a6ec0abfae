/*
 * room.c - names of rooms, and the patterns that rules of joining have.
 *
 * Pure tests of borrowed bytes; called by backend/ and core/.
 */
#include "wire/room.h"

#include "wire/envelope.h"

static bool begins_with(Slice s, Slice start);
static bool is_base64url(uint8_t c);

bool
room_is_sid(Slice room)
{
	if (room.len != ROOM_SID_LENGTH || room.data[0] != '_')
		return false;
	for (size_t i = 1; i < room.len; i++)
	{
		if (!is_base64url(room.data[i]))
			return false;
	}
	return true;
}

bool
room_is_reserved(Slice room)
{
	return begins_with(room, SLICE_LITERAL("user:")) ||
		begins_with(room, SLICE_LITERAL("tenant:")) ||
		room_is_sid(room);
}

bool
room_pattern_valid(Slice pattern)
{
	const uint8_t *star;

	if (pattern.len == 0 || pattern.len > ENVELOPE_MAX_NAME)
		return false;
	star = memchr(pattern.data, '*', pattern.len);
	return star == NULL || star == pattern.data + pattern.len - 1;
}

size_t
room_pattern_rank(Slice pattern, Slice room)
{
	if (pattern.data[pattern.len - 1] == '*')
		return begins_with(room, slice(pattern.data, pattern.len - 1)) ? pattern.len : 0;
	return slice_equal(pattern, room) ? SIZE_MAX : 0;
}

static bool
begins_with(Slice s, Slice start)
{
	return s.len >= start.len && slice_equal(slice(s.data, start.len), start);
}

static bool
is_base64url(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

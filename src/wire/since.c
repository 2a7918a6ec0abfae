/*
 * since.c - text form of tokens, and what they ask for.
 *
 * Written by backend/position.c, read by the gateway from clients, who may
 * send anything.
 */
#include "wire/since.h"

#include "wire/hex.h"

size_t
since_encode(char *out, const Since *s)
{
	char	   *at = out;
	uint64_t	previous = s->xmax;

	*at++ = 's';
	at = write_hex(at, s->low.timeline);
	*at++ = '.';
	at = write_hex(at, s->low.lsn);
	*at++ = '.';
	at = write_hex(at, s->high);
	*at++ = '.';
	at = write_hex(at, s->xmax);
	for (uint32_t i = 0; i < s->running_count; i++)
	{
		*at++ = '.';
		at = write_hex(at, previous - s->running[i]);
		previous = s->running[i];
	}
	return (size_t) (at - out);
}

uint32_t
since_space(Slice text)
{
	return text.len / 2 < SINCE_MAX_RUNNING ? (uint32_t) (text.len / 2) : SINCE_MAX_RUNNING;
}

WireResult
since_decode(Slice text, Since *s, uint64_t *running)
{
	Reader		r = reader(text);
	uint64_t	timeline;
	uint64_t	previous;

	*s = (Since) {0};
	if (text.len == 0 || text.data[0] != 's')
		return position_decode(text, &s->low);
	read_u8(&r);
	if (!read_hex(&r, 8, &timeline) || !read_point(&r) ||
		!read_hex(&r, 16, &s->low.lsn) || !read_point(&r) ||
		!read_hex(&r, 16, &s->high) || !read_point(&r) ||
		!read_hex(&r, 16, &s->xmax) || s->high == 0 || s->low.lsn > s->high)
		return WIRE_BAD;
	previous = s->xmax;
	while (reader_left(&r) > 0)
	{
		uint64_t	difference;

		if (s->running_count == SINCE_MAX_RUNNING || !read_point(&r) || !read_hex(&r, 16, &difference) ||
			difference == 0 || difference >= previous)
			return WIRE_BAD;
		previous -= difference;
		running[s->running_count++] = previous;
	}
	s->low.timeline = (uint32_t) timeline;
	s->running = running;
	return WIRE_OK;
}

/* Is the transaction in the snapshot? */
static bool
is_visible(const Since *s, uint64_t xid)
{
	uint32_t	low = 0,
				high = s->running_count;

	if (xid >= s->xmax)
		return false;
	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (s->running[middle] == xid)
			return false;
		if (s->running[middle] > xid)
			low = middle + 1;
		else
			high = middle;
	}
	return true;
}

bool
since_wants(const Since *s, const Position *at, uint64_t xid)
{
	if (position_compare(at, &s->low) <= 0)
		return false;
	return xid == 0 || at->lsn >= s->high || !is_visible(s, xid);
}

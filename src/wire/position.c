/*
 * position.c - text form and order of positions on the bus.
 */
#include "wire/position.h"

#include "wire/hex.h"

size_t
position_encode(char *out, const Position *p)
{
	char	   *at = write_hex(out, p->timeline);

	*at++ = '.';
	at = write_hex(at, p->lsn);
	*at++ = '.';
	at = write_hex(at, p->index);
	if (p->late > 0)
	{
		*at++ = '.';
		at = write_hex(at, p->late);
	}
	return (size_t) (at - out);
}

WireResult
position_decode(Slice text, Position *p)
{
	Reader		r = reader(text);
	uint64_t	timeline,
				index,
				late = 0;

	*p = (Position) {0};
	if (!read_hex(&r, 8, &timeline) || !read_point(&r) ||
		!read_hex(&r, 16, &p->lsn) || !read_point(&r) ||
		!read_hex(&r, 8, &index))
		return WIRE_BAD;
	if (reader_left(&r) > 0 && (!read_point(&r) || !read_hex(&r, 8, &late) || late == 0))
		return WIRE_BAD;
	if (reader_left(&r) > 0)
		return WIRE_BAD;
	p->timeline = (uint32_t) timeline;
	p->index = (uint32_t) index;
	p->late = (uint32_t) late;
	return WIRE_OK;
}

int
position_compare(const Position *a, const Position *b)
{
	if (a->lsn != b->lsn)
		return a->lsn < b->lsn ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->late != b->late)
		return a->late < b->late ? -1 : 1;
	return 0;
}

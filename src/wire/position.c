/*
 * position.c - text form and order of positions on the bus.
 */
#include "wire/position.h"

static char *
write_hex(char *at, uint64_t v)
{
	char		digits[16];
	size_t		n = 0;

	do
		digits[n++] = "0123456789abcdef"[v & 15];
	while ((v >>= 4) != 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

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

/* One number of at most `digits` digits, which ends at a point or at the end of the text. */
static bool
read_hex(Reader *r, size_t digits, uint64_t *v)
{
	size_t		n = 0;

	*v = 0;
	while (reader_left(r) > 0 && *r->at != '.')
	{
		uint8_t		c = read_u8(r);

		if (n == digits || (n == 1 && *v == 0))
			return false;
		if (c >= '0' && c <= '9')
			*v = *v << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			*v = *v << 4 | (c - 'a' + 10u);
		else
			return false;
		n++;
	}
	return n > 0;
}

static bool
read_point(Reader *r)
{
	return reader_left(r) > 0 && read_u8(r) == '.';
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

/*
 * hex.h - numbers in the texts of positions and tokens: lower-case hexadecimal
 * without leading zeros, points between them.
 */
#ifndef ROOMS_WIRE_HEX_H
#define ROOMS_WIRE_HEX_H

#include "wire/slice.h"

static inline char *
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

/* One number of at most `digits` digits, which ends at a point or at the end of the text. */
static inline bool
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

static inline bool
read_point(Reader *r)
{
	return reader_left(r) > 0 && read_u8(r) == '.';
}

#endif							/* ROOMS_WIRE_HEX_H */

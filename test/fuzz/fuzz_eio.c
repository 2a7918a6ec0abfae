/*
 * fuzz_eio.c - polling bodies: packets lie in the body, and written out again
 * they are the body; base64 and UTF-8 against plain rewritings.
 */
#include <assert.h>
#include <stdlib.h>

#include "wire/base64.h"
#include "wire/eio.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Code points by arithmetic, not by table: the oracle for eio_utf8_valid(). */
static bool
utf8_by_arithmetic(Slice s)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	size_t		i = 0;

	while (i < s.len)
	{
		uint8_t		lead = s.data[i++];
		int			more = lead < 0x80 ? 0 : (lead & 0xe0) == 0xc0 ? 1 : (lead & 0xf0) == 0xe0 ? 2 : (lead & 0xf8) == 0xf0 ? 3 : -1;
		uint32_t	c = more > 0 ? lead & (0x3f >> more) : lead;

		if (more < 0)
			return false;
		for (int k = 0; k < more; k++)
		{
			if (i == s.len || (s.data[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s.data[i++] & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

static void
check_body(Slice input)
{
	uint8_t    *copy = malloc(input.len);
	uint8_t    *again = malloc(input.len + 1);
	uint8_t    *at = again;
	EioBody		body = {copy, input.len, false};
	EioPacket	p;

	if (input.len > 0)
		memcpy(copy, input.data, input.len);
	while (!body.done)
	{
		if (eio_body_next(&body, &p) != WIRE_OK)
		{
			assert(body.done);
			at = NULL;
			break;
		}
		assert(p.data.len == 0 || (p.data.data > copy && p.data.data + p.data.len <= copy + input.len));
		if (p.binary)
		{
			assert(p.type == EIO_MESSAGE);
			at = write_u8(at, 'b');
			at = base64_encode(at, p.data);
		}
		else
		{
			assert(utf8_by_arithmetic(p.data));
			at = write_u8(at, (uint8_t) ('0' + p.type));
			at = write_bytes(at, p.data);
		}
		if (!body.done)
			at = write_u8(at, EIO_SEPARATOR);
	}
	if (at != NULL)
		assert((size_t) (at - again) == input.len && memcmp(again, input.data, input.len) == 0);
	free(again);
	free(copy);
}

/* Any bytes survive base64. */
static void
check_base64(Slice bytes)
{
	size_t		size = 1 + base64_size(bytes.len);
	uint8_t    *packet = malloc(size);
	EioBody		body = {packet, size, false};
	EioPacket	p;

	packet[0] = 'b';
	assert(base64_encode(packet + 1, bytes) == packet + size);
	assert(eio_body_next(&body, &p) == WIRE_OK && body.done && p.binary && slice_equal(p.data, bytes));
	free(packet);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		input = slice(data, size);
	EioPacket	p;

	assert(eio_utf8_valid(input) == utf8_by_arithmetic(input));
	if (eio_decode(input, &p) == WIRE_OK)
		assert(data[0] == '0' + p.type && p.data.len == size - 1 && !p.binary);
	check_body(input);
	check_base64(input);
	return 0;
}

/*
 * base64.c - see base64.h.
 *
 * Called by eio.c and core/frame.c for attachments in text, and by
 * gateway/auth.c for the parts of a token.  Allocates nothing; the caller has
 * sized the buffers.  Anything else than canonical base64 gives -1.
 */
#include "wire/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_size(size_t n)
{
	return (n + 2) / 3 * 4;
}

uint8_t *
base64_encode(uint8_t *out, Slice bytes)
{
	for (size_t i = 0; i < bytes.len; i += 3)
	{
		size_t		n = bytes.len - i < 3 ? bytes.len - i : 3;
		uint32_t	v = (uint32_t) bytes.data[i] << 16;

		if (n > 1)
			v |= (uint32_t) bytes.data[i + 1] << 8;
		if (n > 2)
			v |= bytes.data[i + 2];
		*out++ = (uint8_t) alphabet[v >> 18];
		*out++ = (uint8_t) alphabet[v >> 12 & 63];
		*out++ = (uint8_t) (n > 1 ? alphabet[v >> 6 & 63] : '=');
		*out++ = (uint8_t) (n > 2 ? alphabet[v & 63] : '=');
	}
	return out;
}

/* The value of a digit, or -1; the two alphabets differ in their last digits. */
static inline int
digit_value(uint8_t c, const char last[2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

/* Digits without padding.  Bits that are left over at the end must be zero. */
static long
decode_digits(uint8_t *out, Slice digits, const char last[2])
{
	uint8_t    *at = out;
	uint32_t	bits = 0;
	int			have = 0;

	if (digits.len % 4 == 1)
		return -1;
	for (size_t i = 0; i < digits.len; i++)
	{
		int			v = digit_value(digits.data[i], last);

		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t) v;
		have += 6;
		if (have >= 8)
		{
			have -= 8;
			*at++ = (uint8_t) (bits >> have);
		}
	}
	if ((bits & ((1u << have) - 1)) != 0)
		return -1;
	return at - out;
}

long
base64_decode(uint8_t *out, Slice text)
{
	if (text.len % 4 != 0)
		return -1;
	for (int i = 0; i < 2 && text.len > 0 && text.data[text.len - 1] == '='; i++)
		text.len--;
	return decode_digits(out, text, "+/");
}

long
base64url_decode(uint8_t *out, Slice text)
{
	return decode_digits(out, text, "-_");
}

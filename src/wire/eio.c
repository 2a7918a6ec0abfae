/*
 * eio.c - Engine.IO 4 packets and polling bodies, and what frames them.
 *
 * Called by the gateway's core for everything a client sends and for the
 * headers of what it is sent.  Nothing is allocated.  Packets are slices of
 * the input; only base64 in a polling body is decoded, in its place.  What a
 * client gets wrong is WIRE_BAD, never more.
 *
 * Stricter than the reference decoder (engine.io-parser) in two points that no
 * stock client touches: base64 must be canonical, with its padding, and the
 * text of a polling body must be UTF-8.
 */
#include "wire/eio.h"

#include <stdio.h>

#include "wire/base64.h"

static size_t utf8_sequence(const uint8_t *at, size_t left);

int
eio_error_status(EioError e)
{
	return e == EIO_FORBIDDEN ? 403 : 400;
}

const char *
eio_error_message(EioError e)
{
	switch (e)
	{
		case EIO_UNKNOWN_TRANSPORT:
			return "Transport unknown";
		case EIO_UNKNOWN_SID:
			return "Session ID unknown";
		case EIO_BAD_METHOD:
			return "Bad handshake method";
		case EIO_BAD_REQUEST:
			return "Bad request";
		case EIO_FORBIDDEN:
			return "Forbidden";
		case EIO_UNSUPPORTED_VERSION:
			return "Unsupported protocol version";
	}
	return "Bad request";
}

WireResult
eio_decode(Slice text, EioPacket *p)
{
	if (text.len == 0 || text.data[0] < '0' || text.data[0] > '6')
		return WIRE_BAD;
	p->type = (EioType) (text.data[0] - '0');
	p->binary = false;
	p->data = slice(text.data + 1, text.len - 1);
	return WIRE_OK;
}

WireResult
eio_body_next(EioBody *body, EioPacket *p)
{
	uint8_t    *packet = body->at;
	uint8_t    *separator;
	size_t		len;

	if (body->done || body->len == 0)
	{
		body->done = true;
		return WIRE_BAD;
	}

	/* Cut the packet off; a separator at the very end leaves an empty one. */
	separator = memchr(packet, EIO_SEPARATOR, body->len);
	len = separator ? (size_t) (separator - packet) : body->len;
	if (separator)
	{
		body->at += len + 1;
		body->len -= len + 1;
	}
	else
		body->done = true;

	if (len > 0 && packet[0] == 'b')
	{
		long		n = base64_decode(packet + 1, slice(packet + 1, len - 1));

		p->type = EIO_MESSAGE;
		p->binary = true;
		p->data = slice(packet + 1, n > 0 ? (size_t) n : 0);
		if (n >= 0)
			return WIRE_OK;
	}
	else if (eio_decode(slice(packet, len), p) == WIRE_OK && eio_utf8_valid(p->data))
		return WIRE_OK;

	body->done = true;
	return WIRE_BAD;
}

/* ---- What the server sends first, and before each message ---- */

size_t
eio_open_packet(char *out, const EioHandshake *h)
{
	/* A session id has 20 characters; the bound keeps any other in EIO_OPEN_MAX. */
	int			n = snprintf(out, EIO_OPEN_MAX,
							 "0{\"sid\":\"%.64s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%u}",
							 h->sid, h->upgrades ? "\"websocket\"" : "",
							 h->ping_interval_ms, h->ping_timeout_ms, h->max_payload);

	return (size_t) n;
}

size_t
eio_ws_header_size(uint64_t payload)
{
	if (payload < 126)
		return 2;
	return payload <= UINT16_MAX ? 4 : 10;
}

uint8_t *
eio_ws_header(uint8_t *out, bool binary, uint64_t payload)
{
	size_t		length_bytes = eio_ws_header_size(payload) - 2;

	/* FIN and the opcode; no mask.  Extended lengths are big-endian. */
	out = write_u8(out, binary ? 0x82 : 0x81);
	if (length_bytes == 0)
		return write_u8(out, (uint8_t) payload);
	out = write_u8(out, length_bytes == 2 ? 126 : 127);
	for (size_t i = length_bytes; i > 0; i--)
		out = write_u8(out, (uint8_t) (payload >> 8 * (i - 1)));
	return out;
}

/* ---- UTF-8 ---- */

bool
eio_utf8_valid(Slice s)
{
	size_t		i = 0;

	while (i < s.len)
	{
		uint64_t	eight;
		size_t		n;

		/* Most text is ASCII: eight bytes at once. */
		if (s.len - i >= sizeof(eight))
		{
			memcpy(&eight, s.data + i, sizeof(eight));
			if ((eight & UINT64_C(0x8080808080808080)) == 0)
			{
				i += sizeof(eight);
				continue;
			}
		}
		n = utf8_sequence(s.data + i, s.len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Length of the well-formed sequence at `at` (RFC 3629 section 4), or 0. */
static size_t
utf8_sequence(const uint8_t *at, size_t left)
{
	uint8_t		lead = at[0];
	uint8_t		low = 0x80;		/* bounds of the second byte: */
	uint8_t		high = 0xbf;
	size_t		n;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		n = 2;
	else if (lead >= 0xe0 && lead <= 0xef)
		n = 3;
	else if (lead >= 0xf0 && lead <= 0xf4)
		n = 4;
	else
		return 0;

	if (lead == 0xe0)
		low = 0xa0;				/* no overlong form */
	else if (lead == 0xed)
		high = 0x9f;			/* no surrogate */
	else if (lead == 0xf0)
		low = 0x90;				/* no overlong form */
	else if (lead == 0xf4)
		high = 0x8f;			/* nothing over U+10FFFF */

	if (left < n || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (at[i] < 0x80 || at[i] > 0xbf)
			return 0;
	return n;
}

/*
 * frame.c - messages in the form the transports send them.
 *
 * Made by server.c (one per emitted message) and socket.c (replies), held by
 * the queues of all recipients, sent by gateway/.  The polling and the base64
 * form are made from the WebSocket form when first asked for and live as long
 * as the frame.  Sizes fit 32 bits: link.h caps a message at 300 MB.
 */
#include "core/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "wire/base64.h"
#include "wire/eio.h"

static Frame *
frame_new(size_t ws_len)
{
	Frame	   *f;

	assert(ws_len <= UINT32_MAX);
	f = xmalloc(sizeof(Frame) + ws_len);
	*f = (Frame) {.refs = 1, .ws_len = (uint32_t) ws_len};
	return f;
}

/* A Socket.IO packet as a text message; an offset goes in front of its last ']'. */
static uint8_t *
write_packet(uint8_t *out, Slice packet, Slice offset, size_t len)
{
	out = eio_ws_header(out, false, len);
	out = write_u8(out, '4');
	if (offset.len == 0)
		return write_bytes(out, packet);
	out = write_bytes(out, slice(packet.data, packet.len - 1));
	out = write_bytes(out, SLICE_LITERAL(",\""));
	out = write_bytes(out, offset);
	return write_bytes(out, SLICE_LITERAL("\"]"));
}

Frame *
frame_message(Slice packet, EnvelopeList attachments)
{
	return frame_event(packet, (Slice) {0}, attachments);
}

Frame *
frame_event(Slice packet, Slice offset, EnvelopeList attachments)
{
	size_t		len = 1 + packet.len + (offset.len > 0 ? offset.len + 3 : 0);
	size_t		first = eio_ws_header_size(len) + len;
	size_t		size = first;
	EnvelopeList list = attachments;
	Slice		bytes;
	Frame	   *f;
	uint8_t    *out;

	while (envelope_next(&list, &bytes))
		size += eio_ws_header_size(bytes.len) + bytes.len;
	f = frame_new(size);
	f->first = (uint32_t) first;
	out = write_packet(f->ws, packet, offset, len);
	list = attachments;
	while (envelope_next(&list, &bytes))
	{
		out = eio_ws_header(out, true, bytes.len);
		out = write_bytes(out, bytes);
	}
	assert(out == f->ws + size);
	return f;
}

Frame *
frame_packet(Slice text)
{
	Frame	   *f = frame_new(eio_ws_header_size(text.len) + text.len);

	f->first = f->ws_len;
	write_bytes(eio_ws_header(f->ws, false, text.len), text);
	return f;
}

Frame *
frame_ref(Frame *f)
{
	f->refs++;
	return f;
}

void
frame_unref(Frame *f)
{
	assert(f->refs > 0);
	if (--f->refs > 1)
		return;
	/* The last one to hold it is the history, as a rule: that pays for one form. */
	if (f->base64 != NULL)
		frame_unref(f->base64);
	free(f->poll);
	f->base64 = NULL;
	f->poll = NULL;
	if (f->refs == 0)
		free(f);
}

/*
 * Takes the next message off our own WebSocket form at *at; RFC 6455 5.2:
 * lengths below 126 stand in the second byte, 126 and 127 announce 2 and 8.
 */
static bool
next_payload(const Frame *f, const uint8_t **at, Slice *payload)
{
	uint64_t	len;
	size_t		extra;

	if (*at == f->ws + f->ws_len)
		return false;
	len = (*at)[1];
	extra = len < 126 ? 0 : len == 126 ? 2 : 8;
	if (extra > 0)
		len = 0;
	for (size_t i = 0; i < extra; i++)
		len = len << 8 | (*at)[2 + i];
	*payload = slice(*at + 2 + extra, len);
	*at = payload->data + len;
	assert(*at <= f->ws + f->ws_len);
	return true;
}

/* The attachments begin behind the first packet. */
static inline const uint8_t *
attachments_of(const Frame *f)
{
	return f->ws + f->first;
}

static Slice
first_payload(const Frame *f)
{
	const uint8_t *at = f->ws;
	Slice		text = {0};

	if (!next_payload(f, &at, &text))
		assert(false);
	return text;
}

Frame *
frame_with_offset(const Frame *f, size_t old, Slice offset)
{
	Slice		packet = first_payload(f);
	size_t		rest = f->ws_len - f->first;
	size_t		len = packet.len - (old + 3) + (offset.len > 0 ? offset.len + 3 : 0);
	Frame	   *other = frame_new(eio_ws_header_size(len) + len + rest);
	uint8_t    *at = eio_ws_header(other->ws, false, len);

	/* ,"old"] */
	at = write_bytes(at, slice(packet.data, packet.len - (old + 4)));
	if (offset.len > 0)
	{
		at = write_bytes(at, SLICE_LITERAL(",\""));
		at = write_bytes(at, offset);
		at = write_u8(at, '"');
	}
	at = write_u8(at, ']');
	other->first = (uint32_t) (at - other->ws);
	at = write_bytes(at, slice(f->ws + f->first, rest));
	assert(at == other->ws + other->ws_len);
	return other;
}

Slice
frame_poll(Frame *f)
{
	if (f->poll == NULL)
	{
		Slice		text = first_payload(f);
		const uint8_t *at = attachments_of(f);
		bool		is_text = false;
		size_t		size = text.len;
		Slice		bytes;
		uint8_t    *out;

		/* A base64 form's attachments are the text already. */
		is_text = at < f->ws + f->ws_len && (at[0] & 0x0f) == 1;
		while (next_payload(f, &at, &bytes))
			size += 1 + (is_text ? bytes.len : 1 + base64_size(bytes.len));
		assert(size <= UINT32_MAX);
		out = f->poll = xmalloc(size);
		f->poll_len = (uint32_t) size;
		out = write_bytes(out, text);
		at = attachments_of(f);
		while (next_payload(f, &at, &bytes))
		{
			out = write_u8(out, EIO_SEPARATOR);
			if (is_text)
				out = write_bytes(out, bytes);
			else
				out = base64_encode(write_u8(out, 'b'), bytes);
		}
		assert(out == f->poll + size);
	}
	return slice(f->poll, f->poll_len);
}

Frame *
frame_base64(Frame *f)
{
	if (f->first == f->ws_len)
		return f;
	if (f->base64 == NULL)
	{
		size_t		size = f->first;
		const uint8_t *at = attachments_of(f);
		Slice		bytes;
		uint8_t    *out;

		while (next_payload(f, &at, &bytes))
		{
			size_t		len = 1 + base64_size(bytes.len);

			size += eio_ws_header_size(len) + len;
		}
		f->base64 = frame_new(size);
		f->base64->first = f->first;
		out = write_bytes(f->base64->ws, slice(f->ws, f->first));
		at = attachments_of(f);
		while (next_payload(f, &at, &bytes))
		{
			out = eio_ws_header(out, false, 1 + base64_size(bytes.len));
			out = base64_encode(write_u8(out, 'b'), bytes);
		}
		assert(out == f->base64->ws + size);
	}
	return f->base64;
}

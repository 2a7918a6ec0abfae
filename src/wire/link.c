/*
 * link.c - takes frames off the stream between worker and gateway.
 *
 * Both ends call it: each appends what it read from the socket to a buffer of
 * its own and takes frames off the front.  Nothing is allocated and nothing
 * copied; a frame's payload points into that buffer.
 */
#include "wire/link.h"

WireResult
link_decode(Slice bytes, LinkFrame *frame, size_t *used)
{
	Reader		r = reader(bytes);
	uint32_t	len = read_u32(&r);
	uint8_t		type = read_u8(&r);

	if (r.bad)
		return WIRE_MORE;
	if (len > LINK_MAX_PAYLOAD || type < LINK_HELLO || type > LINK_REFUSED)
		return WIRE_BAD;

	frame->type = (LinkType) type;
	frame->payload = read_bytes(&r, len);
	if (r.bad)
		return WIRE_MORE;
	*used = LINK_HEADER + (size_t) len;
	return WIRE_OK;
}

uint8_t *
link_header(uint8_t *out, LinkType type, uint32_t len)
{
	return write_u8(write_u32(out, len), (uint8_t) type);
}

WireResult
link_message_decode(Slice payload, LinkMessage *m)
{
	Reader		r = reader(payload);

	m->timeline = read_u32(&r);
	m->lsn = read_u64(&r);
	m->index = read_u32(&r);
	m->xid = read_u64(&r);
	m->envelope = read_bytes(&r, reader_left(&r));
	return r.bad ? WIRE_BAD : WIRE_OK;
}

uint8_t *
link_message_header(uint8_t *out, const LinkMessage *m)
{
	out = write_u32(out, m->timeline);
	out = write_u64(out, m->lsn);
	out = write_u32(out, m->index);
	return write_u64(out, m->xid);
}

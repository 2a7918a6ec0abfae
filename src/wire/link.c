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
	if (len > LINK_MAX_PAYLOAD || type < LINK_HELLO || type >= LINK_TYPE_END)
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
	m->committed = 0;
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

WireResult
link_history_decode(Slice payload, uint32_t *age, LinkMessage *m)
{
	Reader		r = reader(payload);

	*age = read_u32(&r);
	return link_message_decode(read_bytes(&r, reader_left(&r)), m);
}

uint8_t *
link_history_header(uint8_t *out, uint32_t age, const LinkMessage *m)
{
	return link_message_header(write_u32(out, age), m);
}

WireResult
link_timelines_decode(Slice payload, LinkTimelines *list)
{
	Reader		r = reader(payload);
	LinkTimelines walk;
	LinkTimeline t;
	uint64_t	end = 0;

	list->count = read_u32(&r);
	if (r.bad || list->count == 0 || list->count > LINK_MAX_TIMELINES ||
		reader_left(&r) != (size_t) list->count * LINK_TIMELINE_SIZE)
		return WIRE_BAD;
	list->bytes = read_bytes(&r, reader_left(&r));

	walk = *list;
	while (link_timelines_next(&walk, &t))
	{
		if ((walk.count + 1 < list->count && t.begin != end) || t.begin > t.end)
			return WIRE_BAD;
		end = t.end;
	}
	return end == UINT64_MAX ? WIRE_OK : WIRE_BAD;
}

bool
link_timelines_next(LinkTimelines *list, LinkTimeline *t)
{
	Reader		r = reader(list->bytes);

	if (list->count == 0)
		return false;
	list->count--;
	t->timeline = read_u32(&r);
	t->begin = read_u64(&r);
	t->end = read_u64(&r);
	list->bytes = read_bytes(&r, reader_left(&r));
	return true;
}

uint8_t *
link_timelines_encode(uint8_t *out, const LinkTimeline *list, uint32_t count)
{
	out = write_u32(out, count);
	for (uint32_t i = 0; i < count; i++)
		out = write_u64(write_u64(write_u32(out, list[i].timeline), list[i].begin), list[i].end);
	return out;
}

WireResult
link_position_decode(Slice payload, LinkPosition *p)
{
	Reader		r = reader(payload);

	p->age = read_u32(&r);
	p->timeline = read_u32(&r);
	p->lsn = read_u64(&r);
	return r.bad || reader_left(&r) != 0 ? WIRE_BAD : WIRE_OK;
}

uint8_t *
link_position_encode(uint8_t *out, const LinkPosition *p)
{
	return write_u64(write_u32(write_u32(out, p->age), p->timeline), p->lsn);
}

WireResult
link_session_decode(Slice payload, LinkSession *s)
{
	Reader		r = reader(payload);
	uint8_t		set = read_u8(&r);

	s->set = set == 1;
	s->key = read_string(&r);
	s->value = read_string(&r);
	if (r.bad || reader_left(&r) != 0 || set > 1)
		return WIRE_BAD;
	if (s->key.len == 0 || s->key.len > LINK_MAX_SESSION_KEY ||
		s->value.len > (s->set ? LINK_MAX_SESSION_VALUE : 0))
		return WIRE_BAD;
	return WIRE_OK;
}

size_t
link_session_size(const LinkSession *s)
{
	return 1 + 4 + s->key.len + 4 + s->value.len;
}

uint8_t *
link_session_encode(uint8_t *out, const LinkSession *s)
{
	return write_string(write_string(write_u8(out, s->set), s->key), s->value);
}

WireResult
link_query_decode(Slice payload, uint64_t *id, LinkQuery *what)
{
	Reader		r = reader(payload);
	uint8_t		number;

	*id = read_u64(&r);
	number = read_u8(&r);
	*what = (LinkQuery) number;
	return r.bad || reader_left(&r) != 0 || number >= LINK_QUERY_END ? WIRE_BAD : WIRE_OK;
}

uint8_t *
link_query_encode(uint8_t *out, uint64_t id, LinkQuery what)
{
	return write_u8(write_u64(out, id), (uint8_t) what);
}

WireResult
link_rows_decode(Slice payload, LinkRows *rows)
{
	Reader		r = reader(payload);
	uint8_t		more;

	rows->id = read_u64(&r);
	more = read_u8(&r);
	rows->more = more == 1;
	rows->bytes = read_bytes(&r, reader_left(&r));
	return r.bad || more > 1 || rows->bytes.len > LINK_MAX_ROWS ? WIRE_BAD : WIRE_OK;
}

uint8_t *
link_rows_header(uint8_t *out, uint64_t id, bool more)
{
	return write_u8(write_u64(out, id), more);
}

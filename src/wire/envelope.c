/*
 * envelope.c - encodes and opens emitted messages and transaction records.
 *
 * Backends write (emitter, outbox), the worker splits a record into its
 * envelopes, the gateway opens each.  Nothing is allocated: encoders write to
 * a buffer that the caller has sized with envelope_size(), decoders give
 * slices of their input.
 *
 * Only a backend can put such a record into the WAL, yet the reader trusts no
 * length and no count: a server of another version may have written it.
 */
#include "wire/envelope.h"
#include "wire/handler.h"

#define MAGIC			"PGRM"
#define ENVELOPE_FLAGS	(ENVELOPE_VOLATILE | ENVELOPE_ALL | ENVELOPE_CLOSE)

static uint8_t *write_list(uint8_t *at, const EnvelopeList *list);

size_t
envelope_size(const Envelope *e)
{
	return 8					/* kind, flags, zero, throttle */
		+ 4 + e->nsp.len
		+ 4 + e->rooms.bytes.len
		+ 4 + e->except.bytes.len
		+ 4 + e->packet.len
		+ 4 + e->attachments.bytes.len;
}

uint8_t *
envelope_encode(const Envelope *e, uint8_t *out)
{
	out = write_u8(out, (uint8_t) e->kind);
	out = write_u8(out, e->flags);
	out = write_u16(out, 0);
	out = write_u32(out, e->throttle_ms);
	out = write_string(out, e->nsp);
	out = write_list(out, &e->rooms);
	out = write_list(out, &e->except);
	out = write_string(out, e->packet);
	return write_list(out, &e->attachments);
}

WireResult
envelope_decode(Slice bytes, Envelope *e)
{
	Reader		r = reader(bytes);
	uint16_t	zero;

	/* First the layout ... */
	e->kind = (EnvelopeKind) read_u8(&r);
	e->flags = read_u8(&r);
	zero = read_u16(&r);
	e->throttle_ms = read_u32(&r);
	e->nsp = read_string(&r);
	e->rooms = envelope_read_list(&r);
	e->except = envelope_read_list(&r);
	e->packet = read_string(&r);
	e->attachments = envelope_read_list(&r);
	if (r.bad || reader_left(&r) > 0)
		return WIRE_BAD;

	/* ... then what the fields say. */
	if (e->kind < ENVELOPE_EMIT || e->kind > ENVELOPE_RULES)
		return WIRE_BAD;
	if (zero != 0 || (e->flags & ~ENVELOPE_FLAGS) != 0)
		return WIRE_BAD;
	if (!envelope_name_valid(e->nsp) || e->nsp.data[0] != '/')
		return WIRE_BAD;
	if (!envelope_names_valid(e->rooms) || !envelope_names_valid(e->except))
		return WIRE_BAD;
	if ((e->flags & ENVELOPE_ALL) && e->rooms.count > 0)
		return WIRE_BAD;
	if (e->kind == ENVELOPE_EMIT && e->packet.len == 0)
		return WIRE_BAD;
	if (e->kind == ENVELOPE_MARKER && e->packet.len != HANDLER_MARKER_SIZE)
		return WIRE_BAD;
	if (e->attachments.count > ENVELOPE_MAX_ATTACHMENTS)
		return WIRE_BAD;
	return WIRE_OK;
}

bool
envelope_next(EnvelopeList *list, Slice *s)
{
	Reader		r = reader(list->bytes);

	if (list->count == 0)
		return false;
	*s = read_string(&r);
	if (r.bad)
	{
		list->count = 0;
		return false;
	}
	list->count--;
	list->bytes = slice(r.at, reader_left(&r));
	return true;
}

uint8_t *
envelope_record_header(uint8_t *out, uint32_t database, uint32_t count)
{
	out = write_bytes(out, SLICE_LITERAL(MAGIC));
	out = write_u8(out, ENVELOPE_VERSION);
	out = write_uint(out, 0, 3);
	out = write_u32(out, database);
	return write_u32(out, count);
}

WireResult
envelope_record_open(Slice record, uint32_t *database, EnvelopeList *list)
{
	Reader		r = reader(record);
	Slice		magic = read_bytes(&r, sizeof(MAGIC) - 1);
	uint8_t		version = read_u8(&r);
	uint64_t	zero = read_uint(&r, 3);

	*database = read_u32(&r);
	*list = envelope_read_list(&r);
	if (r.bad || reader_left(&r) > 0)
		return WIRE_BAD;
	if (!slice_equal(magic, SLICE_LITERAL(MAGIC)) || version != ENVELOPE_VERSION || zero != 0)
		return WIRE_BAD;
	return WIRE_OK;
}

EnvelopeList
envelope_read_list(Reader *r)
{
	EnvelopeList list = {.count = read_u32(r)};

	list.bytes.data = r->at;

	/* A count beyond the bytes that are left ends at the first bad read. */
	for (uint32_t i = 0; i < list.count && !r->bad; i++)
		(void) read_string(r);
	list.bytes.len = (size_t) (r->at - list.bytes.data);
	return list;
}

bool
envelope_names_valid(EnvelopeList list)
{
	Slice		name;

	while (envelope_next(&list, &name))
		if (!envelope_name_valid(name))
			return false;
	return true;
}

bool
envelope_name_valid(Slice name)
{
	return name.len > 0 && name.len <= ENVELOPE_MAX_NAME;
}

static uint8_t *
write_list(uint8_t *at, const EnvelopeList *list)
{
	return write_bytes(write_u32(at, list->count), list->bytes);
}

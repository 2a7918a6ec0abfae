/*
 * sio.c - opens Socket.IO 5 packets from clients and writes the server's.
 *
 * The gateway's core calls sio_decode() for every message of a client;
 * backends use sio_reserved_event() before they emit.  Nothing is allocated,
 * and a packet's parts are slices of its text.  One pass over the payload
 * checks its JSON and, in binary packets, the placeholders.
 *
 * The reference is socket.io-parser 4.2.7.  As there, attachments may be
 * referred to twice or not at all, and a payload may be absent for any type.
 * Stricter, where no stock client goes: an empty packet is no CONNECT, the
 * number of attachments has only digits and no leading zero, space is no part
 * of an ack id, ack ids fit 64 bits, `num` is written as a plain integer, a
 * placeholder within a placeholder counts, nesting ends at JSON_MAX_DEPTH.
 */
#include "wire/sio.h"
#include "wire/json.h"

/* Which member of an object the next value is. */
typedef enum Member
{
	MEMBER_OTHER,
	MEMBER_PLACEHOLDER,
	MEMBER_NUM
} Member;

/* Follows the tokens of a binary packet's payload. */
typedef struct Placeholders
{
	uint32_t	attachments;
	uint32_t	used;			/* a bit for each attachment that has its place */
	Member		member;
	struct
	{
		bool		is_placeholder;
		int			num;		/* which attachment; -1: none of them */
	}			open[JSON_MAX_DEPTH];	/* what is known of each open object */
} Placeholders;

static bool take_attachments(Reader *r, uint32_t *attachments);
static Slice take_namespace(Reader *r);
static bool take_ack(Reader *r, SioPacket *p);
static bool take_payload(Reader *r, SioPacket *p);
static bool check_json(const SioPacket *p, JsonToken *kind, JsonToken *first, Slice *first_raw);
static bool follow(Placeholders *f, const JsonScan *scan, JsonToken token, Slice raw);
static Member member_named(Slice raw_key);
static bool take_place(Placeholders *f, uint32_t object);
static int	read_num(Slice raw, uint32_t attachments);
static bool event_good(JsonToken token, Slice raw);
static bool is_binary(SioType type);
static bool is_digit(uint8_t c);

WireResult
sio_decode(Slice text, SioPacket *p)
{
	Reader		r = reader(text);
	uint8_t		digit = read_u8(&r);

	*p = (SioPacket) {.nsp = SLICE_LITERAL("/")};
	if (digit < '0' || digit > '6')
		return WIRE_BAD;
	p->type = (SioType) (digit - '0');

	if (is_binary(p->type) && !take_attachments(&r, &p->attachments))
		return WIRE_BAD;
	if (reader_left(&r) > 0 && *r.at == '/')
		p->nsp = take_namespace(&r);
	if (!take_ack(&r, p) || !take_payload(&r, p))
		return WIRE_BAD;
	return WIRE_OK;
}

/* "<n>-", 1 to SIO_MAX_ATTACHMENTS. */
static bool
take_attachments(Reader *r, uint32_t *attachments)
{
	uint32_t	n = 0;
	uint8_t		c = read_u8(r);

	for (; is_digit(c) && n <= SIO_MAX_ATTACHMENTS; c = read_u8(r))
	{
		n = n * 10 + (c - '0');
		if (n == 0)
			return false;		/* none, or a leading zero */
	}
	*attachments = n;
	return c == '-' && n >= 1 && n <= SIO_MAX_ATTACHMENTS;
}

/* Up to the comma, which is taken too, or to the end of the packet. */
static Slice
take_namespace(Reader *r)
{
	const uint8_t *comma = memchr(r->at, ',', reader_left(r));
	Slice		nsp;

	if (comma == NULL)
		return read_bytes(r, reader_left(r));
	nsp = read_bytes(r, (size_t) (comma - r->at));
	(void) read_u8(r);
	return nsp;
}

static bool
take_ack(Reader *r, SioPacket *p)
{
	while (reader_left(r) > 0 && is_digit(*r->at))
	{
		uint8_t		digit = (uint8_t) (read_u8(r) - '0');

		if (p->ack > (UINT64_MAX - digit) / 10)
			return false;
		p->ack = p->ack * 10 + digit;
		p->has_ack = true;
	}
	return true;
}

/* The rest: nothing, or JSON of the kind that the type wants. */
static bool
take_payload(Reader *r, SioPacket *p)
{
	JsonToken	kind;
	JsonToken	first;
	Slice		event;

	p->json = read_bytes(r, reader_left(r));
	if (p->json.len == 0)
		return true;
	if (!check_json(p, &kind, &first, &event))
		return false;

	switch (p->type)
	{
		case SIO_CONNECT:
			return kind == JSON_SCAN_OBJECT;
		case SIO_DISCONNECT:
			return false;
		case SIO_CONNECT_ERROR:
			return kind == JSON_SCAN_STRING || kind == JSON_SCAN_OBJECT;
		case SIO_ACK:
		case SIO_BINARY_ACK:
			return kind == JSON_SCAN_ARRAY;
		case SIO_EVENT:
		case SIO_BINARY_EVENT:
			p->event = event;
			return kind == JSON_SCAN_ARRAY && event_good(first, event);
	}
	return false;
}

/*
 * Is the payload JSON, and are its placeholders good?  Also gives the kind of
 * the whole and the token after it, which is an array's first element.
 */
static bool
check_json(const SioPacket *p, JsonToken *kind, JsonToken *first, Slice *first_raw)
{
	Placeholders placeholders = {.attachments = p->attachments};
	bool		binary = is_binary(p->type);
	JsonScan	scan;
	JsonToken	token;
	Slice		raw;

	json_scan(&scan, p->json);
	*kind = token = json_scan_next(&scan, &raw);
	*first = JSON_SCAN_BAD;
	*first_raw = (Slice) {NULL, 0};
	for (size_t n = 0; token > JSON_SCAN_END; n++)
	{
		if (n == 1)
		{
			*first = token;
			*first_raw = raw;
		}
		if (binary && !follow(&placeholders, &scan, token, raw))
			return false;
		token = json_scan_next(&scan, &raw);
	}
	return token == JSON_SCAN_END;
}

/* False once an object has ended that is a placeholder without a good num. */
static bool
follow(Placeholders *f, const JsonScan *scan, JsonToken token, Slice raw)
{
	bool		opened = token == JSON_SCAN_OBJECT || token == JSON_SCAN_ARRAY;
	uint32_t	parent = scan->depth - opened;	/* one more than its place in `open` */

	if (token == JSON_SCAN_KEY)
	{
		f->member = member_named(raw);
		return true;
	}
	if (token == JSON_SCAN_OBJECT_END)
		return !f->open[parent].is_placeholder || take_place(f, parent);

	/* A value.  Of members with one name the last one counts, as in JSON.parse(). */
	if (f->member == MEMBER_PLACEHOLDER)
		f->open[parent - 1].is_placeholder = token == JSON_SCAN_TRUE;
	else if (f->member == MEMBER_NUM)
		f->open[parent - 1].num = token == JSON_SCAN_NUMBER ? read_num(raw, f->attachments) : -1;
	f->member = MEMBER_OTHER;
	if (opened)
	{
		f->open[parent].is_placeholder = false;
		f->open[parent].num = -1;
	}
	return true;
}

/* Each attachment has one place, as stock clients have it: else a small packet could stand for a huge value. */
static bool
take_place(Placeholders *f, uint32_t object)
{
	int			num = f->open[object].num;

	if (num < 0 || (f->used & (1u << num)) != 0)
		return false;
	f->used |= 1u << num;
	return true;
}

static Member
member_named(Slice raw_key)
{
	uint8_t		name[2 + 12 * 6];	/* "_placeholder" with each letter escaped */
	long		len = raw_key.len <= sizeof(name) ? json_unquote(raw_key, name) : -1;

	if (len < 0)
		return MEMBER_OTHER;
	if (slice_equal(slice(name, (size_t) len), SLICE_LITERAL("_placeholder")))
		return MEMBER_PLACEHOLDER;
	if (slice_equal(slice(name, (size_t) len), SLICE_LITERAL("num")))
		return MEMBER_NUM;
	return MEMBER_OTHER;
}

/* An integer in [0, attachments), which has one digit; -1 for any other number. */
static int
read_num(Slice raw, uint32_t attachments)
{
	if (raw.len != 1 || !is_digit(raw.data[0]) || (uint32_t) (raw.data[0] - '0') >= attachments)
		return -1;
	return raw.data[0] - '0';
}

/* An event is a number, or a string that is not reserved. */
static bool
event_good(JsonToken token, Slice raw)
{
	uint8_t		name[2 + 14 * 6];	/* the longest reserved name, each letter escaped */
	long		len;

	if (token == JSON_SCAN_NUMBER)
		return true;
	if (token != JSON_SCAN_STRING)
		return false;
	if (raw.len > sizeof(name))
		return true;
	len = json_unquote(raw, name);
	return len < 0 || !sio_reserved_event(slice(name, (size_t) len));
}

bool
sio_reserved_event(Slice name)
{
	static const char *const reserved[] = {
		"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (slice_equal(name, slice_cstring(reserved[i])))
			return true;
	return false;
}

size_t
sio_encode(uint8_t *out, SioType type, Slice nsp, Slice json)
{
	bool		root = slice_equal(nsp, SLICE_LITERAL("/"));

	if (out != NULL)
	{
		out = write_u8(out, (uint8_t) ('0' + type));
		if (!root)
		{
			out = write_bytes(out, nsp);
			out = write_u8(out, ',');
		}
		write_bytes(out, json);
	}
	return 1 + (root ? 0 : nsp.len + 1) + json.len;
}

bool
sio_event_name(Slice packet, Slice *name)
{
	Reader		r = reader(packet);
	uint8_t		type = read_u8(&r);
	uint32_t	attachments;
	JsonWalk	walk;
	Slice		key;

	if (type == '0' + SIO_BINARY_EVENT)
	{
		if (!take_attachments(&r, &attachments))
			return false;
	}
	else if (type != '0' + SIO_EVENT)
		return false;
	if (reader_left(&r) > 0 && *r.at == '/')
		(void) take_namespace(&r);

	return json_enter(slice(r.at, reader_left(&r)), &walk) && !walk.object
		&& json_next(&walk, &key, name) && name->data[0] == '"';
}

static bool
is_binary(SioType type)
{
	return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

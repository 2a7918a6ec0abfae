/*
 * test_envelope.c - envelopes and records: round trips, every truncation,
 * and each thing that a decoder must refuse.
 */
#include "unit.h"

#include "wire/envelope.h"

/* Makes an encoded list in `buffer` out of strings that end with NULL. */
static EnvelopeList
list_of(uint8_t *buffer, const char *const *strings)
{
	EnvelopeList list = {0};
	uint8_t    *at = buffer;

	for (; strings[list.count]; list.count++)
		at = write_string(at, slice_cstring(strings[list.count]));
	list.bytes = slice(buffer, (size_t) (at - buffer));
	return list;
}

static bool
same_list(EnvelopeList a, EnvelopeList b)
{
	return a.count == b.count && slice_equal(a.bytes, b.bytes);
}

static bool
same(const Envelope *a, const Envelope *b)
{
	return a->kind == b->kind && a->flags == b->flags && a->throttle_ms == b->throttle_ms
		&& slice_equal(a->nsp, b->nsp) && same_list(a->rooms, b->rooms) && same_list(a->except, b->except)
		&& slice_equal(a->packet, b->packet) && same_list(a->attachments, b->attachments);
}

/* Encodes into exactly as many bytes as envelope_size() asked for. */
static Slice
encode(const Envelope *e)
{
	size_t		size = envelope_size(e);
	uint8_t    *out = malloc(size);

	CHECK(envelope_encode(e, out) == out + size);
	return slice(out, size);
}

static WireResult
encode_decode(const Envelope *e)
{
	Slice		bytes = encode(e);
	Envelope	back;
	WireResult	result = envelope_decode(bytes, &back);

	if (result == WIRE_OK)
		CHECK(same(e, &back));
	UNIT_FREE(bytes);
	return result;
}

static uint8_t rooms_bytes[256];
static uint8_t except_bytes[256];
static uint8_t attachment_bytes[256];

static Envelope
full(void)
{
	return (Envelope) {
		.kind = ENVELOPE_EMIT,
		.flags = ENVELOPE_VOLATILE,
		.throttle_ms = 250,
		.nsp = SLICE_LITERAL("/admin"),
		.rooms = list_of(rooms_bytes, (const char *const[]) {"user:1", "tenant:2", NULL}),
		.except = list_of(except_bytes, (const char *const[]) {"user:3", NULL}),
		.packet = SLICE_LITERAL("52-/admin,[\"e\",{\"_placeholder\":true,\"num\":0}]"),
		.attachments = list_of(attachment_bytes, (const char *const[]) {"bytes", "", NULL}),
	};
}

static Envelope
smallest(void)
{
	return (Envelope) {.kind = ENVELOPE_EMIT, .nsp = SLICE_LITERAL("/"), .packet = SLICE_LITERAL("2[1]")};
}

static void
test_round_trip(void)
{
	Envelope	e = full();

	unit_case("a full envelope there and back");
	CHECK(encode_decode(&e) == WIRE_OK);

	unit_case("the smallest envelope there and back");
	e = smallest();
	CHECK(encode_decode(&e) == WIRE_OK);

	unit_case("the layout, byte for byte");
	e.throttle_ms = 0x01020304;
	e.rooms = list_of(rooms_bytes, (const char *const[]) {"r", NULL});
	{
		static const uint8_t expected[] = {
			1, 0, 0, 0, 4, 3, 2, 1,
			1, 0, 0, 0, '/',
			1, 0, 0, 0, 1, 0, 0, 0, 'r',
			0, 0, 0, 0,
			4, 0, 0, 0, '2', '[', '1', ']',
			0, 0, 0, 0
		};
		Slice		bytes = encode(&e);

		CHECK(slice_equal(bytes, slice(expected, sizeof(expected))));
		UNIT_FREE(bytes);
	}

	unit_case("every kind and flag");
	for (int kind = ENVELOPE_EMIT; kind <= ENVELOPE_DISCONNECT_SOCKETS; kind++)
		for (int flags = 0; flags < 8; flags++)
		{
			e = full();
			e.kind = (EnvelopeKind) kind;
			e.flags = (uint8_t) flags;
			if (flags & ENVELOPE_ALL)
				e.rooms = (EnvelopeList) {0};
			CHECK(encode_decode(&e) == WIRE_OK);
		}
}

static void
test_truncation(void)
{
	Envelope	e = full();
	Slice		bytes = encode(&e);

	unit_case("every truncation is refused");
	for (size_t n = 0; n < bytes.len; n++)
	{
		Slice		part = unit_copy(bytes.data, n);

		CHECK(envelope_decode(part, &e) == WIRE_BAD);
		UNIT_FREE(part);
	}

	unit_case("a byte too many is refused");
	{
		uint8_t    *longer = calloc(1, bytes.len + 1);

		memcpy(longer, bytes.data, bytes.len);
		CHECK(envelope_decode(slice(longer, bytes.len + 1), &e) == WIRE_BAD);
		free(longer);
	}

	unit_case("no change of one byte is read out of bounds");
	for (size_t i = 0; i < bytes.len; i++)
		for (int value = 0; value < 256; value += 5)
		{
			Slice		changed = unit_copy(bytes.data, bytes.len);

			((uint8_t *) changed.data)[i] = (uint8_t) value;
			if (envelope_decode(changed, &e) == WIRE_OK)
				CHECK(unit_inside(e.packet, changed) && unit_inside(e.attachments.bytes, changed));
			UNIT_FREE(changed);
		}
	UNIT_FREE(bytes);
}

static void
test_refusals(void)
{
	static char long_name[ENVELOPE_MAX_NAME + 2];
	static const char *const many[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", NULL};
	static uint8_t buffer[1024];
	Envelope	e;

	unit_case("unknown kind");
	e = smallest();
	e.kind = (EnvelopeKind) 0;
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.kind = (EnvelopeKind) (ENVELOPE_DISCONNECT_SOCKETS + 1);
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("unknown flag");
	e = smallest();
	e.flags = 0x08;
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.flags = 0x80;
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("bytes that are to be zero");
	{
		Slice		bytes;

		e = smallest();
		bytes = encode(&e);
		((uint8_t *) bytes.data)[2] = 1;
		CHECK(envelope_decode(bytes, &e) == WIRE_BAD);
		UNIT_FREE(bytes);
	}

	unit_case("namespaces");
	e = smallest();
	e.nsp = SLICE_LITERAL("");
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.nsp = SLICE_LITERAL("admin");
	CHECK(encode_decode(&e) == WIRE_BAD);
	memset(long_name, '/', sizeof(long_name) - 1);
	e.nsp = slice(long_name, ENVELOPE_MAX_NAME);
	CHECK(encode_decode(&e) == WIRE_OK);
	e.nsp = slice(long_name, ENVELOPE_MAX_NAME + 1);
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("room names, in both lists");
	e = smallest();
	e.rooms = list_of(buffer, (const char *const[]) {"a", "", NULL});
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.rooms = list_of(buffer, (const char *const[]) {long_name, NULL});
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.rooms = list_of(buffer, (const char *const[]) {long_name + 1, NULL});
	CHECK(encode_decode(&e) == WIRE_OK);
	e = smallest();
	e.except = list_of(buffer, (const char *const[]) {"", NULL});
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.except = list_of(buffer, (const char *const[]) {long_name, NULL});
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("rooms beside the whole namespace");
	e = smallest();
	e.flags = ENVELOPE_ALL;
	e.rooms = list_of(buffer, (const char *const[]) {"a", NULL});
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("an emit without a packet");
	e = smallest();
	e.packet = (Slice) {0};
	CHECK(encode_decode(&e) == WIRE_BAD);
	e.kind = ENVELOPE_SOCKETS_JOIN;
	CHECK(encode_decode(&e) == WIRE_OK);

	unit_case("ten attachments, not eleven");
	e = smallest();
	e.attachments = list_of(buffer, many + 1);
	CHECK(encode_decode(&e) == WIRE_OK);
	e.attachments = list_of(buffer, many);
	CHECK(encode_decode(&e) == WIRE_BAD);

	unit_case("a count without its strings, at once");
	e = smallest();
	e.rooms.count = UINT32_MAX;
	CHECK(encode_decode(&e) == WIRE_BAD);
}

static void
test_list(void)
{
	EnvelopeList list = list_of(rooms_bytes, (const char *const[]) {"one", "", "three", NULL});
	Slice		s;

	unit_case("a list is walked once");
	CHECK(envelope_next(&list, &s) && slice_equal(s, SLICE_LITERAL("one")));
	CHECK(envelope_next(&list, &s) && s.len == 0);
	CHECK(envelope_next(&list, &s) && slice_equal(s, SLICE_LITERAL("three")));
	CHECK(!envelope_next(&list, &s));
	CHECK(!envelope_next(&list, &s));

	unit_case("a list that is not whole ends");
	list = list_of(rooms_bytes, (const char *const[]) {"one", "two", NULL});
	list.bytes.len--;
	CHECK(envelope_next(&list, &s));
	CHECK(!envelope_next(&list, &s));
	CHECK(!envelope_next(&list, &s));
}

static void
test_record(void)
{
	uint8_t		buffer[256];
	uint8_t    *at = envelope_record_header(buffer, 16384, 2);
	uint32_t	database;
	EnvelopeList list;
	Slice		s;
	size_t		len;

	unit_case("a record there and back");
	CHECK(at == buffer + ENVELOPE_RECORD_HEADER);
	at = write_string(at, SLICE_LITERAL("first"));
	at = write_string(at, SLICE_LITERAL("second"));
	len = (size_t) (at - buffer);
	CHECK(envelope_record_open(slice(buffer, len), &database, &list) == WIRE_OK);
	CHECK(database == 16384 && list.count == 2);
	CHECK(envelope_next(&list, &s) && slice_equal(s, SLICE_LITERAL("first")));
	CHECK(envelope_next(&list, &s) && slice_equal(s, SLICE_LITERAL("second")));
	CHECK(!envelope_next(&list, &s));

	unit_case("every truncation of a record is refused");
	for (size_t n = 0; n < len; n++)
	{
		Slice		part = unit_copy(buffer, n);

		CHECK(envelope_record_open(part, &database, &list) == WIRE_BAD);
		UNIT_FREE(part);
	}

	unit_case("bytes behind the last envelope are refused");
	CHECK(envelope_record_open(slice(buffer, len + 1), &database, &list) == WIRE_BAD);

	unit_case("magic, version and zero bytes are checked");
	for (size_t i = 0; i < 8; i++)
	{
		buffer[i] ^= 1;
		CHECK(envelope_record_open(slice(buffer, len), &database, &list) == WIRE_BAD);
		buffer[i] ^= 1;
	}

	unit_case("a count that the bytes do not hold");
	envelope_record_header(buffer, 1, 3);
	CHECK(envelope_record_open(slice(buffer, len), &database, &list) == WIRE_BAD);
	envelope_record_header(buffer, 1, 1);
	CHECK(envelope_record_open(slice(buffer, len), &database, &list) == WIRE_BAD);
	envelope_record_header(buffer, 1, UINT32_MAX);
	CHECK(envelope_record_open(slice(buffer, len), &database, &list) == WIRE_BAD);
}

int
main(void)
{
	test_round_trip();
	test_truncation();
	test_refusals();
	test_list();
	test_record();
	return unit_done();
}

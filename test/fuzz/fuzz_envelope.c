/*
 * fuzz_envelope.c - envelopes and records: what decodes encodes to the same
 * bytes again, and no slice leaves its input.
 */
#include <assert.h>
#include <stdlib.h>

#include "wire/envelope.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(Slice s, Slice input)
{
	assert(s.len == 0 || (s.data >= input.data && s.data + s.len <= input.data + input.len));
}

static void
check_list(EnvelopeList list, Slice input, size_t longest)
{
	uint32_t	count = list.count;
	uint32_t	n = 0;
	Slice		s;

	for (; envelope_next(&list, &s); n++)
	{
		check_inside(s, input);
		assert(s.len <= longest);
	}
	assert(n == count && list.bytes.len == 0);
}

static void
check_envelope(Slice bytes)
{
	Envelope	e;
	uint8_t    *again;

	if (envelope_decode(bytes, &e) != WIRE_OK)
		return;
	check_inside(e.nsp, bytes);
	check_inside(e.packet, bytes);
	check_list(e.rooms, bytes, ENVELOPE_MAX_NAME);
	check_list(e.except, bytes, ENVELOPE_MAX_NAME);
	check_list(e.attachments, bytes, bytes.len);

	assert(envelope_size(&e) == bytes.len);
	again = malloc(bytes.len);
	assert(envelope_encode(&e, again) == again + bytes.len);
	assert(memcmp(again, bytes.data, bytes.len) == 0);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		input = slice(data, size);
	uint32_t	database;
	EnvelopeList list;
	Slice		envelope;
	uint8_t		header[ENVELOPE_RECORD_HEADER];

	check_envelope(input);
	if (envelope_record_open(input, &database, &list) != WIRE_OK)
		return 0;
	envelope_record_header(header, database, list.count);
	assert(memcmp(header, data, sizeof(header)) == 0);
	check_list(list, input, size);
	while (envelope_next(&list, &envelope))
		check_envelope(envelope);
	return 0;
}

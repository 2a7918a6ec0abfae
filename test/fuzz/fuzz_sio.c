/*
 * fuzz_sio.c - Socket.IO packets: what decodes is written from its parts to
 * the same text again, its parts lie in the text and are what they should be.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/sio.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the packet together from its parts, as far as one spelling is possible. */
static void
check_text(const SioPacket *p, Slice text)
{
	const uint8_t *at = text.data + 1;
	const uint8_t *end = text.data + text.len;
	char		number[24];

	assert(text.data[0] == '0' + p->type);
	if (p->type == SIO_BINARY_EVENT || p->type == SIO_BINARY_ACK)
	{
		size_t		n = (size_t) snprintf(number, sizeof(number), "%u-", (unsigned) p->attachments);

		assert(p->attachments >= 1 && p->attachments <= SIO_MAX_ATTACHMENTS);
		assert((size_t) (end - at) >= n && memcmp(at, number, n) == 0);
		at += n;
	}
	else
		assert(p->attachments == 0);

	if (at < end && *at == '/')
	{
		assert(p->nsp.data == at && memchr(p->nsp.data, ',', p->nsp.len) == NULL);
		at += p->nsp.len;
		if (at < end)
			assert(*at++ == ',');
	}
	else
		assert(slice_equal(p->nsp, SLICE_LITERAL("/")));

	if (p->has_ack)
	{
		size_t		n = (size_t) snprintf(number, sizeof(number), "%llu", (unsigned long long) p->ack);

		while (n > 0 && end - at > 1 && *at == '0' && number[0] != '0')
			at++;				/* leading zeros */
		while (p->ack == 0 && end - at > 1 && at[0] == '0' && at[1] == '0')
			at++;
		assert((size_t) (end - at) >= n && memcmp(at, number, n) == 0);
		at += n;
	}
	assert(p->json.len == (size_t) (end - at) && (p->json.len == 0 || p->json.data == at));
}

/* The recursive rewriting of the placeholder rule, on text that is valid. */
static bool
placeholders_good(Slice value, uint32_t attachments)
{
	JsonWalk	w;
	Slice		key;
	Slice		v;
	bool		is_placeholder = false;
	bool		num_good = false;
	bool		good = true;

	if (!json_enter(value, &w))
		return true;
	while (json_next(&w, &key, &v))
	{
		uint8_t    *name = malloc(key.len);
		long		n = json_unquote(key, name);

		if (n == 12 && memcmp(name, "_placeholder", 12) == 0)
			is_placeholder = slice_equal(v, SLICE_LITERAL("true"));
		if (n == 3 && memcmp(name, "num", 3) == 0)
			num_good = v.len == 1 && v.data[0] >= '0' && v.data[0] < '0' + (int) attachments;
		free(name);
		good = placeholders_good(v, attachments) && good;
	}
	return good && (!is_placeholder || num_good);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		text = slice(data, size);
	SioPacket	p;
	Slice		name;

	if (sio_event_name(text, &name))
		assert(name.len >= 1 && name.data > data && name.data + name.len <= data + size);

	if (sio_decode(text, &p) != WIRE_OK)
		return 0;
	check_text(&p, text);
	if (p.json.len > 0)
		assert(json_valid(p.json));

	switch (p.type)
	{
		case SIO_EVENT:
		case SIO_BINARY_EVENT:
			assert((p.event.len > 0) == (p.json.len > 0));
			if (p.event.len == 0)
				break;
			assert(p.event.data > p.json.data && p.event.data + p.event.len < p.json.data + p.json.len);
			/* Our own writer's form is found by sio_event_name() too. */
			if (p.event.data[0] == '"' && !p.has_ack)
				assert(sio_event_name(text, &name) && slice_equal(name, p.event));
			break;
		case SIO_DISCONNECT:
			assert(p.json.len == 0);
			/* fall through */
		default:
			assert(p.event.len == 0);
	}
	if (p.attachments > 0 && size < 4096)
		assert(placeholders_good(p.json, p.attachments));

	/* Without ids and attachments sio_encode() writes what was read. */
	if (p.attachments == 0 && !p.has_ack)
	{
		size_t		n = sio_encode(NULL, p.type, p.nsp, p.json);
		uint8_t    *out = malloc(n);
		SioPacket	again;

		assert(sio_encode(out, p.type, p.nsp, p.json) == n);
		assert(sio_decode(slice(out, n), &again) == WIRE_OK && again.type == p.type && !again.has_ack);
		assert(slice_equal(again.nsp, p.nsp) && slice_equal(again.json, p.json) && slice_equal(again.event, p.event));
		free(out);
	}
	return 0;
}

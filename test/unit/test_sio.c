/*
 * test_sio.c - Socket.IO packets: against the reference decoder's verdicts
 * (vectors/), every prefix of good packets, and what the writers write.
 */
#include "unit.h"

#include "wire/json.h"
#include "wire/sio.h"

#include "vectors/wire_vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A decoded packet in the words of the vectors. */
static void
describe(const SioPacket *p, char *out, size_t size)
{
	char		ack[24] = "-";

	if (p->has_ack)
		snprintf(ack, sizeof(ack), "%llu", (unsigned long long) p->ack);
	snprintf(out, size, "%u %u %.*s %s %.*s", (unsigned) p->type, (unsigned) p->attachments,
			 (int) p->nsp.len, (const char *) p->nsp.data, ack, (int) p->json.len, (const char *) p->json.data);
}

/* '?' at the end of the reference's words: it wrote the JSON in another way. */
static bool
same_words(const char *ours, const char *reference)
{
	size_t		n = strlen(reference);

	if (n > 0 && reference[n - 1] == '?')
		return strncmp(ours, reference, n - 1) == 0;
	return strcmp(ours, reference) == 0;
}

static void
test_vectors(void)
{
	/* The eio vectors are test_eio's. */
	(void) eio_vectors;

	for (size_t i = 0; i < COUNT(sio_vectors); i++)
	{
		const Vector *v = &sio_vectors[i];
		Slice		text = unit_copy(v->input, v->len);
		SioPacket	p;
		char		words[1024] = "bad";

		unit_case("%s%s%.100s", v->stricter ? v->stricter : "", v->stricter ? ": " : "as the reference: ", v->input);
		if (sio_decode(text, &p) == WIRE_OK)
		{
			describe(&p, words, sizeof(words));
			CHECK(p.json.len == 0 || unit_inside(p.json, text));
			CHECK(unit_inside(p.event, p.json));
		}
		if (!CHECK(v->stricter ? strcmp(words, "bad") == 0 : same_words(words, v->words)))
			printf("# ours: %s\n# reference: %s\n", words, v->words);
		UNIT_FREE(text);
	}
}

static WireResult
decode(const char *text, SioPacket *p)
{
	return sio_decode(slice_cstring(text), p);
}

static void
test_parts(void)
{
	SioPacket	p;

	unit_case("the parts of a packet");
	CHECK(decode("52-/chat?x=1,17 [ \"say\" ,{\"_placeholder\":true,\"num\":1}]", &p) == WIRE_OK);
	CHECK(p.type == SIO_BINARY_EVENT && p.attachments == 2 && p.has_ack && p.ack == 17);
	CHECK(slice_equal(p.nsp, SLICE_LITERAL("/chat?x=1")));
	CHECK(slice_equal(p.event, SLICE_LITERAL("\"say\"")));

	unit_case("a number as the event");
	CHECK(decode("2[-1.5e3,2]", &p) == WIRE_OK);
	CHECK(slice_equal(p.event, SLICE_LITERAL("-1.5e3")));

	unit_case("nothing but an event has an event name");
	CHECK(decode("0{\"a\":1}", &p) == WIRE_OK && p.event.len == 0);
	CHECK(decode("3[\"a\"]", &p) == WIRE_OK && p.event.len == 0);
	CHECK(decode("2", &p) == WIRE_OK && p.event.len == 0 && p.json.len == 0);

	unit_case("space before the JSON is no ack id");
	CHECK(decode("2 [\"a\"]", &p) == WIRE_OK && !p.has_ack);

	unit_case("the largest ack id");
	CHECK(decode("218446744073709551615[\"a\"]", &p) == WIRE_OK && p.ack == UINT64_MAX);
	CHECK(decode("218446744073709551616[\"a\"]", &p) == WIRE_BAD);
	CHECK(decode("2184467440737095516150[\"a\"]", &p) == WIRE_BAD);

	unit_case("a name that is reserved however it is written, and long names that are not");
	CHECK(decode("2[\"\\u0064\\u0069\\u0073\\u0063\\u006f\\u006e\\u006e\\u0065\\u0063\\u0074\"]", &p) == WIRE_BAD);
	CHECK(decode("2[\"\\u0064\\u0069\\u0073\\u0063\\u006f\\u006e\\u006e\\u0065\\u0063\\u0074\\u0064\"]", &p) == WIRE_OK);
	CHECK(decode("2[\"disconnect0123456789012345678901234567890123456789012345678901234567890123456789"
				 "01234567890123456789\"]", &p) == WIRE_OK);

	unit_case("invalid UTF-8 in the payload");
	CHECK(decode("2[\"\xc3\x28\"]", &p) == WIRE_BAD);
	CHECK(decode("2[\"\xed\xa0\x80\"]", &p) == WIRE_BAD);

	unit_case("reserved names");
	CHECK(sio_reserved_event(SLICE_LITERAL("connect")));
	CHECK(sio_reserved_event(SLICE_LITERAL("connect_error")));
	CHECK(sio_reserved_event(SLICE_LITERAL("disconnect")));
	CHECK(sio_reserved_event(SLICE_LITERAL("disconnecting")));
	CHECK(sio_reserved_event(SLICE_LITERAL("newListener")));
	CHECK(sio_reserved_event(SLICE_LITERAL("removeListener")));
	CHECK(!sio_reserved_event(SLICE_LITERAL("")));
	CHECK(!sio_reserved_event(SLICE_LITERAL("connect\0")));
	CHECK(!sio_reserved_event(SLICE_LITERAL("Connect")));
}

/* Which prefixes of a packet are packets themselves, by their lengths. */
static void
test_prefixes(void)
{
	static const struct
	{
		const char *packet;
		const char *good;		/* one letter per length from 0: + or - */
	}			cases[] = {
		{"0/a,{\"t\":1}", "-++++------+"},
		{"212[\"a\",{}]", "-+++-------+"},
		{"51-/a,7[\"a\"]", "---+++++----+"},
		{"1/admin,", "-++++++++"},
		{"3[true]", "-+-----+"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		unit_case("every prefix of %s", cases[i].packet);
		if (!CHECK(strlen(cases[i].good) >= strlen(cases[i].packet) + 1))
			continue;
		for (size_t n = 0; n <= strlen(cases[i].packet); n++)
		{
			Slice		text = unit_copy(cases[i].packet, n);
			SioPacket	p;

			if (!CHECK((sio_decode(text, &p) == WIRE_OK) == (cases[i].good[n] == '+')))
				printf("# at length %zu\n", n);
			UNIT_FREE(text);
		}
	}
}

static void
test_encode(void)
{
	static const struct
	{
		SioType		type;
		const char *nsp;
		const char *json;
		const char *packet;
	}			cases[] = {
		{SIO_CONNECT, "/", "{\"sid\":\"x\"}", "0{\"sid\":\"x\"}"},
		{SIO_CONNECT, "/admin", "{\"sid\":\"x\"}", "0/admin,{\"sid\":\"x\"}"},
		{SIO_DISCONNECT, "/", "", "1"},
		{SIO_DISCONNECT, "/admin", "", "1/admin,"},
		{SIO_CONNECT_ERROR, "/", "{\"message\":\"no\"}", "4{\"message\":\"no\"}"},
		{SIO_EVENT, "/a?b=c", "[\"e\"]", "2/a?b=c,[\"e\"]"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		Slice		nsp = slice_cstring(cases[i].nsp);
		Slice		json = slice_cstring(cases[i].json);
		size_t		size = sio_encode(NULL, cases[i].type, nsp, json);
		uint8_t    *out = malloc(size);
		SioPacket	p;

		unit_case("written: %s", cases[i].packet);
		CHECK(sio_encode(out, cases[i].type, nsp, json) == size);
		CHECK(slice_equal(slice(out, size), slice_cstring(cases[i].packet)));
		CHECK(sio_decode(slice(out, size), &p) == WIRE_OK && p.type == cases[i].type
			  && slice_equal(p.nsp, nsp) && slice_equal(p.json, json));
		free(out);
	}
}

static void
test_event_name(void)
{
	static const struct
	{
		const char *packet;
		const char *name;		/* NULL: none */
	}			cases[] = {
		{"2[\"a\"]", "\"a\""},
		{"2/admin,[\"a b\",1]", "\"a b\""},
		{"2/admin,[\"with \\\" quote\",[]]", "\"with \\\" quote\""},
		{"51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "\"a\""},
		{"510-/admin,[\"a\"]", "\"a\""},
		{"2[]", NULL}, {"2[1]", NULL}, {"2", NULL}, {"", NULL}, {"3[\"a\"]", NULL}, {"0{\"a\":1}", NULL},
		{"2{\"a\":1}", NULL}, {"5[\"a\"]", NULL}, {"2/admin", NULL}, {"2/admin,", NULL}, {"2[", NULL}, {"2[[\"a\"]]", NULL},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		Slice		packet = unit_copy(cases[i].packet, strlen(cases[i].packet));
		Slice		name;
		bool		found = sio_event_name(packet, &name);

		unit_case("event name of %s", cases[i].packet);
		CHECK(found == (cases[i].name != NULL));
		if (found && cases[i].name)
			CHECK(slice_equal(name, slice_cstring(cases[i].name)));
		UNIT_FREE(packet);
	}
}

int
main(void)
{
	test_vectors();
	test_parts();
	test_prefixes();
	test_encode();
	test_event_name();
	return unit_done();
}

/*
 * test_eio.c - Engine.IO packets and polling bodies against the reference
 * decoder's verdicts (vectors/), base64 against RFC 4648, UTF-8 against
 * RFC 3629, and WebSocket headers against RFC 6455.
 */
#include "unit.h"

#include "wire/base64.h"
#include "wire/eio.h"

#include "vectors/wire_vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A polling body in the words of the vectors. */
static void
describe(uint8_t *bytes, size_t len, char *out, size_t size)
{
	EioBody		body = {bytes, len, false};
	EioPacket	p;
	int			n = 0;

	out[0] = '\0';
	while (!body.done)
	{
		const char *space = n > 0 ? " " : "";

		if (eio_body_next(&body, &p) != WIRE_OK)
			n += snprintf(out + n, size - (size_t) n, "%sbad", space);
		else if (p.binary)
		{
			CHECK(p.type == EIO_MESSAGE);
			n += snprintf(out + n, size - (size_t) n, "%sb:", space);
			for (size_t i = 0; i < p.data.len; i++)
				n += snprintf(out + n, size - (size_t) n, "%02x", p.data.data[i]);
		}
		else
			n += snprintf(out + n, size - (size_t) n, "%s%d:%.*s", space, (int) p.type, (int) p.data.len, (const char *) p.data.data);
		CHECK(unit_inside(body.done ? (Slice) {0} : slice(body.at, body.len), slice(bytes, len)));
	}
	CHECK(eio_body_next(&body, &p) == WIRE_BAD);
}

static void
test_vectors(void)
{
	(void) sio_vectors;			/* test_sio's */

	for (size_t i = 0; i < COUNT(eio_vectors); i++)
	{
		const Vector *v = &eio_vectors[i];
		Slice		body = unit_copy(v->input, v->len);
		char		words[1024];

		unit_case("%s%s%.100s", v->stricter ? v->stricter : "", v->stricter ? ": " : "as the reference: ", v->input);
		describe((uint8_t *) body.data, body.len, words, sizeof(words));
		if (!CHECK(strcmp(words, v->stricter ? "bad" : v->words) == 0))
			printf("# ours: %s\n# reference: %s\n", words, v->words);
		UNIT_FREE(body);
	}

	unit_case("text in a polling body that is not UTF-8");
	{
		uint8_t		bytes[] = "4a\x1e" "4\xff";
		char		words[64];

		describe(bytes, sizeof(bytes) - 1, words, sizeof(words));
		CHECK(strcmp(words, "4:a bad") == 0);
	}
}

static void
test_decode(void)
{
	EioPacket	p;

	unit_case("every first byte of a packet");
	for (int c = 0; c < 256; c++)
	{
		uint8_t		bytes[] = {(uint8_t) c, 'x'};
		bool		good = c >= '0' && c <= '6';

		CHECK((eio_decode(slice(bytes, 2), &p) == WIRE_OK) == good);
		if (good)
			CHECK(p.type == (EioType) (c - '0') && !p.binary && p.data.len == 1 && p.data.data == bytes + 1);
		CHECK((eio_decode(slice(bytes, 1), &p) == WIRE_OK) == good);
	}
	CHECK(eio_decode((Slice) {0}, &p) == WIRE_BAD);
}

static void
test_base64(void)
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}
	};

	unit_case("base64: the vectors of RFC 4648");
	for (size_t i = 0; i < COUNT(pairs); i++)
	{
		Slice		bytes = slice_cstring(pairs[i][0]);
		size_t		size = base64_size(bytes.len);
		uint8_t    *out = malloc(size);

		CHECK(size == strlen(pairs[i][1]));
		CHECK(base64_encode(out, bytes) == out + size);
		CHECK(slice_equal(slice(out, size), slice_cstring(pairs[i][1])));
		free(out);
	}

	unit_case("base64: all bytes at all lengths there and back");
	for (size_t n = 0; n <= 300; n++)
	{
		uint8_t		bytes[300];
		size_t		size = 1 + base64_size(n);
		uint8_t    *packet = malloc(size);
		EioBody		body = {packet, size, false};
		EioPacket	p;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t) (i * 7 + n);
		packet[0] = 'b';
		base64_encode(packet + 1, slice(bytes, n));
		CHECK(eio_body_next(&body, &p) == WIRE_OK && p.binary && body.done);
		CHECK(slice_equal(p.data, slice(bytes, n)));
		free(packet);
	}
}

/* What base64_decode() or base64url_decode() makes of a text: "-" for a refusal. */
static bool
decodes_to(bool url, const char *text, const char *expected)
{
	Slice		s = unit_copy(text, strlen(text));
	uint8_t    *out = (uint8_t *) s.data;	/* in its place */
	long		n = url ? base64url_decode(out, s) : base64_decode(out, s);
	bool		same = expected[0] == '-' ? n == -1 : n >= 0 && slice_equal(slice(out, (size_t) n), slice_cstring(expected));

	UNIT_FREE(s);
	return same;
}

static void
test_base64_canonical(void)
{
	static const char *const padded[][2] = {
		{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"+/==", "-"}, {"+w==", "\xfb"}, {"/w==", "\xff"},
		{"Zg", "-"}, {"Zg=", "-"}, {"Zh==", "-"}, {"Zm9=", "-"}, {"Z===", "-"}, {"====", "-"}, {"==", "-"}, {"Zg==Zg==", "-"},
		{"Zm=v", "-"}, {"Zm 9", "-"}, {"-w==", "-"}, {"_w==", "-"}, {"Zm9vYg", "-"},
	};
	static const char *const url[][2] = {
		{"", ""}, {"Zg", "f"}, {"Zm8", "fo"}, {"Zm9v", "foo"}, {"-w", "\xfb"}, {"_w", "\xff"},
		{"Z", "-"}, {"Zm9vZ", "-"}, {"Zh", "-"}, {"Zm9", "-"}, {"Zg==", "-"}, {"+w", "-"}, {"/w", "-"}, {"Z g", "-"},
	};

	unit_case("base64: one spelling only, with all its padding");
	for (size_t i = 0; i < COUNT(padded); i++)
		CHECK(decodes_to(false, padded[i][0], padded[i][1]));
	unit_case("base64url: one spelling only, without padding");
	for (size_t i = 0; i < COUNT(url); i++)
		CHECK(decodes_to(true, url[i][0], url[i][1]));
}

static void
test_utf8(void)
{
	static const struct
	{
		const char *bytes;
		bool		good;
	}			cases[] = {
		{"", true}, {"plain", true}, {"\x7f", true}, {"\xc2\x80", true}, {"\xdf\xbf", true}, {"\xe0\xa0\x80", true}, {"\xed\x9f\xbf", true},
		{"\xee\x80\x80", true}, {"\xef\xbf\xbf", true}, {"\xf0\x90\x80\x80", true}, {"\xf4\x8f\xbf\xbf", true}, {"12345678\xc3\xa9" "12345678", true},
		{"\x80", false}, {"\xbf", false}, {"\xc0\x80", false}, {"\xc1\xbf", false}, {"\xe0\x80\x80", false}, {"\xe0\x9f\xbf", false},
		{"\xed\xa0\x80", false}, {"\xed\xbf\xbf", false}, {"\xf0\x80\x80\x80", false}, {"\xf0\x8f\xbf\xbf", false}, {"\xf4\x90\x80\x80", false},
		{"\xf5\x80\x80\x80", false}, {"\xff", false}, {"\xc3", false}, {"\xe2\x82", false}, {"\xf0\x9f\x98", false}, {"\xc3(", false},
		{"\xe2\x28\xa1", false}, {"\xe2\x82\x28", false}, {"\xf0\x9f\x98\x28", false}, {"12345678\xff" "12345678", false}, {"1234567\xc3", false},
	};

	unit_case("UTF-8 and what looks like it");
	for (size_t i = 0; i < COUNT(cases); i++)
	{
		Slice		s = unit_copy(cases[i].bytes, strlen(cases[i].bytes));

		if (!CHECK(eio_utf8_valid(s) == cases[i].good))
			printf("# case %zu\n", i);
		UNIT_FREE(s);
	}

	unit_case("a zero byte is UTF-8");
	CHECK(eio_utf8_valid(slice("a\0b", 3)));

	unit_case("one wrong byte at every place of a longer text");
	for (size_t i = 0; i < 40; i++)
	{
		uint8_t		text[40];

		memset(text, 'a', sizeof(text));
		CHECK(eio_utf8_valid(slice(text, sizeof(text))));
		text[i] = 0x80;
		CHECK(!eio_utf8_valid(slice(text, sizeof(text))));
	}
}

static void
test_out(void)
{
	static const struct
	{
		uint64_t	payload;
		const char *header;
		size_t		len;
	}			cases[] = {
		{0, "\x81\x00", 2}, {125, "\x81\x7d", 2}, {126, "\x81\x7e\x00\x7e", 4}, {65535, "\x81\x7e\xff\xff", 4},
		{65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10}, {UINT64_C(0x0102030405060708), "\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10},
	};
	char		open[EIO_OPEN_MAX];
	EioHandshake h = {"lv_VI97HAXpY6yYWAAAC", true, 25000, 20000, 1000000};
	size_t		n;

	unit_case("WebSocket headers");
	for (size_t i = 0; i < COUNT(cases); i++)
	{
		uint8_t		out[EIO_WS_HEADER_MAX];

		CHECK(eio_ws_header_size(cases[i].payload) == cases[i].len);
		CHECK(eio_ws_header(out, false, cases[i].payload) == out + cases[i].len);
		CHECK(slice_equal(slice(out, cases[i].len), slice(cases[i].header, cases[i].len)));
		eio_ws_header(out, true, cases[i].payload);
		CHECK(out[0] == 0x82);
	}

	unit_case("the open packet");
	n = eio_open_packet(open, &h);
	CHECK(slice_equal(slice(open, n), SLICE_LITERAL("0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],"
													"\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")));
	h.upgrades = false;
	n = eio_open_packet(open, &h);
	CHECK(slice_equal(slice(open, n), SLICE_LITERAL("0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],"
													"\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")));

	unit_case("no open packet is longer than EIO_OPEN_MAX");
	{
		static char long_sid[500];

		memset(long_sid, 'x', sizeof(long_sid) - 1);
		h = (EioHandshake) {long_sid, true, UINT32_MAX, UINT32_MAX, UINT32_MAX};
		n = eio_open_packet(open, &h);
		CHECK(n < EIO_OPEN_MAX && open[n - 1] == '}');
	}

	unit_case("the error answers, by code");
	CHECK(eio_error_status(EIO_FORBIDDEN) == 403 && eio_error_status(EIO_UNKNOWN_SID) == 400);
	CHECK(strcmp(eio_error_message(EIO_UNKNOWN_TRANSPORT), "Transport unknown") == 0);
	CHECK(strcmp(eio_error_message(EIO_UNKNOWN_SID), "Session ID unknown") == 0);
	CHECK(strcmp(eio_error_message(EIO_BAD_METHOD), "Bad handshake method") == 0);
	CHECK(strcmp(eio_error_message(EIO_BAD_REQUEST), "Bad request") == 0);
	CHECK(strcmp(eio_error_message(EIO_FORBIDDEN), "Forbidden") == 0);
	CHECK(strcmp(eio_error_message(EIO_UNSUPPORTED_VERSION), "Unsupported protocol version") == 0);
	CHECK(EIO_UNKNOWN_TRANSPORT == 0 && EIO_UNSUPPORTED_VERSION == 5);
}

int
main(void)
{
	test_vectors();
	test_decode();
	test_base64();
	test_base64_canonical();
	test_utf8();
	test_out();
	return unit_done();
}

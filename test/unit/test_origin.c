/* with: src/gateway/origin.c */
/*
 * test_origin.c - which origins pass pg_rooms.allowed_origins.
 */
#include "gateway/origin.h"

#include "unit.h"

#define OWN		""
#define LIST	"https://a.example, http://b.example:3000/ ,HTTPS://C.example"

typedef struct Case
{
	const char *allowed;
	const char *origin;
	const char *host;
	OriginVerdict verdict;
} Case;

static const Case cases[] = {
	{OWN, "", "a.example", ORIGIN_SAME},
	{OWN, "", "", ORIGIN_SAME},
	{OWN, "http://a.example", "a.example", ORIGIN_SAME},
	{OWN, "http://a.example", "A.Example", ORIGIN_SAME},
	{OWN, "http://a.example", "a.example:80", ORIGIN_SAME},
	{OWN, "http://a.example:80", "a.example", ORIGIN_SAME},
	{OWN, "https://a.example", "a.example", ORIGIN_SAME},
	{OWN, "https://a.example", "a.example:443", ORIGIN_SAME},
	{OWN, "http://a.example:8080", "a.example:8080", ORIGIN_SAME},
	{OWN, "http://[::1]:8080", "[::1]:8080", ORIGIN_SAME},
	{OWN, "http://[::1]", "[::1]", ORIGIN_SAME},
	{OWN, "http://[::1]", "[::1]:80", ORIGIN_SAME},
	{OWN, "http://[::1]:1", "[::1]", ORIGIN_REFUSED},
	{OWN, "http://a.example", "a.example:8080", ORIGIN_REFUSED},
	{OWN, "https://a.example", "a.example:80", ORIGIN_REFUSED},
	{OWN, "http://a.example:8080", "a.example", ORIGIN_REFUSED},
	{OWN, "http://a.example.evil", "a.example", ORIGIN_REFUSED},
	{OWN, "http://evil.a.example", "a.example", ORIGIN_REFUSED},
	{OWN, "http://a.example@evil", "a.example", ORIGIN_REFUSED},
	{OWN, "http://a.example/", "a.example", ORIGIN_REFUSED},
	{OWN, "http://", "", ORIGIN_REFUSED},
	{OWN, "http://:80", ":80", ORIGIN_REFUSED},
	{OWN, "http://a.example", "", ORIGIN_REFUSED},
	{OWN, "null", "null", ORIGIN_REFUSED},
	{OWN, "file://", "", ORIGIN_REFUSED},
	{OWN, "a.example", "a.example", ORIGIN_REFUSED},
	{OWN, "ftp://a.example", "a.example", ORIGIN_REFUSED},

	{"*", "http://evil.example", "a.example", ORIGIN_ANY},
	{" * ", "null", "a.example", ORIGIN_ANY},
	{"*", "", "a.example", ORIGIN_ANY},

	{LIST, "https://a.example", "x", ORIGIN_LISTED},
	{LIST, "HTTPS://A.EXAMPLE", "x", ORIGIN_LISTED},
	{LIST, "http://b.example:3000", "x", ORIGIN_LISTED},
	{LIST, "https://c.example", "x", ORIGIN_LISTED},
	{LIST, "", "x", ORIGIN_SAME},
	{LIST, "http://a.example", "x", ORIGIN_REFUSED},
	{LIST, "http://b.example", "x", ORIGIN_REFUSED},
	{LIST, "https://a.example:443", "x", ORIGIN_REFUSED},
	{LIST, "https://a.exampl", "x", ORIGIN_REFUSED},
	{LIST, "https://a.example, http://b.example:3000", "x", ORIGIN_REFUSED},
	/* A list is the whole truth: the own host has to be in it, too. */
	{LIST, "http://x", "x", ORIGIN_REFUSED},
	{"null", "null", "x", ORIGIN_LISTED},
	{",,", "http://x", "x", ORIGIN_REFUSED},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *c = &cases[i];

		unit_case("\"%s\": origin \"%s\" to host \"%s\"", c->allowed, c->origin, c->host);
		CHECK(origin_check(c->allowed, slice_cstring(c->origin), slice_cstring(c->host)) == c->verdict);
	}
	unit_case("control characters are not valid");
	CHECK(origin_valid(SLICE_LITERAL("http://a.example")));
	CHECK(!origin_valid(SLICE_LITERAL("http://a\r\nX: y")));
	CHECK(!origin_valid(SLICE_LITERAL("a\0b")));
	CHECK(!origin_valid(SLICE_LITERAL("a\x7f")));
	return unit_done();
}

/*
 * test_since.c - tokens of snapshots: there and back, wrong ones, and what
 * they ask for, against the definition.
 */
#include "unit.h"

#include "wire/since.h"

static const uint64_t running[] = {UINT64_C(0x100000003), UINT64_C(0xfffffffe), UINT64_C(0xfffffff0), 7};
static const Since token = {
	.low = {.lsn = 0x1000, .timeline = 3}, .high = 0x2000, .xmax = UINT64_C(0x100000005), .running_count = 4, .running = running
};

static void
test_text(void)
{
	char		text[SINCE_TEXT_MAX(4)];
	uint64_t	space[64];
	Since		s;
	Slice		copy;
	size_t		len = since_encode(text, &token);

	unit_case("a token as text and back");
	CHECK(slice_equal(slice(text, len), SLICE_LITERAL("s3.1000.2000.100000005.2.5.e.ffffffe9")));
	copy = unit_copy(text, len);
	CHECK(since_space(copy) >= 4 && since_space(copy) <= 64);
	CHECK(since_decode(copy, &s, space) == WIRE_OK);
	CHECK(s.low.lsn == 0x1000 && s.low.timeline == 3 && s.low.index == 0 && s.high == 0x2000 && s.xmax == token.xmax);
	CHECK(s.running_count == 4 && memcmp(s.running, running, sizeof(running)) == 0);
	UNIT_FREE(copy);

	unit_case("a position is one, too");
	CHECK(since_decode(SLICE_LITERAL("1.16b3748.2"), &s, space) == WIRE_OK);
	CHECK(s.low.lsn == 0x16b3748 && s.low.index == 2 && s.high == 0 && s.running_count == 0);

	unit_case("every prefix of a token is another one or none, and read within its bounds");
	for (size_t n = 0; n < len; n++)
	{
		char		again[SINCE_TEXT_MAX(4)];

		copy = unit_copy(text, n);
		if (since_decode(copy, &s, space) == WIRE_OK)
			CHECK(slice_equal(slice(again, since_encode(again, &s)), copy));
		UNIT_FREE(copy);
	}
}

static void
test_bad(void)
{
	static const char *const bad[] = {
		"", "s", "s1", "s1.2.3", "s1.2.3.", "1.2.3.4.5", "s1.2.3.4.", "s1.2.3.4..1", "s1.2.3.4.0", "s1.2.3.4.4", "s1.2.3.4.5",
		"s1.2.3.4.3.1", "s01.2.3.4", "s1.2.3.4 ", " s1.2.3.4", "s1.2.3.G", "S1.2.3.4", "s1.2.0.4", "s1.4.3.4", "s-1.2.3.4",
		"s100000000.2.3.4", "s1.10000000000000000.3.4", "s1.2.3.10000000000000000", "s1.2.3.4.10000000000000001"
	};
	uint64_t	space[64];
	Since		s;
	size_t		len = 0;
	char	   *many = malloc(2 * SINCE_MAX_RUNNING + 100);
	uint64_t   *room = malloc(SINCE_MAX_RUNNING * sizeof(*room));

	unit_case("what is no token");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
	{
		Slice		copy = unit_copy(bad[i], strlen(bad[i]));

		if (!CHECK(since_decode(copy, &s, space) == WIRE_BAD))
			printf("# %s\n", bad[i]);
		UNIT_FREE(copy);
	}

	unit_case("the most transactions that may run, and one more");
	len = (size_t) sprintf(many, "s1.2.3.ffffff");
	for (int i = 0; i < SINCE_MAX_RUNNING; i++)
		len += (size_t) sprintf(many + len, ".1");
	CHECK(since_space(slice(many, len)) == SINCE_MAX_RUNNING);
	CHECK(since_decode(slice(many, len), &s, room) == WIRE_OK && s.running_count == SINCE_MAX_RUNNING);
	len += (size_t) sprintf(many + len, ".1");
	CHECK(since_decode(slice(many, len), &s, room) == WIRE_BAD);
	free(many);
	free(room);
}

static bool
wants(const Since *s, uint64_t lsn, uint32_t index, uint64_t xid)
{
	return since_wants(s, &(Position) {.lsn = lsn,.index = index}, xid);
}

static void
test_wants(void)
{
	const Since offset = {.low = {.lsn = 0x1000,.timeline = 3,.index = 2}};

	unit_case("before low nothing, beyond high all");
	CHECK(!wants(&token, 0xfff, 1, UINT64_MAX) && !wants(&token, 0xfff, 1, 7));
	CHECK(wants(&token, 0x2000, 1, 1) && wants(&token, 0x3000, 1, 8) && wants(&token, 0x2000, 1, token.xmax));

	unit_case("in between what is not in the snapshot");
	CHECK(wants(&token, 0x1000, 1, token.xmax) && wants(&token, 0x1fff, 1, UINT64_MAX));
	for (size_t i = 0; i < 4; i++)
	{
		CHECK(wants(&token, 0x1800, 1, running[i]));
		CHECK(!wants(&token, 0x1800, 1, running[i] - 1) && !wants(&token, 0x1800, 1, running[i] + 1));
	}
	CHECK(!wants(&token, 0x1000, 1, 1) && !wants(&token, 0x1fff, 1, token.xmax - 1));

	unit_case("what is of no transaction is in no snapshot");
	CHECK(wants(&token, 0x1800, 1, 0) && !wants(&token, 0xfff, 1, 0));

	unit_case("behind a position all");
	CHECK(!wants(&offset, 0x1000, 2, 9) && wants(&offset, 0x1000, 3, 9) && wants(&offset, 0x1001, 1, 1));
}

int
main(void)
{
	test_text();
	test_bad();
	test_wants();
	return unit_done();
}

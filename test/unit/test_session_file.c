/*
 * test_session_file.c - the session table's file: whatever is cut off or
 * damaged, exactly the intact records come back.
 */
#include "unit.h"

#include "wire/session_file.h"

#define RECORDS		10
#define UNITS_MAX	100

static const uint8_t node[SESSION_NODE_ID] = "0123456789abcdefghijklm";
static uint8_t bytes[LINK_MAX_SESSION_VALUE];

/* The records lie with a unit of zeros between every two. */
static uint8_t file[UNITS_MAX * SESSION_FILE_UNIT];
static uint32_t first[RECORDS];	/* units */
static uint32_t units[RECORDS];
static size_t file_len;

static SessionRecord
record(int i)
{
	/* From far less than a unit to several, and to the last byte of one. */
	static const size_t lengths[RECORDS] = {0, 1, 100, 204, 205, 206, 500, 1000, 460, 3};
	SessionRecord r = {.sequence = (uint64_t) i + 1, .key = slice(bytes + 1000 * i, (size_t) i % 3 + 3),
	.value = slice(bytes + 100 * i, lengths[i])};

	return r;
}

static void
make_file(void)
{
	uint32_t	at = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) (i * 7 + i / 256);
	memset(file, 0, sizeof(file));
	for (int i = 0; i < RECORDS; i++)
	{
		SessionRecord r = record(i);

		first[i] = at;
		units[i] = session_record_units(&r);
		session_record_encode(file + (size_t) at * SESSION_FILE_UNIT, node, &r);
		at += units[i] + (uint32_t) i % 2;
	}
	file_len = (size_t) (first[RECORDS - 1] + units[RECORDS - 1]) * SESSION_FILE_UNIT;
}

/* Are exactly these found, each as it was written? */
static bool
exactly(Slice in, const bool intact[RECORDS])
{
	uint32_t	at = 0;
	SessionRecord r;
	bool		good = true;

	for (int i = 0; i < RECORDS && good; i++)
	{
		SessionRecord want = record(i);

		if (!intact[i])
			continue;
		good = session_file_next(in, node, &at, &r) && at == first[i] && r.sequence == want.sequence &&
			slice_equal(r.key, want.key) && slice_equal(r.value, want.value);
		at += units[i];
	}
	return good && !session_file_next(in, node, &at, &r);
}

static void
test_whole(void)
{
	static const bool all[RECORDS] = {true, true, true, true, true, true, true, true, true, true};
	static const bool none[RECORDS] = {false};
	uint8_t		other[SESSION_NODE_ID] = "0123456789abcdefghijklM";
	uint32_t	at = 0;
	SessionRecord r;

	unit_case("ten records there and back");
	CHECK(exactly(slice(file, file_len), all));
	CHECK(exactly((Slice) {0}, none));
	CHECK(units[3] == 1 && units[4] == 2);

	unit_case("another node's are none");
	CHECK(!session_file_next(slice(file, file_len), other, &at, &r));

	unit_case("the checksum is CRC-32C");
	CHECK(session_crc(SLICE_LITERAL("123456789")) == 0xe3069283);
	CHECK(session_crc((Slice) {0}) == 0);
}

static void
test_truncated(void)
{
	int			wrong = 0;

	unit_case("cut at every byte");
	for (size_t n = 0; n < file_len; n++)
	{
		Slice		part = unit_copy(file, n);
		bool		intact[RECORDS];

		for (int i = 0; i < RECORDS; i++)
			intact[i] = (size_t) (first[i] + units[i]) * SESSION_FILE_UNIT <= n;
		wrong += !exactly(part, intact);
		UNIT_FREE(part);
	}
	CHECK(wrong == 0);
}

static void
test_flipped(void)
{
	int			wrong = 0;

	unit_case("a bit flipped in every byte");
	for (size_t n = 0; n < file_len; n++)
	{
		Slice		part = unit_copy(file, file_len);
		bool		intact[RECORDS];

		((uint8_t *) part.data)[n] ^= (uint8_t) (1 << n % 8);
		for (int i = 0; i < RECORDS; i++)
			intact[i] = n / SESSION_FILE_UNIT < first[i] || n / SESSION_FILE_UNIT >= first[i] + units[i];
		wrong += !exactly(part, intact);
		UNIT_FREE(part);
	}
	CHECK(wrong == 0);
}

static void
test_largest(void)
{
	static uint8_t buffer[SESSION_RECORD_MAX_UNITS * SESSION_FILE_UNIT];
	SessionRecord r = {.sequence = 1, .key = slice(bytes, LINK_MAX_SESSION_KEY), .value = slice(bytes, LINK_MAX_SESSION_VALUE)};
	SessionRecord back;
	uint32_t	at = 0;

	unit_case("the largest record");
	CHECK(session_record_units(&r) == SESSION_RECORD_MAX_UNITS);
	session_record_encode(buffer, node, &r);
	CHECK(session_file_next(slice(buffer, sizeof(buffer)), node, &at, &back) && at == 0);
	CHECK(slice_equal(back.key, r.key) && slice_equal(back.value, r.value));
}

int
main(void)
{
	make_file();
	test_whole();
	test_truncated();
	test_flipped();
	test_largest();
	return unit_done();
}

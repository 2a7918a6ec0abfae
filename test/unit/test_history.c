/*
 * test_history.c - positions, and the history against a plain list.
 */
#include "unit.h"

#include "core/history.h"

static void
texts(void)
{
	static const char *const bad[] = {
		"", ".", "1", "1.2", "1.2.", ".1.2", "1..2", "1.2.3.", "1.2.3.0", "1.2.3.4.5", "01.2.3", "1.02.3",
		"1.2.3 ", " 1.2.3", "1.2.A", "1.2.g", "123456789.1.1", "1.12345678901234567.1", "1.1.123456789",
		"1.1.1.123456789", "-1.1.1", "1.2.3.04", "00.0.0"
	};
	static const Position good[] = {
		{0}, {.lsn = 0x16b3748, .timeline = 1}, {.lsn = UINT64_MAX, .timeline = UINT32_MAX, .index = UINT32_MAX, .late = UINT32_MAX},
		{.lsn = 16, .timeline = 10, .index = 255, .late = 1}
	};
	char		text[POSITION_TEXT_MAX];

	unit_case("a position as text and back");
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
	{
		Position	p;
		Slice		copy;
		size_t		len = position_encode(text, &good[i]);

		CHECK(len <= sizeof(text));
		copy = unit_copy(text, len);
		CHECK(position_decode(copy, &p) == WIRE_OK);
		CHECK(position_compare(&p, &good[i]) == 0 && p.timeline == good[i].timeline);
		UNIT_FREE(copy);
	}
	CHECK(position_encode(text, &good[1]) == 11 && memcmp(text, "1.16b3748.0", 11) == 0);

	unit_case("what is no position");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
	{
		Position	p;

		CHECK(position_decode(slice_cstring(bad[i]), &p) == WIRE_BAD);
	}

	unit_case("the order of the bus");
	CHECK(position_compare(&good[0], &good[1]) < 0);
	CHECK(position_compare(&(Position) {.lsn = 5, .index = 1}, &(Position) {.lsn = 5, .index = 0, .late = 9}) > 0);
	CHECK(position_compare(&(Position) {.lsn = 5, .late = 1}, &(Position) {.lsn = 5}) > 0);
}

/* ---- the history and its model ---- */

#define ROOMS		6
#define MESSAGES	3000

typedef struct Sent
{
	Position	at;
	uint64_t	time;
	uint32_t	rooms;			/* bits; 0: the whole namespace */
	int			nsp;
	uint32_t	value;
} Sent;

static const char *const namespaces[] = {"/", "/x"};
static Sent sent[MESSAGES];
static uint32_t sent_count;
static uint64_t seed;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (seed >> 33) % n;
}

static EnvelopeList
rooms_of(uint32_t bits, uint8_t *bytes)
{
	EnvelopeList list = {0};
	uint8_t    *at = bytes;

	for (uint32_t i = 0; i < ROOMS; i++)
	{
		char		name[16];

		if ((bits & 1u << i) == 0)
			continue;
		snprintf(name, sizeof(name), "room%u", i);
		/* A room that is named twice counts once. */
		for (int twice = 0; twice < 2; twice++, list.count++)
			at = write_string(at, slice_cstring(name));
	}
	list.bytes = slice(bytes, (size_t) (at - bytes));
	return list;
}

static void
send_one(History *h, Position at, uint64_t now)
{
	Sent	   *s = &sent[sent_count];
	uint8_t		bytes[ROOMS * 2 * 16];
	char		packet[32];
	Envelope	e = {.kind = ENVELOPE_EMIT};
	Frame	   *f;

	*s = (Sent) {at, now, random_below(1u << ROOMS), (int) random_below(2), sent_count};
	sent_count++;
	e.nsp = slice_cstring(namespaces[s->nsp]);
	e.rooms = rooms_of(s->rooms, bytes);
	e.flags = s->rooms == 0 ? ENVELOPE_ALL : 0;
	snprintf(packet, sizeof(packet), "2[\"n\",%u]", s->value);
	f = frame_message(slice_cstring(packet), (EnvelopeList) {0});
	history_add(h, &e, f, at, s->value, now);
	frame_unref(f);
}

typedef struct Replay
{
	uint32_t	values[MESSAGES];
	uint32_t	count;
} Replay;

static bool
take(void *ctx, const HistoryEntry *e)
{
	Replay	   *r = ctx;

	r->values[r->count++] = (uint32_t) e->xid;
	return true;
}

static bool
in_range(const Sent *s, const HistoryRange *range)
{
	uint32_t	bits = s->rooms;

	if (range->room.len == 0 ? bits != 0 : (bits & 1u << (range->room.data[4] - '0')) == 0)
		return false;
	return position_compare(&s->at, &range->after) > 0 && position_compare(&s->at, &range->until) <= 0;
}

/* What history_replay() must give of the entries that are held. */
static void
check_replay(History *h, uint64_t *scanned_most)
{
	HistoryRange ranges[ROOMS + 1];
	char		names[ROOMS + 1][16];
	uint32_t	count = random_below(ROOMS + 2);
	uint32_t	held = history_count(h);
	static Replay got;
	uint32_t	want = 0;
	int			nsp = (int) random_below(2);
	uint64_t	scanned;

	for (uint32_t i = 0; i < count; i++)
	{
		snprintf(names[i], sizeof(names[i]), "room%u", i);
		ranges[i].room = i == ROOMS ? (Slice) {0} : slice_cstring(names[i]);
		ranges[i].after = sent_count > 0 ? sent[random_below(sent_count)].at : (Position) {0};
		ranges[i].until = random_below(3) > 0 || sent_count == 0 ? POSITION_END : sent[random_below(sent_count)].at;
	}
	got.count = 0;
	scanned = history_replay(h, slice_cstring(namespaces[nsp]), ranges, count, take, &got);
	for (uint32_t i = sent_count - held; i < sent_count; i++)
	{
		bool		wanted = false;

		for (uint32_t k = 0; k < count; k++)
			wanted |= sent[i].nsp == nsp && in_range(&sent[i], &ranges[k]);
		if (wanted)
			CHECK(want < got.count && got.values[want] == sent[i].value), want++;
	}
	CHECK(want == got.count);
	CHECK(scanned <= want + count);
	if (scanned > *scanned_most)
		*scanned_most = scanned;
}

static void
against_model(size_t max_bytes, uint64_t window)
{
	History    *h = history_new((HashKey) {1, 2}, max_bytes, window);
	Position	at = {.timeline = 1, .lsn = 100};
	uint64_t	now = 1000,
				scanned = 0;

	history_restart(h, at);
	sent_count = 0;
	while (sent_count < MESSAGES)
	{
		now += random_below(20);
		switch (random_below(3))
		{
			case 0:
				at = (Position) {.timeline = 1, .lsn = at.lsn + 1 + random_below(50)};
				break;
			case 1:
				at.index++;
				at.late = 0;
				break;
			default:
				at.late++;
		}
		send_one(h, at, now);
		CHECK(history_bytes(h) <= max_bytes);
		CHECK(history_count(h) == 0 || sent[sent_count - history_count(h)].time + window >= now);
		if (history_count(h) < sent_count)
		{
			Position	last_gone = sent[sent_count - history_count(h) - 1].at;
			Position	before = last_gone;

			before.lsn--;
			CHECK(history_covers(h, &last_gone) && !history_covers(h, &before));
		}
		if (random_below(10) == 0)
			check_replay(h, &scanned);
	}
	CHECK(scanned > 0 || max_bytes == 0);
	history_expire(h, now + window + 1);
	CHECK(history_count(h) == 0);
	CHECK(history_covers(h, &at));
	history_free(h);
}

int
main(void)
{
	texts();

	unit_case("history, bounded by bytes");
	against_model(60000, UINT64_MAX / 2);
	unit_case("history, bounded by age");
	against_model(SIZE_MAX, 2000);
	unit_case("history that may hold nothing");
	against_model(0, 2000);

	unit_case("a restart forgets");
	{
		History    *h = history_new((HashKey) {1, 2}, SIZE_MAX, 1000);
		Position	at = {.timeline = 1, .lsn = 7};

		sent_count = 0;
		send_one(h, at, 0);
		CHECK(history_covers(h, &(Position) {0}));
		at.lsn = 9;
		history_restart(h, at);
		CHECK(history_count(h) == 0 && history_covers(h, &at));
		at.lsn = 8;
		CHECK(!history_covers(h, &at));
		history_free(h);
	}
	return unit_done();
}

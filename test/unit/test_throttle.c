/*
 * test_throttle.c - first at once, then at most one per interval, the last
 * one always; what makes two messages the same key; and what happens when
 * the memory for it is used up.
 */
#include "unit.h"

#include "core/throttle.h"
#include "wire/sio.h"

#define START 1000000

static TimerWheel wheel;
static Throttle *throttle;
static uint64_t now;
static char sent[4000];

static void
note(void *ctx, const Envelope *e)
{
	size_t		n = strlen(sent);

	(void) ctx;
	snprintf(sent + n, sizeof(sent) - n, "%s%d:%.*s", n > 0 ? " " : "", (int) (now - START),
			 (int) e->packet.len, (const char *) e->packet.data);
}

static void
start_with(size_t max_bytes)
{
	now = START;
	sent[0] = '\0';
	timer_wheel_init(&wheel, now);
	throttle = throttle_new(&wheel, (HashKey) {1, 2}, max_bytes, note, NULL);
}

static void
start(void)
{
	start_with(SIZE_MAX);
}

static void
stop(void)
{
	throttle_free(throttle);
	CHECK(wheel.count == 0);
}

static void
wait(uint64_t ms)
{
	for (uint64_t until = now + ms; now < until;)
		timer_wheel_run(&wheel, ++now);
}

static EnvelopeList
list(uint8_t *buffer, const char *names)
{
	uint8_t    *at = buffer;
	EnvelopeList l = {0};

	for (; *names != '\0'; names++, l.count++)
		at = write_string(at, slice(names, 1));
	l.bytes = slice(buffer, (size_t) (at - buffer));
	return l;
}

static bool past;				/* what is offered is of the time before this process */
static uint64_t age;			/* ... and so old */

/* Rooms and except are one letter each. */
static ThrottleResult
offer(const char *nsp, const char *rooms, const char *except, const char *packet, uint32_t ms)
{
	uint8_t		buffers[2][200];
	uint8_t		bytes[1000];
	Envelope	e = {
		.kind = ENVELOPE_EMIT, .flags = rooms[0] == '*' ? ENVELOPE_ALL : 0, .throttle_ms = ms,
		.nsp = slice_cstring(nsp), .rooms = list(buffers[0], rooms[0] == '*' ? "" : rooms),
		.except = list(buffers[1], except), .packet = slice_cstring(packet)
	};
	uint8_t    *end = envelope_encode(&e, bytes);

	if (past)
		return throttle_offer_past(throttle, &e, slice(bytes, (size_t) (end - bytes)), now - age, now);
	return throttle_offer(throttle, &e, slice(bytes, (size_t) (end - bytes)), now);
}

/* Times are noted in ms since the start; a timer is late by up to a tick. */
static bool
was_sent(const char *expected)
{
	bool		same = strcmp(sent, expected) == 0;

	if (!same)
		printf("# sent %s\n", sent);
	sent[0] = '\0';
	return same;
}

static void
timing(void)
{
	unit_case("the first goes out at once, the last when the interval is over, those between never");
	start();
	CHECK(offer("/", "a", "", "2[\"e\",1]", 160) == THROTTLE_SENT);
	CHECK(was_sent("0:2[\"e\",1]"));
	wait(16);
	CHECK(offer("/", "a", "", "2[\"e\",2]", 160) == THROTTLE_KEPT);
	CHECK(offer("/", "a", "", "2[\"e\",3]", 160) == THROTTLE_REPLACED);
	CHECK(offer("/", "a", "", "2[\"e\",4]", 160) == THROTTLE_REPLACED);
	wait(140);
	CHECK(was_sent(""));
	wait(20);
	CHECK(was_sent("160:2[\"e\",4]"));
	stop();

	unit_case("a steady stream goes out once per interval");
	start();
	for (int i = 0; i < 100; i++)
	{
		char		packet[40];

		snprintf(packet, sizeof(packet), "2[\"e\",%d]", i);
		offer("/", "a", "", packet, 320);
		wait(10);
	}
	wait(1000);
	CHECK(was_sent("0:2[\"e\",0] 320:2[\"e\",31] 640:2[\"e\",63] 960:2[\"e\",95] 1280:2[\"e\",99]"));
	CHECK(throttle_keys(throttle) == 0);
	stop();

	unit_case("after an interval with nothing waiting the key is forgotten, the next goes out at once");
	start();
	offer("/", "a", "", "2[\"e\",1]", 160);
	CHECK(throttle_keys(throttle) == 1);
	wait(176);
	CHECK(throttle_keys(throttle) == 0);
	offer("/", "a", "", "2[\"e\",2]", 160);
	CHECK(was_sent("0:2[\"e\",1] 176:2[\"e\",2]"));
	stop();

	unit_case("the newest message's interval counts, from the last one that was sent");
	start();
	offer("/", "a", "", "2[\"e\",1]", 3600000);
	wait(80);
	CHECK(offer("/", "a", "", "2[\"e\",2]", 160) == THROTTLE_KEPT);
	wait(80);
	CHECK(was_sent("0:2[\"e\",1] 160:2[\"e\",2]"));
	offer("/", "a", "", "2[\"e\",3]", 3600000);
	CHECK(offer("/", "a", "", "2[\"e\",4]", 0) == THROTTLE_SENT);
	CHECK(was_sent("160:2[\"e\",4]"));
	wait(1000);
	CHECK(was_sent(""));
	stop();

	unit_case("freed with messages waiting: nothing is sent, nothing leaks");
	start();
	offer("/", "a", "", "2[\"e\",1]", 160);
	offer("/", "a", "", "2[\"e\",2]", 160);
	stop();
	CHECK(was_sent("0:2[\"e\",1]"));
}

static void
keys(void)
{
	static const struct
	{
		const char *what;
		const char *nsp;
		const char *rooms;
		const char *except;
		const char *packet;
		bool		same;
	}			table[] = {
		{"other arguments", "/", "ab", "xy", "2[\"e\",2]", true},
		{"rooms in another order", "/", "ba", "xy", "2[\"e\",2]", true},
		{"a room named twice", "/", "aba", "xy", "2[\"e\",2]", true},
		{"except in another order", "/", "ab", "yxy", "2[\"e\",2]", true},
		{"attachments or none", "/", "ab", "xy", "51-[\"e\",2]", true},
		{"another event", "/", "ab", "xy", "2[\"f\",2]", false},
		{"fewer rooms", "/", "a", "xy", "2[\"e\",2]", false},
		{"everybody", "/", "*", "xy", "2[\"e\",2]", false},
		{"no rooms", "/", "", "xy", "2[\"e\",2]", false},
		{"another except", "/", "ab", "x", "2[\"e\",2]", false},
		{"room and except changed places", "/", "xy", "ab", "2[\"e\",2]", false},
		{"another namespace", "/n", "ab", "xy", "2/n,[\"e\",2]", false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		unit_case("%s: %s key", table[i].what, table[i].same ? "the same" : "another");
		start();
		offer("/", "ab", "xy", "2[\"e\",1]", 160);
		offer(table[i].nsp, table[i].rooms, table[i].except, table[i].packet, 160);
		CHECK(throttle_keys(throttle) == (table[i].same ? 1 : 2));
		stop();
	}

	unit_case("10 000 keys at once, each with its own last value");
	start();
	for (int round = 0; round < 2; round++)
	{
		for (int i = 0; i < 10000; i++)
		{
			char		packet[40];

			sent[0] = '\0';
			snprintf(packet, sizeof(packet), "2[\"e%d\",%d]", i, round);
			offer("/", "a", "", packet, 160);
		}
	}
	CHECK(throttle_keys(throttle) == 10000);
	sent[0] = '\0';
	wait(176);
	CHECK(strstr(sent, ",1]") != NULL && strstr(sent, ",0]") == NULL);
	wait(176);
	CHECK(throttle_keys(throttle) == 0);
	stop();
}

/* Messages that a process before this one was given, which may have kept any of them. */
static void
offer_past(uint64_t ms, const char *packet, ThrottleResult result)
{
	past = true;
	age = ms;
	CHECK(offer("/", "a", "", packet, 160) == result);
	past = false;
}

static void
bounds(void)
{
	size_t		one_key;
	size_t		one_waiting;
	int			results[4] = {0};

	unit_case("bytes are counted, and given back");
	start();
	offer("/", "a", "", "2[\"e\",1]", 160);
	one_key = throttle_bytes(throttle);
	offer("/", "a", "", "2[\"e\",2]", 160);
	one_waiting = throttle_bytes(throttle) - one_key;
	CHECK(one_key > 0 && one_waiting > 0);
	offer("/", "a", "", "2[\"e\",3]", 160);
	CHECK(throttle_bytes(throttle) == one_key + one_waiting);
	wait(176);
	CHECK(throttle_bytes(throttle) == one_key);
	wait(176);
	CHECK(throttle_bytes(throttle) == 0 && throttle_keys(throttle) == 0);
	stop();

	unit_case("no memory for a key: its messages go out at once, in order, until there is");
	start_with(one_key + one_waiting);
	offer("/", "a", "", "2[\"e\",1]", 160);
	CHECK(offer("/", "a", "", "2[\"e\",2]", 160) == THROTTLE_KEPT);
	CHECK(offer("/", "b", "", "2[\"e\",3]", 160) == THROTTLE_FULL);
	CHECK(offer("/", "b", "", "2[\"e\",4]", 160) == THROTTLE_FULL);
	CHECK(was_sent("0:2[\"e\",1] 0:2[\"e\",3] 0:2[\"e\",4]"));
	CHECK(offer("/", "a", "", "2[\"e\",5]", 160) == THROTTLE_REPLACED);
	wait(352);
	CHECK(was_sent("160:2[\"e\",5]"));
	CHECK(offer("/", "b", "", "2[\"e\",6]", 160) == THROTTLE_SENT);
	CHECK(offer("/", "b", "", "2[\"e\",7]", 160) == THROTTLE_KEPT);
	stop();

	unit_case("no memory for a message: it goes out in place of what waited, and begins an interval");
	start_with(one_key + one_waiting);
	offer("/", "a", "", "2[\"e\",1]", 160);
	offer("/", "a", "", "2[\"e\",2]", 160);
	wait(80);
	CHECK(offer("/", "a", "", "2[\"e\",33]", 160) == THROTTLE_FULL);
	CHECK(throttle_bytes(throttle) == one_key);
	CHECK(was_sent("0:2[\"e\",1] 80:2[\"e\",33]"));
	CHECK(offer("/", "a", "", "2[\"e\",4]", 160) == THROTTLE_KEPT);
	wait(160);
	CHECK(was_sent("240:2[\"e\",4]"));
	stop();

	unit_case("messages of the past without memory: at once, each once");
	start_with(one_key);
	offer_past(200, "2[\"e\",1]", THROTTLE_FULL);
	offer_past(190, "2[\"e\",2]", THROTTLE_FULL);
	CHECK(was_sent("0:2[\"e\",1] 0:2[\"e\",2]"));
	stop();
	start_with(0);
	offer_past(200, "2[\"e\",1]", THROTTLE_FULL);
	CHECK(was_sent("0:2[\"e\",1]"));
	stop();

	unit_case("a million keys for a day: no more than the bound is kept");
	start_with(100 * (one_key + one_waiting));
	for (int i = 0; i < 1000000; i++)
	{
		char		packet[40];

		sent[0] = '\0';
		snprintf(packet, sizeof(packet), "2[\"e%d\"]", i / 2);
		results[offer("/", "a", "", packet, 86400000)]++;
		if (throttle_bytes(throttle) > 100 * (one_key + one_waiting))
			break;
	}
	CHECK(results[THROTTLE_SENT] >= 90 && results[THROTTLE_KEPT] >= 90);
	CHECK(results[THROTTLE_SENT] + results[THROTTLE_KEPT] + results[THROTTLE_FULL] == 1000000);
	CHECK(throttle_keys(throttle) == (uint32_t) results[THROTTLE_SENT]);
	stop();
}

static void
before(void)
{
	unit_case("of the past the last one goes out, whatever has been its turn; others are superseded");
	start();
	offer_past(500, "2[\"e\",1]", THROTTLE_KEPT);
	offer_past(400, "2[\"e\",2]", THROTTLE_REPLACED);
	offer_past(200, "2[\"e\",3]", THROTTLE_REPLACED);
	CHECK(was_sent(""));
	wait(16);
	CHECK(was_sent("16:2[\"e\",3]"));
	CHECK(offer("/", "a", "", "2[\"e\",4]", 160) == THROTTLE_KEPT);
	wait(176);
	CHECK(was_sent("176:2[\"e\",4]"));
	stop();

	unit_case("... a new one takes its place");
	start();
	offer_past(200, "2[\"e\",1]", THROTTLE_KEPT);
	CHECK(offer("/", "a", "", "2[\"e\",2]", 160) == THROTTLE_SENT);
	wait(500);
	CHECK(was_sent("0:2[\"e\",2]"));
	stop();

	unit_case("... whose interval is not over may have gone out, or have waited: both");
	start();
	offer_past(100, "2[\"e\",1]", THROTTLE_KEPT);
	offer_past(50, "2[\"e\",2]", THROTTLE_REPLACED);
	CHECK(was_sent("0:2[\"e\",1]"));
	wait(80);
	CHECK(was_sent("64:2[\"e\",2]"));
	stop();
}

int
main(void)
{
	timing();
	before();
	keys();
	bounds();
	return unit_done();
}

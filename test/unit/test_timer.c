/*
 * test_timer.c - the timer wheel: never early, late by one tick at most, and
 * what fire() may do.
 */
#include "unit.h"

#include "core/timer.h"

#define START 1000

typedef struct Alarm
{
	Timer		timer;			/* first */
	int			fired;
	uint64_t	at;				/* when it fired last */
	uint64_t	again;			/* set again in fire(), so many ms later */
	struct Alarm *clears;		/* cleared in fire() */
} Alarm;

static TimerWheel wheel;

static void
ring(Timer *t, uint64_t now)
{
	Alarm	   *a = (Alarm *) t;

	a->fired++;
	a->at = now;
	if (a->again > 0)
		timer_set(&wheel, t, now + a->again);
	if (a->clears != NULL)
		timer_clear(&wheel, &a->clears->timer);
}

static void
set(Alarm *a, uint64_t deadline)
{
	a->timer.fire = ring;
	timer_set(&wheel, &a->timer, deadline);
}

static void
one_by_one(void)
{
	static const uint64_t delays[] = {0, 1, 15, 16, 17, 1000, 16383, 16384, 16385, 25000, 100000, 3600000};

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
	{
		Alarm		a = {0};
		uint64_t	deadline = START + delays[i];
		uint64_t	now = START;

		unit_case("a delay of %d ms is kept", (int) delays[i]);
		timer_wheel_init(&wheel, START);
		set(&a, deadline);
		CHECK(timer_is_set(&a.timer) && wheel.count == 1);
		while (a.fired == 0 && now < deadline + 1000)
			timer_wheel_run(&wheel, ++now);
		CHECK(a.fired == 1 && !timer_is_set(&a.timer) && wheel.count == 0);
		CHECK(a.at >= deadline && a.at <= deadline + 2 * TIMER_TICK_MS);
		CHECK(delays[i] < TIMER_TICK_MS || a.at <= deadline + TIMER_TICK_MS);
		timer_wheel_run(&wheel, now + 100000);
		CHECK(a.fired == 1);
	}
}

static void
many(void)
{
	enum
	{
		N = 2000
	};
	static Alarm alarms[N];
	uint64_t	now = START;
	unsigned	seed = 1;
	int			late = 0;
	int			early = 0;
	int			missing = 0;

	unit_case("2000 timers at random, the clock in random steps: none early, none missing");
	timer_wheel_init(&wheel, START);
	memset(alarms, 0, sizeof(alarms));
	for (int i = 0; i < N; i++)
		set(&alarms[i], START + (uint64_t) rand_r(&seed) % 120000);
	while (now < START + 121000)
	{
		uint64_t	step = 1 + (uint64_t) rand_r(&seed) % 40;

		timer_wheel_run(&wheel, now += step);
		for (int i = 0; i < N; i++)
			late += timer_is_set(&alarms[i].timer) && alarms[i].timer.deadline + 2 * TIMER_TICK_MS < now;
	}
	for (int i = 0; i < N; i++)
	{
		missing += alarms[i].fired != 1;
		early += alarms[i].at < alarms[i].timer.deadline;
	}
	CHECK(late == 0 && early == 0 && missing == 0 && wheel.count == 0);
}

/* Runs the wheel when it says so, until it has nothing left; gives the number of runs. */
static int
run_when_told(uint64_t now)
{
	int			runs = 0;
	uint64_t	next;

	while ((next = timer_wheel_next(&wheel)) != TIMER_NEVER && runs < 100000)
	{
		if (next < now)
			return -1;
		timer_wheel_run(&wheel, now = next);
		runs++;
	}
	return runs;
}

static void
when_told(void)
{
	enum
	{
		N = 500
	};
	static Alarm alarms[N];
	unsigned	seed = 1;
	int			wrong = 0;

	unit_case("run only when the wheel says so: each timer fires in its tick");
	timer_wheel_init(&wheel, START);
	CHECK(timer_wheel_next(&wheel) == TIMER_NEVER);
	memset(alarms, 0, sizeof(alarms));
	for (int i = 0; i < N; i++)
		set(&alarms[i], START + 20 + (uint64_t) rand_r(&seed) % 120000);
	CHECK(run_when_told(0) >= 0 && wheel.count == 0);
	for (int i = 0; i < N; i++)
		wrong += alarms[i].fired != 1 || alarms[i].at < alarms[i].timer.deadline ||
			alarms[i].at >= alarms[i].timer.deadline + TIMER_TICK_MS;
	CHECK(wrong == 0);

	unit_case("one timer: nothing to do until it is due, and few times if that is far away");
	timer_wheel_init(&wheel, START);
	alarms[0] = (Alarm) {0};
	set(&alarms[0], START + 10000);
	CHECK(timer_wheel_next(&wheel) == (START + 10000 + TIMER_TICK_MS - 1) / TIMER_TICK_MS * TIMER_TICK_MS);
	timer_wheel_run(&wheel, START + 1000);
	CHECK(run_when_told(START) == 1 && alarms[0].fired == 1);
	set(&alarms[0], START + 10000 + 60000);
	timer_wheel_run(&wheel, START + 11000);
	CHECK(run_when_told(START) <= 4 && alarms[0].fired == 2);

	unit_case("an earlier timer brings it forward, a cleared one does no harm");
	timer_wheel_init(&wheel, START);
	alarms[0] = alarms[1] = (Alarm) {0};
	set(&alarms[0], START + 10000);
	set(&alarms[1], START + 100);
	CHECK(timer_wheel_next(&wheel) < START + 100 + TIMER_TICK_MS);
	timer_clear(&wheel, &alarms[1].timer);
	CHECK(run_when_told(START) <= 2 && alarms[0].fired == 1 && alarms[1].fired == 0);
}

static void
inside(void)
{
	Alarm		a = {0};
	Alarm		b = {0};
	Alarm		c = {0};

	unit_case("the clock jumps over several revolutions: each fires once");
	timer_wheel_init(&wheel, START);
	set(&a, START + 100);
	set(&b, START + 20000);
	set(&c, START + 90000);
	timer_wheel_run(&wheel, START + 80000);
	CHECK(a.fired == 1 && b.fired == 1 && c.fired == 0);
	timer_wheel_run(&wheel, START + 90016);
	CHECK(c.fired == 1);

	unit_case("set again inside fire(): once per run, even after a jump");
	timer_wheel_init(&wheel, START);
	a = (Alarm) {.again = 1};
	set(&a, START + 10);
	timer_wheel_run(&wheel, START + 60000);
	CHECK(a.fired == 1 && timer_is_set(&a.timer));
	timer_wheel_run(&wheel, START + 60032);
	CHECK(a.fired == 2);
	timer_clear(&wheel, &a.timer);

	unit_case("cleared inside another's fire(): does not fire, also in the same slot");
	timer_wheel_init(&wheel, START);
	a = (Alarm) {.clears = &b};
	b = (Alarm) {0};
	c = (Alarm) {0};
	set(&a, START + 10);
	set(&b, START + 10);
	set(&c, START + 10);
	timer_wheel_run(&wheel, START + 100);
	CHECK(a.fired == 1 && b.fired == 0 && c.fired == 1 && wheel.count == 0);

	unit_case("set twice: the later call decides; cleared: never");
	timer_wheel_init(&wheel, START);
	a = b = (Alarm) {0};
	set(&a, START + 5000);
	set(&a, START + 100);
	set(&b, START + 100);
	CHECK(wheel.count == 2);
	timer_clear(&wheel, &b.timer);
	timer_clear(&wheel, &b.timer);
	CHECK(wheel.count == 1);
	timer_wheel_run(&wheel, START + 200);
	CHECK(a.fired == 1 && b.fired == 0);

	unit_case("a deadline in the past fires with the next tick");
	timer_wheel_init(&wheel, START);
	a = (Alarm) {0};
	set(&a, 5);
	timer_wheel_run(&wheel, START);
	CHECK(a.fired == 0);
	timer_wheel_run(&wheel, START + TIMER_TICK_MS);
	CHECK(a.fired == 1);

	unit_case("never: UINT64_MAX");
	timer_wheel_init(&wheel, START);
	a = (Alarm) {0};
	set(&a, UINT64_MAX);
	CHECK(timer_wheel_next(&wheel) == TIMER_NEVER);
	timer_wheel_run(&wheel, UINT64_MAX - 1000);
	CHECK(a.fired == 0);
}

int
main(void)
{
	one_by_one();
	many();
	when_told();
	inside();
	return unit_done();
}

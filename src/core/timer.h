/*
 * timer.h - a timer wheel: one deadline per object, O(1) to set and clear.
 *
 * Time is milliseconds of a monotonic clock, given by the caller: tests use a
 * counter.  A timer fires at or up to one tick after its deadline.
 */
#ifndef ROOMS_CORE_TIMER_H
#define ROOMS_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS	16
#define TIMER_SLOTS		1024
#define TIMER_NEVER		UINT64_MAX

typedef struct Timer
{
	struct Timer *prev,
			   *next;			/* NULL when not set */
	uint64_t	deadline;
	void		(*fire) (struct Timer *t, uint64_t now);
} Timer;

typedef struct TimerWheel
{
	Timer		slots[TIMER_SLOTS]; /* list heads */
	uint64_t	tick;			/* all deadlines before this tick have fired */
	uint64_t	next;			/* nothing is due before this one; TIMER_NEVER without timers */
	uint32_t	count;
} TimerWheel;

extern void timer_wheel_init(TimerWheel *w, uint64_t now);

/* (Re)sets t.  Allowed inside fire(), for t and for others. */
extern void timer_set(TimerWheel *w, Timer *t, uint64_t deadline);
extern void timer_clear(TimerWheel *w, Timer *t);
extern bool timer_is_set(const Timer *t);

/* Fires everything due. */
extern void timer_wheel_run(TimerWheel *w, uint64_t now);

/*
 * When to call timer_wheel_run() again, in ms; TIMER_NEVER without timers.
 * Setting a timer may bring it forward.  It may be too early, when a timer was
 * cleared or is more than a revolution away.
 */
extern uint64_t timer_wheel_next(const TimerWheel *w);

#endif							/* ROOMS_CORE_TIMER_H */

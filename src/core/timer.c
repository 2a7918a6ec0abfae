/*
 * timer.c - a hashed timer wheel (Varghese and Lauck, scheme 6).
 *
 * A timer hangs in the slot of the tick at which it is due, modulo the number
 * of slots; one that is due more than a revolution (16 s) away is looked at
 * and left where it is each time its slot comes by.  Called by session.c and
 * throttle.c, driven by server_tick().  Allocates nothing.
 */
#include "core/timer.h"

#include <assert.h>
#include <stddef.h>

/* The first tick at or after `deadline`. */
static inline uint64_t
due_tick(uint64_t deadline)
{
	return deadline / TIMER_TICK_MS + (deadline % TIMER_TICK_MS != 0);
}

static inline void
list_init(Timer *head)
{
	head->prev = head->next = head;
}

static inline bool
is_empty(const Timer *slot)
{
	return slot->next == slot;
}

static inline void
list_append(Timer *head, Timer *t)
{
	t->prev = head->prev;
	t->next = head;
	head->prev->next = t;
	head->prev = t;
}

static inline void
list_remove(Timer *t)
{
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

void
timer_wheel_init(TimerWheel *w, uint64_t now)
{
	for (int i = 0; i < TIMER_SLOTS; i++)
		list_init(&w->slots[i]);
	w->tick = now / TIMER_TICK_MS + 1;
	w->next = TIMER_NEVER;
	w->count = 0;
}

bool
timer_is_set(const Timer *t)
{
	return t->next != NULL;
}

void
timer_set(TimerWheel *w, Timer *t, uint64_t deadline)
{
	uint64_t	tick = due_tick(deadline);

	if (timer_is_set(t))
		list_remove(t);
	else
		w->count++;
	/* What is overdue fires with the next tick. */
	if (tick < w->tick)
		tick = w->tick;
	if (tick < w->next)
		w->next = tick;
	t->deadline = deadline;
	list_append(&w->slots[tick % TIMER_SLOTS], t);
}

void
timer_clear(TimerWheel *w, Timer *t)
{
	if (!timer_is_set(t))
		return;
	list_remove(t);
	w->count--;
}

/* Moves the timers of a slot to `list`, so that fire() may set timers into the slot. */
static void
take_slot(Timer *slot, Timer *list)
{
	list_init(list);
	if (is_empty(slot))
		return;
	list->next = slot->next;
	list->prev = slot->prev;
	list->next->prev = list;
	list->prev->next = list;
	list_init(slot);
}

static void
run_slot(TimerWheel *w, Timer *slot, uint64_t last, uint64_t now)
{
	Timer		list;

	take_slot(slot, &list);
	while (list.next != &list)
	{
		Timer	   *t = list.next;

		list_remove(t);
		if (due_tick(t->deadline) > last)
		{
			list_append(slot, t);
			continue;
		}
		w->count--;
		t->fire(t, now);
	}
}

/* The first tick from w->tick on whose slot holds a timer. */
static uint64_t
first_used(const TimerWheel *w)
{
	uint64_t	tick = w->tick;

	if (w->count == 0)
		return TIMER_NEVER;
	while (is_empty(&w->slots[tick % TIMER_SLOTS]))
		tick++;
	return tick;
}

uint64_t
timer_wheel_next(const TimerWheel *w)
{
	return w->next > TIMER_NEVER / TIMER_TICK_MS ? TIMER_NEVER : w->next * TIMER_TICK_MS;
}

void
timer_wheel_run(TimerWheel *w, uint64_t now)
{
	uint64_t	first = w->tick;
	uint64_t	last = now / TIMER_TICK_MS;
	uint64_t	slots;

	if (last < first)
		return;
	slots = last - first + 1;
	if (slots > TIMER_SLOTS)
		slots = TIMER_SLOTS;

	/* From here on timer_set() puts even overdue timers behind this run. */
	w->tick = last + 1;
	for (uint64_t i = 0; i < slots; i++)
		run_slot(w, &w->slots[(first + i) % TIMER_SLOTS], last, now);
	w->next = first_used(w);
}

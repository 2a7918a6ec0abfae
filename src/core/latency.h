/*
 * latency.h - how long things take: counts in buckets, and quantiles of them.
 *
 * Four buckets for each doubling, so a quantile is right to within 20 %.
 * Quantiles are of the last one to two minutes.
 */
#ifndef ROOMS_CORE_LATENCY_H
#define ROOMS_CORE_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 144		/* up to 2^36 us, some 19 hours */
#define LATENCY_WINDOW	60000	/* ms */

typedef struct Latency
{
	uint64_t	count;			/* of all */
	uint64_t	sum;			/* of all, us */
	uint64_t	since;			/* when `recent` began, ms */
	uint32_t	recent[LATENCY_BUCKETS];
	uint32_t	before[LATENCY_BUCKETS];	/* the window before that */
} Latency;

/* Begins as {0}.  us: what was measured; now: any clock in ms. */
extern void latency_add(Latency *l, uint64_t us, uint64_t now);

/* The upper end in us of the bucket that per_mille/1000 of the measurements are in or below; 0: there are none. */
extern uint64_t latency_quantile(Latency *l, uint32_t per_mille, uint64_t now);

#endif							/* ROOMS_CORE_LATENCY_H */

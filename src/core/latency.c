/*
 * latency.c - counts of how long things took.
 *
 * gateway/main.c adds to one for each transaction and asks once a second.
 * Fixed memory; nothing fails.
 */
#include "core/latency.h"

#include <string.h>

/* 0 to 7 have buckets of their own; from there on the bits behind the first choose among four. */
static uint32_t
bucket_of(uint64_t us)
{
	uint32_t	log;
	uint32_t	bucket;

	if (us < 8)
		return (uint32_t) us;
	log = 63 - (uint32_t) __builtin_clzll(us);
	bucket = 8 + (log - 3) * 4 + (uint32_t) (us >> (log - 2) & 3);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The largest value in a bucket. */
static uint64_t
end_of(uint32_t bucket)
{
	uint32_t	log;

	if (bucket < 8)
		return bucket;
	log = 3 + (bucket - 8) / 4;
	return ((uint64_t) (4 + (bucket - 8) % 4 + 1) << (log - 2)) - 1;
}

static void
roll(Latency *l, uint64_t now)
{
	if (now < l->since + LATENCY_WINDOW)
		return;
	if (now < l->since + 2 * LATENCY_WINDOW)
		memcpy(l->before, l->recent, sizeof(l->before));
	else
		memset(l->before, 0, sizeof(l->before));
	memset(l->recent, 0, sizeof(l->recent));
	l->since = now;
}

void
latency_add(Latency *l, uint64_t us, uint64_t now)
{
	roll(l, now);
	l->count++;
	l->sum += us;
	l->recent[bucket_of(us)]++;
}

uint64_t
latency_quantile(Latency *l, uint32_t per_mille, uint64_t now)
{
	uint64_t	total = 0;
	uint64_t	wanted;
	uint64_t	seen = 0;
	uint32_t	i;

	roll(l, now);
	for (i = 0; i < LATENCY_BUCKETS; i++)
		total += (uint64_t) l->recent[i] + l->before[i];
	if (total == 0)
		return 0;
	wanted = (total * per_mille + 999) / 1000;
	for (i = 0; i < LATENCY_BUCKETS - 1; i++)
	{
		seen += (uint64_t) l->recent[i] + l->before[i];
		if (seen >= wanted)
			break;
	}
	return end_of(i);
}

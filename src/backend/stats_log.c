/*
 * stats_log.c - sums up in the server's log what the counters did.
 *
 * Called by worker.c.  Totals are told as what they grew by since the line
 * before; those of a new gateway begin at 0.  Nothing here fails.
 */
#include "postgres.h"

#include "access/xlogdefs.h"

#include "backend/bus.h"
#include "backend/guc.h"
#include "backend/shared.h"
#include "backend/stats_log.h"

#define LAG_INTERVAL 1000		/* ms */

static uint64 before[GATEWAY_COUNTER_COUNT];

static uint64
value(GatewayCounter c)
{
	return pg_atomic_read_u64(&rooms_shared->gateway_counters[c]);
}

/* What the counters from `first` to `last` grew by. */
static uint64
growth(GatewayCounter first, GatewayCounter last)
{
	uint64		sum = 0;

	for (int c = first; c <= (int) last; c++)
		sum += value(c) < before[c] ? value(c) : value(c) - before[c];
	return sum;
}

static bool
has_news(void)
{
	return value(COUNTER_CONNECTIONS) > 0 || growth(COUNTER_HANDSHAKES, COUNTER_HANDSHAKES) > 0 ||
		growth(COUNTER_REFUSED_ORIGIN, COUNTER_DISCONNECT_SERVER) > 0 || growth(COUNTER_MESSAGES, COUNTER_MESSAGES) > 0;
}

static void
say(int64 ms)
{
	ereport(LOG,
			(errmsg_internal("pg_rooms: room_stats: connections=" UINT64_FORMAT " sockets=" UINT64_FORMAT " rooms=" UINT64_FORMAT
							 " queued_bytes=" UINT64_FORMAT "; in " INT64_FORMAT " s: handshakes=" UINT64_FORMAT
							 " refused=" UINT64_FORMAT " disconnects=" UINT64_FORMAT " emits=" UINT64_FORMAT
							 " deliveries=" UINT64_FORMAT " dropped=" UINT64_FORMAT " messages_in=" UINT64_FORMAT
							 " bytes_in=" UINT64_FORMAT " bytes_out=" UINT64_FORMAT "; latency_p50_us=" UINT64_FORMAT
							 " latency_p99_us=" UINT64_FORMAT " bus_lag_bytes=" UINT64_FORMAT,
							 value(COUNTER_CONNECTIONS), value(COUNTER_SOCKETS), value(COUNTER_ROOMS),
							 value(COUNTER_QUEUED_BYTES), (ms + 500) / 1000,
							 growth(COUNTER_HANDSHAKES, COUNTER_HANDSHAKES),
							 growth(COUNTER_REFUSED_ORIGIN, COUNTER_REFUSED_REQUEST),
							 growth(COUNTER_DISCONNECT_CLIENT, COUNTER_DISCONNECT_SERVER),
							 growth(COUNTER_EMITS, COUNTER_EMITS), growth(COUNTER_DELIVERIES, COUNTER_DELIVERIES),
							 growth(COUNTER_DROPPED_VOLATILE, COUNTER_THROTTLED),
							 growth(COUNTER_MESSAGES_IN, COUNTER_MESSAGES_IN),
							 growth(COUNTER_BYTES_IN, COUNTER_BYTES_IN), growth(COUNTER_BYTES_OUT, COUNTER_BYTES_OUT),
							 value(COUNTER_LATENCY_P50), value(COUNTER_LATENCY_P99),
							 pg_atomic_read_u64(&rooms_shared->worker_counters[COUNTER_BUS_LAG]))));
}

void
stats_log_service(int64 now)
{
	static int64 lag_at = 0;
	static int64 since = 0;		/* the last line, or the last time that there was nothing to say */

	if (now >= lag_at)
	{
		lag_at = now + LAG_INTERVAL;
		pg_atomic_write_u64(&rooms_shared->worker_counters[COUNTER_BUS_LAG], bus_lag());
	}
	if (since == 0)
		since = now;
	if (rooms_stats_interval == 0 || now - since < rooms_stats_interval)
		return;
	if (has_news())
		say(now - since);
	since = now;
	for (int c = 0; c < GATEWAY_COUNTER_COUNT; c++)
		before[c] = value(c);
}

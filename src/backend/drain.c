/*
 * drain.c - rooms.drain(): sends the clients of this server elsewhere.
 *
 * Not a message of the bus: it concerns this server alone, works on a standby
 * too, and takes effect at once, whatever becomes of the transaction.  It
 * stands in shared memory, where the worker reads it for each gateway that it
 * starts; so it ends with the server.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "backend/shared.h"

#define MAX_DRAIN_MS	(24.0 * 3600 * 1000)

PG_FUNCTION_INFO_V1(rooms_drain);

static uint32 drain_ms(const Interval *within);

/* drain(within); NULL: end it */
PGDLLEXPORT Datum
rooms_drain(PG_FUNCTION_ARGS)
{
	uint32		wanted = PG_ARGISNULL(0) ? 0 : drain_ms(PG_GETARG_INTERVAL_P(0)) + 1;
	uint64		old;

	if (rooms_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_rooms is not running in this server"),
				 errhint("Add pg_rooms to shared_preload_libraries in postgresql.conf and restart.")));
	old = pg_atomic_read_u64(&rooms_shared->drain);
	while (!pg_atomic_compare_exchange_u64(&rooms_shared->drain, &old, ((old >> 32) + 1) << 32 | wanted))
		;
	shared_wake_worker(true);
	PG_RETURN_VOID();
}

static uint32
drain_ms(const Interval *within)
{
	double		ms = within->time / 1000.0 + within->day * MAX_DRAIN_MS;

	if (within->month != 0 || ms < 0 || ms > MAX_DRAIN_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the interval must be between 0 and 1 day"),
				 errhint("Clients are closed evenly spread over it: for 10 000 of them '1 minute' is about 170 each second.")));
	return (uint32) ms;
}

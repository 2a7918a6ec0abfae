/*
 * views.c - C functions behind the views rooms.processes and rooms.stats.
 *
 * They read the shared counters without a lock: each value is right in itself,
 * and no two of them need be from the same moment (shared.h).  Without the
 * library preloaded there is nothing to show but the reason.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "backend/shared.h"

PG_FUNCTION_INFO_V1(rooms_processes);
PG_FUNCTION_INFO_V1(rooms_stats);

static ReturnSetInfo *begin_rows(FunctionCallInfo fcinfo);
static void put_process(ReturnSetInfo *rows, pg_atomic_uint32 *pid, const char *role);
static void put_counter(ReturnSetInfo *rows, const char *name, pg_atomic_uint64 *value);

#define C(id, name) name,
static const char *const worker_names[] = {WORKER_COUNTERS(C)};
static const char *const gateway_names[] = {GATEWAY_COUNTERS(C)};
#undef C

/* setof (pid integer, role text) */
PGDLLEXPORT Datum
rooms_processes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	put_process(rows, &rooms_shared->worker_pid, "worker");
	put_process(rows, &rooms_shared->gateway_pid, "gateway");
	return (Datum) 0;
}

/* setof (name text, value bigint) */
PGDLLEXPORT Datum
rooms_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		put_counter(rows, worker_names[i], &rooms_shared->worker_counters[i]);
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		put_counter(rows, gateway_names[i], &rooms_shared->gateway_counters[i]);
	return (Datum) 0;
}

static ReturnSetInfo *
begin_rows(FunctionCallInfo fcinfo)
{
	if (rooms_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_rooms is not running in this server"),
				 errhint("Add pg_rooms to shared_preload_libraries in postgresql.conf and restart.")));
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static void
put_process(ReturnSetInfo *rows, pg_atomic_uint32 *pid, const char *role)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = Int32GetDatum((int32) pg_atomic_read_u32(pid));
	values[1] = CStringGetTextDatum(role);
	if (DatumGetInt32(values[0]) != 0)
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

static void
put_counter(ReturnSetInfo *rows, const char *name, pg_atomic_uint64 *value)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(name);
	values[1] = Int64GetDatum((int64) pg_atomic_read_u64(value));
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/*
 * worker.h - the background worker: WAL bus in, gateway out.
 */
#ifndef ROOMS_BACKEND_WORKER_H
#define ROOMS_BACKEND_WORKER_H

#include "postgres.h"

#include "portability/instr_time.h"

#include "backend/compat.h"

/*
 * Entry point of the background worker.  Needs BGWORKER_SHMEM_ACCESS and
 * BGWORKER_BACKEND_DATABASE_CONNECTION (which it uses without a database),
 * BgWorkerStart_ConsistentState and a restart time of a second.
 */
pg_noreturn extern PGDLLEXPORT void rooms_worker_main(Datum arg);

/*
 * In a PG_CATCH(): turns the ERROR into a WARNING in the log and goes back to
 * context `caller`.  Only for what leaves nothing to be cleaned up.
 */
extern void worker_report_caught(MemoryContext caller);

/* The worker's clock in ms: monotonic, so a step of the wall clock ends nobody. */
static inline int64
worker_clock(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

#endif							/* ROOMS_BACKEND_WORKER_H */

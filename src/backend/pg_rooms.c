/*
 * pg_rooms.c - the library's frame: what happens when it is loaded.
 *
 * In shared_preload_libraries (the intended way) it defines the settings, asks
 * for shared memory, registers the transaction callbacks of the outbox and the
 * background worker.  Loaded later, by the first call of one of its functions,
 * it can do none of that: it defines pg_rooms.emit only, so that the switch
 * works there too, and outbox_check() refuses to emit with a hint.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "backend/compat.h"
#include "backend/guc.h"
#include "backend/outbox.h"
#include "backend/shared.h"
#include "backend/spool.h"

PG_MODULE_MAGIC_EXT(.name = "pg_rooms", .version = ROOMS_VERSION);

extern PGDLLEXPORT void _PG_init(void);

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void request_shared_memory(void);
static void start_shared_memory(void);
static void register_worker(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
	{
		guc_init(false);
		return;
	}

	guc_init(true);
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
	outbox_init();

	/* pg_upgrade starts servers that nobody but itself may talk to. */
	if (!IsBinaryUpgrade)
		register_worker();
}

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
}

static void
start_shared_memory(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	shared_init();

	/* At the start and after a crash: no backend runs that could be writing there. */
	if (!IsUnderPostmaster)
		spool_clean();
}

static void
register_worker(void)
{
	BackgroundWorker worker = {
		.bgw_name = "pg_rooms worker",
		.bgw_type = "pg_rooms worker",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_ConsistentState,	/* on a hot standby too */
		.bgw_restart_time = 1,
		.bgw_library_name = "pg_rooms",
		.bgw_function_name = "rooms_worker_main",
	};

	RegisterBackgroundWorker(&worker);
}

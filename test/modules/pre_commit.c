/*
 * pre_commit.c - another extension with a commit callback, for tests.
 *
 * Runs the SQL of the setting pre_commit.sql at XACT_EVENT_PRE_COMMIT and
 * PRE_PREPARE, once per transaction that has it set.  Callbacks run
 * last-registered-first: preloaded before pg_rooms it runs after pg_rooms has
 * written its record, loaded later it runs before.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static char *sql;

static void
run(XactEvent event, void *arg)
{
	if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) || sql == NULL || sql[0] == '\0')
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	SPI_execute(sql, false, 0);
	SPI_finish();
	PopActiveSnapshot();
}

void
_PG_init(void)
{
	DefineCustomStringVariable("pre_commit.sql", "SQL to run before a commit.", NULL, &sql, "", PGC_USERSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(run, NULL);
}

/*
 * old_xmin.c - gives pg_rooms' worker the RecentXmin of a worker that has lived
 * for 2^31 transactions, for 020_visibility.pl.
 *
 * Such a one lies, modulo 2^32, behind every xid that is in use.  It is set by
 * a reload that changes old_xmin.turn.
 */
#include "postgres.h"

#include "access/transam.h"
#include "fmgr.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static int	turn;

static void
set_xmin(int value, void *extra)
{
	if (MyBgworkerEntry == NULL || strcmp(MyBgworkerEntry->bgw_function_name, "rooms_worker_main") != 0 || value == 0)
		return;
	RecentXmin = XidFromFullTransactionId(ReadNextFullTransactionId()) + 1000000;
	elog(LOG, "old_xmin: turn %d", value);
}

void
_PG_init(void)
{
	DefineCustomIntVariable("old_xmin.turn", "Changes RecentXmin when it changes.", NULL, &turn, 0, 0, 1000, PGC_SIGHUP, 0, NULL, set_xmin, NULL);
}

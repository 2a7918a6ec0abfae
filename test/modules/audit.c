/*
 * audit.c - an extension that is told of functions being run, as pgaudit is, for tests.
 *
 * Logs each function's name and the role that runs it.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static void
on_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (access == OAT_FUNCTION_EXECUTE)
		ereport(LOG, (errmsg("audit: %s as %s", get_func_name(object), GetUserNameFromId(GetUserId(), false))));
}

void
_PG_init(void)
{
	object_access_hook = on_access;
}

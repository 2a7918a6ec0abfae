/*
 * compat.h - what differs between the PostgreSQL versions we build on.
 *
 * The only place with PG_VERSION_NUM, so that the code itself reads as if
 * there were one version, the newest.
 */
#ifndef ROOMS_BACKEND_COMPAT_H
#define ROOMS_BACKEND_COMPAT_H

#include "postgres.h"

#include "storage/proc.h"
#include "utils/guc.h"

#if PG_VERSION_NUM < 150000
#error "pg_rooms needs PostgreSQL 15 or later"
#endif

/* 17: processes are numbered from 0 everywhere (src/include/storage/procnumber.h). */
#if PG_VERSION_NUM < 170000
#define MyProcNumber (MyProc->pgprocno)
#endif

/* 16: a check hook's new value and extra come from guc.c's own context, before it from malloc(). */
#if PG_VERSION_NUM < 160000
#include <stdlib.h>
#define guc_malloc(elevel, size) malloc(size)
#define guc_strdup(elevel, s) strdup(s)
#define guc_free(p) free(p)
#endif

#endif							/* ROOMS_BACKEND_COMPAT_H */

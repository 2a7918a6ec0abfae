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

/* 18: generated columns may be virtual. */
#if PG_VERSION_NUM < 180000
#include "catalog/pg_attribute.h"
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* 18: noreturn stands before the declaration, base64 is made of uint8, a module tells its name. */
#if PG_VERSION_NUM < 180000
#include "common/base64.h"
#define pg_noreturn pg_attribute_noreturn()
#define pg_b64_encode(src, len, dst, dstlen) \
	(pg_b64_encode) ((const char *) (src), (len), (dst), (dstlen))
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* 17: processes are numbered from 0 everywhere (src/include/storage/procnumber.h). */
#if PG_VERSION_NUM < 170000
#define MyProcNumber (MyProc->pgprocno)
#endif

/* 17: the xid counters have another name. */
#if PG_VERSION_NUM < 170000
#define TransamVariables ShmemVariableCache
#endif

/* 17: a wait event set has a resource owner; NULL is TopMemoryContext. */
#if PG_VERSION_NUM < 170000
#include "storage/latch.h"
#include "utils/memutils.h"
#define CreateWaitEventSet(owner, size) \
	(AssertMacro((owner) == NULL), (CreateWaitEventSet) (TopMemoryContext, (size)))
#endif

/* 16: one function checks the rights to any object; who is a member need not be allowed to SET ROLE. */
#if PG_VERSION_NUM < 160000
#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#define object_aclcheck(class, object, role, mode) \
	((class) == NamespaceRelationId ? pg_namespace_aclcheck(object, role, mode) : pg_proc_aclcheck(object, role, mode))
#define member_can_set_role(member, role) is_member_of_role(member, role)
#endif

/* 16: a check hook's new value and extra come from guc.c's own context, before it from malloc(). */
#if PG_VERSION_NUM < 160000
#include <stdlib.h>
#define guc_malloc(elevel, size) malloc(size)
#define guc_strdup(elevel, s) strdup(s)
#define guc_free(p) free(p)
#endif

#endif							/* ROOMS_BACKEND_COMPAT_H */

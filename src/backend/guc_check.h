/*
 * guc_check.h - the check hooks of the settings, for guc.c.
 */
#ifndef ROOMS_BACKEND_GUC_CHECK_H
#define ROOMS_BACKEND_GUC_CHECK_H

#include "postgres.h"
#include "utils/guc.h"

/* What stands in the variable of a setting that is a secret. */
#define GUC_MASK "********"

extern bool guc_check_text(char **value, void **extra, GucSource source);
extern bool guc_check_database(char **value, void **extra, GucSource source);
extern bool guc_check_role(char **value, void **extra, GucSource source);
extern bool guc_check_path(char **value, void **extra, GucSource source);
extern bool guc_check_namespaces(char **value, void **extra, GucSource source);
extern bool guc_check_document_root(char **value, void **extra, GucSource source);
extern bool guc_check_origins(char **value, void **extra, GucSource source);
extern bool guc_check_proxies(char **value, void **extra, GucSource source);
extern bool guc_check_claims(char **value, void **extra, GucSource source);

/* Puts GUC_MASK in the value's place, and the value, unless empty, into *extra. */
extern bool guc_check_secret(char **value, void **extra, GucSource source);

#endif							/* ROOMS_BACKEND_GUC_CHECK_H */

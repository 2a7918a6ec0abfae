/*
 * alloc.h - allocation that never fails.
 *
 * The gateway cannot go on without memory and has nothing to lose: it says so
 * on stderr and exits with status 1, and the worker starts a new one.
 */
#ifndef ROOMS_CORE_ALLOC_H
#define ROOMS_CORE_ALLOC_H

#include <stddef.h>

extern void *xmalloc(size_t n);
extern void *xcalloc(size_t count, size_t n);
extern void *xrealloc(void *p, size_t n);
extern char *xstrndup(const void *s, size_t n);

#endif							/* ROOMS_CORE_ALLOC_H */

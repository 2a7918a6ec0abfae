/*
 * no_plugin.c - hides libwebsockets' plug-in for libuv from a process that
 * preloads it, as if its package were missing; for 005_gateway_binary.pl.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <string.h>

void *
dlopen(const char *name, int flags)
{
	static void *(*real) (const char *, int);

	if (name && strstr(name, "evlib_uv"))
		name = "/nonexistent";
	if (!real)
		real = (void *(*) (const char *, int)) dlsym(RTLD_NEXT, "dlopen");
	return real(name, flags);
}

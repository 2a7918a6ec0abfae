/*
 * alloc.c - allocation that never fails.
 *
 * Called by everything under core/ and gateway/.  Out of memory is the end of
 * the process: the listening sockets and the WAL are the worker's, so the next
 * gateway goes on where this one stopped.
 */
#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *
checked(void *p, size_t n)
{
	static const char message[] = "pg_rooms_gateway: out of memory\n";

	if (p == NULL && n > 0)
	{
		/* Nothing that could allocate: no stdio, no atexit handlers. */
		if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
			_exit(1);
		_exit(1);
	}
	return p;
}

void *
xmalloc(size_t n)
{
	return checked(malloc(n), n);
}

void *
xcalloc(size_t count, size_t n)
{
	return checked(calloc(count, n), count != 0 ? n : 0);
}

void *
xrealloc(void *p, size_t n)
{
	return checked(realloc(p, n), n);
}

char *
xstrndup(const void *s, size_t n)
{
	char	   *copy = xmalloc(n + 1);

	if (n > 0)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

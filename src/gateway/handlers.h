/*
 * handlers.h - runs clients' events as SQL functions, over libpq.
 *
 * Takes calls from the core (core/call.h) and gives them back with their
 * answers.  Only the handler*.c files know libpq.
 */
#ifndef ROOMS_GATEWAY_HANDLERS_H
#define ROOMS_GATEWAY_HANDLERS_H

#include <uv.h>

#include "core/server.h"

typedef struct Handlers Handlers;

typedef struct HandlerSettings
{
	const char *conninfo;		/* "": no handlers */
	const char *database;		/* the one that it has to lead to */
	uint32_t	connections;	/* at most */
	uint32_t	timeout;		/* ms */
} HandlerSettings;

extern Handlers *handlers_new(uv_loop_t *loop);

/* Can the settings be used?  False: *error is static text. */
extern bool handlers_check(const HandlerSettings *settings, const char **error) MUST_CHECK;

/*
 * Turns handlers on, off or to other settings, which handlers_check() has
 * seen; copies what it needs.  Calls that run go on.
 */
extern void handlers_configure(Handlers *h, Server *server, const HandlerSettings *settings);

/* A call waits, or the registered handlers have changed: for handlers_run() to look after. */
extern void handlers_wake(Handlers *h);
extern void handlers_rules_changed(Handlers *h);

/* Once per turn of the loop: gives connections what there is to do. */
extern void handlers_run(Handlers *h);

/* Is nothing under way? */
extern bool handlers_quiet(const Handlers *h);

/* Gives back all calls and closes all connections; run the loop a few turns, then free. */
extern void handlers_close(Handlers *h);
extern void handlers_free(Handlers *h);

#endif							/* ROOMS_GATEWAY_HANDLERS_H */

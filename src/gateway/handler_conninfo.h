/*
 * handler_conninfo.h - where the handlers' database is.
 *
 * pg_rooms.handler_conninfo parsed and completed, and its host names resolved
 * without blocking the loop: libpq would wait for a name server.
 */
#ifndef ROOMS_GATEWAY_HANDLER_CONNINFO_H
#define ROOMS_GATEWAY_HANDLER_CONNINFO_H

#include <libpq-fe.h>
#include <uv.h>

#include "gateway/handlers.h"
#include "wire/slice.h"

typedef struct HandlerConninfo HandlerConninfo;

/*
 * Calls back for each file that the string names and libpq reads when it
 * connects.  For the sandbox, which has to be told; false: not a connection string.
 */
typedef void (*HandlerFile) (void *ctx, const char *path);
extern bool handler_conninfo_files(const char *conninfo, HandlerFile file, void *ctx);

/* NULL: not a connection string. */
extern HandlerConninfo *handler_conninfo_new(const HandlerSettings *settings);

/* Wiped first, for there are passwords in it.  A look-up that is under way calls nobody back. */
extern void handler_conninfo_free(HandlerConninfo *c);

/*
 * Looks the names up, unless that was done within the last 30 s (or there are
 * none).  True: they are known now.  False: `done` will be called, with text in
 * `error` if none of the hosts was found, else NULL.
 */
typedef void (*HandlerResolved) (void *ctx, const char *error);
extern bool handler_conninfo_resolve(HandlerConninfo *c, uv_loop_t *loop, HandlerResolved done, void *ctx);

/* Begins a connection to the first host that takes it.  NULL: out of memory. */
extern PGconn *handler_conninfo_connect(const HandlerConninfo *c);

/* ms for each host to answer: its connect_timeout, if it has one. */
extern uint32_t handler_conninfo_patience(const HandlerConninfo *c);

/* The host that `pg` had come to is silent: the next connections begin with the one behind it. */
extern void handler_conninfo_skip(HandlerConninfo *c, const PGconn *pg);

#endif							/* ROOMS_GATEWAY_HANDLER_CONNINFO_H */

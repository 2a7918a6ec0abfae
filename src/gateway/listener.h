/*
 * listener.h - HTTP and WebSocket on libwebsockets, for main.c.
 *
 * Accepts on inherited sockets by itself and hands connections to
 * libwebsockets on our own uv loop; speaks Engine.IO's transports for the
 * core (ServerHooks flush, closed, probe_*).
 */
#ifndef ROOMS_GATEWAY_LISTENER_H
#define ROOMS_GATEWAY_LISTENER_H

#include <uv.h>

#include "core/server.h"
#include "gateway/config.h"

typedef struct Listener Listener;

/*
 * NULL: *error is static text, *hint too or NULL (the event plug-in is
 * missing, ...).  Raise RLIMIT_NOFILE before.
 */
extern Listener *listener_new(uv_loop_t *loop, const char **error, const char **hint);

/* Fills flush, closed and probe_*; they make no use of ctx, which is main.c's. */
extern void listener_hooks(ServerHooks *hooks);
extern void listener_set_server(Listener *l, Server *server);

/* Copies what it needs.  False: the document root cannot be opened (the old one stays), *error says so. */
extern bool listener_configure(Listener *l, const Config *c, const char **error) MUST_CHECK;

/* Takes the sockets over and closes the ones held before; count may be 0. */
extern void listener_listen(Listener *l, const int *fds, int count);

extern uint32_t listener_connections(const Listener *l);

/* Stops accepting and closes everything; run the loop a few turns, then free. */
extern void listener_close(Listener *l);
extern void listener_free(Listener *l);

#endif							/* ROOMS_GATEWAY_LISTENER_H */

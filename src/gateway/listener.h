/*
 * listener.h - HTTP and WebSocket: the only file that knows libwebsockets.
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

/* NULL: *error is static text (the event plug-in is missing, ...). */
extern Listener *listener_new(uv_loop_t *loop, const char **error);
extern void listener_hooks(Listener *l, ServerHooks *hooks);	/* fills its part; ctx is set by main */
extern void listener_set_server(Listener *l, Server *server);
extern void listener_configure(Listener *l, const Config *c);

/* Takes the sockets over and closes the ones held before; count may be 0. */
extern void listener_listen(Listener *l, const int *fds, int count);

/* Stops accepting and closes everything; run the loop a few turns afterwards. */
extern void listener_free(Listener *l);

#endif							/* ROOMS_GATEWAY_LISTENER_H */

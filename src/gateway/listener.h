/*
 * listener.h - HTTP and WebSocket, with TLS or without, on libwebsockets, for main.c.
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

/* The worker's counters, for /metrics; the array stays the caller's. */
extern void listener_set_worker_counters(Listener *l, const uint64_t *counters);

/*
 * Copies what it needs.  False: the certificate or the document root cannot be
 * used, and all stays as it was; *what could not be done, *error why, *hint
 * what to do.  With a certificate new connections are TLS, without one they
 * are not; those that are open stay as they are.
 */
extern bool listener_configure(Listener *l, const Config *c, const char **what, const char **error,
							   const char **hint) MUST_CHECK;

/* Takes the sockets over and closes the ones held before; count may be 0. */
extern void listener_listen(Listener *l, const int *fds, int count);

/* Closes the connections that are too slow; to be called once a second. */
extern void listener_tick(Listener *l);

extern uint32_t listener_connections(const Listener *l);

/* Stops accepting and closes everything; run the loop a few turns, then free. */
extern void listener_close(Listener *l);
extern void listener_free(Listener *l);

#endif							/* ROOMS_GATEWAY_LISTENER_H */

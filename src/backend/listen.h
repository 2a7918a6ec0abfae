/*
 * listen.h - the listening sockets, owned by the worker.
 *
 * The gateway serves duplicates of them, so a gateway that is replaced
 * refuses nobody: connections wait in the kernel's queue meanwhile.
 */
#ifndef ROOMS_BACKEND_LISTEN_H
#define ROOMS_BACKEND_LISTEN_H

#include "postgres.h"

/* The settings may have changed: listen_service() will act on it. */
extern void listen_reload(void);

/*
 * Opens what pg_rooms.listen_addresses and pg_rooms.port ask for, or tries
 * again when it is time.  True: the set of sockets has changed.
 */
extern bool listen_service(int64 now);

/* Milliseconds until listen_service() has something to do, -1: nothing. */
extern long listen_timeout(int64 now);

/* The open sockets, at most LINK_MAX_LISTEN; valid until listen_service() is called again. */
extern const int *listen_sockets(int *count);

#endif							/* ROOMS_BACKEND_LISTEN_H */

/*
 * gateway_spawn.h - fork and exec of the gateway executable.
 */
#ifndef ROOMS_BACKEND_GATEWAY_SPAWN_H
#define ROOMS_BACKEND_GATEWAY_SPAWN_H

#include "postgres.h"

/* Absolute path of the executable: beside the running postgres. */
extern const char *gateway_path(void);

/*
 * Starts it with its end of a new socketpair as LINK_FD.  0: *pid is a child
 * of this process, *link our end (non-blocking, close-on-exec).  Otherwise
 * errno of what failed, and *what names it.
 */
extern int	gateway_spawn(pid_t *pid, pgsocket *link, const char **what);

#endif							/* ROOMS_BACKEND_GATEWAY_SPAWN_H */

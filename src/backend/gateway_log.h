/*
 * gateway_log.h - the gateway's log lines in the server's log.
 */
#ifndef ROOMS_BACKEND_GATEWAY_LOG_H
#define ROOMS_BACKEND_GATEWAY_LOG_H

#include "postgres.h"

#include "wire/slice.h"

/* Logs the payload of a LOG frame (wire/link.h); false if it is malformed. */
extern bool gateway_log_frame(Slice payload, int64 now) MUST_CHECK;

/* Somebody has reloaded: what has been said before is said again. */
extern void gateway_log_reload(void);

/*
 * May a complaint that stays true be logged now?  Once a minute.  *said is for
 * this function alone; 0: at once.
 */
extern bool gateway_log_due(int64 *said, int64 now);

/* A palloc'ed copy that is safe to log: cut, with neither control characters nor invalid UTF-8. */
extern char *gateway_printable(Slice text);

#endif							/* ROOMS_BACKEND_GATEWAY_LOG_H */

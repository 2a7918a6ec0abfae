/*
 * gateway_config.h - which settings the gateway is given, and which it took.
 *
 * Used by gateway_process.c alone.
 */
#ifndef ROOMS_BACKEND_GATEWAY_CONFIG_H
#define ROOMS_BACKEND_GATEWAY_CONFIG_H

#include "postgres.h"

#include "backend/gateway_link.h"

/* Once, at the worker's start. */
extern void gateway_config_init(void);

/* Somebody has reloaded: reads the settings. */
extern void gateway_config_reload(int64 now);

/*
 * Has a new gateway something to begin with?  False, after a log line, if the
 * settings cannot be read and none were ever taken.
 */
extern bool gateway_config_ready(int64 now) MUST_CHECK;

/* Queues the first CONFIG for a new gateway; only after gateway_config_ready(). */
extern void gateway_config_start(GatewayLink *link, int64 now);

/* Queues a CONFIG for a running one, if there is a newer to offer. */
extern void gateway_config_offer(GatewayLink *link);

/* The gateway's READY or REFUSED, with the number of a CONFIG. */
extern void gateway_config_taken(uint32 number);
extern void gateway_config_refused(uint32 number);

/* The gateway has ended; `starting`: it heard us, and was never READY. */
extern void gateway_config_ended(bool starting);

#endif							/* ROOMS_BACKEND_GATEWAY_CONFIG_H */

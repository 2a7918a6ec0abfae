/*
 * handlers.h - runs clients' events as SQL functions, over libpq.
 */
#ifndef ROOMS_GATEWAY_HANDLERS_H
#define ROOMS_GATEWAY_HANDLERS_H

#include <stdint.h>

typedef struct HandlerSettings
{
	const char *conninfo;		/* "": no handlers */
	const char *database;		/* the one that it has to lead to */
	uint32_t	connections;	/* at most */
	uint32_t	timeout;		/* ms */
} HandlerSettings;

#endif							/* ROOMS_GATEWAY_HANDLERS_H */

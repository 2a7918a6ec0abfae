/*
 * refill.h - the past, for the history of a new gateway.
 *
 * Used by the worker alone, between the start of a gateway and its first
 * client.  Gives the messages that the bus has given out already, or that lie
 * before the worker's start: as far back as rooms_history_window(), and as
 * pg_wal, reach.  The bus goes on exactly where this ends.
 */
#ifndef ROOMS_BACKEND_REFILL_H
#define ROOMS_BACKEND_REFILL_H

#include "postgres.h"

#include "wire/link.h"

typedef enum RefillResult
{
	REFILL_MESSAGE,				/* `message`, `age` */
	REFILL_COVERED,				/* `position`: from there on nothing is missing */
	REFILL_MORE,				/* nothing yet: call again */
	REFILL_END					/* that was all; a REFILL_COVERED has come before */
} RefillResult;

typedef struct RefillEvent
{
	uint32		age;			/* ms */
	LinkMessage message;		/* its envelope lives until the next call */
	LinkPosition position;
} RefillEvent;

/* Begins (anew); the bus must not be read until REFILL_END. */
extern void refill_begin(void);

/* Reads at most some megabytes of WAL per call. */
extern RefillResult refill_next(RefillEvent *e);

/* The gateway has gone before the end. */
extern void refill_end(void);

#endif							/* ROOMS_BACKEND_REFILL_H */

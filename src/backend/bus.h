/*
 * bus.h - the reading half of the WAL bus: committed messages in commit order.
 *
 * Used by the worker alone.  bus.c pairs message records with the end of
 * their transactions, gates on visibility and keeps what is open (memory, then
 * a temporary file); wal_reader.c is the only file that knows XLogReader.
 */
#ifndef ROOMS_BACKEND_BUS_H
#define ROOMS_BACKEND_BUS_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "wire/link.h"

typedef enum BusResult
{
	BUS_MESSAGE,				/* *m is the next message */
	BUS_IDLE,					/* all WAL that may be read has been read */
	BUS_GATED					/* a commit is not visible yet: ask again in about a millisecond */
} BusResult;

/* Finds the position to begin at; the worker is in the ProcArray. */
extern void bus_start(void);

/*
 * The next message, or why there is none.  m->envelope lives until the next
 * call.  Reads at most some megabytes of WAL per call before it returns
 * BUS_IDLE with *more set, so that the caller can serve its other duties.
 */
extern BusResult bus_next(LinkMessage *m, bool *more);

/* WAL has been read (and everything in it delivered or kept) up to here. */
extern XLogRecPtr bus_position(void);

/* True if there is nothing new to read: checked between "sleeping" and the sleep. */
extern bool bus_drained(void);

#endif							/* ROOMS_BACKEND_BUS_H */

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
	BUS_HOLE,					/* messages of commits before m->lsn may be lost; nothing else of *m is set but timeline */
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

/* All messages of commits whose record begins before this have been given out. */
extern XLogRecPtr bus_position(TimeLineID *timeline);

/* Bytes of WAL that may be read and have not been. */
extern uint64 bus_lag(void);

/*
 * For the past (refill.c), which ends where bus_next() goes on.
 *
 * bus_catch_up() reads up to where the worker began to look for news; until
 * then it is not known where they begin.  bus_given() says of the commit whose
 * record is [lsn, end) how many of its messages have been given out, or are
 * from before the start: UINT32_MAX for all; 0 if it is still to come, and so
 * all that follow.  No commit beyond bus_given_end() is past.
 */
extern void bus_catch_up(void);
extern uint32 bus_given(XLogRecPtr lsn, XLogRecPtr end);
extern XLogRecPtr bus_given_end(void);

/*
 * Was there a message record of xid, which committed at lsn, far (a segment or
 * more) before its commit?  BUS_UNKNOWN: it committed before the worker began.
 */
typedef enum BusFar
{
	BUS_NEAR,
	BUS_FAR,
	BUS_UNKNOWN
} BusFar;

extern BusFar bus_far(TransactionId xid, XLogRecPtr lsn);

/* PREPAREs of before the worker's start left no file here. */
extern bool bus_began_on_standby(void);

/* True if there is nothing new to read: checked between "sleeping" and the sleep. */
extern bool bus_drained(void);

#endif							/* ROOMS_BACKEND_BUS_H */

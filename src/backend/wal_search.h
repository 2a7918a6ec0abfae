/*
 * wal_search.h - where in the past to begin reading.
 */
#ifndef ROOMS_BACKEND_WAL_SEARCH_H
#define ROOMS_BACKEND_WAL_SEARCH_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

/*
 * A position from which on reading meets every commit before `stop` that is
 * not older than `since`, and before those a record that tells which
 * transactions were running; as far as pg_wal reaches.  Takes as long as it
 * takes to read a few segments; ERROR only for interrupts.
 */
extern XLogRecPtr wal_search(XLogRecPtr stop, TimestampTz since);

#endif							/* ROOMS_BACKEND_WAL_SEARCH_H */

/*
 * session_table.h - the gateway's sessions, kept by the worker for the next one.
 *
 * Used by the worker alone.  Entries are bytes to it (wire/link.h, SESSION).
 */
#ifndef ROOMS_BACKEND_SESSION_TABLE_H
#define ROOMS_BACKEND_SESSION_TABLE_H

#include "postgres.h"

#include "wire/link.h"

/*
 * Takes up what the file has from before; without recovery (recovery_window 0)
 * removes the file.  Trouble with it is a WARNING: then the table is empty, or
 * lives in memory only.
 */
extern void session_table_start(void);

/* recovery_window may have changed. */
extern void session_table_reload(void);

/* Puts an entry in or takes it out, as the gateway says; over the bounds it is not kept. */
extern void session_table_change(const LinkSession *s);

/*
 * Walks over the entries; *at begins at 0.  False: that was the last one.
 * Entries may change in between.
 */
extern bool session_table_next(uint32 *at, LinkSession *s);

#endif							/* ROOMS_BACKEND_SESSION_TABLE_H */

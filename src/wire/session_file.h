/*
 * session_file.h - the session table on disk: records that each stand alone.
 *
 * A file of units of SESSION_FILE_UNIT bytes.  A record begins at a unit and
 * fills whole units; everything else is junk, and there is no header whose
 * loss would take all with it.  Little-endian:
 *
 *   record    u32 magic | u32 CRC-32C of all that follows | node id |
 *             u64 sequence | string key | string value | zeros
 *
 * Of two records with one key the later sequence counts.  The node id is a
 * secret of this server, so that nothing that a client has a say in can look
 * like a record.  Used by the worker (backend/session_table.c).
 */
#ifndef ROOMS_WIRE_SESSION_FILE_H
#define ROOMS_WIRE_SESSION_FILE_H

#include "wire/link.h"

#define SESSION_FILE_UNIT	256
#define SESSION_NODE_ID		24	/* bytes: system identifier and random id */
#define SESSION_RECORD_MAX	(4 + 4 + SESSION_NODE_ID + 8 + 4 + LINK_MAX_SESSION_KEY + 4 + LINK_MAX_SESSION_VALUE)
#define SESSION_RECORD_MAX_UNITS ((SESSION_RECORD_MAX + SESSION_FILE_UNIT - 1) / SESSION_FILE_UNIT)

typedef struct SessionRecord
{
	uint64_t	sequence;
	Slice		key;			/* the bounds of both are those of LinkSession */
	Slice		value;
} SessionRecord;

/* CRC-32C of the bytes. */
extern uint32_t session_crc(Slice bytes);

/* Units that r takes. */
extern uint32_t session_record_units(const SessionRecord *r);

/* Writes r's units. */
extern void session_record_encode(uint8_t *out, const uint8_t node[SESSION_NODE_ID], const SessionRecord *r);

/*
 * Finds the first intact record at or behind unit *at of the file's bytes.
 * False: there is none.  Else *at is its first unit, and r points into `file`.
 */
extern bool session_file_next(Slice file, const uint8_t node[SESSION_NODE_ID], uint32_t *at, SessionRecord *r) MUST_CHECK;

#endif							/* ROOMS_WIRE_SESSION_FILE_H */

/*
 * payload.h - bytes kept until they are delivered: memory to a cap, then files.
 *
 * Used by bus.c alone, for messages of transactions that are open or wait for
 * visibility.
 */
#ifndef ROOMS_BACKEND_PAYLOAD_H
#define ROOMS_BACKEND_PAYLOAD_H

#include "postgres.h"

#include "wire/slice.h"

typedef struct PayloadFile PayloadFile;

typedef struct Payload
{
	Size		size;
	uint8	   *memory;			/* or NULL, then: */
	PayloadFile *file;
	off_t		offset;
} Payload;

/* Keeps a copy of `bytes`.  False, after a WARNING, if there is no room on disk. */
extern bool payload_keep(Payload *p, Slice bytes) MUST_CHECK;

/* Forgets the bytes.  A zeroed Payload is empty and may be freed. */
extern void payload_free(Payload *p);

/*
 * Reads along a payload; `start` zeroed but for `payload`.  payload_next()
 * gives the next n bytes, in place or in a buffer of `context` (the current
 * one at the first call), until the next call.  False, after a WARNING, if
 * they cannot be read; `left` says how many there are.
 */
typedef struct PayloadCursor
{
	const Payload *payload;
	Size		at;
	uint8	   *window;			/* of the file */
	Size		window_size;
	Size		window_start;
	Size		window_end;
} PayloadCursor;

extern bool payload_next(PayloadCursor *c, Size n, Slice *bytes) MUST_CHECK;

static inline Size
payload_left(const PayloadCursor *c)
{
	return c->payload->size - c->at;
}

#endif							/* ROOMS_BACKEND_PAYLOAD_H */

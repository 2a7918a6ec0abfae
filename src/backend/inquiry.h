/*
 * inquiry.h - rows that only the gateway has, on their way to a backend.
 *
 * A backend asks, the worker asks the gateway (QUERY in wire/link.h) and puts
 * the answer into a ring in shared memory, where the backend reads it.  There
 * is one ring: one backend asks at a time, others wait for their turn.
 *
 *   request    the asker's: number and what it wants, or LINK_QUERY_NONE
 *   answer     the worker's: the number it answers, and how that stands
 *   written    the worker's, read the asker's: bytes of the answer so far
 *
 * The worker takes a request up by setting both counts to 0 and then `answer`;
 * before that the asker looks at neither, and once it has taken its request
 * back it touches nothing.  So whatever one of the two does or dies of, the
 * next answer begins in an empty ring.
 *
 * The worker asks for a slice only when the ring has room for it: an asker
 * that does not read holds up nobody but those who want to ask.
 */
#ifndef ROOMS_BACKEND_INQUIRY_H
#define ROOMS_BACKEND_INQUIRY_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/condition_variable.h"

#include "wire/link.h"

#define INQUIRY_RING	(256 * 1024)

typedef struct SharedInquiry
{
	pg_atomic_uint32 asker;		/* pid of the backend whose turn it is; 0: none */
	pg_atomic_uint32 asker_procno;	/* whose procLatch wakes it */
	ConditionVariable turn;		/* the next one's has come */
	pg_atomic_uint64 last;		/* number of the newest request */
	pg_atomic_uint64 request;	/* number * LINK_QUERY_END + what */
	pg_atomic_uint64 answer;	/* number * INQUIRY_STATES + state */
	pg_atomic_uint64 written;
	pg_atomic_uint64 read;
	uint8		ring[INQUIRY_RING];
} SharedInquiry;

extern void inquiry_shared_init(SharedInquiry *shared);

/*
 * The backend's part: calls `row` with each row of the answer, valid during
 * the call, in a memory context that is reset after it.  ERROR if there is no
 * gateway, if it ends or does not answer for some seconds, or if others keep
 * asking; can be cancelled.
 */
extern void inquiry_run(LinkQuery what, void (*row) (void *ctx, Slice row), void *ctx);

/* The worker's part.  None of these fails. */
extern void inquiry_start(void);	/* what was asked of another worker is not answered */
extern void inquiry_service(void);	/* each turn: takes up what is asked, asks on for it */
extern bool inquiry_rows(Slice payload);	/* a ROWS frame; false: malformed */

#endif							/* ROOMS_BACKEND_INQUIRY_H */

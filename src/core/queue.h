/*
 * queue.h - a session's outgoing frames: a ring of references.
 *
 * The queue owns one reference per entry.  A small ring is kept for the next
 * message once there was one; larger ones go when the queue is empty.
 */
#ifndef ROOMS_CORE_QUEUE_H
#define ROOMS_CORE_QUEUE_H

#include "core/frame.h"

typedef struct Queue
{
	Frame	  **ring;			/* NULL when `space` is 0 */
	uint32_t	space;			/* power of two */
	uint32_t	head;
	uint32_t	count;
	size_t		bytes;			/* sum of ws_len */
} Queue;

extern void queue_push(Queue *q, Frame *f);		/* takes a new reference */
extern Frame *queue_at(const Queue *q, uint32_t i);	/* borrowed; i < count */
extern void queue_drop(Queue *q, uint32_t n);	/* drops n frames from the front */
extern void queue_clear(Queue *q);				/* ... all, and frees the ring */

#endif							/* ROOMS_CORE_QUEUE_H */

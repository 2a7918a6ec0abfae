/*
 * queue.c - a ring of references to frames.
 *
 * Filled by session.c, emptied by the transports.  A push is on the path of
 * every delivery: it allocates only when the ring has to grow.
 */
#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"

#define FIRST_SPACE	4
#define KEPT_SPACE	64			/* an empty queue keeps a ring up to this size */

static void
grow(Queue *q)
{
	uint32_t	space = q->space > 0 ? q->space * 2 : FIRST_SPACE;
	Frame	  **ring = xmalloc(space * sizeof(*ring));

	for (uint32_t i = 0; i < q->count; i++)
		ring[i] = queue_at(q, i);
	free(q->ring);
	q->ring = ring;
	q->space = space;
	q->head = 0;
}

void
queue_push(Queue *q, Frame *f)
{
	if (q->count == q->space)
		grow(q);
	q->ring[(q->head + q->count) & (q->space - 1)] = frame_ref(f);
	q->count++;
	q->bytes += f->ws_len;
}

Frame *
queue_at(const Queue *q, uint32_t i)
{
	assert(i < q->count);
	return q->ring[(q->head + i) & (q->space - 1)];
}

static void
free_ring(Queue *q)
{
	free(q->ring);
	q->ring = NULL;
	q->space = 0;
	q->head = 0;
}

void
queue_drop(Queue *q, uint32_t n)
{
	assert(n <= q->count);
	for (uint32_t i = 0; i < n; i++)
	{
		Frame	   *f = queue_at(q, 0);

		q->head = (q->head + 1) & (q->space - 1);
		q->count--;
		q->bytes -= f->ws_len;
		frame_unref(f);
	}
	if (q->count == 0 && q->space > KEPT_SPACE)
		free_ring(q);
}

void
queue_clear(Queue *q)
{
	queue_drop(q, q->count);
	free_ring(q);
}

/*
 * worker_link.h - the gateway's end of the link (wire/link.h).
 */
#ifndef ROOMS_GATEWAY_WORKER_LINK_H
#define ROOMS_GATEWAY_WORKER_LINK_H

#include <uv.h>

#include "wire/counters.h"
#include "wire/link.h"

typedef struct WorkerLink WorkerLink;

/* Called in the order of the frames.  None may free the link. */
typedef struct WorkerLinkHandlers
{
	void	   *ctx;
	void		(*config) (void *ctx, uint32_t number, Slice settings);
	void		(*listen) (void *ctx, const int *fds, int count);	/* the descriptors are the callee's */
	void		(*message) (void *ctx, const LinkMessage *m);
	void		(*timelines) (void *ctx, LinkTimelines list);
	void		(*covered) (void *ctx, const LinkPosition *p);
	void		(*history) (void *ctx, uint32_t age, const LinkMessage *m);
	void		(*position) (void *ctx, const LinkPosition *p);
	void		(*session) (void *ctx, Slice key, Slice value);
	void		(*committed) (void *ctx, int64_t at);	/* Unix time in us: of the next message's transaction */
	void		(*stats) (void *ctx, const uint64_t *counters);	/* WORKER_COUNTER_COUNT of them */
	void		(*query) (void *ctx, uint64_t id, LinkQuery what);
	void		(*drain) (void *ctx, uint32_t ms);
	void		(*stop) (void *ctx);
	void		(*closed) (void *ctx, bool failed); /* the worker hung up; failed: we must (said why) */
} WorkerLinkHandlers;

/* Takes `fd` over and says HELLO.  NULL: not a usable descriptor. */
extern WorkerLink *worker_link_new(uv_loop_t *loop, int fd, const WorkerLinkHandlers *handlers);

/* Answers, with the number of the CONFIG that is in force, or that cannot work. */
extern void worker_link_ready(WorkerLink *l, uint32_t number);
extern void worker_link_refused(WorkerLink *l, uint32_t number);

/* Reads nothing for so long, unless nothing was read since the last rest. */
extern void worker_link_rest(WorkerLink *l, uint64_t ms);

extern void worker_link_stats(WorkerLink *l, const uint64_t *counters);

/* Answers a QUERY.  `bytes`: LINK_MAX_ROWS at most. */
extern void worker_link_rows(WorkerLink *l, uint64_t id, bool more, Slice bytes);

/*
 * Puts an entry into the worker's session table, or takes one out.  False: it
 * is over the bounds of wire/link.h, or the worker is far behind in reading;
 * then the table has the old entry, or none.
 */
extern bool worker_link_session_set(WorkerLink *l, Slice key, Slice value);
extern bool worker_link_session_remove(WorkerLink *l, Slice key);

/* Waits up to a second until what was said (the last log lines) is sent. */
extern void worker_link_drain(WorkerLink *l);

/* The memory goes when the loop has closed the handle. */
extern void worker_link_free(WorkerLink *l);

#endif							/* ROOMS_GATEWAY_WORKER_LINK_H */

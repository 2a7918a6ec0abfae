/*
 * accept.h - accepts connections on the inherited listening sockets.
 */
#ifndef ROOMS_GATEWAY_ACCEPT_H
#define ROOMS_GATEWAY_ACCEPT_H

#include <stdint.h>
#include <uv.h>

#include "core/limits.h"

typedef struct Acceptor Acceptor;

/*
 * A new connection, non-blocking; the descriptor is the callee's.  `address`
 * is numeric; `held` is to be given back with acceptor_closed_one().
 */
typedef void (*AcceptFn) (void *ctx, int fd, const char *address, Held *held);

/* Connections at one time: more are closed as soon as they come, and counted.  0: no limit. */
typedef struct AcceptLimits
{
	uint32_t	total;
	uint32_t	per_address;	/* ... of one address_key() */
	uint32_t	pending;		/* ... that have sent no whole request yet */
	const char *trusted;		/* list of addresses that `per_address` is not for: proxies */
} AcceptLimits;

extern Acceptor *acceptor_new(uv_loop_t *loop, AcceptFn on_accept, void *ctx);

/* Takes these listening sockets over and closes the ones held before. */
extern void acceptor_listen(Acceptor *a, const int *fds, int count);

/* Copies the limits. */
extern void acceptor_set_limits(Acceptor *a, const AcceptLimits *limits);

/* Where refusals are counted, from now on: GATEWAY_COUNTER_COUNT of them. */
extern void acceptor_set_counters(Acceptor *a, uint64_t *counters);

/* One of the connections handed out has sent its first request; to be called once for each at most. */
extern void acceptor_settled(Acceptor *a);

/* One of them is closed; settled: acceptor_settled() was called for it. */
extern void acceptor_closed_one(Acceptor *a, Held *held, bool settled);
extern uint32_t acceptor_count(const Acceptor *a);

/* Stops; the memory goes when the loop has closed the handles. */
extern void acceptor_free(Acceptor *a);

#endif							/* ROOMS_GATEWAY_ACCEPT_H */

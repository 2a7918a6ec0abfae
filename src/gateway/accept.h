/*
 * accept.h - accepts connections on the inherited listening sockets.
 */
#ifndef ROOMS_GATEWAY_ACCEPT_H
#define ROOMS_GATEWAY_ACCEPT_H

#include <stdint.h>
#include <uv.h>

typedef struct Acceptor Acceptor;

/* A new connection, non-blocking; the descriptor is the callee's.  `address` is numeric. */
typedef void (*AcceptFn) (void *ctx, int fd, const char *address);

extern Acceptor *acceptor_new(uv_loop_t *loop, AcceptFn on_accept, void *ctx);

/* Takes these listening sockets over and closes the ones held before. */
extern void acceptor_listen(Acceptor *a, const int *fds, int count);

/* More connections than this at one time are closed as soon as they come. */
extern void acceptor_set_limit(Acceptor *a, uint32_t limit);

/* One of the connections handed out is closed. */
extern void acceptor_closed_one(Acceptor *a);
extern uint32_t acceptor_count(const Acceptor *a);

/* Stops; the memory goes when the loop has closed the handles. */
extern void acceptor_free(Acceptor *a);

#endif							/* ROOMS_GATEWAY_ACCEPT_H */

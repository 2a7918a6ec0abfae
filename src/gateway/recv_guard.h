/*
 * recv_guard.h - our recv() and SSL_read() in front of libwebsockets.
 *
 * libwebsockets shows bytes to nobody before it has parsed them, accepts
 * unmasked frames, and can be hung by pipelined request bodies.  The dynamic
 * linker binds its calls of recv() and SSL_read() to the definitions in
 * recv_guard.c, which look at the bytes of accepted connections on their way.
 * Descriptors that were never given to guard_open() pass untouched.  One
 * beyond the limit given to guard_init() cannot be watched: its requests are
 * refused.
 */
#ifndef ROOMS_GATEWAY_RECV_GUARD_H
#define ROOMS_GATEWAY_RECV_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* False: the linker did not bind the two functions to ours; refuse to run. */
extern bool guard_init(size_t max_fds);

extern void guard_open(int fd); /* a connection was accepted */
extern void guard_close(int fd);

/*
 * A request's head is complete.  False: its first bytes came together with
 * an earlier request (pipelined); the connection must be closed.
 */
extern bool guard_take_request(int fd);

/* Some of a request's body was taken. */
extern void guard_take_body(int fd);

/*
 * The connection is a WebSocket from here on: frames are checked.  False:
 * bytes came glued to the upgrade request, or it to an earlier one; refuse.
 */
extern bool guard_websocket(int fd);

#endif							/* ROOMS_GATEWAY_RECV_GUARD_H */

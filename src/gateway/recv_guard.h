/*
 * recv_guard.h - our recv() and SSL_read() in front of libwebsockets.
 *
 * libwebsockets shows bytes to nobody before it has parsed them, accepts
 * unmasked frames, can be hung by pipelined request bodies, and says nothing
 * to a client whose request has too long a head.  The dynamic
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
#include <stdint.h>

#define GUARD_HEAD_MAX	16384	/* bytes of a request's head: refused with 431 */
#define GUARD_URL_MAX	8192	/* ... of its first line: 414 */

/* False: the linker did not bind the two functions to ours; refuse to run. */
extern bool guard_init(size_t max_fds);

/* Where refusals are counted: GATEWAY_COUNTER_COUNT counters that stay. */
extern void guard_set_counters(uint64_t *counters);

extern void guard_open(int fd); /* a connection was accepted */
extern void guard_close(int fd);

/* The connection is to be closed: the next byte that comes closes it. */
extern void guard_end(int fd);

/*
 * A request's head is complete.  False: its first bytes came together with
 * an earlier request (pipelined); the connection must be closed.
 */
extern bool guard_take_request(int fd);

/* Some of a request's body was taken. */
extern void guard_take_body(int fd);

/* A body follows the head that was taken; false: it is complete. */
extern void guard_expect_body(int fd, bool body);

/*
 * The connection is a WebSocket from here on: frames are checked.  False:
 * bytes came glued to the upgrade request, or it to an earlier one; refuse.
 */
extern bool guard_websocket(int fd);

#endif							/* ROOMS_GATEWAY_RECV_GUARD_H */

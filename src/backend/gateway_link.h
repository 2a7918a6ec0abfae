/*
 * gateway_link.h - buffered, non-blocking frames over the link's socket.
 *
 * Knows wire/link.h's frames and SCM_RIGHTS, not what the frames mean: that
 * is gateway_process.c.
 */
#ifndef ROOMS_BACKEND_GATEWAY_LINK_H
#define ROOMS_BACKEND_GATEWAY_LINK_H

#include "postgres.h"

#include "wire/link.h"

/* Longest frame a gateway may send: its longest log line is far below. */
#define GATEWAY_LINK_INPUT	(64 * 1024)

typedef struct GatewayLink
{
	pgsocket	sock;			/* PGINVALID_SOCKET: closed */
	bool		blocked;		/* the last send() found the socket full */
	bool		progress;		/* the peer has read since it was full; the owner resets it */

	/* Output: bytes [start, end) of `out` wait to be written. */
	char	   *out;
	size_t		start;
	size_t		end;
	size_t		size;

	/* A LISTEN frame waits at out[listen_at]; its sockets are looked up when it is sent. */
	bool		listen_pending;
	size_t		listen_at;

	/* Input: bytes [taken, have) of `in` are not decoded yet. */
	uint8		in[GATEWAY_LINK_INPUT];
	size_t		taken;
	size_t		have;
} GatewayLink;

typedef enum GatewayRead
{
	GATEWAY_READ_FRAME,			/* *frame is valid until the next call */
	GATEWAY_READ_NONE,			/* nothing more for now */
	GATEWAY_READ_CLOSED,		/* end of file, or an error of the socket */
	GATEWAY_READ_BAD			/* not a frame */
} GatewayRead;

extern void gateway_link_open(GatewayLink *l, pgsocket sock);
extern void gateway_link_close(GatewayLink *l);

/* Bytes not yet taken by the socket. */
extern size_t gateway_link_queued(const GatewayLink *l);

/* Queue one frame.  They do nothing on a closed link. */
extern void gateway_link_frame(GatewayLink *l, LinkType type, Slice payload);
extern void gateway_link_listen(GatewayLink *l);
extern void gateway_link_message(GatewayLink *l, const LinkMessage *m);
extern void gateway_link_history(GatewayLink *l, uint32 age, const LinkMessage *m);
extern void gateway_link_position(GatewayLink *l, LinkType type, const LinkPosition *p);	/* COVERED, POSITION */
extern void gateway_link_timelines(GatewayLink *l, const LinkTimeline *list, uint32 count);
extern void gateway_link_session(GatewayLink *l, const LinkSession *s);

/* Writes as much as the socket takes.  False: the link is broken. */
extern bool gateway_link_flush(GatewayLink *l) MUST_CHECK;

/* The next frame, if one has come whole. */
extern GatewayRead gateway_link_read(GatewayLink *l, LinkFrame *frame) MUST_CHECK;

#endif							/* ROOMS_BACKEND_GATEWAY_LINK_H */

/*
 * link.h - frames between the worker and the gateway.
 *
 * One SOCK_STREAM socketpair; the gateway inherits its end as LINK_FD.  Both
 * sides begin with HELLO; a side that hears another version says so in its
 * log and hangs up.  Little-endian:
 *
 *   frame     u32 length of payload | u8 type | payload
 *
 *   worker -> gateway
 *     HELLO    string version
 *     CONFIG   u32 number | list of pairs: u32 count | count x (string name | string value)
 *     LISTEN   u32 count; that many listening sockets ride as SCM_RIGHTS on
 *              the frame's first byte and replace the ones held so far
 *     MESSAGE  u32 timeline | u64 commit LSN | u32 index | u64 full xid | envelope
 *     PING     u64 number
 *     STOP     (empty) close every client now, then exit
 *
 *   gateway -> worker
 *     HELLO    string version
 *     READY    u32 number of the CONFIG that is in force, as is the last LISTEN
 *     PONG     u64 number, that of the PING
 *     LOG      u8 level | string message | string hint ("" for none)
 *     STATS    u64 x GATEWAY_COUNTER_COUNT
 *     REFUSED  u32 number of a CONFIG that cannot work; the one before it stays in force
 *
 * Order on the wire is order of effect.  The worker sends HELLO, CONFIG,
 * LISTEN, then MESSAGEs only once READY has come.  READY answers LISTEN, and
 * READY or REFUSED each later CONFIG.  A first CONFIG that cannot work ends the
 * gateway.
 */
#ifndef ROOMS_WIRE_LINK_H
#define ROOMS_WIRE_LINK_H

#include "wire/slice.h"

#define LINK_FD				3
#define LINK_HEADER			5
/* A message can be as large as max_message_size's upper bound, with attachments. */
#define LINK_MAX_PAYLOAD	(300u * 1024 * 1024)
#define LINK_MESSAGE_HEADER 24	/* bytes of MESSAGE before the envelope */
#define LINK_MAX_LISTEN		16	/* sockets in one LISTEN */

/* The version both sides name in HELLO: the build's version, from pg_rooms.control. */
#ifndef ROOMS_VERSION
#error "ROOMS_VERSION comes from the Makefile"
#endif

typedef enum LinkType
{
	LINK_HELLO = 1,
	LINK_CONFIG,
	LINK_LISTEN,
	LINK_MESSAGE,
	LINK_PING,
	LINK_STOP,
	LINK_READY,
	LINK_PONG,
	LINK_LOG,
	LINK_STATS,
	LINK_REFUSED
} LinkType;

typedef enum LinkLogLevel
{
	LINK_LOG_DEBUG = 0,
	LINK_LOG_INFO,				/* LOG in the server's log */
	LINK_LOG_WARNING,
	LINK_LOG_FATAL				/* the gateway exits after this one */
} LinkLogLevel;

typedef struct LinkFrame
{
	LinkType	type;
	Slice		payload;
} LinkFrame;

typedef struct LinkMessage
{
	uint32_t	timeline;
	uint64_t	lsn;			/* of the commit record */
	uint32_t	index;			/* of this message within its transaction */
	uint64_t	xid;			/* epoch and xid of the transaction */
	Slice		envelope;
} LinkMessage;

/*
 * Takes one frame off the front of `bytes`.  WIRE_MORE: not all there yet;
 * WIRE_BAD: unknown type or a length over LINK_MAX_PAYLOAD, hang up.  On
 * WIRE_OK *used is the frame's size and the payload points into `bytes`.
 */
extern WireResult link_decode(Slice bytes, LinkFrame *frame, size_t *used) MUST_CHECK;

/* Writes the LINK_HEADER bytes before a payload of `len`. */
extern uint8_t *link_header(uint8_t *out, LinkType type, uint32_t len);

/* Opens a MESSAGE payload; the envelope is not looked into. */
extern WireResult link_message_decode(Slice payload, LinkMessage *m) MUST_CHECK;

/* Writes the LINK_MESSAGE_HEADER bytes that stand before the envelope. */
extern uint8_t *link_message_header(uint8_t *out, const LinkMessage *m);

#endif							/* ROOMS_WIRE_LINK_H */

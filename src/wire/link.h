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
 *     TIMELINES  u32 count | count x (u32 timeline | u64 begin LSN | u64 end LSN),
 *              oldest first: the server's history; replaces what was sent before
 *     COVERED  u32 age | u32 timeline | u64 LSN: HISTORY and MESSAGE frames from
 *              here on hold every message whose commit record begins at this LSN
 *              or later; of what came before it something may be missing
 *     HISTORY  u32 age | as MESSAGE: goes into the history, is delivered to nobody
 *     POSITION u32 age | u32 timeline | u64 LSN: every message whose commit
 *              record begins before this LSN has been sent
 *     SESSION  as below: an entry of the session table, to be taken up
 *     COMMITTED  u64 Unix time in us: when the transaction committed that the next
 *              MESSAGE is of
 *     STATS    u64 x WORKER_COUNTER_COUNT
 *     QUERY    u64 id | u8 what: asks for the next slice of who is connected; an id
 *              other than the last one begins anew
 *     DRAIN    u32 ms: no new sessions from now on, those that are open are closed
 *              within so long; LINK_DRAIN_END: there may be new ones again
 *
 *   gateway -> worker
 *     HELLO    string version
 *     READY    u32 number of the CONFIG that is in force, as is the last LISTEN
 *     PONG     u64 number, that of the PING
 *     LOG      u8 level | string message | string hint ("" for none)
 *     STATS    u64 x GATEWAY_COUNTER_COUNT
 *     REFUSED  u32 number of a CONFIG that cannot work; the one before it stays in force
 *     SESSION  u8 1 | string key | string value: puts an entry into the session table,
 *              u8 0 | string key | string "": removes it
 *     ROWS     u64 id | u8 1 if there is more, else 0 | bytes: answers one QUERY each, in
 *              order.  Together the bytes are rows, each a string (core/inspect.h)
 *
 * Ages are in ms, from the commit to the sending, UINT32_MAX if longer ago.
 *
 * Order on the wire is order of effect.  The worker sends HELLO, CONFIG,
 * TIMELINES, every SESSION, COVERED, HISTORY, with recovery a POSITION that
 * ends it, then LISTEN, then MESSAGEs only once READY has come.  READY answers LISTEN, and READY or REFUSED each later
 * CONFIG.  A first CONFIG that cannot work ends the gateway.  MESSAGE and
 * HISTORY together are in the order of commits and each comes once; the first
 * MESSAGE goes on from exactly where HISTORY ended.  Without recovery
 * (recovery_window 0) there are no SESSION and HISTORY frames.  TIMELINES comes
 * again after a promotion; COVERED comes again when WAL could not be read, so
 * that what is older than its LSN must no longer be taken for complete.
 *
 * DRAIN may come at any time after the first CONFIG, to a new gateway before LISTEN.
 *
 * The session table belongs to the gateway; the worker keeps it without
 * looking into it, to hand it to the next gateway.  It drops what does not fit
 * its own bounds.  A key is the hash of a secret, never the secret.
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
#define LINK_MAX_TIMELINES	1000	/* the newest ones */
#define LINK_TIMELINE_SIZE	20	/* bytes of one in TIMELINES */
#define LINK_POSITION_SIZE	16	/* bytes of COVERED and POSITION */
#define LINK_MAX_LOG		8000	/* bytes of each text of LOG; what is longer is cut */
#define LINK_MAX_SESSION_KEY 64
#define LINK_DRAIN_END		UINT32_MAX
#define LINK_MAX_SESSION_VALUE (32 * 1024)
#define LINK_ROWS_HEADER	9
#define LINK_MAX_ROWS		(32 * 1024)	/* bytes of rows in one frame */

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
	LINK_REFUSED,
	LINK_TIMELINES,
	LINK_COVERED,
	LINK_HISTORY,
	LINK_POSITION,
	LINK_SESSION,
	LINK_QUERY,
	LINK_ROWS,
	LINK_DRAIN,
	LINK_COMMITTED,
	LINK_TYPE_END				/* none; one more than the last */
} LinkType;

typedef enum LinkLogLevel
{
	LINK_LOG_DEBUG = 0,
	LINK_LOG_INFO,				/* LOG in the server's log */
	LINK_LOG_WARNING,
	LINK_LOG_FATAL,				/* the gateway exits after this one */
	LINK_LOG_CONNECTION			/* as INFO: one of log_connections' lines */
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
	int64_t		committed;		/* Unix time in us; the worker's: no part of the frame, 0 after decoding */
} LinkMessage;

/* TIMELINES, to be walked with link_timelines_next(). */
typedef struct LinkTimelines
{
	uint32_t	count;
	Slice		bytes;
} LinkTimelines;

typedef struct LinkTimeline
{
	uint32_t	timeline;
	uint64_t	begin;
	uint64_t	end;			/* exclusive; UINT64_MAX: the current one */
} LinkTimeline;

/* COVERED, POSITION. */
typedef struct LinkPosition
{
	uint32_t	age;			/* ms */
	uint32_t	timeline;
	uint64_t	lsn;
} LinkPosition;

typedef struct LinkSession
{
	bool		set;			/* else: remove */
	Slice		key;			/* 1 to LINK_MAX_SESSION_KEY bytes */
	Slice		value;			/* at most LINK_MAX_SESSION_VALUE bytes; empty when removed */
} LinkSession;

typedef enum LinkQuery
{
	LINK_QUERY_NONE = 0,		/* nothing: forget what was asked */
	LINK_QUERY_SOCKETS,
	LINK_QUERY_ROOMS,
	LINK_QUERY_END				/* none; one more than the last */
} LinkQuery;

typedef struct LinkRows
{
	uint64_t	id;
	bool		more;
	Slice		bytes;
} LinkRows;

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

/* HISTORY's: 4 more bytes before the same header.  age: ms. */
#define LINK_HISTORY_HEADER (4 + LINK_MESSAGE_HEADER)
extern WireResult link_history_decode(Slice payload, uint32_t *age, LinkMessage *m) MUST_CHECK;
extern uint8_t *link_history_header(uint8_t *out, uint32_t age, const LinkMessage *m);

/*
 * TIMELINES: 4 + count x LINK_TIMELINE_SIZE bytes.  WIRE_BAD also if they do
 * not follow each other without a hole, from `begin` <= `end` on.
 */
extern WireResult link_timelines_decode(Slice payload, LinkTimelines *list) MUST_CHECK;
extern bool link_timelines_next(LinkTimelines *list, LinkTimeline *t);
extern uint8_t *link_timelines_encode(uint8_t *out, const LinkTimeline *list, uint32_t count);

extern WireResult link_position_decode(Slice payload, LinkPosition *p) MUST_CHECK;
extern uint8_t *link_position_encode(uint8_t *out, const LinkPosition *p);

/* WIRE_BAD also for what is over the bounds of LinkSession. */
extern WireResult link_session_decode(Slice payload, LinkSession *s) MUST_CHECK;
extern size_t link_session_size(const LinkSession *s);
extern uint8_t *link_session_encode(uint8_t *out, const LinkSession *s);

#define LINK_QUERY_SIZE		9
extern WireResult link_query_decode(Slice payload, uint64_t *id, LinkQuery *what) MUST_CHECK;
extern uint8_t *link_query_encode(uint8_t *out, uint64_t id, LinkQuery what);

/* ROWS: LINK_ROWS_HEADER bytes, then at most LINK_MAX_ROWS of rows. */
extern WireResult link_rows_decode(Slice payload, LinkRows *rows) MUST_CHECK;
extern uint8_t *link_rows_header(uint8_t *out, uint64_t id, bool more);

#endif							/* ROOMS_WIRE_LINK_H */

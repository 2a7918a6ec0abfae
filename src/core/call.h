/*
 * call.h - events of clients on their way to SQL handlers and back.
 *
 * A Caller is who a socket is to the handlers: it has the queue of what the
 * client sent, in that order, and lives on when the socket has gone, until
 * all of it has run.  A Call is one entry: an event, a join, the connect, the
 * disconnect.  The first of each queue is run; those that need the database
 * wait in the Server's queue for gateway/handlers.c to fetch them, so sockets
 * run side by side and one socket's events one after the other.
 *
 * A call is complete when the database has answered and, if it emitted, its
 * marker has come over the bus (wire/handler.h).  Then the join takes effect,
 * the acknowledgement or the error goes out, and the next of the queue runs.
 *
 * Files: call.c (queues, completion), builtin.c (events that the gateway
 * handles itself), socket.c (comes in here).
 */
#ifndef ROOMS_CORE_CALL_H
#define ROOMS_CORE_CALL_H

#include "core/server.h"
#include "wire/handler.h"

typedef struct Call Call;

struct Caller
{
	uint32_t	refs;			/* the socket's and each call's */
	Socket	   *socket;			/* NULL: it has left */
	char		sid[SID_LENGTH + 1];
	Identity	identity;
	char	   *nsp;			/* its namespace, also when that has been removed */
	char	   *headers;		/* JSON object: header fields of the handshake, names in lower case */
	char	   *handshake;		/* JSON object: auth (without the token), headers, query, address, time, issued */
	Call	   *first;
	Call	   *last;
	uint32_t	count;
	size_t		bytes;
};

struct Call
{
	HandlerKind kind;
	uint64_t	id;				/* the marker's second half; the first is server_marker() */
	Caller	   *caller;
	Slice		name;			/* event, unquoted; HANDLER_JOIN: the room; else empty */
	Slice		args;			/* JSON array of the arguments, without the event's name */
	EnvelopeList attachments;
	/* the rest is call.c's */
	Call	   *next;			/* of the same caller */
	Call	   *list_next;		/* waiting or in flight */
	Call	   *list_prev;
	uint64_t	since;			/* when it began to wait for the database */
	uint8_t		state;
	bool		has_ack;
	bool		marker_seen;
	bool		stale;			/* a command overlapped it: the join is to be checked again */
	uint64_t	ack;
	uint8_t    *result;			/* while the marker is awaited */
	size_t		result_len;
	uint8_t		bytes[];		/* what the slices point to */
};

typedef enum CallOutcome
{
	CALL_OK,					/* reply */
	CALL_REFUSED,				/* raised on purpose: message and code may be shown */
	CALL_FAILED					/* message, code and perhaps `error_id`; nothing of the cause in them */
} CallOutcome;

typedef struct CallResult
{
	CallOutcome outcome;
	Slice		reply;			/* CALL_OK: wire/handler.h's reply, still encoded */
	bool		marked;			/* it emitted: wait for its marker */
	Slice		message;		/* UTF-8, may be anything: it is quoted here */
	Slice		code;
	Slice		error_id;		/* to find the cause in the server's log; or empty */
} CallResult;

/* ---- for gateway/handlers.c ---- */

/* The call that has waited longest, or NULL.  It is then in flight until server_call_done(). */
extern Call *server_call_next(Server *s);

/* Its answer; the call is not the caller's any more.  Also when it could not be run at all. */
extern void server_call_done(Server *s, Call *c, const CallResult *r, uint64_t now);

/* First half of the markers: random, new with each gateway. */
extern uint64_t server_marker(const Server *s);

/*
 * With handlers: calls wait until the rules are known.  Without: there are no
 * rules, nothing is called, clients' events are ignored but for the built-in
 * ones.  Turning them off answers all that waits with `unavailable`.
 */
extern void server_use_handlers(Server *s, bool use);

/* The rules as rooms.handler_rules() gave them.  WIRE_BAD: malformed, nothing changed. */
extern WireResult server_set_rules(Server *s, Slice encoded) MUST_CHECK;

/* Answers with `unavailable` whatever has waited for longer than `ms`. */
extern void server_expire_calls(Server *s, uint64_t now, uint64_t ms);

#endif							/* ROOMS_CORE_CALL_H */

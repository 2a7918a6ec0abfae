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
 * Files: caller.c (who, and the packets that answer), call.c (queues), call_result.c
 * (what an answer means), call_server.c (to the database and back), builtin.c (events
 * that the gateway handles itself), socket.c (comes in here).
 */
#ifndef ROOMS_CORE_CALL_H
#define ROOMS_CORE_CALL_H

#include "core/follow.h"
#include "core/text.h"
#include "wire/handler.h"

typedef struct Call Call;

/* A session's client.  Shared by the session and its callers, who may outlive it. */
typedef struct Peer
{
	uint32_t	refs;
	SessionPeer known;			/* slices point to `text` */
	char		text[];
} Peer;

extern Peer *peer_new(const SessionPeer *known);
extern void peer_unref(Peer *peer);
extern size_t peer_size(const Peer *peer);

#define CALLER_MAX_CALLS	1000	/* that one socket may have waiting */
#define SERVER_MAX_CALLS	10000	/* ... all together */
#define SERVER_MAX_CALL_BYTES (64u * 1024 * 1024)
#define USER_MAX_CALLS		(SERVER_MAX_CALLS / 4)	/* ... all sockets of one user, or of one address without one */
#define USER_MAX_CALL_BYTES (SERVER_MAX_CALL_BYTES / 4)
#define CALLS_KEEP_LEFT		(SERVER_MAX_CALLS / 2)	/* beyond it no on_disconnect waits for longer than other calls */
#define CALL_MAX_LEFT		65536	/* bytes of names that a connect remembers as left */
#define AUTH_KEPT_MAX		4096	/* bytes of a CONNECT's auth, without token and pid, that handlers see: kept for each socket */
#define MARKER_MS			30000	/* for the marker of a call that was answered */
#define JOIN_CHECKS_MAX		10	/* how often a join is checked again before it is refused */

struct Caller
{
	Server	   *server;
	uint32_t	refs;			/* the socket's and each call's */
	Socket	   *socket;			/* NULL: it has left */
	const char *reason;			/* why it has left (protocol.md 2.3) */
	char		sid[SID_LENGTH + 1];
	Identity	identity;
	uint64_t	expires_at;		/* of its token, by the server's clock; UINT64_MAX: never */
	char	   *nsp;			/* its namespace, also when that has been removed */
	Peer	   *peer;			/* its session's */
	char	   *auth;			/* JSON object: the CONNECT's auth without token and pid; NULL: {} */
	bool		revoked;		/* the server threw it out: what it sent before is not run */
	bool		recovered;		/* it is a socket that came back */
	Call	   *first;
	Call	   *last;
	uint32_t	count;
	uint64_t	stuck_since;	/* its last call ended for want of a database, and had waited since; 0: no */
	bool		follows;		/* its first call waits for another caller's last, */
	Caller	   *follower;		/* ... which knows it by this */
};

/* Which list of the server a call is in. */
typedef enum CallState
{
	CALL_QUEUED,				/* none: others of its caller are before it */
	CALL_WAITING,				/* for a connection, or for the rules */
	CALL_RUNNING				/* in flight, until it is complete */
} CallState;

struct Call
{
	HandlerKind kind;
	uint64_t	id;				/* the marker's second half; the first is server_marker() */
	Caller	   *caller;
	Slice		name;			/* event, unquoted; HANDLER_JOIN: the room; else empty */
	Slice		args;			/* JSON array of the arguments, without the event's name */
	EnvelopeList attachments;
	/* the rest is call*.c's and builtin.c's */
	Slice		event;			/* the event's name as it came, JSON; empty for connect and disconnect */
	Call	   *next;			/* of the same caller */
	Call	   *list_next;		/* of the same list */
	Call	   *list_prev;
	Held	   *share;			/* what its user has of the queue */
	uint64_t	arrived;
	uint64_t	since;			/* when it began to wait for the database, or for its marker */
	CallState	state;
	bool		has_ack;
	bool		unnamed;		/* no handler can have a name that text cannot hold */
	bool		marker_seen;
	bool		answered;		/* `reply` is there, its marker not yet */
	bool		stale;			/* a leave overlapped it: the join is to be checked again; connect: */
								/* more were left than `left` holds, so it joins no further room */
	uint8_t		checks;			/* so many times that was done */
	bool		recheck;		/* a connect that is being recovered: a join now, for a room it was in */
	uint64_t	ack;
	Follow	   *follow;			/* room:join: since when; NULL: there is none, or the socket has it */
	bool		feeding;		/* ... it may, and is sent what came since */
	uint8_t    *room;			/* what `name` points to once it is a join */
	uint8_t    *reply;			/* while the marker is awaited */
	size_t		reply_len;
	uint8_t    *left;			/* connect: rooms that leaves overlapped, as an EnvelopeList's bytes */
	uint32_t	left_count;
	size_t		left_len;
	size_t		size;			/* of `bytes` */
	uint8_t		bytes[];		/* what the slices point to */
};

typedef struct CallList
{
	Call	   *first;
	Call	   *last;
	uint32_t	count;
} CallList;

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

/*
 * JSON objects: the handshake's header fields; its auth (without token and pid), headers, query,
 * address, time, issued, recovered.
 */
extern Slice caller_headers(const Caller *caller);
extern void caller_handshake(const Caller *caller, Text *t);

/*
 * The call that has waited longest of those whose users have the fewest in
 * flight, or NULL.  It is then in flight until server_call_done().
 */
extern Call *server_call_next(Server *s);

/* How many calls server_call_next() has; and are there any at all, running or waiting? */
extern uint32_t server_calls_waiting(const Server *s);
extern bool server_has_calls(const Server *s);

/* Its answer; the call is not the caller's any more.  Also when it could not be run at all. */
extern void server_call_done(Server *s, Call *c, const CallResult *r, uint64_t now);

/* A join or connect is to be decided by what has all in it that committed before this WAL position; 0: any. */
extern uint64_t call_after(const Call *c);

/* First half of the markers: random, new with each gateway. */
extern uint64_t server_marker(const Server *s);

/*
 * With handlers: calls wait until the rules are known, also when the bus says
 * that they have changed.  Without: there are no
 * rules, nothing is called, clients' events are ignored but for the built-in
 * ones.  Turning them off answers all that waits with `unavailable`.
 */
extern void server_use_handlers(Server *s, bool use);

/* The rules as rooms.handler_rules() gave them.  WIRE_BAD: malformed, nothing changed. */
extern WireResult server_set_rules(Server *s, Slice encoded) MUST_CHECK;

/*
 * Answers with `unavailable` whatever has waited for longer than `ms`, of a queue
 * that is stuck all that came before that; ends calls whose marker does not come.
 * on_disconnect, which nobody waits for, stays until the database is back, while
 * there is room for it (CALLS_KEEP_LEFT).
 */
extern void server_expire_calls(Server *s, uint64_t now, uint64_t ms);

/* ---- for socket.c and server.c ---- */

/* Who `socket` is; its identity is taken over.  `auth` is the CONNECT's payload. */
extern Caller *caller_new(Socket *socket, Slice nsp, Identity *identity, Slice auth, bool recovered);

/* Is this payload of a CONNECT small enough to be kept (AUTH_KEPT_MAX)? */
extern bool caller_auth_fits(Slice auth);

/*
 * Can jsonb hold what handlers see of it?  Otherwise none that takes a rooms.event could run, on_disconnect
 * neither: a client could have itself not be missed.
 */
extern bool caller_auth_storable(Slice auth);

/* It is `before` come back: on_connect waits for what `before` has still to run, its on_disconnect. */
extern void call_follow(Caller *caller, Caller *before);

/* The socket has left.  What it sent before still runs; then on_disconnect, if its CONNECT had succeeded. */
extern void caller_leave(Caller *caller, bool connected, const char *reason);

/* A caller of the session table has not come back: on_disconnect runs. */
extern void call_departed(Caller *caller);

/* Makes a caller of the session table, without a socket; its identity is taken over. */
extern Caller *caller_restore(Server *s, Slice sid, Slice nsp, Identity *identity, const SessionPeer *peer, Slice auth);

/* The socket waits for on_connect. */
extern void call_connect(Caller *caller);

/* The event is not run: its client gets an `error` event and acknowledgement. */
extern void call_refuse_event(Caller *caller, const SioPacket *p, const char *message, const char *code);

/* An event came; `p` is a checked EVENT or BINARY_EVENT with a name. */
extern void call_event(Caller *caller, const SioPacket *p, EnvelopeList attachments);

/* A leave of these rooms was applied to the caller's socket. */
extern void call_overlap(Caller *caller, EnvelopeList rooms);

/* ... to the sockets that are in one of the rooms `in`: of whoever is on the way there, too. */
extern void call_overlap_rooms(Server *s, Slice nsp, EnvelopeList rooms, EnvelopeList in);

/* Before this WAL position rooms were taken away, or may have been. */
extern void call_revoked(Server *s, uint64_t before);

/* The client can take more of what it is sent for a room:join. */
extern void call_continue(Caller *caller);

/* A marker came over the bus. */
extern void call_marker(Server *s, Slice marker);

/* Are the rules those in force, as far as one can know? */
extern bool server_knows_rules(const Server *s);

/* Frees what is left, at the server's end: all sockets have left. */
extern void calls_free(Server *s);

/* ---- between call*.c, caller.c and builtin.c ---- */

/* Moves the first call of a caller into the list that belongs to this state, and out of the one it was in. */
extern void call_set_state(Call *c, CallState state);

/* Runs what stands at the head of a queue, as far as it goes.  The caller may be gone afterwards. */
extern void call_step(Caller *caller);

/* The call is over, with this result; the next of its queue runs.  Its text need not outlive the call of this. */
extern void call_complete(Call *c, const CallResult *r);
extern void call_fail(Call *c, const char *message, const char *code);

/* It failed because the database could not be reached. */
extern bool call_found_no_database(const CallResult *r);

/* on_disconnect is due.  One per socket that connected: no more than there are connections, so no cap. */
extern void call_disconnect(Caller *caller);

/* Acts on the result.  True: the call is to be run again. */
extern bool call_finish(Call *c, const CallResult *r) MUST_CHECK;

/* A CONNECT that is recovered becomes a join, while there is a room whose rule is to be asked: true; and back. */
extern bool call_begin_recheck(Call *c);
extern void call_become_connect(Call *c);

/* Sends what the client takes of what came since.  True: that was all, and it is answered. */
extern bool call_feed(Call *c);

/* Gives back one of caller->refs. */
extern void caller_unref(Caller *caller);

/* Acknowledges, if the client asked for it and is there. */
extern void call_acknowledge(const Call *c, Slice args, EnvelopeList attachments);

/* The events that the gateway handles itself. */
extern bool builtin_event(Slice name);

/*
 * Runs one.  True: it is done, and answered.  False: it has become a join that
 * a handler decides on, or one that need not be decided (`feeding`).
 */
extern bool builtin_run(Call *c) MUST_CHECK;

/* The call is a join of this room now, which is kept with it. */
extern void call_become_join(Call *c, Slice room);

/* Takes a new identity over for a token that was renewed. */
extern void caller_set_identity(Caller *caller, Identity *identity);

/* Begins a packet to the caller's namespace. */
extern void call_packet(Text *t, const Caller *caller, SioType type, uint32_t attachments);

/* Answers: an acknowledgement without arguments; an `error` event and acknowledgement. */
extern void call_accept(const Call *c);
extern void call_refuse(const Call *c, Slice message, Slice code, Slice error_id);

#endif							/* ROOMS_CORE_CALL_H */

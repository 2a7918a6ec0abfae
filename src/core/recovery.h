/*
 * recovery.h - sockets that come back: Socket.IO's connection state recovery.
 *
 * A Stay is a socket's presence in a namespace beyond its connection.  It is
 * found by its pid, which only the client knows besides, and is
 *
 *   live      its socket is connected
 *   absent    the connection was lost; it is kept for recovery_window
 *   claimed   a new connection has shown its pid: the socket is not connected
 *             yet; rules are asked and missed messages sent, then it is live
 *
 * What is not live has its rooms in a registry of its own, where the commands
 * of the bus find it.  So a claim takes nothing over before its end: messages
 * that come meanwhile are in the history like those before, and there is no
 * gap and no duplicate between the two.
 *
 * When it was in which room is known from `since` on: up to there everything
 * has reached the client.  `since` is where it connected, and moves on with
 * each pong.
 *
 * The worker keeps a copy of all stays (the session table of wire/link.h) and
 * hands it to the next gateway, with the history: recovery_table.c.
 */
#ifndef ROOMS_CORE_RECOVERY_H
#define ROOMS_CORE_RECOVERY_H

#include "core/history.h"
#include "core/server.h"
#include "core/text.h"
#include "wire/since.h"

#define STAY_KEY		32		/* bytes of a digest of the pid */
#define PID_LENGTH		22		/* base64url characters of 16 random bytes */
#define STAY_LOG_MAX	4096	/* bytes of joins and leaves that a stay remembers */
#define ABSENT_MAX		(64 * 1024 * 1024)	/* bytes of all stays that are not live; the oldest go */
#define SWEEP_MS		1000	/* between two looks for what is too old */
#define ABSENT_GRACE_MS	60000	/* so much longer its pid is known, to say why it is refused */

typedef struct Stay
{
	HashLink	link;			/* first: in recovery->stays */
	Member		rooms;			/* not live: in recovery->absent; else its nsp is NULL */
	Server	   *server;
	Socket	   *socket;			/* NULL: absent */
	Caller	   *caller;			/* not live: who it was */
	uint8_t		key[STAY_KEY];
	char		pid[PID_LENGTH + 1];	/* "": it came from the session table, which has only the key */
	bool		feeding;		/* claimed, and missed messages are being sent */
	bool		departs;		/* not live, and on_disconnect has not run: the gateway had died */
	bool		told;			/* the worker knows of it as it is */
	Position	since;
	Position	pinged;			/* what `since` will be when the pong comes */
	Position	cursor;			/* claimed: what stands behind it is still to be sent */
	Position	replayed;		/* the last missed message that was sent */
	Position	log_from;		/* what was logged up to here is forgotten */
	Position	known;			/* from the session table: commands up to here were applied */
	Text		log;			/* joins and leaves, see recovery.c */
	uint64_t	until;			/* not live: when it must be back */
	size_t		size;			/* not live: bytes it counts for */
	struct Stay *prev,
			   *next;			/* not live: in order of `until` */
} Stay;

/* In Server. */
typedef struct Recovery
{
	HashTable	stays;
	Registry   *absent;			/* rooms of those that are not live */
	Stay	   *first;
	Stay	   *last;
	size_t		bytes;
	History    *history;
	Position	newest;			/* of the last message that was processed */
	uint64_t	xid;			/* ... its transaction; 0: none of the bus */
	LinkTimeline *timelines;	/* the server's history, or NULL: not known */
	uint32_t	timeline_count;
	uint64_t	swept;			/* when that was done last */
	uint32_t	age;			/* ms: so long ago the message being processed was committed */
	bool		behind;			/* the worker was not told of some stays, which are to be told again */
	bool		keeping;		/* messages are kept since recovery_configured() */
	bool		filling;		/* the past is coming: what is due must wait, or it would stand within it */
	bool		over;			/* the server is at its end: nobody is told any more */
} Recovery;

extern void recovery_init(Server *s, HashKey key);
extern void recovery_free(Server *s);
extern void recovery_configured(Server *s);	/* the options have changed */
extern void recovery_tick(Server *s);

/* ---- messages ---- */

/* This message of the bus is being processed. */
extern void recovery_advance(Server *s, const LinkMessage *m);

/* One is being sent that stands behind all of the bus that came so far. */
extern void recovery_advance_late(Server *s);

/* The newest position as text; `text` keeps it. */
extern Slice recovery_offset(const Server *s, char text[POSITION_TEXT_MAX]);

/* Are messages to be kept? */
extern bool recovery_keeps(const Server *s);

/* Does it stand on our timelines, up to where it tells messages apart?  It may be ahead of us. */
extern bool recovery_knows(const Server *s, const Since *since);

/* Keeps the message at the newest position; f is its form with the offset. */
extern void recovery_keep(Server *s, const Envelope *e, Frame *f);

/* A command of the bus, for those that are not live. */
extern void recovery_command(Server *s, const Envelope *e);
extern void recovery_remove_namespace(Server *s, Slice name);

/* ---- sockets ---- */

/*
 * The stay that this CONNECT may take over, or NULL: then it is a new one.
 * Whoever holds it is disconnected.  The caller goes on with
 * recovery_attach().
 */
extern Stay *recovery_claim(Session *s, Slice nsp, const Identity *identity, Slice auth);

/* The socket, with its caller, has claimed the stay. */
extern void recovery_attach(Stay *stay, Socket *socket);

/* Gives a new socket a stay, unless its client wants none. */
extern void recovery_begin(Socket *socket, Slice auth);

/* The socket leaves: its stay becomes absent again, or ends. */
extern void recovery_left(Socket *socket);

/* Is it claimed? */
extern bool recovery_is_claim(const Socket *socket);

/* All was asked: missed messages are sent as the client takes them, then the socket is connected. */
extern void recovery_feed(Socket *socket);
extern void recovery_continue(Session *s);	/* it can take more */

/* A ping goes out to s, behind what was sent; the pong is here. */
extern void recovery_pinged(Session *s);
extern void recovery_ponged(Session *s);

/*
 * Joins and leaves rooms; idempotent.  by_rule: the client asked for it and a
 * rule agreed, so the rule is asked again when it comes back.
 */
extern void recovery_join(Socket *socket, Slice room, bool by_rule);
extern void recovery_leave(Socket *socket, Slice room);

/* A room of a claimed stay whose rule has not been asked yet; false: none. */
extern bool recovery_unchecked(const Socket *socket, Slice *room);

/* The rule's answer.  No: nothing of the room is sent, and it is not in it any more. */
extern void recovery_checked(Socket *socket, Slice room, bool allowed);

/* ---- from the worker, before the first message; see wire/link.h (recovery_table.c) ---- */

extern void server_set_timelines(Server *s, LinkTimelines list);

/* Clients that are connected are hung up on, to be told: what came before may not have reached them. */
extern void server_covered(Server *s, const LinkPosition *p, uint64_t now);

/* WIRE_BAD: not ours; it was ignored, as with server_message(). */
extern WireResult server_history(Server *s, uint32_t age, const LinkMessage *m, uint64_t now) MUST_CHECK;
extern void server_position(Server *s, const LinkPosition *p);	/* also the end of the history */

/* An entry of the session table; WIRE_BAD: it is none of ours. */
extern WireResult server_session(Server *s, Slice key, Slice value, uint64_t now) MUST_CHECK;

/* ---- between recovery.c, recovery_feed.c and recovery_table.c ---- */

/* A stay of this key, not found by it before recovery_add(). */
extern Stay *recovery_new(Server *s, const uint8_t key[STAY_KEY]);
extern Stay *recovery_find(const Server *s, const uint8_t key[STAY_KEY]);

/* It is absent: stay->caller is who it was, stay->rooms where. */
extern void recovery_absent(Stay *stay);
extern void recovery_forget(Stay *stay);

/* It is not absent any more, and in no room. */
extern void recovery_unlink(Stay *stay);

/* The worker is told of the stay as it is now, or that it is no more. */
extern void recovery_tell(Stay *stay);
extern void recovery_tell_end(Stay *stay);
extern void recovery_tell_rest(Server *s);

extern uint8_t *recovery_write_position(uint8_t *at, Position p);	/* POSITION_BYTES of them */
extern Position recovery_read_position(Reader *r);

#define POSITION_BYTES 20

#endif							/* ROOMS_CORE_RECOVERY_H */

/*
 * session_state.h - what server.c, session.c and socket.c share and nobody
 * else sees.
 */
#ifndef ROOMS_CORE_SESSION_STATE_H
#define ROOMS_CORE_SESSION_STATE_H

#include "core/call.h"
#include "core/inspect.h"
#include "core/recovery.h"
#include "core/rules.h"
#include "core/server.h"

#define SLOW_GRACE_MS	10000	/* over max_queued for so long: closed */
#define HARD_CAP		4		/* ... times max_queued: closed at once */
#define CONNECTS_MAX	64		/* CONNECTs of a session between two pings: each may cost a signature */
#define STRANGER_MAX	65536	/* bytes of a message before a CONNECT: room for some tokens */
#define FLOOD_FACTOR	10		/* so many times the rates that events are refused by: closed */
#define LINGER_MS		30000	/* a closed polling session waits for its next GET */

/* A list of pointers that keeps its memory. */
typedef struct List
{
	void	  **items;
	uint32_t	count;
	uint32_t	space;
} List;

extern void list_add(List *list, void *item);

struct Server
{
	ServerOptions options;
	ServerHooks hooks;
	uint64_t	now;
	HashKey		key;
	HashTable	sessions;		/* SessionState, by sid; lingering ones too */
	Registry   *registry;
	Throttle   *throttle;
	Tally		users;			/* connections by user id */
	Tally		addresses;		/* sessions by address_key() */
	Frame	   *ping;
	List		dirty;			/* Sessions to flush */
	List		slow;			/* Sessions over max_queued, to be closed */
	List		dead;			/* Sessions to be freed */
	bool		is_draining;	/* server_drain() */
	List		picked;			/* Members that a command of the bus is for */
	size_t		unflushed;		/* bytes of messages since the last flush */
	Recovery	recovery;
	Inspection	inspection;
	bool		on_time;		/* what the throttle sends now is the message being processed */

	/* Clients' events (call.c). */
	bool		use_handlers;
	Rules	   *rules;			/* NULL: not known, or no handlers */
	bool		rules_stale;	/* they have changed: as if they were not known */
	uint64_t	marker;			/* this gateway's number */
	uint64_t	last_call;
	uint64_t	revoked;		/* call_revoked() */
	Bucket		call_rate;
	CallList	waiting;
	CallList	running;
	Tally		call_shares;	/* how many are whose (call.c) */
	uint32_t	call_count;		/* all of them, queued ones too */
	size_t		call_bytes;
	uint64_t	counters[GATEWAY_COUNTER_COUNT];
	TimerWheel	wheel;
};

/*
 * A BINARY_EVENT or BINARY_ACK whose attachments are still to come.  `bytes`
 * holds the packet's text and behind it the attachments; ends[i] is where the
 * i-th of them ends.
 */
typedef struct Collected
{
	Socket	   *socket;			/* NULL: it has left meanwhile */
	uint32_t	expected;
	uint32_t	count;
	size_t		text_len;
	size_t		len;
	size_t		space;
	size_t		ends[SIO_MAX_ATTACHMENTS];
	uint8_t    *bytes;
} Collected;

/* The colder part of a Session, in the same piece of memory. */
typedef struct SessionState
{
	HashLink	link;			/* first: in server->sessions */
	Session    *session;

	/* Deadlines; 0: none.  The session's timer is set for the nearest. */
	uint64_t	heartbeat_at;	/* ping due, or pong overdue */
	uint64_t	connect_by;
	uint64_t	upgrade_by;
	uint64_t	slow_by;
	uint64_t	linger_until;	/* closed, but the close packet is not delivered */
	uint64_t	drain_at;		/* its turn in server_drain() */
	uint64_t	expires_at;		/* the first of the sockets' tokens runs out */

	/* As the handshake promised them, whatever a reload has changed since. */
	uint32_t	ping_interval;
	uint32_t	ping_timeout;

	uint64_t	last_seen;		/* when the client last sent something */
	uint64_t	messages_in;
	uint64_t	bytes_in;
	uint32_t	connects;		/* CONNECTs since the last ping */
	bool		awaiting_pong;
	bool		upgrading;		/* the probe was answered: GETs return at once */
	bool		draining;		/* closes with CLOSE_BY_SERVER once all is written */
	bool		hung_up;		/* the client sent a close packet */
	bool		kicked;			/* a socket was disconnected by the server */
	Held	   *address;		/* counts the session, until it is closed */
	Bucket		events;			/* that were taken */
	Bucket		bytes;			/* ... theirs */
	Bucket		all_packets;	/* that came, attachments apart */
	Bucket		all_bytes;
	Collected  *collected;
	Peer	   *peer;
} SessionState;

/* ---- session.c ---- */

/* Queues a frame, unless that would go over the caps: then s is marked slow. */
extern void session_push(Session *s, Frame *f);

/* Marks s as slow: the next flush closes it. */
extern void session_slow(Session *s);

/* Sets s->timer for the nearest deadline. */
extern void session_arm(Session *s);

/* After hooks.flush: judges what is left. */
extern void session_flushed(Session *s);

/* Sets the deadline for the first token that runs out. */
extern void session_expiry(Session *s);

/* It is closing in a way that its client may come back from. */
extern bool session_recoverable(const Session *s);

/* Closes s when what is queued has been written. */
extern void session_drain(Session *s);

/* Frees a session; only server.c calls it. */
extern void session_free(Session *s);

/* ---- socket.c ---- */

/* One Socket.IO packet, or one attachment, from the client. */
extern void socket_receive(Session *s, Slice text);
extern void socket_receive_binary(Session *s, Slice bytes);

/* Takes the socket out of its rooms and its session, and frees it.  reason: protocol.md 2.3's words. */
extern void socket_leave(Socket *socket, const char *reason);

/* on_connect has agreed: what the client has missed is sent, the CONNECT answered, and what was held follows. */
extern void socket_connected(Socket *socket);

/* ... refused: CONNECT_ERROR with this JSON, and nothing of what was held. */
extern void socket_refused(Socket *socket, Slice error);

/* Queues a frame for the socket's client, or holds it until its CONNECT is answered. */
static inline void
socket_push(Socket *socket, Frame *f)
{
	if (socket->connected)
		session_push(socket->session, f);
	else if (socket->held.bytes <= socket->session->server->options.max_queued)
		queue_push(&socket->held, f);
	else
		session_slow(socket->session);
}

/* The same, and tells the client (DISCONNECT). */
extern void socket_kick(Socket *socket);

/* All sockets and what was collected for them go; nothing is sent. */
extern void socket_leave_all(Session *s, const char *reason);

/* Sends a complete packet to a socket's client. */
extern void socket_send(Socket *socket, Slice packet, EnvelopeList attachments);

/* ---- server.c ---- */

/* Delivers an envelope of kind ENVELOPE_EMIT now, as the newest; keep: those who come back get it too. */
extern void server_emit(Server *s, const Envelope *e, bool keep);

/* Gives a message with a throttle interval to the throttle; `bytes` is the encoded e. */
extern void server_throttle(Server *s, const Envelope *e, Slice bytes, bool past);

/* Calls f for every session; f may close it, but no other one. */
extern void server_each_session(Server *s, void (*f) (Session *session));

/* Closes every session, for its client to come back (CLOSE_FORCED). */
extern void server_hang_up(Server *s);

/* Puts the members of the rooms, or all, into s->picked: the registry may not change while it is walked. */
extern void server_pick(Server *s, Namespace *n, bool all, EnvelopeList rooms);

/* So many random bytes as base64url, terminated. */
extern void random_text(Server *server, char *text, size_t bytes);

/* SID_LENGTH characters of 15 random bytes, terminated. */
extern void random_sid(Server *server, char sid[SID_LENGTH + 1]);

#endif							/* ROOMS_CORE_SESSION_STATE_H */

/*
 * server.h - the whole real-time server without its I/O.
 *
 * Bytes, requests and a clock go in; frames in queues and calls of
 * ServerHooks come out.  gateway/ owns the sockets and calls in; unit tests
 * and fuzzers do the same with none.
 *
 *   Server     everything: options, registry, timers, the list of sessions
 *   Session    one Engine.IO session: transport, heartbeat, send queue
 *   Socket     one Socket.IO socket: a session's stay in one namespace
 *
 * Ownership: sessions and sockets belong to the Server.  session_close()
 * marks a session, takes its sockets out of all rooms and calls hooks.closed;
 * the memory goes at the next server_flush(), so no callee frees what its
 * caller holds.  Everything runs on one thread.
 *
 * Files: server.c (life, bus messages, flush), session.c (Engine.IO),
 * socket.c (Socket.IO), call*.c and builtin.c (clients' events, core/call.h),
 * recovery.c, recovery_feed.c and recovery_table.c (sockets that come back,
 * core/recovery.h), follow.c (room:join since a snapshot).
 */
#ifndef ROOMS_CORE_SERVER_H
#define ROOMS_CORE_SERVER_H

#include "core/limits.h"
#include "core/queue.h"
#include "core/registry.h"
#include "core/throttle.h"
#include "core/timer.h"
#include "wire/counters.h"
#include "wire/eio.h"
#include "wire/link.h"
#include "wire/room.h"
#include "wire/sio.h"

/*
 * base64url characters of 15 random bytes.  A socket's, which is also the name
 * of its room, has '_' for the first (wire/room.h).
 */
#define SID_LENGTH ROOM_SID_LENGTH

typedef struct Server Server;
typedef struct Session Session;
typedef struct Socket Socket;
typedef struct Caller Caller;	/* core/call.h */
typedef struct Stay Stay;		/* core/recovery.h */
typedef struct Follow Follow;	/* core/follow.h */

typedef enum Transport
{
	TRANSPORT_POLLING,
	TRANSPORT_WEBSOCKET
} Transport;

/* Why a session ended; session_reason() gives protocol.md 2.3's words. */
typedef enum CloseReason
{
	CLOSE_NONE = 0,
	CLOSE_TRANSPORT_CLOSE,		/* the client hung up or sent a close packet */
	CLOSE_TRANSPORT_ERROR,		/* aborted or overlapping poll, write failed */
	CLOSE_PING_TIMEOUT,
	CLOSE_PARSE_ERROR,			/* undecodable packet: "forced close" */
	CLOSE_FORCED,				/* packet in the wrong state: "forced server close" */
	CLOSE_CONNECT_TIMEOUT,		/* "forced server close" */
	CLOSE_SLOW,					/* over max_queued: "transport error" */
	CLOSE_EXPIRED,				/* token expired, or its key is gone: "forced server close" */
	CLOSE_FLOOD,				/* many times the rate of events or bytes: "forced server close" */
	CLOSE_TOO_LARGE,			/* a message or its attachments: "transport error" */
	CLOSE_BY_SERVER,			/* disconnect_sockets(close => true): "server namespace disconnect" */
	CLOSE_SHUTDOWN				/* "server shutting down" */
} CloseReason;

/* Settings that the core acts on; times in ms, sizes in bytes.  Names are the GUCs'. */
typedef struct ServerOptions
{
	uint32_t	ping_interval;
	uint32_t	ping_timeout;
	uint32_t	connect_timeout;
	uint32_t	upgrade_timeout;
	uint32_t	max_payload;
	uint32_t	max_connections;
	uint32_t	max_connections_per_user;	/* 0: no limit, and so for the next ones */
	uint32_t	max_connections_per_ip;
	uint32_t	max_handshakes_per_second;	/* of one address */
	uint32_t	max_events_per_second;	/* of one session, and so for the next ones */
	uint32_t	max_bytes_per_second;	/* ... in its events */
	uint32_t	max_rooms_per_socket;
	uint32_t	max_namespaces_per_connection;
	uint32_t	max_handler_calls_per_second;	/* 0: no limit */
	size_t		max_queued;		/* soft cap for 10 s; 4 times that is the hard cap */
	bool		log_connections;
	uint32_t	recovery_window;	/* 0: no recovery, the plain protocol */
	size_t		history_size;
} ServerOptions;

/* Who a socket is, as the token said.  Strings are malloc'ed, NULL when absent. */
typedef struct Identity
{
	char	   *user_id;
	char	   *tenant_id;
	char	   *role;			/* "": a claim that can be no role's name; its events are refused */
	char	   *claims;			/* JSON text of all claims */
	uint64_t	valid_ms;		/* how long the token is good for from now on; UINT64_MAX: for ever */
	uint64_t	key;			/* what it was verified by, see auth_still_good(); 0: no token */
} Identity;

extern void identity_clear(Identity *id);

/*
 * Why a CONNECT was refused: becomes {"message":..., "data":{"code":...}}.
 * Static texts that need no escapes in JSON, 100 bytes each at most.
 */
typedef struct ConnectError
{
	const char *message;
	const char *code;			/* NULL: no data */
} ConnectError;

/* What the transport knew of the client when the session began.  Copied. */
typedef struct SessionPeer
{
	Slice		address;		/* numeric */
	Slice		authorization;	/* value of the Authorization header, or empty */
	Slice		headers;		/* JSON object of the header fields but that one; empty without handlers */
	Slice		query;			/* JSON object of the query; empty without handlers */
	int64_t		issued;			/* Unix time in ms */
	bool		base64;			/* b64=1: attachments as text even on WebSocket */
} SessionPeer;

typedef enum MissedKind
{
	MISSED_GAP,					/* a client came back, and not all that it missed is known */
	MISSED_WINDOW,				/* ... too late */
	MISSED_SINCE,				/* a room:join whose `since` is too old */
	MISSED_KINDS
} MissedKind;

typedef struct ServerHooks
{
	void	   *ctx;

	/* Fills out[0..n) with random bytes fit for secrets. */
	void		(*random) (void *ctx, uint8_t *out, size_t n);

	/* Decides on a CONNECT; `auth` is the payload's JSON text or empty. */
	bool		(*authorize) (void *ctx, const Session *s, Slice auth, Identity *id, ConnectError *err);

	/* A call waits for server_call_next() (core/call.h).  May be NULL without handlers, and so the next. */
	void		(*call_waiting) (void *ctx);

	/* The registered handlers have changed: server_set_rules() is wanted. */
	void		(*rules_changed) (void *ctx);

	/* A digest that says nothing of what it was made of, 32 bytes. */
	void		(*digest) (void *ctx, Slice secret, uint8_t out[32]);

	/*
	 * Puts an entry into the session table, or takes it out (value empty).
	 * False: the worker cannot take it now.  May be NULL.
	 */
	bool		(*session_table) (void *ctx, Slice key, Slice value);

	/*
	 * With log_connections: a socket has connected, or (reason not NULL, in
	 * protocol.md 2.3's words) leaves.  May be NULL without.
	 */
	void		(*socket_log) (void *ctx, const Socket *socket, const char *reason);

	/* Somebody has not got what he missed, and was told so. */
	void		(*missed) (void *ctx, MissedKind why);

	/*
	 * There is something to send, or s->writable to be set again: first, if
	 * s->poll is set, answer that GET with session_poll_take(), whatever the
	 * transport is by now; then, on a WebSocket, send from s->queue what it
	 * takes now (queue_at, queue_drop; add to COUNTER_BYTES_OUT).  What is left is the transport's to continue:
	 * it calls session_mark_dirty() when it can write again, also when nothing
	 * is left.  Called from server_flush() only.
	 * May close s by session_ws_gone(), but no other session.
	 */
	void		(*flush) (void *ctx, Session *s);

	/*
	 * The session is over: answer its parked poll (s->poll) with what
	 * session_poll_take() gives, drop the POST that is being read
	 * (s->posting), hang up s->ws and s->probe, forget the pointer.  Called
	 * once per session; must not close another session.
	 */
	void		(*closed) (void *ctx, Session *s, CloseReason reason);

	/* Sends one Engine.IO text packet ("3probe") on s->probe, now. */
	void		(*probe_send) (void *ctx, Session *s, Slice packet);

	/* Hangs up s->probe (upgrade timeout, bad first packet); s->probe is then NULL. */
	void		(*probe_close) (void *ctx, Session *s);
} ServerHooks;

struct Session
{
	Server	   *server;
	Queue		queue;
	size_t		answer_len;		/* bytes of the answer to s->answering */
	bool		dirty;			/* on the flush list */
	bool		writable;		/* set by the WebSocket transport: takes bytes at once (volatile) */
	bool		backlog;		/* the last flush left something behind */
	bool		slow;			/* over max_queued; closed by the next flush */
	bool		base64;
	Transport	transport;
	CloseReason closing;		/* CLOSE_NONE while open */

	/* The transport's own; the core only compares and clears them. */
	void	   *ws;				/* the WebSocket that carries the session; its creator sets it */
	void	   *probe;			/* a WebSocket that is being upgraded to */
	void	   *poll;			/* the parked GET */
	void	   *answering;		/* the GET whose answer is not sent yet */
	void	   *posting;		/* the POST whose body is being read */

	uint64_t	messages_out;	/* queued for it so far, and their bytes */
	uint64_t	bytes_out;
	Socket	   *sockets;		/* one per namespace */
	Timer		timer;			/* of the nearest of the deadlines in `state` */
	char		sid[SID_LENGTH + 1];	/* Engine.IO's: a secret of this client */
	/* the rest is session.c's and socket.c's */
	struct SessionState *state;
};

struct Socket
{
	Member		member;			/* first: a Member is cast back to its Socket */
	Session    *session;
	Socket	   *next;			/* of the same session */
	Caller	   *caller;			/* who it is */
	Stay	   *stay;			/* NULL: without recovery */
	Follow	   *follows;		/* what stands between it and its rooms; as a rule none */
	Held	   *user;			/* the session's one connection of this user; NULL: another socket has it */
	bool		connected;		/* its CONNECT was answered; until then frames wait in `held` */
	Queue		held;
};

extern Server *server_new(const ServerOptions *options, const ServerHooks *hooks, uint64_t now);
extern void server_free(Server *s);
extern void server_configure(Server *s, const ServerOptions *options);	/* reload */
extern const ServerOptions *server_options(const Server *s);

/* Makes exactly these the namespaces; sockets of others get a DISCONNECT. */
extern void server_set_namespaces(Server *s, const Slice *names, uint32_t count);

/* After a change of keys: closes (CLOSE_EXPIRED) each session with a socket that is not good any more. */
extern void server_recheck(Server *s, bool (*good) (void *ctx, const Identity *id), void *ctx);

extern uint64_t *server_counters(Server *s);	/* GATEWAY_COUNTER_COUNT of them, gauges refreshed */

/* Runs timers: to be called at server_next_tick(), TIMER_NEVER if there is none; also once a second, for the clock. */
extern void server_tick(Server *s, uint64_t now);
extern uint64_t server_next_tick(const Server *s);
extern uint64_t server_now(const Server *s);	/* the newest `now` the core was given */

/*
 * One message of the bus.  WIRE_BAD: not ours; it was ignored.  Flushes by
 * itself after many bytes, so a large transaction does not fill the queues of
 * clients that nobody has written to yet: hold no Session across this call.
 */
extern WireResult server_message(Server *s, const LinkMessage *m, uint64_t now) MUST_CHECK;

/* Flushes every dirty session, then frees the closed ones.  Call once per loop turn.  Returns how many it wrote to. */
extern uint32_t server_flush(Server *s);

/* Closes every session (CLOSE_SHUTDOWN): no DISCONNECT packet, so clients come back. */
extern void server_shutdown(Server *s);

/*
 * Empties the server: there are no new sessions, and those that are open are
 * closed one by one over the next `ms`, like by server_shutdown().  Called
 * again, what is left is spread anew.  Returns how many there are.
 */
extern uint32_t server_drain(Server *s, uint32_t ms, uint64_t now);
extern void server_drain_end(Server *s);	/* nobody is closed any more, and there may be new sessions */
extern bool server_draining(const Server *s);

/* ---- Engine.IO (session.c) ---- */

/* Why there is no session. */
typedef enum Refusal
{
	REFUSED_NOT,
	REFUSED_DRAINING,			/* server_drain() */
	REFUSED_CONNECTIONS,		/* max_connections */
	REFUSED_ADDRESS,			/* max_connections_per_ip */
	REFUSED_RATE				/* max_handshakes_per_second */
} Refusal;

/* NULL: a limit is reached (counted), *refusal is which.  The open packet is in its queue. */
extern Session *session_open(Server *server, Transport t, const SessionPeer *peer, uint64_t now, Refusal *refusal);
extern Session *session_find(Server *server, Slice sid);
extern const SessionPeer *session_peer(const Session *s);
extern const char *session_reason(CloseReason reason);

/* What a client that still listens is told of it: the words of a WebSocket's close frame. */
extern const char *session_farewell(CloseReason reason);

/*
 * Most bytes that a message or a POST's body may have now: max_payload, but
 * less on a probe (ws; NULL for a POST) and before the first CONNECT is
 * accepted, because until then anybody may be the client.
 */
extern uint32_t session_max_message(const Session *s, const void *ws);

/*
 * Closes; a second call does nothing.  Sends nothing but, to a polling
 * client, the close packet: with its parked GET, or with its next one if the
 * server ended the session (it then stays findable for up to 30 s).
 */
extern void session_close(Session *s, CloseReason reason);

extern void session_mark_dirty(Session *s);

/*
 * A complete WebSocket message.  `ws` tells the session's own socket from the
 * probe.  `bytes` of a text message are valid UTF-8.  The session may have
 * been closed (hooks.closed) when this returns, and so for all calls below.
 */
extern void session_receive_ws(Session *s, void *ws, bool binary, Slice bytes, uint64_t now);

/* The WebSocket is gone: ends the session, or only the upgrade if it was the probe. */
extern void session_ws_gone(Session *s, void *ws);

/*
 * A WebSocket came with this session's sid.  False: there is one already;
 * accept it and close it, the session stays as it is.
 */
extern bool session_upgrade_begin(Session *s, void *ws, uint64_t now);

/* A GET.  `request` is s->poll from now on, unless it is refused. */
typedef enum PollResult
{
	POLL_READY,					/* answer with session_poll_take(), before anything else */
	POLL_PARKED,				/* answer when hooks.flush or hooks.closed says so */
	POLL_REFUSED				/* 400: wrong transport, or a second GET (which ends the session) */
} PollResult;

extern PollResult session_poll(Session *s, void *request, uint64_t now) MUST_CHECK;

/*
 * The payload for a GET: queued packets, at most about max_payload bytes (one
 * message always); at the session's end followed by the close packet.  Counts
 * COUNTER_BYTES_OUT.  The bytes are malloc'ed, the caller's to free.  While
 * the session is open s->poll is s->answering from now on, and the bytes
 * count as queued, until session_poll_sent().
 */
extern uint8_t *session_poll_take(Session *s, size_t *len);

/* The answer of s->answering is out. */
extern void session_poll_sent(Session *s);

/* The client of s->poll or s->answering went away: the session ends. */
extern void session_poll_aborted(Session *s);

/*
 * A POST's body has begun: false if another one is being read (the session
 * ends, 400) or the transport is not polling (400).  Ended by session_post().
 */
extern bool session_post_begin(Session *s, void *request) MUST_CHECK;

/* The whole body, which is overwritten.  False: 400, the session has ended. */
extern bool session_post(Session *s, uint8_t *body, size_t len, uint64_t now) MUST_CHECK;

/* The body will not come: too large (the session stays) or aborted (it ends). */
extern void session_post_failed(Session *s, bool aborted);

#endif							/* ROOMS_CORE_SERVER_H */

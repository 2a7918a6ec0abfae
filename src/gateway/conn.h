/*
 * conn.h - one TCP connection, as listener.c, ws.c and http.c share it.
 *
 * Only these three files call libwebsockets: listener.c has the context and
 * the one callback, ws.c the connections that are WebSockets, http.c the
 * others.  What HTTP requests mean is decided in polling.c and static.c.
 *
 * A Conn is made in listener.c at accept and freed there when libwebsockets
 * has let go of the connection; it is the wsi's opaque user data.
 */
#ifndef ROOMS_GATEWAY_CONN_H
#define ROOMS_GATEWAY_CONN_H

#include <libwebsockets.h>

#include "gateway/accept.h"
#include "gateway/http.h"
#include "gateway/listener.h"
#include "gateway/request.h"
#include "gateway/tls.h"

/* Most that one lws_write() is given; libwebsockets' tx_packet_size is the same. */
#define WRITE_MAX 65536

typedef struct Conn
{
	struct lws *wsi;
	Listener   *listener;
	int			fd;
	bool		dying;			/* to be closed by libwebsockets at its next turn */
	bool		settled;		/* it has sent a whole request */
	bool		stalled;		/* WebSocket: libwebsockets will say when it can be written to */
	Timer		deadline;		/* for what it is sending: a TLS handshake and a head, or a body */
	Held	   *held;			/* the acceptor's */

	/* WebSocket */
	Session    *session;		/* whose ws or probe this is */
	EngineRequest *upgrade;		/* the request, from its check until ESTABLISHED */
	uint8_t    *message;		/* the parts so far of a message in several */
	uint32_t	message_len;
	uint32_t	message_space;
	uint32_t	sent;			/* bytes of the queue's first frame, if that is being sent in fragments */
	uint64_t	message_left;	/* ... and those left of the message within it */

	/* HTTP */
	Http	   *http;			/* the request being dealt with */

	char		address[INET6_ADDRSTRLEN];
} Conn;

struct Listener
{
	uv_loop_t  *loop;
	struct lws_context *context;
	struct lws_vhost *vhost;	/* plain HTTP */
	struct lws_vhost *tls_vhost;	/* NULL until TLS is first asked for */
	SSL_CTX    *tls_context;	/* tls_vhost's */
	TlsIdentity *tls;			/* what is shown; NULL: TLS is off */
	Acceptor   *acceptor;
	Server	   *server;
	uint64_t   *counters;		/* the server's */
	const uint64_t *worker_counters;	/* as it last told of them */
	HttpParking *parking;

	RequestSettings settings;
	int			root;			/* document_root's descriptor, or -1 */
	uint32_t	request_timeout;	/* ms */
	TimerWheel	deadlines;

	uint8_t		scratch[WRITE_MAX]; /* frames of one write, put together */
};

/* Closes the connection soon, from wherever; no callback of it is running afterwards. */
extern void conn_kill(Conn *c);

/* The client has until then to send what it has begun; 0: no hurry. */
extern void conn_set_deadline(Conn *c, uint64_t at);

/* ---- http.c: each gives what the libwebsockets callback is to return ---- */

extern int	http_begin(Conn *c, const char *path, size_t len);
extern int	http_body(Conn *c, const void *bytes, size_t len);
extern int	http_body_complete(Conn *c);
extern int	http_writable(Conn *c);
extern void http_gone(Conn *c);

/* For a callback's return: sends a whole answer, as the reference does to a failed upgrade, and closes. */
extern int	http_refuse(Conn *c, int status, const char *message);

/* Reads the head of the request or upgrade that libwebsockets is dealing with. */
extern void http_read_request(struct lws *wsi, EngineRequest *q, const RequestSettings *settings);

extern HttpParking *http_parking_new(uv_loop_t *loop);
extern void http_parking_free(HttpParking *p);

/* ---- ws.c: each gives what the libwebsockets callback is to return ---- */

extern int	ws_confirm(Conn *c);
extern int	ws_established(Conn *c);
extern int	ws_receive(Conn *c, const void *bytes, size_t len);
extern int	ws_writable(Conn *c);
extern int	ws_close_received(Conn *c, const uint8_t *bytes, size_t len);
extern void ws_gone(Conn *c);

/* ---- ws.c: the core's hooks for a session on a WebSocket ---- */

extern void ws_flush(Conn *c, Session *s);
extern void ws_hangup(Conn *c, CloseReason reason);
extern void ws_send_probe(Conn *c, Slice packet);

#endif							/* ROOMS_GATEWAY_CONN_H */

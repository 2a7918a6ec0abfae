/*
 * listener.c - the libwebsockets context on our loop, and its one callback.
 *
 * main.c owns the Listener.  Connections come from accept.c and are adopted
 * into one of two vhosts that do not listen themselves, one for TLS and one
 * without; from then on libwebsockets calls listener_callback(), which passes
 * to ws.c or http.c.  The core's hooks come back through here to the
 * connection of the session concerned.
 *
 * libwebsockets runs on our uv loop ("foreign loop": it then leaves signal
 * handlers alone) by a plug-in that is a Debian package of its own; without
 * it the gateway cannot start.  Its messages are kept until the start is
 * over, to explain a failure; later ones are caused by clients and dropped.
 */
#include "gateway/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/alloc.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/recv_guard.h"

#define RX_BUFFER			1024	/* per connection: the largest part of its memory */
#define READ_BUFFER			(SSL3_RT_MAX_PLAIN_LENGTH + 1024)
#define MAX_HEADER_BYTES	GUARD_HEAD_MAX
#define HEADER_TIMEOUT_S	70		/* our own deadlines come earlier */
#define BODY_TIMEOUT_S		20		/* between two pieces of a body */
#define KEEPALIVE_S			70
#define CONNECTIONS_SPARE	64
#define SLOW_LOG_MS			60000
#define DESCRIPTORS_SPARE	64		/* for everything that is no client */

static int	listener_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
static void listener_accepted(void *ctx, int fd, const char *address, Held *held);
static void listener_set_limits(Listener *l, const Config *c);
static void listener_flush(void *ctx, Session *s);
static void listener_closed(void *ctx, Session *s, CloseReason reason);
static void listener_probe_send(void *ctx, Session *s, Slice packet);
static void listener_probe_close(void *ctx, Session *s);
static bool listener_create_context(Listener *l);
static struct lws_vhost *listener_create_vhost(Listener *l, bool tls);
static void listener_log(int level, const char *line);
static bool listener_read_identity(Listener *l, const Config *c, TlsIdentity **tls, const char **error);
static void conn_free(Conn *c);

static char listener_last_error[200];

Listener *
listener_new(uv_loop_t *loop, const char **error, const char **hint)
{
	Listener   *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->root = -1;
	lws_set_log_level(LLL_ERR | LLL_WARN, listener_log);
	if (!listener_create_context(l))
	{
		*error = listener_last_error[0] ? listener_last_error : "libwebsockets could not be started";
		*hint = "Install libwebsockets' plug-in for libuv (package libwebsockets-evlib-uv).";
		free(l);
		return NULL;
	}
	lws_set_log_level(0, NULL);
	l->parking = http_parking_new(loop);
	if (!l->parking)
	{
		*error = "could not create an epoll set";
		*hint = NULL;
		return NULL;			/* the process is about to exit */
	}
	l->acceptor = acceptor_new(loop, listener_accepted, l);
	timer_wheel_init(&l->deadlines, uv_now(loop));
	return l;
}

static bool
listener_create_context(Listener *l)
{
	void	   *loops[1] = {l->loop};
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8 |
		LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.foreign_loops = loops;
	info.gid = info.uid = (gid_t) -1;
	info.max_http_header_data = MAX_HEADER_BYTES;

	/*
	 * All of a TLS record: what is left of one inside OpenSSL makes no socket
	 * readable, and on uv libwebsockets comes back for it once, not until it
	 * is done.
	 */
	info.pt_serv_buf_size = READ_BUFFER;
	info.timeout_secs = BODY_TIMEOUT_S;
	info.user = l;
	l->context = lws_create_context(&info);
	if (!l->context)
		return false;
	l->vhost = listener_create_vhost(l, false);
	return l->vhost != NULL;
}

static struct lws_vhost *
listener_create_vhost(Listener *l, bool tls)
{
	static const struct lws_protocols protocols[] = {
		{.name = "engine.io",.callback = listener_callback,.rx_buffer_size = RX_BUFFER,.tx_packet_size = WRITE_MAX},
		{.name = NULL}
	};
	/* Engine.IO has its own heartbeat, and a PING must not fall between our writes. */
	static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0,.secs_since_valid_hangup = 0};
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	/* Two values for "do not listen": libwebsockets binds by Host to another vhost of the same one. */
	info.port = tls ? CONTEXT_PORT_NO_LISTEN_SERVER : CONTEXT_PORT_NO_LISTEN;
	if (tls)
		info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
	info.alpn = "http/1.1";
	info.vhost_name = tls ? "pg_rooms TLS" : "pg_rooms";
	info.protocols = protocols;
	info.timeout_secs_ah_idle = HEADER_TIMEOUT_S;
	info.keepalive_timeout = KEEPALIVE_S;
	info.retry_and_idle_policy = &no_pings;
	return lws_create_vhost(l->context, &info);
}

static void
listener_log(int level, const char *line)
{
	(void) level;
	snprintf(listener_last_error, sizeof(listener_last_error), "libwebsockets: %.*s",
			 (int) strcspn(line, "\n"), line);
}

void
listener_hooks(ServerHooks *hooks)
{
	hooks->flush = listener_flush;
	hooks->closed = listener_closed;
	hooks->probe_send = listener_probe_send;
	hooks->probe_close = listener_probe_close;
}

void
listener_set_server(Listener *l, Server *server)
{
	l->server = server;
	l->counters = server_counters(server);
	acceptor_set_counters(l->acceptor, l->counters);
	guard_set_counters(l->counters);
}

void
listener_set_worker_counters(Listener *l, const uint64_t *counters)
{
	l->worker_counters = counters;
}

bool
listener_configure(Listener *l, const Config *c, const char **what, const char **error, const char **hint)
{
	TlsIdentity *tls = NULL;
	int			root = -1;

	if (!metrics_token_valid(c->metrics_token))
	{
		*what = "could not use pg_rooms.metrics_token";
		*error = "it is shorter than 16 characters or has others than visible ASCII";
		*hint = "Set one such as: openssl rand -hex 32.";
		return false;
	}
	if (!listener_read_identity(l, c, &tls, error))
	{
		*what = "could not use the certificate for TLS";
		*hint = "Check the files of pg_rooms.tls_cert_file and pg_rooms.tls_key_file.";
		return false;
	}
	if (c->document_root[0])
	{
		root = open(c->document_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
		{
			*what = "could not open the folder of pg_rooms.document_root";
			*error = strerror(errno);
			*hint = "It must be an absolute path that the server's operating-system user can read.";
			tls_identity_free(tls);
			return false;
		}
	}
	if (l->root >= 0)
		close(l->root);
	l->root = root;
	tls_identity_free(l->tls);
	l->tls = tls;
	if (tls)
		tls_context_forget(l->tls_context);
	l->request_timeout = c->request_timeout;
	free(l->settings.path);
	free(l->settings.allowed_origins);
	free(l->settings.trusted_proxies);
	free(l->settings.metrics_token);
	l->settings.metrics_token = xstrndup(c->metrics_token, strlen(c->metrics_token));
	l->settings.path = xstrndup(c->path, strlen(c->path));
	l->settings.allowed_origins = xstrndup(c->allowed_origins, strlen(c->allowed_origins));
	l->settings.trusted_proxies = xstrndup(c->trusted_proxies, strlen(c->trusted_proxies));
	l->settings.cors_credentials = c->cors_credentials;
	l->settings.max_payload = c->server.max_payload;
	l->settings.collect = c->handlers.conninfo[0] != '\0';
	listener_set_limits(l, c);
	return true;
}

/* A polling client has two connections at a time, one parked and one to send. */
static uint32_t
listener_tcp_limit(uint32_t sessions, uint64_t most)
{
	uint64_t	limit = 2 * (uint64_t) sessions + CONNECTIONS_SPARE;

	return (uint32_t) (limit < most ? limit : most);
}

static void
listener_set_limits(Listener *l, const Config *c)
{
	struct rlimit files = {0, 0};
	uint64_t	most;
	AcceptLimits limits = {.pending = c->max_pending_handshakes,.trusted = c->trusted_proxies};

	getrlimit(RLIMIT_NOFILE, &files);
	most = files.rlim_cur > DESCRIPTORS_SPARE ? files.rlim_cur - DESCRIPTORS_SPARE : 1;
	limits.total = listener_tcp_limit(c->server.max_connections, most);
	if (limits.total < c->server.max_connections)
		log_message(LINK_LOG_WARNING, "Raise it for the server (ulimit -n, LimitNOFILE of systemd) or lower pg_rooms.max_connections.",
					"the limit of open files, %llu, leaves room for %u connections, fewer than pg_rooms.max_connections",
					(unsigned long long) files.rlim_cur, limits.total);
	if (c->server.max_connections_per_ip > 0)
		limits.per_address = listener_tcp_limit(c->server.max_connections_per_ip, UINT32_MAX);
	acceptor_set_limits(l->acceptor, &limits);
}

/* *tls becomes NULL if none is set.  False: it cannot be used. */
static bool
listener_read_identity(Listener *l, const Config *c, TlsIdentity **tls, const char **error)
{
	*tls = NULL;
	if (!c->tls_cert[0])
		return true;
	*error = "libwebsockets could not be set up for it";
	if (!l->tls_vhost)
		l->tls_vhost = listener_create_vhost(l, true);
	if (l->tls_vhost)
		*tls = tls_identity_new(c->tls_cert, c->tls_key, error);
	return *tls != NULL;
}

void
listener_listen(Listener *l, const int *fds, int count)
{
	acceptor_listen(l->acceptor, fds, count);
}

uint32_t
listener_connections(const Listener *l)
{
	return acceptor_count(l->acceptor);
}

void
listener_close(Listener *l)
{
	acceptor_listen(l->acceptor, NULL, 0);
	http_parking_free(l->parking);
	lws_context_destroy(l->context);
}

void
listener_free(Listener *l)
{
	/* On a foreign loop the first call only begins; now its handles are closed. */
	lws_context_destroy(l->context);
	acceptor_free(l->acceptor);
	tls_identity_free(l->tls);
	if (l->root >= 0)
		close(l->root);
	free(l->settings.path);
	free(l->settings.trusted_proxies);
	free(l->settings.metrics_token);
	free(l->settings.allowed_origins);
	free(l);
}

/* ---- connections ---- */

static void
listener_accepted(void *ctx, int fd, const char *address, Held *held)
{
	Listener   *l = ctx;
	Conn	   *c = xcalloc(1, sizeof(*c));

	c->listener = l;
	c->fd = fd;
	c->held = held;
	snprintf(c->address, sizeof(c->address), "%s", address);
	guard_open(fd);
	c->wsi = lws_adopt_socket_vhost(l->tls ? l->tls_vhost : l->vhost, fd);
	if (!c->wsi)
	{
		conn_free(c);			/* libwebsockets has closed the descriptor */
		return;
	}
	lws_set_opaque_user_data(c->wsi, c);
	conn_set_deadline(c, uv_now(l->loop) + l->request_timeout);
}

static void
conn_too_slow(Timer *t, uint64_t now)
{
	Conn	   *c = (Conn *) ((char *) t - offsetof(Conn, deadline));

	(void) now;
	/* One that asks for nothing more on its connection has done nothing wrong. */
	if (!c->settled || c->http)
		c->listener->counters[COUNTER_REQUEST_TIMEOUT]++;
	conn_kill(c);
}

void
conn_set_deadline(Conn *c, uint64_t at)
{
	TimerWheel *wheel = &c->listener->deadlines;

	c->deadline.fire = conn_too_slow;
	if (at == 0)
		timer_clear(wheel, &c->deadline);
	else
		timer_set(wheel, &c->deadline, at);
}

void
listener_tick(Listener *l)
{
	timer_wheel_run(&l->deadlines, uv_now(l->loop));
}

void
conn_kill(Conn *c)
{
	if (c->dying)
		return;
	c->dying = true;
	guard_end(c->fd);			/* a byte of a body that comes first would cancel the timeout */
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	/* Outside its callbacks libwebsockets looks at its timeouts only when woken. */
	lws_cancel_service(c->listener->context);
}

static void
conn_free(Conn *c)
{
	conn_set_deadline(c, 0);
	guard_close(c->fd);
	acceptor_closed_one(c->listener->acceptor, c->held, c->settled);
	if (c->upgrade)
	{
		request_clear(c->upgrade);
		free(c->upgrade);
	}
	free(c->message);
	free(c);
}

/* For the callback: the vhost for TLS is being made, with this context. */
static int
listener_setup_tls(Listener *l, SSL_CTX *context)
{
	l->tls_context = context;
	return tls_context_setup(context, &l->tls) ? 0 : -1;
}

/* A request is here: from the first on it is no pending handshake. */
static void
conn_settle(Conn *c)
{
	conn_set_deadline(c, 0);
	if (c->settled)
		return;
	c->settled = true;
	acceptor_settled(c->listener->acceptor);
}

static int
listener_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	Conn	   *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;

	if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
		return listener_setup_tls(lws_context_user(lws_get_context(wsi)), user);
	if (!c)
		return 0;				/* of the context or vhost, or before the adoption is complete */
	switch (reason)
	{
		case LWS_CALLBACK_HTTP:
			conn_settle(c);
			return http_begin(c, in, len);
		case LWS_CALLBACK_HTTP_BODY:
			return http_body(c, in, len);
		case LWS_CALLBACK_HTTP_BODY_COMPLETION:
			return http_body_complete(c);
		case LWS_CALLBACK_HTTP_WRITEABLE:
			return http_writable(c);
		case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
			conn_settle(c);
			return ws_confirm(c);
		case LWS_CALLBACK_ESTABLISHED:
			return ws_established(c);
		case LWS_CALLBACK_RECEIVE:
			return ws_receive(c, in, len);
		case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
			return ws_close_received(c, in, len);
		case LWS_CALLBACK_SERVER_WRITEABLE:
			return ws_writable(c);
		case LWS_CALLBACK_CLOSED:
		case LWS_CALLBACK_CLOSED_HTTP:
			ws_gone(c);
			http_gone(c);
			return 0;
		case LWS_CALLBACK_WSI_DESTROY:
			ws_gone(c);
			http_gone(c);
			lws_set_opaque_user_data(wsi, NULL);
			conn_free(c);
			return 0;
			/* "CONNECT x" makes it a raw connection: not served. */
		case LWS_CALLBACK_RAW_ADOPT:
		case LWS_CALLBACK_RAW_RX:
			return -1;
		default:
			return 0;
	}
}

/* ---- the core's hooks ---- */

static void
listener_flush(void *ctx, Session *s)
{
	(void) ctx;
	if (s->poll)
		polling_answer(s);
	if (s->transport == TRANSPORT_WEBSOCKET)
		ws_flush(s->ws, s);
}

/* Once a minute: anybody can be slow. */
static void
log_slow(const Session *s)
{
	static uint64_t quiet_until;
	static uint32_t unsaid;
	Slice		address = session_peer(s)->address;
	uint64_t	now = server_now(s->server);

	unsaid++;
	if (now < quiet_until)
		return;
	log_message(LINK_LOG_INFO, "More than pg_rooms.max_queued waited for it for 10 seconds, or four times as much at once.",
				"disconnected a client that does not read what is sent to it (address %.*s; %u since the last such line)",
				(int) address.len, (const char *) address.data, unsaid);
	unsaid = 0;
	quiet_until = now + SLOW_LOG_MS;
}

static void
listener_closed(void *ctx, Session *s, CloseReason reason)
{
	(void) ctx;
	if (reason == CLOSE_SLOW)
		log_slow(s);
	if (s->poll)
		polling_answer(s);
	if (s->posting)
		polling_drop(s);
	if (s->ws)
		ws_hangup(s->ws, reason);
	if (s->probe)
		ws_hangup(s->probe, reason);
}

static void
listener_probe_send(void *ctx, Session *s, Slice packet)
{
	(void) ctx;
	ws_send_probe(s->probe, packet);
}

static void
listener_probe_close(void *ctx, Session *s)
{
	(void) ctx;
	ws_hangup(s->probe, CLOSE_FORCED);
}

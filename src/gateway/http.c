/*
 * http.c - HTTP connections: heads and bodies in, answers out, parked polls.
 *
 * listener.c calls in from libwebsockets' callback; what a request means is
 * up to polling.c and static.c.  An Http belongs to its Conn from the head of
 * the request until the answer is written or the connection closed.  We write
 * heads of answers ourselves, as text in one piece with the body: libwebsockets
 * only carries the bytes and keeps the connection's state.
 *
 * libwebsockets' defects that are met here:
 * - A request whose bytes came with an earlier one, or a body on a request
 *   that should have none, can make it loop for ever: such connections are
 *   closed (recv_guard.h and http_expected_body()).
 * - Chunked bodies are not decoded: refused.
 * - While a GET waits, 4.1.6 keeps polling for input it does not read, and does
 *   not notice when the client leaves.  So a parked request has its input
 *   switched off, and its descriptor is watched by an epoll set of our own
 *   for hang-up only.
 * - So it does while an answer waits for the client to read, but must have the
 *   input on to go on writing.  There the same set watches for input, and a
 *   client that sends more before its answer is out loses its connection.
 *
 * Hostile clients: a body is kept only as far as it has arrived and as long as
 * its session lives, one of more than max_payload is refused by its length, a
 * slow one meets the connection's deadline.
 */
#include "gateway/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/alloc.h"
#include "gateway/auth.h"
#include "gateway/metrics.h"
#include "gateway/origin.h"
#include "gateway/recv_guard.h"

#define MAX_PARAMETERS		32
#define PARAMETER_MAX		1024
#define FIELD_MAX			4096
#define BODY_BYTES_PER_MS	16		/* a body may take request_timeout and the time that this rate needs */
#define ANSWER_TIMEOUT_S	60
#define PARK_BATCH			64

struct HttpParking
{
	uv_poll_t	poll;
	int			epoll;
};

static HttpMethod http_method(struct lws *wsi);
static bool http_expected_body(struct lws *wsi, HttpMethod method, size_t *expected);
static bool http_copy_field(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size);
static char *http_authorization(struct lws *wsi);
static char *http_forwarded(struct lws *wsi);
static void http_collect_fields(struct lws *wsi, EngineRequest *q);
static void http_metrics(Http *h);
static int	http_send(Conn *c);
static int	http_write(Conn *c);
static int	http_finish(Conn *c);
static void http_set_out(Http *h, int status, const char *type, const char *fields, uint64_t length, Slice body);
static void http_set_answered(Http *h);
static void http_free(Http *h);
static bool http_sending(const Conn *c);
static void http_watch(Http *h, uint32_t events);
static void http_unwatch(Http *h);
static void parking_event(uv_poll_t *poll, int status, int events);
static void parking_closed(uv_handle_t *handle);

/* ---- from libwebsockets ---- */

int
http_begin(Conn *c, const char *path, size_t len)
{
	Listener   *l = c->listener;
	size_t		expected;
	HttpMethod	method = http_method(c->wsi);
	Http	   *h;

	if (!guard_take_request(c->fd) || c->http != NULL)
	{
		l->counters[COUNTER_REFUSED_REQUEST]++;
		return -1;
	}
	if (memchr(path, '\0', len) != NULL || !http_expected_body(c->wsi, method, &expected))
	{
		l->counters[COUNTER_REFUSED_REQUEST]++;
		return http_refuse(c, 400, eio_error_message(EIO_BAD_REQUEST));
	}
	c->http = h = xcalloc(1, sizeof(*h));
	h->conn = c;
	h->file = -1;
	h->path = xstrndup(path, len);
	h->body_expected = expected;
	h->close = expected > l->settings.max_payload;
	h->state = expected > 0 ? HTTP_READING : HTTP_WAITING;
	guard_expect_body(c->fd, expected > 0);
	if (expected > 0)
		conn_set_deadline(c, uv_now(l->loop) + l->request_timeout + expected / BODY_BYTES_PER_MS);
	http_read_request(c->wsi, &h->request, &l->settings);
	request_cors(&h->request, &l->settings, h->cors);

	if (strncmp(h->path, l->settings.path, strlen(l->settings.path)) == 0)
		polling_request(h);
	else if (l->settings.metrics_token[0] != '\0' && strcmp(h->path, "/metrics") == 0)
		http_metrics(h);
	else
		static_request(h, l->root);

	if (h->state == HTTP_WAITING)
		polling_body(h);
	/* A known answer still waits for the rest of the request, unless that is too long. */
	if (h->state == HTTP_ANSWERED && (expected == 0 || h->close))
		return http_send(c);
	return 0;
}

int
http_refuse(Conn *c, int status, const char *message)
{
	char		answer[256];
	int			n = snprintf(answer, sizeof(answer),
							 "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: %zu\r\n\r\n%s",
							 status, http_status_text(status),
							 strlen(message), message);

	(void) lws_write(c->wsi, (unsigned char *) answer, (size_t) n, LWS_WRITE_HTTP_FINAL);
	return -1;
}

/* The gauges are those of the last second. */
static void
http_metrics(Http *h)
{
	const Listener *l = h->conn->listener;
	Text		text = {0};

	if (!metrics_authorized(h->request.authorization, l->settings.metrics_token))
		http_answer(h, 401, "text/plain; charset=UTF-8", "WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n",
					SLICE_LITERAL("pg_rooms.metrics_token is wanted\n"));
	else if (h->request.method != HTTP_GET && h->request.method != HTTP_HEAD)
		http_answer(h, 405, "text/plain; charset=UTF-8", "Allow: GET, HEAD\r\n", SLICE_LITERAL("Method not allowed\n"));
	else
	{
		metrics_text(&text, l->counters, l->worker_counters);
		http_answer(h, 200, METRICS_TYPE, "Cache-Control: no-store\r\n", text_slice(&text));
		text_free(&text);
	}
}

int
http_body(Conn *c, const void *bytes, size_t len)
{
	Http	   *h = c->http;

	guard_take_body(c->fd);
	if (!h || len > h->body_expected - h->body_len)
		return -1;
	if (h->state == HTTP_READING)
	{
		if (h->body_len + len > h->body_space)
		{
			h->body_space = 2 * (h->body_len + len);
			if (h->body_space > h->body_expected)
				h->body_space = h->body_expected;
			h->body = xrealloc(h->body, h->body_space);
		}
		memcpy(h->body + h->body_len, bytes, len);
	}
	h->body_len += len;
	return 0;
}

int
http_body_complete(Conn *c)
{
	Http	   *h = c->http;

	guard_expect_body(c->fd, false);
	conn_set_deadline(c, 0);
	if (!h)
		return 0;				/* an empty body, answered already */
	if (h->state == HTTP_READING)
		polling_body(h);
	return h->state == HTTP_ANSWERED ? http_send(c) : -1;
}

int
http_writable(Conn *c)
{
	if (!c->http || c->http->state != HTTP_ANSWERED)
		return 0;
	return http_send(c);
}

void
http_gone(Conn *c)
{
	Http	   *h = c->http;

	if (!h)
		return;
	c->http = NULL;
	http_unwatch(h);
	h->state = HTTP_GONE;
	polling_aborted(h);
	http_free(h);
}

/* ---- the request ---- */

void
http_read_request(struct lws *wsi, EngineRequest *q, const RequestSettings *settings)
{
	char	   *text;
	int			size;

	memset(q, 0, sizeof(*q));
	q->method = http_method(wsi);
	q->upgrade = lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0;
	for (int i = 0; i < MAX_PARAMETERS; i++)
	{
		size = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
		if (size <= 0)
			break;
		text = xmalloc((size_t) size + 1);
		if (lws_hdr_copy_fragment(wsi, text, size + 1, WSI_TOKEN_HTTP_URI_ARGS, i) > 0)
			request_parameter(q, text, settings->collect && size < PARAMETER_MAX);
		free(text);
	}
	if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0)
		q->origin_bad = !http_copy_field(wsi, WSI_TOKEN_ORIGIN, q->origin, sizeof(q->origin));
	http_copy_field(wsi, WSI_TOKEN_HOST, q->host, sizeof(q->host));
	if (!q->has_sid)
	{
		q->authorization = http_authorization(wsi);
		if (settings->trusted_proxies[0])
			q->forwarded = http_forwarded(wsi);
		if (settings->collect)
			http_collect_fields(wsi, q);
	}
}

/* Those that libwebsockets knows, but not the token. */
static void
http_collect_fields(struct lws *wsi, EngineRequest *q)
{
	char		value[FIELD_MAX];

	for (int i = 0; i < WSI_TOKEN_COUNT; i++)
	{
		enum lws_token_indexes token = (enum lws_token_indexes) i;
		const char *name = (const char *) lws_token_to_string(token);
		size_t		len = name ? strlen(name) : 0;

		if (len < 2 || name[0] == ':' || name[len - 1] != ':' || token == WSI_TOKEN_HTTP_AUTHORIZATION ||
			lws_hdr_total_length(wsi, token) <= 0 || lws_hdr_copy(wsi, value, sizeof(value), token) < 0)
			continue;
		request_field(q, slice(name, len - 1), slice_cstring(value));
	}
}

static HttpMethod
http_method(struct lws *wsi)
{
	if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0)
		return HTTP_GET;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0)
		return HTTP_POST;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0)
		return HTTP_HEAD;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0)
		return HTTP_OPTIONS;
	return HTTP_OTHER;
}

/*
 * The length of the body that must follow.  False: the connection cannot go
 * on, because where this request ends is unclear to us or to libwebsockets.
 */
static bool
http_expected_body(struct lws *wsi, HttpMethod method, size_t *expected)
{
	char		text[10];		/* nine digits are more than any max_payload */
	char	   *end;

	*expected = 0;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		return false;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0)
		return method != HTTP_POST;
	if (!http_copy_field(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof(text)) ||
		text[0] < '0' || text[0] > '9')
		return false;
	*expected = strtoul(text, &end, 10);
	return *end == '\0' && (method == HTTP_POST || *expected == 0);
}

static bool
http_copy_field(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size)
{
	int			len;

	out[0] = '\0';
	len = lws_hdr_total_length(wsi, token) < (int) size ? lws_hdr_copy(wsi, out, (int) size, token) : -1;
	if (len < 0 || !origin_valid(slice(out, (size_t) len)))	/* no NUL either, where we would stop reading */
	{
		out[0] = '\0';
		return false;
	}
	return true;
}

/* malloc'ed, NULL when absent; one that is too long is cut where auth.c still sees that it was. */
static char *
http_authorization(struct lws *wsi)
{
	int			size = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
	char	   *value;

	if (size <= 0)
		return NULL;
	value = xmalloc((size_t) size + 1);
	if (lws_hdr_copy(wsi, value, size + 1, WSI_TOKEN_HTTP_AUTHORIZATION) < 0)
		size = 0;
	if (size > AUTH_HEADER_MAX + 1)
	{
		size = AUTH_HEADER_MAX + 1;
		value = xrealloc(value, (size_t) size + 1);
	}
	value[size] = '\0';
	return value;
}

/* malloc'ed, all of it: its end is what counts.  Several fields of the name become one list. */
static char *
http_forwarded(struct lws *wsi)
{
	int			size = lws_hdr_total_length(wsi, WSI_TOKEN_X_FORWARDED_FOR);
	char	   *value;

	if (size <= 0)
		return NULL;
	value = xmalloc((size_t) size + 1);
	if (lws_hdr_copy(wsi, value, size + 1, WSI_TOKEN_X_FORWARDED_FOR) < 0)
		size = 0;
	value[size] = '\0';
	return value;
}

bool
http_field(Http *h, HttpField field, char *out, size_t size)
{
	static const enum lws_token_indexes tokens[] = {
		[FIELD_CONTENT_TYPE] = WSI_TOKEN_HTTP_CONTENT_TYPE,
		[FIELD_IF_NONE_MATCH] = WSI_TOKEN_HTTP_IF_NONE_MATCH,
		[FIELD_REQUEST_HEADERS] = WSI_TOKEN_HTTP_AC_REQUEST_HEADERS,
	};

	return lws_hdr_total_length(h->conn->wsi, tokens[field]) > 0 &&
		http_copy_field(h->conn->wsi, tokens[field], out, size);
}

/* ---- the answer ---- */

void
http_answer(Http *h, int status, const char *type, const char *fields, Slice body)
{
	if (h->state == HTTP_ANSWERED || h->state == HTTP_GONE)
		return;
	http_set_out(h, status, type, fields, body.len, body);
	http_set_answered(h);
}

void
http_stop_reading(Http *h)
{
	h->close = true;
	if (!h->conn->dying)
		lws_callback_on_writable(h->conn->wsi);
}

void
http_answer_file(Http *h, const char *type, const char *fields, int fd, uint64_t size)
{
	http_set_out(h, 200, type, fields, size, slice(NULL, 0));
	if (h->request.method == HTTP_HEAD || size == 0)
		close(fd);
	else
	{
		h->file = fd;
		h->file_left = size;
	}
	http_set_answered(h);
}

static void
http_set_out(Http *h, int status, const char *type, const char *fields, uint64_t length, Slice body)
{
	char		connection[16];
	size_t		space = strlen(type) + strlen(fields) + strlen(h->cors) + 256 + body.len;
	int			n;

	if (http_copy_field(h->conn->wsi, WSI_TOKEN_CONNECTION, connection, sizeof(connection)) &&
		strcasecmp(connection, "close") == 0)
		h->close = true;
	h->out = xmalloc(space);
	n = snprintf((char *) h->out, space, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s%s%s\r\n",
				 status, http_status_text(status), type, (unsigned long long) length, fields, h->cors,
				 h->close ? "Connection: close\r\n" : "");
	h->out_len = (size_t) n;
	if (h->request.method != HTTP_HEAD)
	{
		write_bytes(h->out + n, body);
		h->out_len += body.len;
	}
}

static void
http_set_answered(Http *h)
{
	Conn	   *c = h->conn;
	bool		parked = h->state == HTTP_PARKED;

	h->state = HTTP_ANSWERED;
	free(h->body);
	h->body = NULL;
	if (!parked)
		return;					/* sent on return to http_begin() or http_body_complete() */
	/* In this order: with its input off HTTP/1 gets no writable callback. */
	http_unwatch(h);
	if (c->dying)
		return;
	lws_rx_flow_control(c->wsi, 1);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_HTTP_CONTENT, ANSWER_TIMEOUT_S);
	lws_callback_on_writable(c->wsi);
}

/*
 * One piece per writable callback, so that large files and slow clients hold
 * up nobody.  The callback does not come before the kernel has taken what
 * libwebsockets kept of a piece.
 */
static int
http_send(Conn *c)
{
	Http	   *h = c->http;

	if (!h->out && h->file_left == 0)
		return http_finish(c);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_HTTP_CONTENT, ANSWER_TIMEOUT_S);
	if (http_write(c) < 0)
		return -1;
	if (!http_sending(c))
		return http_finish(c);
	if (!h->watched)
		http_watch(h, EPOLLIN);
	lws_callback_on_writable(c->wsi);
	return 0;
}

/* Not all of the answer is with the kernel. */
static bool
http_sending(const Conn *c)
{
	return c->http->file_left > 0 || lws_partial_buffered(c->wsi);
}

static int
http_write(Conn *c)
{
	Http	   *h = c->http;
	uint8_t    *buf = c->listener->scratch;
	size_t		want = h->file_left < WRITE_MAX ? (size_t) h->file_left : WRITE_MAX;
	ssize_t		n;

	if (h->out)
	{
		n = lws_write(c->wsi, h->out, h->out_len, h->file_left == 0 ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
		free(h->out);
		h->out = NULL;
		return (int) n;
	}
	n = read(h->file, buf, want);
	if (n <= 0)
		return -1;				/* it shrank: the length we gave cannot be kept */
	h->file_left -= (uint64_t) n;
	return lws_write(c->wsi, buf, (size_t) n, h->file_left == 0 ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
}

static int
http_finish(Conn *c)
{
	bool		close_it = c->http->close;

	http_unwatch(c->http);
	polling_sent(c->http);
	http_free(c->http);
	c->http = NULL;
	conn_set_deadline(c, uv_now(c->listener->loop) + c->listener->request_timeout);	/* for the next request */
	return close_it || lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

static void
http_free(Http *h)
{
	if (h->file >= 0)
		close(h->file);
	request_clear(&h->request);
	free(h->path);
	free(h->body);
	free(h->out);
	free(h);
}

const char *
http_status_text(int status)
{
	switch (status)
	{
		case 200:
			return "OK";
		case 204:
			return "No Content";
		case 304:
			return "Not Modified";
		case 400:
			return "Bad Request";
		case 401:
			return "Unauthorized";
		case 403:
			return "Forbidden";
		case 404:
			return "Not Found";
		case 405:
			return "Method Not Allowed";
		case 413:
			return "Payload Too Large";
		case 429:
			return "Too Many Requests";
		default:
			return "Service Unavailable";
	}
}

/* ---- parked polls ---- */

HttpParking *
http_parking_new(uv_loop_t *loop)
{
	HttpParking *p = xcalloc(1, sizeof(*p));

	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0 || uv_poll_init(loop, &p->poll, p->epoll) != 0)
	{
		free(p);
		return NULL;
	}
	p->poll.data = p;
	uv_poll_start(&p->poll, UV_READABLE, parking_event);
	return p;
}

void
http_parking_free(HttpParking *p)
{
	uv_close((uv_handle_t *) &p->poll, parking_closed);
}

static void
parking_closed(uv_handle_t *handle)
{
	HttpParking *p = handle->data;

	close(p->epoll);
	free(p);
}

void
http_park(Http *h)
{
	Conn	   *c = h->conn;

	h->state = HTTP_PARKED;
	lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(c->wsi, 0);
	http_watch(h, EPOLLRDHUP);
}

static void
http_watch(Http *h, uint32_t events)
{
	Conn	   *c = h->conn;
	struct epoll_event event = {.events = events | EPOLLONESHOT,.data = {.ptr = c}};

	h->watched = epoll_ctl(c->listener->parking->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0;
	if (!h->watched)
		conn_kill(c);			/* unwatched it would never be noticed to leave */
}

static void
http_unwatch(Http *h)
{
	if (h->watched)
		epoll_ctl(h->conn->listener->parking->epoll, EPOLL_CTL_DEL, h->conn->fd, NULL);
	h->watched = false;
}

/* Frees nothing: libwebsockets closes the connections at its next turn and calls http_gone(). */
static void
parking_event(uv_poll_t *poll, int status, int events)
{
	HttpParking *p = poll->data;
	struct epoll_event found[PARK_BATCH];
	int			n = epoll_wait(p->epoll, found, PARK_BATCH, 0);

	(void) status;
	(void) events;
	for (int i = 0; i < n; i++)
	{
		Conn	   *c = found[i].data.ptr;

		/* By now all of the answer may be out: then it is the next request. */
		if (c->http->state == HTTP_PARKED || http_sending(c))
			conn_kill(c);
	}
}

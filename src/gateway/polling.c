/*
 * polling.c - Engine.IO's HTTP long-polling transport (protocol.md 1.3-1.5, 1.9).
 *
 * http.c calls in with requests, the listener's hooks with answers for parked
 * ones.  Sessions are the core's.  One may end at any time between two calls,
 * so it is looked up by its sid each time and asked whether it still knows the
 * request (poll, answering, posting).
 */
#include "gateway/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TYPE_TEXT	"text/plain; charset=UTF-8"
#define TYPE_HTML	"text/html"
#define TYPE_JSON	"application/json"
#define NO_STORE	"Cache-Control: no-store\r\n"

static void polling_preflight(Http *h);
static void polling_open(Http *h);
static void polling_get(Http *h, Session *s);
static void polling_post(Http *h, Session *s);
static Session *polling_session(Http *h);
static void polling_payload(Http *h, Session *s);
static void polling_refuse(Http *h, EioError error);
static void polling_error(Http *h, int status, int code, const char *message);
static void polling_bad(Http *h);

static inline Server *
polling_server(const Http *h)
{
	return h->conn->listener->server;
}

static inline uint64_t
polling_now(const Http *h)
{
	return uv_now(h->conn->listener->loop);
}

void
polling_request(Http *h)
{
	Session    *s;
	EioError	error;

	if (h->request.method == HTTP_OPTIONS)
		polling_preflight(h);
	else if (!request_admit(&h->request, &h->conn->listener->settings, polling_server(h), &s, &error))
		polling_refuse(h, error);
	else if (!s)
		polling_open(h);
	else if (h->request.method == HTTP_GET)
		polling_get(h, s);
	else if (h->request.method == HTTP_POST)
		polling_post(h, s);
	else
		polling_refuse(h, EIO_BAD_REQUEST);
}

/* A browser asks before it sends unusual headers; the answer to the request itself decides. */
static void
polling_preflight(Http *h)
{
	char		wanted[512];
	char		fields[700];

	if (!http_field(h, FIELD_REQUEST_HEADERS, wanted, sizeof(wanted)))
		wanted[0] = '\0';
	snprintf(fields, sizeof(fields), "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n%s%s%s",
			 wanted[0] ? "Access-Control-Allow-Headers: " : "", wanted, wanted[0] ? "\r\n" : "");
	http_answer(h, 204, TYPE_TEXT, fields, slice(NULL, 0));
}

static void
polling_open(Http *h)
{
	SessionPeer peer = request_peer(&h->request, &h->conn->listener->settings, h->conn->address);
	Refusal		refusal;
	Session    *s = session_open(polling_server(h), TRANSPORT_POLLING, &peer, polling_now(h), &refusal);

	if (s)
	{
		strcpy(h->request.sid, s->sid);
		polling_get(h, s);
	}
	else
	{
		int			status;
		const char *message = request_refusal(refusal, &status);

		polling_error(h, status, EIO_FORBIDDEN, message);
	}
}

static void
polling_get(Http *h, Session *s)
{
	switch (session_poll(s, h, polling_now(h)))
	{
		case POLL_READY:
			polling_payload(h, s);
			break;
		case POLL_PARKED:
			http_park(h);
			break;
		case POLL_REFUSED:
			polling_bad(h);
			break;
	}
}

/* The head of a POST: only a body that we want is kept by http.c. */
static void
polling_post(Http *h, Session *s)
{
	char		type[64];

	if (h->body_expected > session_max_message(s, NULL))
	{
		h->close = true;
		h->conn->listener->counters[COUNTER_REFUSED_PAYLOAD]++;
		http_answer(h, 413, TYPE_HTML, "", slice(NULL, 0));
		return;
	}
	if (!session_post_begin(s, h))
	{
		polling_bad(h);
		return;
	}
	if (http_field(h, FIELD_CONTENT_TYPE, type, sizeof(type)) &&
		strncasecmp(type, "application/octet-stream", 24) == 0)
	{
		session_post_failed(s, true);
		polling_bad(h);
	}
}

void
polling_body(Http *h)
{
	Session    *s = polling_session(h);

	if (!s)
		polling_refuse(h, EIO_UNKNOWN_SID);
	else if (session_post(s, h->body, h->body_len, polling_now(h)))
		http_answer(h, 200, TYPE_HTML, NO_STORE, SLICE_LITERAL("ok"));
	else if (s->closing == CLOSE_FLOOD)
		polling_error(h, 429, EIO_FORBIDDEN, session_farewell(CLOSE_FLOOD));
	else
		polling_bad(h);
}

void
polling_drop(Session *s)
{
	Http	   *h = s->posting;

	http_stop_reading(h);
	polling_bad(h);
}

void
polling_sent(Http *h)
{
	Session    *s = polling_session(h);

	if (s && s->answering == h)
		session_poll_sent(s);
}

void
polling_aborted(Http *h)
{
	Session    *s = polling_session(h);

	if (!s)
		return;
	if (s->posting == h)
		session_post_failed(s, true);
	else if (s->poll == h || s->answering == h)
		session_poll_aborted(s);
}

void
polling_answer(Session *s)
{
	polling_payload(s->poll, s);
}

static Session *
polling_session(Http *h)
{
	return session_find(polling_server(h), slice_cstring(h->request.sid));
}

static void
polling_payload(Http *h, Session *s)
{
	size_t		len;
	uint8_t    *payload = session_poll_take(s, &len);

	http_answer(h, 200, TYPE_TEXT, NO_STORE, slice(payload, len));
	free(payload);
}

static void
polling_refuse(Http *h, EioError error)
{
	request_count_refusal(&h->request, error, h->conn->listener->counters, polling_now(h));
	polling_error(h, eio_error_status(error), (int) error, eio_error_message(error));
}

static void
polling_error(Http *h, int status, int code, const char *message)
{
	char		body[128];
	int			n = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", code, message);

	http_answer(h, status, TYPE_JSON, NO_STORE, slice(body, (size_t) n));
}

/* The session broke the rules and has ended: the reference gives no body. */
static void
polling_bad(Http *h)
{
	h->conn->listener->counters[COUNTER_REFUSED_REQUEST]++;
	http_answer(h, 400, TYPE_HTML, NO_STORE, slice(NULL, 0));
}

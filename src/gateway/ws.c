/*
 * ws.c - Engine.IO's WebSocket transport (protocol.md 1.6, 1.8).
 *
 * In: upgrade requests are checked before libwebsockets accepts them; the
 * pieces in which it delivers a message are put together, up to max_payload
 * (session_max_message()).
 * It checks UTF-8 itself, across pieces, but gives pieces out before a bad
 * byte comes, so only complete messages are acted on.
 *
 * Out: frames are made once per message (core/frame.h) and written as raw
 * bytes, many per write, from server_flush().  LWS_WRITE_RAW on a WebSocket
 * connection skips libwebsockets' framing and keeps its buffering of what the
 * kernel did not take.  That buffer has no limit, hence two rules: never write
 * while lws_partial_buffered(), and never more than WRITE_MAX at once.  Since
 * a PONG of libwebsockets' own may follow any write, each write ends with a
 * WebSocket frame; a large message is sent as fragments (RFC 6455 5.4), so
 * that many slow readers of it share one copy.
 */
#include "gateway/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/alloc.h"
#include "gateway/recv_guard.h"

#define CLOSE_NORMAL		1000
#define CLOSE_GOING_AWAY	1001
#define CLOSE_PROTOCOL		1002
#define CLOSE_POLICY		1008
#define CLOSE_TOO_BIG		1009
#define CLOSE_TRY_LATER		1013
#define CLOSE_CODES_END		5000

static int	ws_close(Conn *c, int code, const char *reason);
static bool ws_append(Conn *c, const void *bytes, size_t len, size_t remaining);
static uint32_t ws_next(Conn *c, Queue *q, uint8_t **bytes, size_t *len);
static uint32_t ws_fragment(Conn *c, const Frame *f, size_t *len);

/* ---- the handshake ---- */

int
ws_confirm(Conn *c)
{
	Listener   *l = c->listener;
	EngineRequest *q;
	Session    *s;
	EioError	error;
	char	   *path;
	int			path_len;
	char		protocol[16];
	char		version[4];

	/*
	 * CVE-2025-11677: after a refused upgrade libwebsockets can come here with
	 * freed headers; then there is no Upgrade field.  Nor is `in` touched.
	 */
	if (lws_hdr_total_length(c->wsi, WSI_TOKEN_UPGRADE) <= 0 || c->http != NULL || c->upgrade != NULL ||
		lws_http_get_uri_and_method(c->wsi, &path, &path_len) < 0)
		return -1;
	if ((size_t) path_len < strlen(l->settings.path) ||
		memcmp(path, l->settings.path, strlen(l->settings.path)) != 0)
		return http_refuse(c, 404, "Not Found");
	if (lws_hdr_copy(c->wsi, protocol, sizeof(protocol), WSI_TOKEN_UPGRADE) < 0 ||
		strcasecmp(protocol, "websocket") != 0 ||
		lws_hdr_copy(c->wsi, version, sizeof(version), WSI_TOKEN_VERSION) < 0 || strcmp(version, "13") != 0)
		return http_refuse(c, 400, eio_error_message(EIO_BAD_REQUEST));

	c->upgrade = q = xmalloc(sizeof(*q));
	http_read_request(c->wsi, q, &l->settings);
	if (!request_admit(q, &l->settings, l->server, &s, &error))
	{
		request_count_refusal(q, error, l->counters, uv_now(l->loop));
		return http_refuse(c, eio_error_status(error), eio_error_message(error));
	}
	/* Here, with a status: a load balancer takes its client elsewhere. */
	if (!q->has_sid && server_draining(l->server))
	{
		int			status;
		const char *message = request_refusal(REFUSED_DRAINING, &status);

		l->counters[COUNTER_REFUSED_DRAINING]++;
		return http_refuse(c, status, message);
	}
	return 0;
}

int
ws_established(Conn *c)
{
	Listener   *l = c->listener;
	EngineRequest *q = c->upgrade;
	uint64_t	now = uv_now(l->loop);
	int			result = 0;

	if (!guard_websocket(c->fd) || !q)
		return -1;				/* frames before the handshake was answered */
	c->upgrade = NULL;
	if (q->has_sid)
	{
		Session    *s = session_find(l->server, slice_cstring(q->sid));

		if (s && session_upgrade_begin(s, c, now))
			c->session = s;
		else
			result = ws_close(c, CLOSE_NORMAL, "");
	}
	else
	{
		SessionPeer peer = request_peer(q, &l->settings, c->address);
		Refusal		refusal;
		int			status;

		c->session = session_open(l->server, TRANSPORT_WEBSOCKET, &peer, now, &refusal);
		if (c->session)
			c->session->ws = c;
		else
			result = ws_close(c, CLOSE_TRY_LATER, request_refusal(refusal, &status));
	}
	request_clear(q);
	free(q);
	return result;
}

/* For a callback's return: libwebsockets sends the close frame. */
static int
ws_close(Conn *c, int code, const char *reason)
{
	lws_close_reason(c->wsi, (enum lws_close_status) code, (unsigned char *) reason, strlen(reason));
	return -1;
}

void
ws_gone(Conn *c)
{
	Session    *s = c->session;

	c->dying = true;
	c->session = NULL;
	if (s)
		session_ws_gone(s, c);
}

/* ---- in ---- */

int
ws_receive(Conn *c, const void *bytes, size_t len)
{
	size_t		remaining = lws_remaining_packet_payload(c->wsi);
	Slice		message = slice(bytes, len);
	size_t		max;
	uint8_t    *parts;

	if (!c->session || c->dying)
		return -1;
	max = session_max_message(c->session, c);
	/* In this order no sum can overflow. */
	if (len > max || remaining > max || c->message_len + len + remaining > max)
	{
		Session    *s = c->session;

		if (s->ws == c)			/* and not the probe: then polling goes on */
		{
			/* libwebsockets ends it, which reads on until the client has seen why. */
			c->session = NULL;
			s->ws = NULL;
			session_close(s, CLOSE_TOO_LARGE);
		}
		return ws_close(c, CLOSE_TOO_BIG, session_farewell(CLOSE_TOO_LARGE));
	}
	if (c->message || remaining > 0 || !lws_is_final_fragment(c->wsi))
	{
		if (!ws_append(c, bytes, len, remaining))
			return 0;
		message = slice(c->message, c->message_len);
	}
	/* The session may end in there; `parts` is ours. */
	parts = c->message;
	c->message = NULL;
	c->message_len = c->message_space = 0;
	session_receive_ws(c->session, c, lws_frame_is_binary(c->wsi), message, uv_now(c->listener->loop));
	free(parts);
	return 0;
}

/* True: the message is complete. */
static bool
ws_append(Conn *c, const void *bytes, size_t len, size_t remaining)
{
	if (c->message_len + len > c->message_space || !c->message)
	{
		c->message_space = (uint32_t) (2 * (c->message_len + len) + 1);
		c->message = xrealloc(c->message, c->message_space);
	}
	if (len > 0)
		memcpy(c->message + c->message_len, bytes, len);
	c->message_len += (uint32_t) len;
	return remaining == 0 && lws_is_final_fragment(c->wsi);
}

/*
 * libwebsockets sends a close frame back as it came, also what may not be sent
 * (RFC 6455 5.5.1, 7.4.2): half a code, or one of 5000 and more.
 */
int
ws_close_received(Conn *c, const uint8_t *bytes, size_t len)
{
	if (len == 1 || (len > 1 && (bytes[0] << 8 | bytes[1]) >= CLOSE_CODES_END))
		return ws_close(c, CLOSE_PROTOCOL, "");
	return 0;
}

/* ---- out ---- */

int
ws_writable(Conn *c)
{
	c->stalled = false;
	if (c->session && c->session->ws == c)
		session_mark_dirty(c->session);
	return 0;
}

void
ws_flush(Conn *c, Session *s)
{
	Listener   *l = c->listener;
	bool		full = c->stalled || lws_partial_buffered(c->wsi);

	while (!full && !c->dying && s->queue.count > 0)
	{
		uint8_t    *bytes;
		size_t		len;
		uint32_t	frames = ws_next(c, &s->queue, &bytes, &len);

		if (lws_write(c->wsi, bytes, len, LWS_WRITE_RAW) < 0)
		{
			conn_kill(c);		/* the socket is broken: ends as ws_gone() */
			break;
		}
		l->counters[COUNTER_BYTES_OUT] += len;
		queue_drop(&s->queue, frames);
		full = lws_partial_buffered(c->wsi);
	}
	s->writable = !full && !c->dying;
	/* Once: on uv each costs system calls, for every message to a client that does not read. */
	if (full && !c->stalled)
		lws_callback_on_writable(c->wsi);
	c->stalled = full;
}

/*
 * The bytes of the next write: one frame as it is, several copied together,
 * or a part of a large one.  Gives the number of frames that are then done.
 */
static uint32_t
ws_next(Conn *c, Queue *q, uint8_t **bytes, size_t *len)
{
	uint8_t    *scratch = c->listener->scratch;
	Frame	   *f = queue_at(q, 0);
	uint32_t	n = 0;

	*bytes = scratch;
	if (f->ws_len > WRITE_MAX)
		return ws_fragment(c, f, len);
	*len = f->ws_len;
	if (q->count == 1 || f->ws_len + queue_at(q, 1)->ws_len > WRITE_MAX)
	{
		*bytes = f->ws;
		return 1;
	}
	*len = 0;
	while (n < q->count)
	{
		f = queue_at(q, n);
		if (*len + f->ws_len > WRITE_MAX)
			break;
		memcpy(scratch + *len, f->ws, f->ws_len);
		*len += f->ws_len;
		n++;
	}
	return n;
}

/*
 * The next fragment of a large frame, made in the scratch buffer.  A Frame
 * is one or more WebSocket messages with their headers (core/frame.h);
 * c->sent and c->message_left remember where in it this client is.
 */
static uint32_t
ws_fragment(Conn *c, const Frame *f, size_t *len)
{
	uint8_t    *scratch = c->listener->scratch;
	uint8_t		opcode = 0;		/* continuation */
	size_t		n;
	uint8_t    *at;

	if (c->message_left == 0)
	{
		const uint8_t *header = f->ws + c->sent;
		size_t		extended = header[1] == 126 ? 2 : header[1] == 127 ? 8 : 0;

		opcode = header[0] & 0x0f;
		c->message_left = header[1];
		if (extended > 0)
			c->message_left = 0;
		for (size_t i = 0; i < extended; i++)
			c->message_left = c->message_left << 8 | header[2 + i];
		c->sent += (uint32_t) (2 + extended);
	}
	n = c->message_left < WRITE_MAX - EIO_WS_HEADER_MAX ? (size_t) c->message_left : WRITE_MAX - EIO_WS_HEADER_MAX;
	at = eio_ws_header(scratch, false, n);
	scratch[0] = opcode | (n == c->message_left ? 0x80 : 0);
	at = write_bytes(at, slice(f->ws + c->sent, n));
	*len = (size_t) (at - scratch);
	c->sent += (uint32_t) n;
	c->message_left -= n;
	if (c->sent < f->ws_len)
		return 0;
	c->sent = 0;
	return 1;
}

static uint16_t
ws_code(CloseReason reason)
{
	switch (reason)
	{
		case CLOSE_SHUTDOWN:
			return CLOSE_GOING_AWAY;
		case CLOSE_FLOOD:
		case CLOSE_SLOW:
			return CLOSE_POLICY;
		case CLOSE_TOO_LARGE:
			return CLOSE_TOO_BIG;
		default:
			return CLOSE_NORMAL;
	}
}

/* The session is over, or the probe is not wanted: nothing waits for the client. */
void
ws_hangup(Conn *c, CloseReason reason)
{
	Slice		words = slice_cstring(session_farewell(reason));
	uint16_t	code = ws_code(reason);
	uint8_t		frame[4 + 123] = {0x88, (uint8_t) (2 + words.len), (uint8_t) (code >> 8), (uint8_t) code};

	c->session = NULL;
	if (c->dying)
		return;
	write_bytes(frame + 4, words);
	/* A client that cannot take a close frame sees the end of the stream. */
	if (!lws_partial_buffered(c->wsi))
		(void) lws_write(c->wsi, frame, 4 + words.len, LWS_WRITE_RAW);
	conn_kill(c);
}

void
ws_send_probe(Conn *c, Slice packet)
{
	uint8_t		frame[EIO_WS_HEADER_MAX + 32];
	uint8_t    *end;

	if (c->dying || packet.len > 32 || lws_partial_buffered(c->wsi))
		return;
	end = write_bytes(eio_ws_header(frame, false, packet.len), packet);
	if (lws_write(c->wsi, frame, (size_t) (end - frame), LWS_WRITE_RAW) < 0)
		conn_kill(c);
}

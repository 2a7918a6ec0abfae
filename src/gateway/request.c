/*
 * request.c - Engine.IO requests: query, checks, CORS fields.
 *
 * http.c and ws.c fill an EngineRequest from libwebsockets; polling.c and
 * ws.c ask here what to do with it.  Nothing is kept, nothing fails but the
 * request.
 */
#include "gateway/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "gateway/log.h"
#include "gateway/origin.h"

#define ORIGIN_LOG_MS 60000

/* What is not UTF-8 is taken for Latin-1, as Node does with header fields. */
static void
add_string(Text *t, Slice s)
{
	Text		utf8 = {0};

	if (eio_utf8_valid(s))
	{
		text_add_json(t, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++)
	{
		uint8_t		pair[2] = {(uint8_t) (0xc0 | s.data[i] >> 6), (uint8_t) (0x80 | (s.data[i] & 0x3f))};

		text_add(&utf8, s.data[i] < 0x80 ? slice(&s.data[i], 1) : slice(pair, 2));
	}
	text_add_json(t, text_slice(&utf8));
	text_free(&utf8);
}

static void
add_member(Text *object, Slice name, Slice value)
{
	text_add_string(object, object->len > 0 ? "," : "{");
	add_string(object, name);
	text_add_string(object, ":");
	add_string(object, value);
}

void
request_field(EngineRequest *q, Slice name, Slice value)
{
	add_member(&q->fields, name, value);
}

SessionPeer
request_peer(EngineRequest *q, const RequestSettings *settings, const char *address)
{
	struct timespec now;

	address_of_client(settings->trusted_proxies, address, slice_cstring(q->forwarded ? q->forwarded : ""), q->client);
	clock_gettime(CLOCK_REALTIME, &now);
	if (q->query.len > 0)
		text_add_string(&q->query, "}");
	if (q->fields.len > 0)
		text_add_string(&q->fields, "}");
	return (SessionPeer)
	{
		.address = slice_cstring(q->client),
		.authorization = slice_cstring(q->authorization ? q->authorization : ""),
		.headers = text_slice(&q->fields),
		.query = text_slice(&q->query),
		.issued = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000,
		.base64 = q->base64,
	};
}

void
request_clear(EngineRequest *q)
{
	free(q->authorization);
	free(q->forwarded);
	q->authorization = q->forwarded = NULL;
	text_free(&q->query);
	text_free(&q->fields);
}

void
request_parameter(EngineRequest *q, const char *text, bool collect)
{
	const char *value = strchr(text, '=');
	Slice		name;

	if (!value)
		return;
	name = slice(text, (size_t) (value - text));
	value++;
	if (collect)
		add_member(&q->query, name, slice_cstring(value));
	if (slice_equal(name, SLICE_LITERAL("transport")))
	{
		q->has_transport = strcmp(value, "polling") == 0 || strcmp(value, "websocket") == 0;
		q->transport = value[0] == 'w' ? TRANSPORT_WEBSOCKET : TRANSPORT_POLLING;
	}
	else if (slice_equal(name, SLICE_LITERAL("EIO")))
		q->eio4 = strcmp(value, "4") == 0;
	else if (slice_equal(name, SLICE_LITERAL("sid")))
	{
		q->has_sid = true;
		snprintf(q->sid, sizeof(q->sid), "%s", value);
	}
	else if (slice_equal(name, SLICE_LITERAL("b64")))
		q->base64 = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
}

const char *
request_refusal(Refusal refusal, int *status)
{
	*status = refusal == REFUSED_CONNECTIONS || refusal == REFUSED_DRAINING ? 503 : 429;
	switch (refusal)
	{
		case REFUSED_ADDRESS:
			return "Too many connections from this address";
		case REFUSED_RATE:
			return "Too many handshakes from this address";
		case REFUSED_DRAINING:
			return "Server is draining";
		case REFUSED_CONNECTIONS:
		case REFUSED_NOT:
			break;
	}
	return "Too many connections";
}

/* The order is that of protocol.md 1.2. */
bool
request_admit(const EngineRequest *q, const RequestSettings *settings, Server *server,
			  Session **s, EioError *error)
{
	*s = NULL;
	*error = EIO_BAD_REQUEST;
	if (!q->has_transport)
	{
		*error = EIO_UNKNOWN_TRANSPORT;
		return false;
	}
	if (q->origin_bad)
		return false;
	if (q->has_sid)
	{
		*s = session_find(server, slice_cstring(q->sid));
		if (!*s)
		{
			*error = EIO_UNKNOWN_SID;
			return false;
		}
		if (!q->eio4 || (!q->upgrade && (*s)->transport != q->transport))
			return false;
	}
	else if (q->method != HTTP_GET)
	{
		*error = EIO_BAD_METHOD;
		return false;
	}
	if (q->upgrade != (q->transport == TRANSPORT_WEBSOCKET))
		return false;
	if (origin_check(settings->allowed_origins, slice_cstring(q->origin), slice_cstring(q->host)) == ORIGIN_REFUSED)
	{
		*error = EIO_FORBIDDEN;
		return false;
	}
	if (!q->eio4)
	{
		*error = EIO_UNSUPPORTED_VERSION;
		return false;
	}
	return true;
}

void
request_cors(const EngineRequest *q, const RequestSettings *settings, char *out)
{
	const char *credentials = settings->cors_credentials ? "Access-Control-Allow-Credentials: true\r\n" : "";
	OriginVerdict verdict = ORIGIN_REFUSED;

	if (!q->origin_bad)
		verdict = origin_check(settings->allowed_origins, slice_cstring(q->origin), slice_cstring(q->host));
	switch (verdict)
	{
		case ORIGIN_ANY:		/* never with credentials */
			strcpy(out, "Access-Control-Allow-Origin: *\r\n");
			break;
		case ORIGIN_LISTED:
			snprintf(out, REQUEST_CORS_MAX, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n%s",
					 q->origin, credentials);
			break;
		case ORIGIN_SAME:
		case ORIGIN_REFUSED:
			strcpy(out, "Vary: Origin\r\n");
			break;
	}
}

void
request_count_refusal(const EngineRequest *q, EioError error, uint64_t *counters, uint64_t now)
{
	static uint64_t quiet_until;	/* anybody can make us refuse */
	char		hint[REQUEST_ORIGIN_MAX + 100];

	if (error != EIO_FORBIDDEN)
	{
		counters[COUNTER_REFUSED_REQUEST]++;
		return;
	}
	counters[COUNTER_REFUSED_ORIGIN]++;
	if (now < quiet_until)
		return;
	quiet_until = now + ORIGIN_LOG_MS;
	snprintf(hint, sizeof(hint), "If its pages may connect, add '%s' to pg_rooms.allowed_origins.", q->origin);
	log_message(LINK_LOG_INFO, hint, "refused a request of a page of origin \"%s\" to host \"%s\"",
				q->origin, q->host);
}

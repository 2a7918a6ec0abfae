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

#include "gateway/log.h"
#include "gateway/origin.h"

#define ORIGIN_LOG_MS 60000

void
request_clear(EngineRequest *q)
{
	free(q->authorization);
	q->authorization = NULL;
}

void
request_parameter(EngineRequest *q, const char *text)
{
	const char *value = strchr(text, '=');
	Slice		name;

	if (!value)
		return;
	name = slice(text, (size_t) (value - text));
	value++;
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

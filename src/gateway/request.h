/*
 * request.h - what an Engine.IO request asks for, and whether it may.  Pure.
 *
 * protocol.md 1.1 and 1.2: both transports make the same checks in the same
 * order, so they are here and not in either.
 */
#ifndef ROOMS_GATEWAY_REQUEST_H
#define ROOMS_GATEWAY_REQUEST_H

#include "core/server.h"
#include "core/text.h"
#include "wire/address.h"

typedef enum HttpMethod
{
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_OPTIONS,
	HTTP_OTHER
} HttpMethod;

/* The settings that requests are judged by; strings are malloc'ed. */
typedef struct RequestSettings
{
	char	   *path;
	char	   *allowed_origins;
	bool		cors_credentials;
	char	   *metrics_token;	/* "": no /metrics */
	char	   *trusted_proxies;	/* whose X-Forwarded-For counts */
	uint32_t	max_payload;
	bool		collect;		/* handlers want to know query and header fields */
} RequestSettings;

#define REQUEST_ORIGIN_MAX 256

typedef struct EngineRequest
{
	HttpMethod	method;
	bool		upgrade;		/* carries a WebSocket handshake */

	/* query */
	bool		has_transport;	/* a known one */
	Transport	transport;
	bool		eio4;
	bool		has_sid;
	char		sid[SID_LENGTH + 2];	/* cut: a longer one is nobody's */
	bool		base64;

	/* header fields */
	bool		origin_bad;		/* too long or with control characters */
	char		origin[REQUEST_ORIGIN_MAX];
	char		host[REQUEST_ORIGIN_MAX];
	char	   *authorization;	/* malloc'ed or NULL */
	char	   *forwarded;		/* X-Forwarded-For; malloc'ed or NULL */
	char		client[ADDRESS_TEXT_MAX];	/* whose request it is, once request_peer() has found out */

	/* To be passed on: the members of a JSON object each, without its last brace. */
	Text		query;
	Text		fields;
} EngineRequest;

/* Frees what the request owns, not itself. */
extern void request_clear(EngineRequest *q);

/* Takes one "name=value" of the query; `collect`: to pass it on, too. */
extern void request_parameter(EngineRequest *q, const char *text, bool collect);

/* Takes a header field to pass on; its name is in lower case. */
extern void request_field(EngineRequest *q, Slice name, Slice value);

/* What a session that begins with this request, on a connection from `address`, is to know of its client. */
extern SessionPeer request_peer(EngineRequest *q, const RequestSettings *settings, const char *address);

/* What a client is told when there is no session for it, and the HTTP status. */
extern const char *request_refusal(Refusal refusal, int *status);

/*
 * The checks of protocol.md 1.2.  True: *s is the session named by the sid,
 * or NULL for a handshake.  False: *error is the answer.
 */
extern bool request_admit(const EngineRequest *q, const RequestSettings *settings, Server *server,
						  Session **s, EioError *error) MUST_CHECK;

/* Counts a refusal, and logs that of an origin at most once a minute. */
extern void request_count_refusal(const EngineRequest *q, EioError error, uint64_t *counters, uint64_t now);

/* The CORS fields that every answer to this request carries; `out` has REQUEST_CORS_MAX bytes. */
#define REQUEST_CORS_MAX (REQUEST_ORIGIN_MAX + 128)
extern void request_cors(const EngineRequest *q, const RequestSettings *settings, char *out);

#endif							/* ROOMS_GATEWAY_REQUEST_H */

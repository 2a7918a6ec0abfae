/*
 * http.h - one HTTP request and its answer, for polling.c and static.c.
 *
 * http.c reads the head and the body and calls polling_request() and
 * polling_body() or static_request().  Those answer with http_answer*(), now
 * or (http_park()) later; the first answer counts.  The Http is freed by
 * http.c when the kernel has all of the answer (polling_sent()) or the client
 * is gone (polling_aborted()).
 */
#ifndef ROOMS_GATEWAY_HTTP_H
#define ROOMS_GATEWAY_HTTP_H

#include "gateway/request.h"

struct Conn;
typedef struct HttpParking HttpParking;

typedef enum HttpState
{
	HTTP_READING,				/* the body is still coming */
	HTTP_WAITING,				/* to be answered in this callback */
	HTTP_PARKED,				/* a long poll */
	HTTP_ANSWERED,				/* the answer is known, or being sent */
	HTTP_GONE					/* the client is */
} HttpState;

typedef struct Http
{
	struct Conn *conn;
	HttpState	state;
	EngineRequest request;
	bool		close;			/* close the connection after the answer, unread body and all */
	bool		watched;		/* is in the set of http_watch() */

	char	   *path;			/* percent-decoded */
	char		cors[REQUEST_CORS_MAX];

	uint8_t    *body;			/* nothing is kept once the request is answered */
	size_t		body_len;
	size_t		body_space;
	size_t		body_expected;

	uint8_t    *out;			/* head and body of the answer */
	size_t		out_len;
	int			file;			/* the rest of the answer comes from here; -1: none */
	uint64_t	file_left;		/* 0 without a file */
} Http;

/* The words behind a status of ours. */
extern const char *http_status_text(int status);

/* `fields` is "" or complete lines; Content-Length, CORS and Connection are added. */
extern void http_answer(Http *h, int status, const char *type, const char *fields, Slice body);

/* The file is http.c's to close; HEAD gets the head alone. */
extern void http_answer_file(Http *h, const char *type, const char *fields, int fd, uint64_t size);

/* Keeps the request until http_answer(). */
extern void http_park(Http *h);

/* The rest of the body is not wanted: the answer goes out at once and ends the connection. */
extern void http_stop_reading(Http *h);

typedef enum HttpField
{
	FIELD_CONTENT_TYPE,
	FIELD_IF_NONE_MATCH,
	FIELD_REQUEST_HEADERS		/* Access-Control-Request-Headers */
} HttpField;

/* Copies a header field's value; false: absent, longer than `size`, or with control characters. */
extern bool http_field(Http *h, HttpField field, char *out, size_t size);

/* ---- polling.c and static.c, called by http.c ---- */

/* The head of a request to the endpoint. */
extern void polling_request(Http *h);

/* Its whole body, unless polling_request() has answered. */
extern void polling_body(Http *h);

/* The answer is out, or will never be: the client is gone. */
extern void polling_sent(Http *h);
extern void polling_aborted(Http *h);

/* The session has something for its parked poll, or has ended. */
extern void polling_answer(Session *s);

/* The session has ended while a body for it was being read. */
extern void polling_drop(Session *s);

/* Any other request; `root` is document_root's descriptor or -1. */
extern void static_request(Http *h, int root);

#endif							/* ROOMS_GATEWAY_HTTP_H */

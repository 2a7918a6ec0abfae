/*
 * json.h - a JSON checker and a shallow walker over checked text.
 *
 * Clients' payloads are validated here without building anything; what needs
 * a tree (tokens, CONNECT auth) uses jansson in gateway/.  No name here may be
 * one of jansson's: the gateway links both.
 */
#ifndef ROOMS_WIRE_JSON_H
#define ROOMS_WIRE_JSON_H

#include "wire/slice.h"

#define JSON_MAX_DEPTH 110	/* arguments 100 deep, in their array, and some more */

/*
 * True if `text` is exactly one JSON value (RFC 8259, so also well-formed
 * UTF-8), nested at most JSON_MAX_DEPTH deep.
 */
extern bool json_valid(Slice text);

/*
 * The checker one token at a time, for callers that want to see what they
 * check: json_scan() begins, each json_scan_next() gives a token and its raw
 * text, until JSON_SCAN_END (it was one valid value) or JSON_SCAN_BAD.
 */
typedef enum JsonToken
{
	JSON_SCAN_BAD,
	JSON_SCAN_END,
	JSON_SCAN_NULL,
	JSON_SCAN_TRUE,
	JSON_SCAN_FALSE,
	JSON_SCAN_NUMBER,
	JSON_SCAN_STRING,			/* raw, with its quotes */
	JSON_SCAN_KEY,				/* the same; its value is the next token */
	JSON_SCAN_ARRAY,			/* [ */
	JSON_SCAN_ARRAY_END,
	JSON_SCAN_OBJECT,			/* { */
	JSON_SCAN_OBJECT_END
} JsonToken;

typedef struct JsonScan
{
	const uint8_t *at;
	const uint8_t *end;
	uint32_t	depth;			/* open arrays and objects */
	uint8_t		expect;			/* what may stand at `at`: json.c's */
	bool		object[JSON_MAX_DEPTH]; /* of each of them: is it an object? */
} JsonScan;

extern void json_scan(JsonScan *s, Slice text);
extern JsonToken json_scan_next(JsonScan *s, Slice *raw);

/*
 * Walks the elements of a valid array or the members of a valid object:
 * start with json_enter(), false for any other value; each json_next() gives
 * the raw text of one value and, in objects, of its key with the quotes.
 * Text that is not valid gives wrong slices, but never beyond its end.
 */
typedef struct JsonWalk
{
	Slice		rest;
	bool		object;
} JsonWalk;

extern bool json_enter(Slice value, JsonWalk *w);
extern bool json_next(JsonWalk *w, Slice *key, Slice *value);

/*
 * Decodes a raw JSON string (with its quotes) into `out`, which has room for
 * raw.len bytes; gives the length, or -1 for a value that is no string or has
 * a lone surrogate.  \u0000 is legal JSON and becomes a zero byte.
 */
extern long json_unquote(Slice raw, uint8_t *out);

/* Bytes that json_quote() writes for s, quotes included; and the writing. */
extern size_t json_quoted_size(Slice s);
extern uint8_t *json_quote(uint8_t *out, Slice s);

#endif							/* ROOMS_WIRE_JSON_H */

/*
 * json.h - a JSON checker and a shallow walker over checked text.
 *
 * Clients' payloads are validated here without building anything; what needs
 * a tree (tokens, CONNECT auth) uses jansson in gateway/.
 */
#ifndef ROOMS_WIRE_JSON_H
#define ROOMS_WIRE_JSON_H

#include "wire/slice.h"

#define JSON_MAX_DEPTH 100

/* True if `text` is exactly one JSON value (RFC 8259), nested at most JSON_MAX_DEPTH deep. */
extern bool json_valid(Slice text);

/*
 * Walks the elements of a valid array or the members of a valid object:
 * start with json_enter(); each json_next() gives the raw text of one value
 * and, in objects, of its key with the quotes.
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
 * a lone surrogate.
 */
extern long json_string(Slice raw, uint8_t *out);

/* Bytes that json_quote() writes for s, quotes included; and the writing. */
extern size_t json_quoted_size(Slice s);
extern uint8_t *json_quote(uint8_t *out, Slice s);

#endif							/* ROOMS_WIRE_JSON_H */

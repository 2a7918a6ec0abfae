/*
 * handler.h - what the SQL functions rooms.handle() and rooms.handler_rules()
 * answer to the gateway, and the marker that a handler's messages end with.
 *
 * Written by backends (backend/handle.c, backend/registration.c), opened by
 * the gateway.  Little-endian; string and list as in wire/envelope.h:
 *
 *   reply    string args | list attachments
 *            args is the text of a JSON array in UTF-8:
 *              event       the arguments of the acknowledgement; one with
 *                          attachments holds their placeholders
 *              join        [true] or [false]
 *              connect     names of further rooms to join
 *              disconnect  []
 *   rules    u32 count | count x (u8 kind | string namespace | string name |
 *            list relay)
 *            kind is a HandlerKind; name is the event or the pattern of rooms,
 *            empty for connect and disconnect
 *   marker   u64 number of the gateway | u64 number of the call
 *
 * A handler that emits has its marker written behind its messages, as an
 * envelope of kind ENVELOPE_MARKER: when it comes over the bus, all that the
 * handler emitted has come, so its acknowledgement may follow.
 */
#ifndef ROOMS_WIRE_HANDLER_H
#define ROOMS_WIRE_HANDLER_H

#include "wire/envelope.h"

#define HANDLER_MARKER_SIZE 16

typedef enum HandlerKind
{
	HANDLER_EVENT = 'e',
	HANDLER_JOIN = 'j',
	HANDLER_CONNECT = 'c',
	HANDLER_DISCONNECT = 'd'
} HandlerKind;

typedef struct HandlerReply
{
	Slice		args;
	EnvelopeList attachments;
} HandlerReply;

typedef struct HandlerRule
{
	HandlerKind kind;
	Slice		nsp;
	Slice		name;
	EnvelopeList relay;
} HandlerRule;

/* A cursor over rules. */
typedef struct HandlerRules
{
	uint32_t	count;			/* of those left */
	Slice		bytes;
} HandlerRules;

/*
 * Open what came from the database.  WIRE_BAD: not in the form above (args
 * that is no valid JSON array, too many attachments, an unknown kind, a name
 * that is too long, bytes left over).
 */
extern WireResult handler_reply_decode(Slice bytes, HandlerReply *r) MUST_CHECK;
extern WireResult handler_rules_open(Slice bytes, HandlerRules *rules) MUST_CHECK;

/* The next rule of an opened list; false at its end. */
extern bool handler_rules_next(HandlerRules *rules, HandlerRule *rule);

#endif							/* ROOMS_WIRE_HANDLER_H */

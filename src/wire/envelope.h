/*
 * envelope.h - one emitted message, and the record that carries a
 * transaction's messages through the WAL.
 *
 * Written by backends (backend/emitter, backend/outbox), split by the worker,
 * opened by the gateway.  Little-endian, every part length-prefixed.
 *
 *   record    "PGRM" | u8 version | u8[3] 0 | u32 database oid | u32 count |
 *             count x (u32 length | envelope)
 *   envelope  u8 kind | u8 flags | u16 0 | u32 throttle ms | string namespace |
 *             list rooms | list except | string packet | list attachments
 *   string    u32 length | bytes
 *   list      u32 count | count x string
 *
 * The record is the payload of a transactional logical message with prefix
 * ENVELOPE_PREFIX and database oid 0 (design: no SQL function can write such
 * a record, so none can be forged).
 */
#ifndef ROOMS_WIRE_ENVELOPE_H
#define ROOMS_WIRE_ENVELOPE_H

#include "wire/slice.h"

#define ENVELOPE_PREFIX			"pg_rooms"
#define ENVELOPE_VERSION		1
#define ENVELOPE_RECORD_HEADER	16	/* bytes before the first length */
#define ENVELOPE_MAX_ATTACHMENTS 10 /* what the stock socket.io-parser takes */
#define ENVELOPE_MAX_NAME		255 /* bytes of a room name or a namespace */

typedef enum EnvelopeKind
{
	ENVELOPE_EMIT = 1,
	ENVELOPE_SOCKETS_JOIN,		/* sockets in `rooms` join `except`'s rooms */
	ENVELOPE_SOCKETS_LEAVE,
	ENVELOPE_DISCONNECT_SOCKETS,
	ENVELOPE_MARKER,			/* a handler's messages end here: `packet` is its marker (wire/handler.h) */
	ENVELOPE_RULES				/* the registered handlers have changed */
} EnvelopeKind;

/* Flags. */
#define ENVELOPE_VOLATILE	0x01	/* dropped for a socket that is not writable now */
#define ENVELOPE_ALL		0x02	/* the whole namespace; `rooms` is empty */
#define ENVELOPE_CLOSE		0x04	/* DISCONNECT_SOCKETS: close the transport too */

/* A list of strings in encoded form; walk it with envelope_next(). */
typedef struct EnvelopeList
{
	uint32_t	count;
	Slice		bytes;			/* count x (u32 length | bytes) */
} EnvelopeList;

typedef struct Envelope
{
	EnvelopeKind kind;
	uint8_t		flags;
	uint32_t	throttle_ms;	/* 0: not throttled */
	Slice		nsp;			/* namespace, starts with '/' */
	EnvelopeList rooms;
	EnvelopeList except;
	Slice		packet;			/* Socket.IO packet text, without the Engine.IO digit */
	EnvelopeList attachments;
} Envelope;

/* Bytes that envelope_encode() will write for e. */
extern size_t envelope_size(const Envelope *e);

/* Writes e to `out` and gives the position behind it. */
extern uint8_t *envelope_encode(const Envelope *e, uint8_t *out);

/*
 * Opens one envelope.  WIRE_BAD for anything that envelope_encode() could not
 * have written: unknown kind or flag, bad counts, bytes left over, an empty or
 * overlong room or namespace, more than ENVELOPE_MAX_ATTACHMENTS.  The slices
 * of *e point into `bytes`.
 */
extern WireResult envelope_decode(Slice bytes, Envelope *e) MUST_CHECK;

/* Takes the next string off the list; false at its end. */
extern bool envelope_next(EnvelopeList *list, Slice *s);

/* A list where the reader stands; the reader is `bad` if there is none. */
extern EnvelopeList envelope_read_list(Reader *r);

/* May it be the name of a room or a namespace, as far as its length goes? */
extern bool envelope_name_valid(Slice name);
extern bool envelope_names_valid(EnvelopeList list);

/* Writes the 16-byte record header. */
extern uint8_t *envelope_record_header(uint8_t *out, uint32_t database, uint32_t count);

/*
 * Opens a record: checks magic, version, and that exactly `count` lengths
 * fill it.  `list` then walks over the envelopes with envelope_next().
 */
extern WireResult envelope_record_open(Slice record, uint32_t *database, EnvelopeList *list) MUST_CHECK;

#endif							/* ROOMS_WIRE_ENVELOPE_H */

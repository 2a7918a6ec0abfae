/*
 * sio.h - Socket.IO protocol 5 packets, as text inside Engine.IO messages.
 *
 * protocol.md section 2 of the design notes;
 * https://github.com/socketio/socket.io-protocol (v5).
 */
#ifndef ROOMS_WIRE_SIO_H
#define ROOMS_WIRE_SIO_H

#include "wire/slice.h"

#define SIO_MAX_ATTACHMENTS 10

typedef enum SioType
{
	SIO_CONNECT = 0,
	SIO_DISCONNECT,
	SIO_EVENT,
	SIO_ACK,
	SIO_CONNECT_ERROR,
	SIO_BINARY_EVENT,
	SIO_BINARY_ACK
} SioType;

typedef struct SioPacket
{
	SioType		type;
	uint32_t	attachments;	/* BINARY_*: 1..10 binary messages follow */
	Slice		nsp;			/* "/" when absent; may carry a ?query */
	bool		has_ack;
	uint64_t	ack;
	Slice		json;			/* the payload's text, checked; empty when absent */
	Slice		event;			/* EVENT, BINARY_EVENT: raw first element; a JSON string or number */
} SioPacket;

/*
 * Opens and checks a packet from a client.  WIRE_BAD: close the connection.
 * Checked: grammar, JSON, payload kind per type, reserved event names, that
 * every placeholder's num in BINARY_* is an integer below `attachments`.
 * Whether the packet may come now is the caller's to judge, and so is that
 * CONNECT_ERROR, well-formed, is never a client's to send.  An EVENT without
 * payload (json and event empty) is well-formed and does nothing.
 */
extern WireResult sio_decode(Slice text, SioPacket *p) MUST_CHECK;

/* The names that may not be emitted: connect, connect_error, disconnect, ... */
extern bool sio_reserved_event(Slice name);

/*
 * Writes what the server says; not for BINARY_*.  Gives the packet's size;
 * with out == NULL nothing is written.  nsp "/" is left out, as the grammar
 * wants.  `json` is the payload's text or empty.
 */
extern size_t sio_encode(uint8_t *out, SioType type, Slice nsp, Slice json);

/*
 * The raw text of the event name in an EVENT or BINARY_EVENT packet that we
 * made ourselves: a JSON string with its quotes.  Used as the throttle's key.
 */
extern bool sio_event_name(Slice packet, Slice *name);

#endif							/* ROOMS_WIRE_SIO_H */

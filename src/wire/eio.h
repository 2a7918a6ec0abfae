/*
 * eio.h - Engine.IO protocol 4: packets, polling payloads, WebSocket headers.
 *
 * Pure: slices in, slices or the caller's buffer out.  protocol.md section 1
 * of the design notes; https://github.com/socketio/engine.io-protocol (v4).
 */
#ifndef ROOMS_WIRE_EIO_H
#define ROOMS_WIRE_EIO_H

#include "wire/slice.h"

typedef enum EioType
{
	EIO_OPEN = 0,
	EIO_CLOSE,
	EIO_PING,
	EIO_PONG,
	EIO_MESSAGE,
	EIO_UPGRADE,
	EIO_NOOP
} EioType;

typedef struct EioPacket
{
	EioType		type;
	bool		binary;			/* type is then EIO_MESSAGE */
	Slice		data;			/* after the digit; raw bytes when binary */
} EioPacket;

/* Error answers to HTTP requests and refused upgrades. */
typedef enum EioError
{
	EIO_UNKNOWN_TRANSPORT = 0,
	EIO_UNKNOWN_SID,
	EIO_BAD_METHOD,
	EIO_BAD_REQUEST,
	EIO_FORBIDDEN,
	EIO_UNSUPPORTED_VERSION
} EioError;

extern int	eio_error_status(EioError e);			/* 400, or 403 for EIO_FORBIDDEN */
extern const char *eio_error_message(EioError e);	/* "Session ID unknown", ... */

/*
 * Opens the text of one packet (a text WebSocket message).  WIRE_BAD for 'b':
 * base64 is decoded in place, so it is eio_body_next()'s.
 */
extern WireResult eio_decode(Slice text, EioPacket *p) MUST_CHECK;

/*
 * Takes the next packet off a polling body (packets separated by 0x1E).  A
 * binary packet ('b' + base64) is decoded in place, which is why the body is
 * writable; p->data then points to the raw bytes.  Text is checked to be
 * UTF-8.  Call until body->done, beginning with {bytes, length, false}.
 * WIRE_BAD: the session is to be closed (done is then set too).  An empty
 * body or packet is WIRE_BAD.
 */
typedef struct EioBody
{
	uint8_t    *at;
	size_t		len;
	bool		done;
} EioBody;

extern WireResult eio_body_next(EioBody *body, EioPacket *p) MUST_CHECK;

#define EIO_SEPARATOR 0x1e

/* The handshake's open packet: '0' + JSON.  out has EIO_OPEN_MAX bytes. */
#define EIO_OPEN_MAX 256
typedef struct EioHandshake
{
	const char *sid;
	bool		upgrades;		/* offer websocket */
	uint32_t	ping_interval_ms;
	uint32_t	ping_timeout_ms;
	uint32_t	max_payload;
} EioHandshake;

extern size_t eio_open_packet(char *out, const EioHandshake *h);

/* Header of an unmasked, final WebSocket frame (RFC 6455 5.2): 2, 4 or 10 bytes. */
#define EIO_WS_HEADER_MAX 10
extern size_t eio_ws_header_size(uint64_t payload);
extern uint8_t *eio_ws_header(uint8_t *out, bool binary, uint64_t payload);

/* True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
extern bool eio_utf8_valid(Slice s);

#endif							/* ROOMS_WIRE_EIO_H */

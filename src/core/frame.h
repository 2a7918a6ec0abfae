/*
 * frame.h - a message in the form the transports send it, made once and
 * shared by all recipients by reference.
 *
 * The WebSocket form (headers and payloads of all its packets, back to back)
 * exists from the start; the polling form is made when the first polling
 * client needs it.  Single-threaded: plain counts.
 */
#ifndef ROOMS_CORE_FRAME_H
#define ROOMS_CORE_FRAME_H

#include "wire/envelope.h"

typedef struct Frame
{
	uint32_t	refs;
	uint32_t	ws_len;
	uint32_t	poll_len;		/* 0 until frame_poll() was called */
	uint32_t	first;			/* bytes of the first packet with its header; */
								/* the packets behind it are binary */
	uint8_t    *poll;
	struct Frame *base64;		/* made by frame_base64(), or NULL */
	uint8_t		ws[];			/* ws_len bytes, ready for the socket */
} Frame;

/*
 * A Socket.IO packet and its attachments as Engine.IO messages: "4" + packet,
 * then one binary message each.  One reference is the caller's.
 */
extern Frame *frame_message(Slice packet, EnvelopeList attachments);

/*
 * The same of an EVENT or BINARY_EVENT, with one more argument at its end: the
 * offset, a text that needs no escapes in JSON.
 */
extern Frame *frame_event(Slice packet, Slice offset, EnvelopeList attachments);

/*
 * What frame_event() has made, with another offset (empty: none) in place of
 * its own, which has `old` bytes.
 */
extern Frame *frame_with_offset(const Frame *f, size_t old, Slice offset);

/* One Engine.IO packet of any type, such as "2" or "0{...}". */
extern Frame *frame_packet(Slice text);

extern Frame *frame_ref(Frame *f);
extern void frame_unref(Frame *f);

/*
 * The packets as they stand in a polling payload, separators between them.
 * They are f's, until somebody gives back a reference to it.
 */
extern Slice frame_poll(Frame *f);

/*
 * The same message for a client that takes no binary (b64=1): attachments are
 * text messages, 'b' + base64.  Fit for both transports; f itself when it has
 * no attachments.  Borrowed: lives as long as f unless referenced.
 */
extern Frame *frame_base64(Frame *f);

#endif							/* ROOMS_CORE_FRAME_H */

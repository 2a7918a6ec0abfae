/*
 * base64.h - base64 (RFC 4648): with padding for binary packets in text, and
 * the URL alphabet without padding for tokens.
 *
 * Decoders take only the one canonical spelling of some bytes, so two texts
 * never mean the same.
 */
#ifndef ROOMS_WIRE_BASE64_H
#define ROOMS_WIRE_BASE64_H

#include "wire/slice.h"

/* Characters that base64_encode() writes for n bytes. */
extern size_t base64_size(size_t n);

/* Section 4, padded.  Gives the position behind it. */
extern uint8_t *base64_encode(uint8_t *out, Slice bytes);

/*
 * The number of bytes written, or -1.  `out` may be the text itself, which the
 * bytes never overtake; after -1 what is there is undefined.
 */
extern long base64_decode(uint8_t *out, Slice text) MUST_CHECK;
extern long base64url_decode(uint8_t *out, Slice text) MUST_CHECK;	/* section 5, unpadded */

#endif							/* ROOMS_WIRE_BASE64_H */

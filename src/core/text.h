/*
 * text.h - bytes that grow: where packets are put together.
 */
#ifndef ROOMS_CORE_TEXT_H
#define ROOMS_CORE_TEXT_H

#include "wire/slice.h"

/* Begins as {0}; text_free() gives the memory back. */
typedef struct Text
{
	uint8_t    *bytes;
	size_t		len;
	size_t		space;
} Text;

extern void text_add(Text *t, Slice s);
extern void text_add_string(Text *t, const char *s);
extern void text_add_item(Text *t, Slice s);	/* with its length before it, as in an EnvelopeList */
extern void text_add_number(Text *t, uint64_t n);
extern void text_add_u32(Text *t, uint32_t v);	/* four bytes, as in wire/ */
extern void text_add_u64(Text *t, uint64_t v);
extern void text_add_json(Text *t, Slice s);	/* quoted, as a JSON string */
extern void text_free(Text *t);

static inline Slice
text_slice(const Text *t)
{
	return slice(t->bytes, t->len);
}

#endif							/* ROOMS_CORE_TEXT_H */

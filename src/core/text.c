/*
 * text.c - bytes that grow.
 */
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "wire/json.h"

static uint8_t *
grow(Text *t, size_t n)
{
	if (t->space - t->len < n)
	{
		t->space = (t->len + n) * 3 / 2 + 64;
		t->bytes = xrealloc(t->bytes, t->space);
	}
	t->len += n;
	return t->bytes + t->len - n;
}

void
text_add(Text *t, Slice s)
{
	write_bytes(grow(t, s.len), s);
}

void
text_add_string(Text *t, const char *s)
{
	text_add(t, slice_cstring(s));
}

void
text_add_item(Text *t, Slice s)
{
	write_string(grow(t, 4 + s.len), s);
}

void
text_add_number(Text *t, uint64_t n)
{
	char		digits[24];

	snprintf(digits, sizeof(digits), "%llu", (unsigned long long) n);
	text_add_string(t, digits);
}

void
text_add_u32(Text *t, uint32_t v)
{
	write_u32(grow(t, 4), v);
}

void
text_add_u64(Text *t, uint64_t v)
{
	write_u64(grow(t, 8), v);
}

void
text_add_json(Text *t, Slice s)
{
	json_quote(grow(t, json_quoted_size(s)), s);
}

void
text_free(Text *t)
{
	free(t->bytes);
	*t = (Text) {0};
}

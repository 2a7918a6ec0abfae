/*
 * slice.h - borrowed bytes, and little-endian reading and writing of them.
 *
 * Every codec under wire/ takes and gives Slices: a pointer into somebody
 * else's buffer and a length.  A Slice owns nothing and is not terminated.
 * Readers never run past their end: the first read that does not fit sets
 * `bad`, and that read and all later ones give zero.
 */
#ifndef ROOMS_WIRE_SLICE_H
#define ROOMS_WIRE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))

typedef struct Slice
{
	const uint8_t *data;
	size_t		len;
} Slice;

/* What a decoder says of its input.  Malformed input is data, not an error. */
typedef enum WireResult
{
	WIRE_OK = 0,
	WIRE_MORE,					/* a prefix of something valid: give more bytes */
	WIRE_BAD					/* never valid, whatever follows */
} WireResult;

#define SLICE_LITERAL(s) ((Slice) {(const uint8_t *) (s), sizeof(s) - 1})

static inline Slice
slice(const void *data, size_t len)
{
	return (Slice) {(const uint8_t *) data, len};
}

static inline Slice
slice_cstring(const char *s)
{
	return slice(s, strlen(s));
}

static inline bool
slice_equal(Slice a, Slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* A cursor over a Slice. */
typedef struct Reader
{
	const uint8_t *at;
	const uint8_t *end;
	bool		bad;
} Reader;

static inline Reader
reader(Slice s)
{
	/* The sanitizers refuse NULL + 0, and an empty slice may be NULL. */
	return (Reader) {s.data, s.len > 0 ? s.data + s.len : s.data, false};
}

static inline size_t
reader_left(const Reader *r)
{
	return r->bad ? 0 : (size_t) (r->end - r->at);
}

/* The next n bytes, or an empty slice and `bad`. */
static inline Slice
read_bytes(Reader *r, size_t n)
{
	Slice		s = {r->at, n};

	if (r->bad || (size_t) (r->end - r->at) < n)
	{
		r->bad = true;
		return (Slice) {r->at, 0};
	}
	r->at += n;
	return s;
}

static inline uint64_t
read_uint(Reader *r, size_t n)
{
	Slice		s = read_bytes(r, n);
	uint64_t	v = 0;

	for (size_t i = s.len; i > 0; i--)
		v = v << 8 | s.data[i - 1];
	return v;
}

static inline uint8_t
read_u8(Reader *r)
{
	return (uint8_t) read_uint(r, 1);
}

static inline uint16_t
read_u16(Reader *r)
{
	return (uint16_t) read_uint(r, 2);
}

static inline uint32_t
read_u32(Reader *r)
{
	return (uint32_t) read_uint(r, 4);
}

static inline uint64_t
read_u64(Reader *r)
{
	return read_uint(r, 8);
}

/* A string with a 32-bit length before it. */
static inline Slice
read_string(Reader *r)
{
	uint32_t	n = read_u32(r);

	return read_bytes(r, n);
}

/* Writers give the position after what they wrote; the caller has sized the buffer. */
static inline uint8_t *
write_uint(uint8_t *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++, v >>= 8)
		*at++ = (uint8_t) v;
	return at;
}

static inline uint8_t *
write_u8(uint8_t *at, uint8_t v)
{
	return write_uint(at, v, 1);
}

static inline uint8_t *
write_u16(uint8_t *at, uint16_t v)
{
	return write_uint(at, v, 2);
}

static inline uint8_t *
write_u32(uint8_t *at, uint32_t v)
{
	return write_uint(at, v, 4);
}

static inline uint8_t *
write_u64(uint8_t *at, uint64_t v)
{
	return write_uint(at, v, 8);
}

static inline uint8_t *
write_bytes(uint8_t *at, Slice s)
{
	if (s.len > 0)
		memcpy(at, s.data, s.len);
	return at + s.len;
}

static inline uint8_t *
write_string(uint8_t *at, Slice s)
{
	return write_bytes(write_u32(at, (uint32_t) s.len), s);
}

#endif							/* ROOMS_WIRE_SLICE_H */

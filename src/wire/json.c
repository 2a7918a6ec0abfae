/*
 * json.c - checks JSON text, walks it, and quotes and unquotes its strings.
 *
 * The gateway checks every payload of a client here, so all of it is hostile:
 * time is linear in the text, nothing recurses, nothing is allocated, and
 * what cannot be JSON is a result.  Backends use the walker and the quoting
 * on text that PostgreSQL made.
 *
 * The scanner is one small state machine.  `expect` says what may stand next;
 * the stack of open arrays and objects is one bool each.
 */
#include "wire/json.h"
#include "wire/eio.h"

enum
{
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END,		/* after [ */
	EXPECT_KEY,
	EXPECT_KEY_OR_END,			/* after { */
	EXPECT_MORE_OR_END,			/* after a value: a comma, or the end of what is open */
	EXPECT_NOTHING				/* after an error */
};

static JsonToken scan_value(JsonScan *s);
static JsonToken scan_key(JsonScan *s);
static JsonToken scan_end(JsonScan *s);
static JsonToken open_nested(JsonScan *s, bool object);
static JsonToken close_nested(JsonScan *s);
static JsonToken value_done(JsonScan *s, JsonToken token, const uint8_t *end);
static JsonToken fail(JsonScan *s);
static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end);
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end);
static const uint8_t *skip_number(const uint8_t *at, const uint8_t *end);
static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end);
static const uint8_t *skip_word(const uint8_t *at, const uint8_t *end, Slice word);
static const uint8_t *skip_walked(const uint8_t *at, const uint8_t *end);
static const uint8_t *skip_walked_string(const uint8_t *at, const uint8_t *end);
static long read_escape(const uint8_t *at, const uint8_t *end, size_t *used);
static long read_hex4(const uint8_t *at, const uint8_t *end);
static uint8_t *write_utf8(uint8_t *out, uint32_t c);

/* ---- Checking ---- */

bool
json_valid(Slice text)
{
	JsonScan	scan;
	JsonToken	token;
	Slice		raw;

	json_scan(&scan, text);
	do
		token = json_scan_next(&scan, &raw);
	while (token > JSON_SCAN_END);
	return token == JSON_SCAN_END;
}

void
json_scan(JsonScan *s, Slice text)
{
	Reader		r = reader(text);

	s->at = r.at;
	s->end = r.end;
	s->depth = 0;
	s->expect = EXPECT_VALUE;
}

JsonToken
json_scan_next(JsonScan *s, Slice *raw)
{
	JsonToken	token = JSON_SCAN_BAD;
	const uint8_t *start;

	s->at = skip_space(s->at, s->end);

	/* The comma, if one is due. */
	if (s->expect == EXPECT_MORE_OR_END && s->depth > 0 && s->at < s->end && *s->at == ',')
	{
		s->expect = s->object[s->depth - 1] ? EXPECT_KEY : EXPECT_VALUE;
		s->at = skip_space(s->at + 1, s->end);
	}

	start = s->at;
	switch (s->expect)
	{
		case EXPECT_VALUE:
		case EXPECT_VALUE_OR_END:
			token = scan_value(s);
			break;
		case EXPECT_KEY:
		case EXPECT_KEY_OR_END:
			token = scan_key(s);
			break;
		case EXPECT_MORE_OR_END:
			token = scan_end(s);
			break;
	}
	*raw = slice(start, (size_t) (s->at - start));

	/* What stands between a key and its value belongs to neither. */
	if (token == JSON_SCAN_KEY)
	{
		s->at = skip_space(s->at, s->end);
		if (s->at == s->end || *s->at != ':')
			return fail(s);
		s->at++;
	}
	return token;
}

static JsonToken
scan_value(JsonScan *s)
{
	if (s->at == s->end)
		return fail(s);
	switch (*s->at)
	{
		case '{':
			return open_nested(s, true);
		case '[':
			return open_nested(s, false);
		case ']':
			return s->expect == EXPECT_VALUE_OR_END ? close_nested(s) : fail(s);
		case '"':
			return value_done(s, JSON_SCAN_STRING, skip_string(s->at, s->end));
		case 'n':
			return value_done(s, JSON_SCAN_NULL, skip_word(s->at, s->end, SLICE_LITERAL("null")));
		case 't':
			return value_done(s, JSON_SCAN_TRUE, skip_word(s->at, s->end, SLICE_LITERAL("true")));
		case 'f':
			return value_done(s, JSON_SCAN_FALSE, skip_word(s->at, s->end, SLICE_LITERAL("false")));
		default:
			return value_done(s, JSON_SCAN_NUMBER, skip_number(s->at, s->end));
	}
}

/* A key, or the end of an object that is empty. */
static JsonToken
scan_key(JsonScan *s)
{
	const uint8_t *after;

	if (s->expect == EXPECT_KEY_OR_END && s->at < s->end && *s->at == '}')
		return close_nested(s);
	after = skip_string(s->at, s->end);
	if (after == NULL)
		return fail(s);
	s->at = after;
	s->expect = EXPECT_VALUE;
	return JSON_SCAN_KEY;
}

/* The end of what is open, or of the text. */
static JsonToken
scan_end(JsonScan *s)
{
	if (s->depth == 0)
		return s->at == s->end ? JSON_SCAN_END : fail(s);
	if (s->at < s->end && *s->at == (s->object[s->depth - 1] ? '}' : ']'))
		return close_nested(s);
	return fail(s);
}

static JsonToken
open_nested(JsonScan *s, bool object)
{
	if (s->depth == JSON_MAX_DEPTH)
		return fail(s);
	s->object[s->depth++] = object;
	s->at++;
	s->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
	return object ? JSON_SCAN_OBJECT : JSON_SCAN_ARRAY;
}

/* Takes the bracket at `at`, which the caller has seen to be the right one. */
static JsonToken
close_nested(JsonScan *s)
{
	bool		object = s->object[--s->depth];

	return value_done(s, object ? JSON_SCAN_OBJECT_END : JSON_SCAN_ARRAY_END, s->at + 1);
}

/* `end` is where the value ended; NULL if it was none. */
static JsonToken
value_done(JsonScan *s, JsonToken token, const uint8_t *end)
{
	if (end == NULL)
		return fail(s);
	s->at = end;
	s->expect = EXPECT_MORE_OR_END;
	return token;
}

static JsonToken
fail(JsonScan *s)
{
	s->expect = EXPECT_NOTHING;
	return JSON_SCAN_BAD;
}

static const uint8_t *
skip_space(const uint8_t *at, const uint8_t *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* The skip functions give the position behind what they name, or NULL. */
static const uint8_t *
skip_string(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *start = at;
	bool		ascii = true;

	if (at == end || *at++ != '"')
		return NULL;
	for (; at < end && *at != '"'; at++)
	{
		if (*at < 0x20)
			return NULL;
		if (*at >= 0x80)
			ascii = false;
		if (*at == '\\')
		{
			at++;
			if (at == end || memchr("\"\\/bfnrtu", *at, 9) == NULL)
				return NULL;
			if (*at == 'u')
			{
				if (read_hex4(at + 1, end) < 0)
					return NULL;
				at += 4;
			}
		}
	}
	if (at == end)
		return NULL;
	at++;
	if (!ascii && !eio_utf8_valid(slice(start, (size_t) (at - start))))
		return NULL;
	return at;
}

static const uint8_t *
skip_number(const uint8_t *at, const uint8_t *end)
{
	if (at < end && *at == '-')
		at++;
	if (at < end && *at == '0')
		at++;
	else
		at = skip_digits(at, end);
	if (at != NULL && at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at != NULL && at < end && (*at == 'e' || *at == 'E'))
	{
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at;
}

/* One digit at least. */
static const uint8_t *
skip_digits(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *start = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at > start ? at : NULL;
}

static const uint8_t *
skip_word(const uint8_t *at, const uint8_t *end, Slice word)
{
	if ((size_t) (end - at) < word.len || memcmp(at, word.data, word.len) != 0)
		return NULL;
	return at + word.len;
}

/* ---- Walking what was checked ---- */

bool
json_enter(Slice value, JsonWalk *w)
{
	Reader		r = reader(value);
	const uint8_t *at = skip_space(r.at, r.end);

	if (at == r.end || (*at != '[' && *at != '{'))
		return false;
	w->object = *at == '{';
	w->rest = slice(at + 1, (size_t) (r.end - at - 1));
	return true;
}

bool
json_next(JsonWalk *w, Slice *key, Slice *value)
{
	Reader		r = reader(w->rest);
	const uint8_t *at = skip_space(r.at, r.end);
	const uint8_t *start;

	if (at < r.end && *at == ',')
		at = skip_space(at + 1, r.end);

	*key = slice(at, 0);
	if (w->object)
	{
		start = at;
		at = skip_walked_string(at, r.end);
		*key = slice(start, (size_t) (at - start));
		at = skip_space(at, r.end);
		if (at < r.end && *at == ':')
			at = skip_space(at + 1, r.end);
	}

	start = at;
	at = skip_walked(at, r.end);
	*value = slice(start, (size_t) (at - start));
	w->rest = slice(at, (size_t) (r.end - at));
	return value->len > 0;
}

/*
 * Over one value.  Of text that is known to be valid only strings and
 * brackets need to be looked at.
 */
static const uint8_t *
skip_walked(const uint8_t *at, const uint8_t *end)
{
	size_t		depth = 0;

	while (at < end)
	{
		switch (*at)
		{
			case '"':
				at = skip_walked_string(at, end);
				if (depth == 0)
					return at;
				continue;
			case '[':
			case '{':
				depth++;
				break;
			case ']':
			case '}':
				if (depth == 0)
					return at;	/* the walked value's own end */
				if (--depth == 0)
					return at + 1;
				break;
			case ',':
			case ':':
			case ' ':
			case '\t':
			case '\n':
			case '\r':
				if (depth == 0)
					return at;	/* after a number or a word */
				break;
		}
		at++;
	}
	return at;
}

static const uint8_t *
skip_walked_string(const uint8_t *at, const uint8_t *end)
{
	if (at == end || *at != '"')
		return at;
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && end - at > 1)
			at++;
	return at < end ? at + 1 : at;
}

/* ---- Strings ---- */

long
json_unquote(Slice raw, uint8_t *out)
{
	uint8_t    *start = out;
	const uint8_t *at;
	const uint8_t *end;

	if (raw.len < 2 || raw.data[0] != '"' || raw.data[raw.len - 1] != '"')
		return -1;
	at = raw.data + 1;
	end = raw.data + raw.len - 1;
	while (at < end)
	{
		size_t		used;
		long		c;

		if (*at == '"')
			return -1;
		if (*at != '\\')
		{
			*out++ = *at++;
			continue;
		}
		c = read_escape(at, end, &used);
		if (c < 0)
			return -1;
		out = write_utf8(out, (uint32_t) c);
		at += used;
	}
	return out - start;
}

/* The code point of the escape at `at` and its length; -1 if there is none. */
static long
read_escape(const uint8_t *at, const uint8_t *end, size_t *used)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	long		high;
	long		low;

	if (end - at < 2)
		return -1;
	if (at[1] != 'u')
	{
		letter = memchr(letters, at[1], sizeof(letters) - 1);
		*used = 2;
		return letter ? meanings[letter - letters] : -1;
	}

	high = read_hex4(at + 2, end);
	*used = 6;
	if (high < 0xd800 || high > 0xdfff)
		return high;			/* or -1 */

	/* A surrogate: only a high one with a low one behind it means something. */
	if (high > 0xdbff || end - at < 12 || at[6] != '\\' || at[7] != 'u')
		return -1;
	low = read_hex4(at + 8, end);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	*used = 12;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static long
read_hex4(const uint8_t *at, const uint8_t *end)
{
	long		v = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		uint8_t		c = at[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (c - 'A' + 10);
		else
			return -1;
	}
	return v;
}

/* Never more bytes than the escape had that c came from. */
static uint8_t *
write_utf8(uint8_t *out, uint32_t c)
{
	if (c < 0x80)
		return write_u8(out, (uint8_t) c);
	if (c < 0x800)
	{
		out = write_u8(out, (uint8_t) (0xc0 | c >> 6));
		return write_u8(out, (uint8_t) (0x80 | (c & 0x3f)));
	}
	if (c < 0x10000)
		out = write_u8(out, (uint8_t) (0xe0 | c >> 12));
	else
	{
		out = write_u8(out, (uint8_t) (0xf0 | c >> 18));
		out = write_u8(out, (uint8_t) (0x80 | (c >> 12 & 0x3f)));
	}
	out = write_u8(out, (uint8_t) (0x80 | (c >> 6 & 0x3f)));
	return write_u8(out, (uint8_t) (0x80 | (c & 0x3f)));
}

/* The letter after the backslash, 'u' for \u00XX, or 0 for a byte that stays as it is. */
static char
escape_letter(uint8_t c)
{
	switch (c)
	{
		case '"':
		case '\\':
			return (char) c;
		case '\b':
			return 'b';
		case '\f':
			return 'f';
		case '\n':
			return 'n';
		case '\r':
			return 'r';
		case '\t':
			return 't';
		default:
			return c < 0x20 ? 'u' : 0;
	}
}

size_t
json_quoted_size(Slice s)
{
	size_t		size = 2 + s.len;

	for (size_t i = 0; i < s.len; i++)
	{
		char		letter = escape_letter(s.data[i]);

		if (letter)
			size += letter == 'u' ? 5 : 1;
	}
	return size;
}

uint8_t *
json_quote(uint8_t *out, Slice s)
{
	static const char hex[] = "0123456789abcdef";

	out = write_u8(out, '"');
	for (size_t i = 0; i < s.len; i++)
	{
		uint8_t		c = s.data[i];
		char		letter = escape_letter(c);

		if (letter == 0)
		{
			out = write_u8(out, c);
			continue;
		}
		out = write_u8(out, '\\');
		out = write_u8(out, (uint8_t) letter);
		if (letter == 'u')
		{
			out = write_bytes(out, SLICE_LITERAL("00"));
			out = write_u8(out, (uint8_t) hex[c >> 4]);
			out = write_u8(out, (uint8_t) hex[c & 15]);
		}
	}
	return write_u8(out, '"');
}

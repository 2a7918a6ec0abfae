/*
 * fuzz_json.c - the checker against a recursive parser written for this test,
 * the walker against what was checked, and strings there and back.
 */
#include <assert.h>
#include <stdlib.h>

#include "wire/eio.h"
#include "wire/json.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The oracle: the grammar of RFC 8259, as directly as it can be written ---- */

static void
space(Reader *r)
{
	while (reader_left(r) > 0 && strchr(" \t\r\n", *r->at) && *r->at)
		r->at++;
}

static bool
take(Reader *r, const char *word)
{
	size_t		n = strlen(word);

	if (reader_left(r) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

static bool
digits(Reader *r)
{
	const uint8_t *start = r->at;

	while (reader_left(r) > 0 && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return r->at > start;
}

static bool
number(Reader *r)
{
	(void) take(r, "-");
	if (!take(r, "0") && !digits(r))
		return false;
	if (take(r, ".") && !digits(r))
		return false;
	if (take(r, "e") || take(r, "E"))
	{
		if (!take(r, "+"))
			(void) take(r, "-");
		return digits(r);
	}
	return true;
}

static bool
string(Reader *r)
{
	if (!take(r, "\""))
		return false;
	while (!take(r, "\""))
	{
		if (reader_left(r) == 0 || *r->at < 0x20)
			return false;
		if (!take(r, "\\"))
		{
			r->at++;
			continue;
		}
		if (take(r, "u"))
		{
			for (int i = 0; i < 4; i++)
				if (reader_left(r) == 0 || *r->at == 0 || !strchr("0123456789abcdefABCDEF", *r->at++))
					return false;
		}
		else if (reader_left(r) == 0 || *r->at == 0 || !strchr("\"\\/bfnrt", *r->at++))
			return false;
	}
	return true;
}

static bool
value(Reader *r, int depth)
{
	bool		object;
	bool		good;

	space(r);
	if (take(r, "null") || take(r, "true") || take(r, "false"))
		good = true;
	else if ((object = take(r, "{")) || take(r, "["))
	{
		const char *end = object ? "}" : "]";

		if (depth == JSON_MAX_DEPTH)
			return false;
		space(r);
		for (bool first = true; !take(r, end); first = false)
		{
			if (!first && !take(r, ","))
				return false;
			space(r);
			if (object)
			{
				if (!string(r))
					return false;
				space(r);
				if (!take(r, ":"))
					return false;
			}
			if (!value(r, depth + 1))
				return false;
		}
		good = true;
	}
	else if (reader_left(r) > 0 && *r->at == '"')
		good = string(r);
	else
		good = number(r);
	space(r);
	return good;
}

/* ---- What must hold ---- */

static void
check_string(Slice raw)
{
	uint8_t    *text = malloc(raw.len);
	long		n = json_unquote(raw, text);

	if (n >= 0)
	{
		Slice		s = slice(text, (size_t) n);
		size_t		size = json_quoted_size(s);
		uint8_t    *quoted = malloc(size);
		uint8_t    *again = malloc(size);

		assert(eio_utf8_valid(s));
		assert(json_quote(quoted, s) == quoted + size);
		assert(json_valid(slice(quoted, size)));
		assert(json_unquote(slice(quoted, size), again) == n && memcmp(again, text, (size_t) n) == 0);
		free(again);
		free(quoted);
	}
	free(text);
}

/* Every value and key that the walker gives is valid by itself. */
static void
check_walk(Slice text)
{
	JsonWalk	w;
	Slice		key;
	Slice		v;

	if (!json_enter(text, &w))
		return;
	while (json_next(&w, &key, &v))
	{
		assert(v.data >= text.data && v.data + v.len <= text.data + text.len);
		assert(w.object == (key.len > 0));
		assert(json_valid(v) && (!w.object || json_valid(key)));
		if (w.object)
			check_string(key);
		if (v.data[0] == '"')
			check_string(v);
		check_walk(v);
	}
	/* Nothing is left but the bracket. */
	for (size_t i = 0, brackets = 0; i < w.rest.len; i++)
	{
		if (w.rest.data[i] == ']' || w.rest.data[i] == '}')
			brackets++;
		else
			assert(strchr(" \t\r\n", w.rest.data[i]));
		assert(brackets <= 1);
	}
}

/* Of text that is not valid the walker may give nonsense, but inside it, and it ends. */
static void
walk_anything(Slice text)
{
	JsonWalk	w;
	Slice		key;
	Slice		v;

	if (!json_enter(text, &w))
		return;
	while (json_next(&w, &key, &v))
	{
		assert(v.data >= text.data && v.data + v.len <= text.data + text.len);
		assert(key.len == 0 || (key.data >= text.data && key.data + key.len <= text.data + text.len));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		text = slice(data, size);
	Reader		r = reader(text);
	bool		expected = value(&r, 0) && reader_left(&r) == 0 && eio_utf8_valid(text);

	assert(json_valid(text) == expected);
	if (expected && size < 4096)
		check_walk(text);
	walk_anything(text);
	{
		/* json_unquote() is safe on whatever it is given. */
		uint8_t    *out = malloc(size);

		assert(json_unquote(text, out) <= (long) size);
		free(out);
	}
	return 0;
}

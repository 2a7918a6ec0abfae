/*
 * test_json.c - the JSON checker, the walker over checked text, and strings.
 */
#include "unit.h"

#include "wire/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Checks a copy of exactly these bytes. */
static bool
valid(const char *text, size_t len)
{
	Slice		copy = unit_copy(text, len);
	bool		result = json_valid(copy);

	UNIT_FREE(copy);
	return result;
}

static void
test_valid(void)
{
	static const char *const good[] = {
		"null", "true", "false", "0", "-0", "1", "-1", "10", "1.5", "0.5", "1e5", "1E+5", "1e-5", "1.25e10", "-0.0e-0",
		"\"\"", "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"", "\"\\ud800\"", "\"\\u0000\"", "\"\x7f\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"",
		"[]", "[ ]", "[1]", "[1,2]", "[[],[]]", "[[[]]]", "{}", "{ }", "{\"a\":1}", "{\"a\":{},\"b\":[]}", "{\"a\":1,\"a\":2}", "{\"\":0}",
		" \t\r\n[ 1 , { \"a\" : [ ] } ] \t\r\n",
	};
	static const char *const bad[] = {
		"", " ", "nul", "nulll", "True", "tru", "falsey", "undefined", "NaN", "Infinity", "-", "+1", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "1 2", "1,", "--1",
		"\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u\"", "\"\\u123\"", "\"\\u123g\"", "\"\\u12", "\"\t\"", "\"\n\"", "\"\x1f\"", "'a'", "\"a\"b", "\"\xff\"", "\"\xc3\"",
		"\"\xed\xa0\x80\"", "\"\xc0\x80\"", "[", "]", "[1", "[1,", "[,1]", "[1,]", "[1 2]", "[1}", "[1]]", "[]]", "[[]", "[\"a\":1]", "[,]",
		"{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1]", "{\"a\":1 \"b\":2}", "{,}", "{\"a\"::1}",
		"{\"a\":,}", "{null:1}", "{}{}", "[]1", "/**/1", "\xef\xbb\xbf" "1", "\xc2\xa0" "1", "\f1", "1\x01", ":", ",", "{\"a\":1}}", "{[]:1}", "[1,,2]",
	};

	for (size_t i = 0; i < COUNT(good); i++)
	{
		unit_case("JSON: %s", good[i]);
		CHECK(valid(good[i], strlen(good[i])));
	}
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		unit_case("no JSON: %s", bad[i]);
		CHECK(!valid(bad[i], strlen(bad[i])));
	}

	unit_case("a zero byte is no JSON, and hides nothing");
	CHECK(!valid("1\0", 2) && !valid("\0" "1", 2) && !valid("\"a\0b\"", 5) && !valid("[1]\0[", 5));

	unit_case("no text at all");
	CHECK(!json_valid((Slice) {0}));
}

static void
test_prefixes(void)
{
	static const char text[] = "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\xc3\xa9\"],\"b\":{}}";

	unit_case("no prefix of an object is JSON");
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		CHECK(!valid(text, n));
	CHECK(valid(text, sizeof(text) - 1));

	unit_case("one wrong byte anywhere is found");
	for (size_t i = 0; i < sizeof(text) - 1; i++)
	{
		char		changed[sizeof(text)];

		memcpy(changed, text, sizeof(text));
		changed[i] = 0x01;
		CHECK(!valid(changed, sizeof(text) - 1));
		changed[i] = (char) 0xff;
		CHECK(!valid(changed, sizeof(text) - 1));
	}
}

static void
test_depth(void)
{
	static char text[4 * JSON_MAX_DEPTH];

	unit_case("arrays JSON_MAX_DEPTH deep, and one more");
	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	CHECK(valid(text, 2 * JSON_MAX_DEPTH));
	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	CHECK(!valid(text, 2 * (JSON_MAX_DEPTH + 1)));

	unit_case("a megabyte of brackets");
	{
		size_t		n = 1000000;
		char	   *brackets = malloc(n);

		memset(brackets, '[', n);
		CHECK(!valid(brackets, n));
		memset(brackets, '{', n);
		CHECK(!valid(brackets, n));
		free(brackets);
	}
}

static void
test_scan(void)
{
	static const JsonToken expected[] = {
		JSON_SCAN_OBJECT, JSON_SCAN_KEY, JSON_SCAN_ARRAY, JSON_SCAN_NUMBER, JSON_SCAN_TRUE, JSON_SCAN_FALSE, JSON_SCAN_NULL,
		JSON_SCAN_STRING, JSON_SCAN_ARRAY_END, JSON_SCAN_KEY, JSON_SCAN_OBJECT, JSON_SCAN_OBJECT_END, JSON_SCAN_OBJECT_END, JSON_SCAN_END, JSON_SCAN_END
	};
	static const char *const raw[] = {"{", "\"a\"", "[", "-1.5", "true", "false", "null", "\"s\"", "]", "\"b\"", "{", "}", "}", "", ""};
	JsonScan	scan;
	Slice		text;

	unit_case("tokens and their text");
	json_scan(&scan, SLICE_LITERAL(" { \"a\" : [ -1.5 , true,false, null ,\"s\" ] , \"b\":{} } "));
	for (size_t i = 0; i < COUNT(expected); i++)
		if (!CHECK(json_scan_next(&scan, &text) == expected[i] && slice_equal(text, slice_cstring(raw[i]))))
			printf("# token %zu\n", i);

	unit_case("after an error there is nothing more");
	json_scan(&scan, SLICE_LITERAL("[1 2,3]"));
	CHECK(json_scan_next(&scan, &text) == JSON_SCAN_ARRAY);
	CHECK(json_scan_next(&scan, &text) == JSON_SCAN_NUMBER);
	CHECK(json_scan_next(&scan, &text) == JSON_SCAN_BAD);
	CHECK(json_scan_next(&scan, &text) == JSON_SCAN_BAD);
}

static void
test_walk(void)
{
	static const char *const elements[] = {"1", "\"a,]\\\"\"", "[1,[2]]", "{\"x\":[]}", "true", "-1e5"};
	static const char *const members[][2] = {{"\"a\"", "1"}, {"\"b:,}\\\\\"", "{\"c\":\"}\"}"}, {"\"\"", "[]"}, {"\"d\"", "\"\""}};
	JsonWalk	w;
	Slice		key;
	Slice		value;

	unit_case("the elements of an array");
	CHECK(json_enter(SLICE_LITERAL(" [ 1 ,\"a,]\\\"\", [1,[2]],{\"x\":[]} ,true,-1e5 ] "), &w) && !w.object);
	for (size_t i = 0; i < COUNT(elements); i++)
		CHECK(json_next(&w, &key, &value) && key.len == 0 && slice_equal(value, slice_cstring(elements[i])));
	CHECK(!json_next(&w, &key, &value));
	CHECK(!json_next(&w, &key, &value));

	unit_case("the members of an object");
	CHECK(json_enter(SLICE_LITERAL("{\"a\":1,\"b:,}\\\\\" : {\"c\":\"}\"} , \"\":[],\"d\":\"\"}"), &w) && w.object);
	for (size_t i = 0; i < COUNT(members); i++)
		CHECK(json_next(&w, &key, &value) && slice_equal(key, slice_cstring(members[i][0])) && slice_equal(value, slice_cstring(members[i][1])));
	CHECK(!json_next(&w, &key, &value));

	unit_case("nothing within");
	CHECK(json_enter(SLICE_LITERAL("[ ]"), &w) && !json_next(&w, &key, &value));
	CHECK(json_enter(SLICE_LITERAL("{}"), &w) && !json_next(&w, &key, &value));

	unit_case("other values cannot be entered");
	CHECK(!json_enter(SLICE_LITERAL("1"), &w) && !json_enter(SLICE_LITERAL("\"[]\""), &w) && !json_enter(SLICE_LITERAL(""), &w) && !json_enter((Slice) {0}, &w));
}

static long
unquote(const char *raw, uint8_t *out)
{
	return json_unquote(slice_cstring(raw), out);
}

static void
test_strings(void)
{
	static const struct
	{
		const char *raw;
		const char *text;		/* NULL: refused */
	}			cases[] = {
		{"\"\"", ""}, {"\"plain\"", "plain"}, {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"}, {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
		{"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"}, {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf"}, {"\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80"},
		{"\"\\ud800\"", NULL}, {"\"\\ude00\"", NULL}, {"\"\\ude00\\ud83d\"", NULL}, {"\"\\ud83dx\"", NULL}, {"\"\\ud83d\\n\"", NULL}, {"\"\\ud83d\\ud83d\\ude00\"", NULL},
		{"\"\\ud83d\\u0041\"", NULL}, {"1", NULL}, {"", NULL}, {"\"", NULL}, {"a\"", NULL}, {"\"a", NULL}, {"[\"a\"]", NULL}, {"\"\\\"", NULL}, {"\"\\u12\"", NULL}, {"\"\\x\"", NULL},
		{"\"a\"b\"", NULL},
	};
	uint8_t		out[64];

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		long		n = unquote(cases[i].raw, out);

		unit_case("unquoted: %s", cases[i].raw);
		if (cases[i].text)
			CHECK(n >= 0 && slice_equal(slice(out, (size_t) n), slice_cstring(cases[i].text)));
		else
			CHECK(n == -1);
	}

	unit_case("a zero byte in a string");
	CHECK(unquote("\"a\\u0000b\"", out) == 3 && memcmp(out, "a\0b", 3) == 0);

	unit_case("quoting every byte there and back");
	{
		uint8_t		bytes[256];
		uint8_t		back[2000];
		Slice		s;
		size_t		size;
		uint8_t    *quoted;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t) i;
		s = slice(bytes, sizeof(bytes));
		size = json_quoted_size(s);
		quoted = malloc(size);
		CHECK(json_quote(quoted, s) == quoted + size);
		CHECK(json_unquote(slice(quoted, size), back) == (long) sizeof(bytes) && memcmp(back, bytes, sizeof(bytes)) == 0);
		CHECK(json_valid(slice(quoted, 1)) == false);
		free(quoted);

		s = slice(bytes, 128);
		size = json_quoted_size(s);
		quoted = malloc(size);
		json_quote(quoted, s);
		CHECK(json_valid(slice(quoted, size)));
		free(quoted);
	}

	unit_case("as quoted");
	CHECK(json_quote(out, SLICE_LITERAL("a\"\\\n\x01/\x7f")) == out + json_quoted_size(SLICE_LITERAL("a\"\\\n\x01/\x7f")));
	CHECK(memcmp(out, "\"a\\\"\\\\\\n\\u0001/\x7f\"", 17) == 0);
	CHECK(json_quoted_size((Slice) {0}) == 2);
}

int
main(void)
{
	test_valid();
	test_prefixes();
	test_depth();
	test_scan();
	test_walk();
	test_strings();
	return unit_done();
}

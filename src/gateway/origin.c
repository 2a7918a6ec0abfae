/*
 * origin.c - the Origin check, on polling requests and upgrades alike.
 *
 * A browser sends a page's origin with every request it makes for the page
 * and lets no script change it (RFC 6454); a WebSocket is not covered by
 * CORS, so without this check any site could use a visitor's network place or
 * cookies.  Pure functions on borrowed slices, called for each handshake.
 */
#include "gateway/origin.h"

#include <strings.h>

/* scheme://host[:port], cut into its parts */
typedef struct Authority
{
	Slice		host;
	Slice		port;			/* digits, or empty */
} Authority;

static bool slice_equal_nocase(Slice a, Slice b);
static bool authority_split(Slice text, Authority *a);
static bool origin_is_host(Slice origin, Slice host);
static Slice origin_strip(Slice s);

bool
origin_valid(Slice origin)
{
	for (size_t i = 0; i < origin.len; i++)
		if ((origin.data[i] < 0x20 && origin.data[i] != '\t') || origin.data[i] == 0x7f)
			return false;
	return true;
}

OriginVerdict
origin_check(const char *allowed, Slice origin, Slice host)
{
	Slice		rest = origin_strip(slice_cstring(allowed));
	bool		same = origin.len == 0 || origin_is_host(origin, host);

	if (slice_equal(rest, SLICE_LITERAL("*")))
		return ORIGIN_ANY;
	if (rest.len == 0)
		return same ? ORIGIN_SAME : ORIGIN_REFUSED;
	if (origin.len == 0)
		return ORIGIN_SAME;
	while (rest.len > 0)
	{
		const uint8_t *comma = memchr(rest.data, ',', rest.len);
		size_t		len = comma ? (size_t) (comma - rest.data) : rest.len;
		Slice		item = origin_strip(slice(rest.data, len));

		if (item.len > 0 && slice_equal_nocase(item, origin))
			return ORIGIN_LISTED;
		if (!comma)
			break;
		rest = slice(comma + 1, rest.len - len - 1);
	}
	return ORIGIN_REFUSED;
}

/* Blanks around an item, and the slash that people copy along, do not count. */
static Slice
origin_strip(Slice s)
{
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = slice(s.data + 1, s.len - 1);
	while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '/'))
		s.len--;
	return s;
}

static bool
slice_equal_nocase(Slice a, Slice b)
{
	return a.len == b.len &&
		(a.len == 0 || strncasecmp((const char *) a.data, (const char *) b.data, a.len) == 0);
}

/*
 * Same host, and same port, where a missing port is the default one of the
 * origin's scheme: a proxy that ends TLS passes "Host: example.org" for
 * "https://example.org".
 */
static bool
origin_is_host(Slice origin, Slice host)
{
	Authority	of_origin,
				of_host;
	Slice		port;

	if (origin.len > 7 && slice_equal_nocase(slice(origin.data, 7), SLICE_LITERAL("http://")))
	{
		origin = slice(origin.data + 7, origin.len - 7);
		port = SLICE_LITERAL("80");
	}
	else if (origin.len > 8 && slice_equal_nocase(slice(origin.data, 8), SLICE_LITERAL("https://")))
	{
		origin = slice(origin.data + 8, origin.len - 8);
		port = SLICE_LITERAL("443");
	}
	else
		return false;
	if (!authority_split(origin, &of_origin) || !authority_split(host, &of_host))
		return false;
	if (of_origin.port.len == 0)
		of_origin.port = port;
	if (of_host.port.len == 0)
		of_host.port = port;
	return slice_equal_nocase(of_origin.host, of_host.host) && slice_equal(of_origin.port, of_host.port);
}

static bool
authority_split(Slice text, Authority *a)
{
	size_t		i = text.len;

	a->host = text;
	a->port = slice(text.data, 0);
	while (i > 0 && text.data[i - 1] >= '0' && text.data[i - 1] <= '9')
		i--;
	/* "host:80", and "[::1]:80" but not the 1 of "[::1]" or of "::1" */
	if (i > 0 && i < text.len && text.data[i - 1] == ':' &&
		(memchr(text.data, ':', i - 1) == NULL || (i > 1 && text.data[i - 2] == ']')))
	{
		a->host = slice(text.data, i - 1);
		a->port = slice(text.data + i, text.len - i);
	}
	return a->host.len > 0;
}

/*
 * guc_check.c - the check hooks of the settings in guc.c.
 *
 * A hook refuses with false and a detail that says what is wanted; values that
 * could not work must not get as far as the gateway.  Hooks run in the
 * postmaster too, so nothing here looks at catalogs.
 */
#include "postgres.h"

#include <limits.h>

#include "backend/compat.h"
#include "backend/guc_check.h"
#include "wire/address.h"
#include "wire/envelope.h"

#define NAMESPACES_MAX 256		/* that the gateway takes */

static bool
is_control(char c)
{
	return (unsigned char) c < 0x20 || c == 0x7f;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (is_control(*text))
			return true;
	}
	return false;
}

/* Takes the next item off a comma-separated list, without the blanks around it; false at the end. */
static bool
next_item(const char **list, Slice *item)
{
	const char *at = *list;
	const char *end;

	if (at == NULL)
		return false;
	end = strchrnul(at, ',');
	*list = *end == ',' ? end + 1 : NULL;
	while (at < end && *at == ' ')
		at++;
	while (end > at && end[-1] == ' ')
		end--;
	*item = slice(at, end - at);
	return true;
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " ")] == '\0';
}

bool
guc_check_text(char **value, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	if (!has_control(*value))
		return true;
	GUC_check_errdetail("Control characters are not allowed.");
	return false;
}

bool
guc_check_database(char **value, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	if (**value != '\0' && strlen(*value) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("A database name has 1 to %d bytes.", NAMEDATALEN - 1);
	return false;
}

bool
guc_check_path(char **value, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	size_t		length = strlen(*value);

	if (length == 0 || length > 255 || (*value)[0] != '/' || (*value)[length - 1] != '/')
	{
		GUC_check_errdetail("The path must begin and end with \"/\" and have at most 255 bytes.");
		return false;
	}
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (*value)[i];

		if (c <= ' ' || c >= 0x7f || strchr("?#%\\\"", c) != NULL)
		{
			GUC_check_errdetail("The path may contain visible ASCII characters other than ?, #, %%, \\ and \".");
			return false;
		}
	}
	return true;
}

bool
guc_check_namespaces(char **value, void **extra, GucSource source)
{
	const char *list = *value;
	Slice		item;
	int			count = 0;

	if (!guc_check_text(value, extra, source))
		return false;
	while (next_item(&list, &item))
	{
		if (item.len == 0 || item.data[0] != '/' || item.len > ENVELOPE_MAX_NAME ||
			memchr(item.data, '?', item.len) != NULL || memchr(item.data, ' ', item.len) != NULL)
		{
			GUC_check_errdetail("\"%.*s\" is no namespace: it must begin with \"/\", contain no \"?\" or blank and have at most %d bytes.",
								(int) Min(item.len, ENVELOPE_MAX_NAME), (const char *) item.data, ENVELOPE_MAX_NAME);
			return false;
		}
		if (++count > NAMESPACES_MAX)
		{
			GUC_check_errdetail("There can be at most %d namespaces.", NAMESPACES_MAX);
			return false;
		}
	}
	return true;
}

bool
guc_check_document_root(char **value, void **extra, GucSource source)
{
	if (!guc_check_text(value, extra, source))
		return false;
	if (**value == '\0' || is_absolute_path(*value))
		return true;
	GUC_check_errdetail("The directory must be given by its absolute path.");
	return false;
}

/* scheme://host or scheme://host:port, as browsers send it (RFC 6454, section 6.2). */
static bool
is_origin(Slice item)
{
	const char *text = (const char *) item.data;
	const char *host = memmem(text, item.len, "://", 3);
	size_t		scheme;

	if (host == NULL)
		return false;
	scheme = host - text;
	host += 3;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != scheme ||
		scheme == 0 || host == text + item.len)
		return false;
	for (; host < text + item.len; host++)
	{
		if ((unsigned char) *host <= ' ' || (unsigned char) *host >= 0x7f ||
			(*host >= 'A' && *host <= 'Z') || strchr("/?#@*\"\\", *host) != NULL)
			return false;
	}
	return true;
}

bool
guc_check_origins(char **value, void **extra, GucSource source)
{
	const char *list = *value;
	Slice		item;

	if (is_blank(*value) || strcmp(*value, "*") == 0)
		return true;
	if (!guc_check_text(value, extra, source))
		return false;
	while (next_item(&list, &item))
	{
		if (!is_origin(item))
		{
			GUC_check_errdetail("\"%.*s\" is no origin.", (int) Min(item.len, 255), (const char *) item.data);
			GUC_check_errhint("Write * alone, or a list such as https://example.com, http://localhost:3000: "
							  "lower case, without a path or a slash at the end.");
			return false;
		}
	}
	return true;
}

bool
guc_check_proxies(char **value, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	Slice		bad;

	if (address_list_valid(*value, &bad))
		return true;
	GUC_check_errdetail("\"%.*s\" is neither an address nor a network.", (int) Min(bad.len, 255), (const char *) bad.data);
	GUC_check_errhint("Write a list such as 127.0.0.1, 10.0.0.0/8, fd00::/8.");
	return false;
}

bool
guc_check_claims(char **value, void **extra, GucSource source)
{
	const char *list = *value;
	Slice		item;

	if (!guc_check_text(value, extra, source))
		return false;
	if (is_blank(*value))
		return true;			/* no claim */
	while (next_item(&list, &item))
	{
		if (item.len == 0)
		{
			GUC_check_errdetail("The list contains an empty name.");
			return false;
		}
	}
	return true;
}

bool
guc_check_role(char **value, void **extra, GucSource source)
{
	if (!guc_check_text(value, extra, source))
		return false;
	if (strlen(*value) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("A role name has at most %d bytes.", NAMEDATALEN - 1);
	return false;
}

/*
 * Never fails on the value itself, for the message would show it.  GUC_MASK is the
 * default, and what a parallel worker gets from its leader: no secret there.
 */
bool
guc_check_secret(char **value, void **extra, GucSource source pg_attribute_unused())
{
	char	   *mask;

	if (strcmp(*value, GUC_MASK) == 0)
		return true;
	mask = guc_strdup(LOG, GUC_MASK);
	if (mask == NULL)
		return false;
	if (**value == '\0')
		guc_free(*value);
	else
		*extra = *value;
	*value = mask;
	return true;
}

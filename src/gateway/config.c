/*
 * config.c - the CONFIG frame of the link, opened into a Config.
 *
 * Called by main.c at start and at every reload.  All strings live in one
 * block that the Config owns, so that the secrets among them can be wiped
 * together.  The worker has checked the values already (they are GUCs); what
 * is checked here is that both sides mean the same settings.
 */
#include "gateway/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"

typedef enum SettingKind
{
	SETTING_TEXT,
	SETTING_UINT32,
	SETTING_SIZE,
	SETTING_BOOL
} SettingKind;

typedef struct Setting
{
	const char *name;
	SettingKind kind;
	size_t		offset;			/* in Config */
} Setting;

#define SETTING(name, kind, field) {name, kind, offsetof(Config, field)}

static const Setting settings[] = {
	SETTING("path", SETTING_TEXT, path),
	SETTING("namespaces", SETTING_TEXT, namespaces),
	SETTING("document_root", SETTING_TEXT, document_root),
	SETTING("sandbox", SETTING_BOOL, sandbox),
	SETTING("tls_cert", SETTING_TEXT, tls_cert),
	SETTING("tls_key", SETTING_TEXT, tls_key),
	SETTING("allowed_origins", SETTING_TEXT, allowed_origins),
	SETTING("cors_credentials", SETTING_BOOL, cors_credentials),
	SETTING("ping_interval", SETTING_UINT32, server.ping_interval),
	SETTING("ping_timeout", SETTING_UINT32, server.ping_timeout),
	SETTING("request_timeout", SETTING_UINT32, request_timeout),
	SETTING("connect_timeout", SETTING_UINT32, server.connect_timeout),
	SETTING("upgrade_timeout", SETTING_UINT32, server.upgrade_timeout),
	SETTING("max_payload", SETTING_UINT32, server.max_payload),
	SETTING("max_connections", SETTING_UINT32, server.max_connections),
	SETTING("trusted_proxies", SETTING_TEXT, trusted_proxies),
	SETTING("max_connections_per_ip", SETTING_UINT32, server.max_connections_per_ip),
	SETTING("max_handshakes_per_second", SETTING_UINT32, server.max_handshakes_per_second),
	SETTING("max_events_per_second", SETTING_UINT32, server.max_events_per_second),
	SETTING("max_bytes_per_second", SETTING_UINT32, server.max_bytes_per_second),
	SETTING("max_rooms_per_socket", SETTING_UINT32, server.max_rooms_per_socket),
	SETTING("max_namespaces_per_connection", SETTING_UINT32, server.max_namespaces_per_connection),
	SETTING("max_pending_handshakes", SETTING_UINT32, max_pending_handshakes),
	SETTING("max_connections_per_user", SETTING_UINT32, server.max_connections_per_user),
	SETTING("max_queued", SETTING_SIZE, server.max_queued),
	SETTING("metrics_token", SETTING_TEXT, metrics_token),
	SETTING("log_connections", SETTING_BOOL, server.log_connections),
	SETTING("recovery_window", SETTING_UINT32, server.recovery_window),
	SETTING("history_size", SETTING_SIZE, server.history_size),
	SETTING("jwt_secret", SETTING_TEXT, auth.secret),
	SETTING("jwt_public_key", SETTING_TEXT, auth.public_key),
	SETTING("jwt_jwks", SETTING_TEXT, auth.jwks),
	SETTING("jwt_audience", SETTING_TEXT, auth.audience),
	SETTING("jwt_issuer", SETTING_TEXT, auth.issuer),
	SETTING("jwt_leeway", SETTING_UINT32, auth.leeway),
	SETTING("allow_anonymous", SETTING_BOOL, auth.allow_anonymous),
	SETTING("user_claim", SETTING_TEXT, auth.user_claim),
	SETTING("tenant_claim", SETTING_TEXT, auth.tenant_claim),
	SETTING("role_claim", SETTING_TEXT, auth.role_claim),
	SETTING("handler_conninfo", SETTING_TEXT, handlers.conninfo),
	SETTING("database", SETTING_TEXT, handlers.database),
	SETTING("handler_connections", SETTING_UINT32, handlers.connections),
	SETTING("handler_timeout", SETTING_UINT32, handlers.timeout),
	SETTING("max_handler_calls_per_second", SETTING_UINT32, server.max_handler_calls_per_second),
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

static int	setting_find(Slice name);
static bool setting_store(const Setting *s, Config *c, const char *value);
static const char *config_error(Config *c, const char *format, const char *text);

bool
config_parse(Config *c, Slice payload, const char **error)
{
	Reader		r = reader(payload);
	bool		seen[SETTING_COUNT] = {false};
	uint32_t	count = read_u32(&r);
	char	   *at;

	memset(c, 0, sizeof(*c));
	/* Room for every value with a NUL in place of its length, and for an error text. */
	c->storage_len = payload.len + 256;
	c->storage = at = xmalloc(c->storage_len);
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (settings[i].kind == SETTING_TEXT)
			*(const char **) ((char *) c + settings[i].offset) = "";

	for (uint32_t i = 0; i < count && !r.bad; i++)
	{
		Slice		name = read_string(&r);
		Slice		value = read_string(&r);
		int			n = setting_find(name);

		if (r.bad)
			break;
		if (n < 0)
		{
			char		text[64];

			snprintf(text, sizeof(text), "%.*s", (int) (name.len < 60 ? name.len : 60), (const char *) name.data);
			*error = config_error(c, "unknown setting \"%s\"", text);
			return false;
		}
		if (value.len > 0 && memchr(value.data, '\0', value.len) != NULL)
		{
			*error = config_error(c, "setting \"%s\" contains a zero byte", settings[n].name);
			return false;
		}
		write_bytes((uint8_t *) at, value);
		at[value.len] = '\0';
		if (!setting_store(&settings[n], c, at))
		{
			*error = config_error(c, "invalid value for setting \"%s\"", settings[n].name);
			return false;
		}
		seen[n] = true;
		at += value.len + 1;
	}
	if (r.bad || reader_left(&r) > 0)
	{
		*error = "malformed configuration frame";
		return false;
	}
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (!seen[i] && settings[i].kind != SETTING_TEXT)
		{
			*error = config_error(c, "setting \"%s\" is missing", settings[i].name);
			return false;
		}
	if (c->path[0] != '/' || c->path[strlen(c->path) - 1] != '/')
	{
		*error = "pg_rooms.path must start and end with a slash";
		return false;
	}
	return true;
}

void
config_clear(Config *c)
{
	if (c->storage)
		explicit_bzero(c->storage, c->storage_len);
	free(c->storage);
	memset(c, 0, sizeof(*c));
}

static int
setting_find(Slice name)
{
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (slice_equal(name, slice_cstring(settings[i].name)))
			return (int) i;
	return -1;
}

static bool
setting_store(const Setting *s, Config *c, const char *value)
{
	void	   *field = (char *) c + s->offset;
	unsigned long long number;
	char	   *end;

	switch (s->kind)
	{
		case SETTING_TEXT:
			*(const char **) field = value;
			return true;
		case SETTING_BOOL:
			*(bool *) field = strcmp(value, "on") == 0;
			return *(bool *) field || strcmp(value, "off") == 0;
		case SETTING_UINT32:
		case SETTING_SIZE:
			break;
	}
	if (value[0] < '0' || value[0] > '9')
		return false;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (*end != '\0' || errno != 0)
		return false;
	if (s->kind == SETTING_SIZE)
	{
		*(size_t *) field = (size_t) number;
		return true;
	}
	*(uint32_t *) field = (uint32_t) number;
	return number <= UINT32_MAX;
}

/* The values parsed so far are of no use to anybody: their place takes the text. */
static const char *
config_error(Config *c, const char *format, const char *text)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(c->storage, c->storage_len, format, text);
#pragma GCC diagnostic pop
	return c->storage;
}

/*
 * handler_conninfo.c - pg_rooms.handler_conninfo, completed and resolved.
 *
 * libpq parses it.  What we add: the database that is served, UTF-8,
 * statement_timeout, and addresses.  Names are looked up by uv_getaddrinfo(),
 * on a thread of libuv; each address of a host becomes a host of its own
 * (same name, "hostaddr"), so that libpq tries them in turn as it would have
 * done itself, and target_session_attrs works.
 *
 * libpq's own connect_timeout is of no effect in PQconnectPoll(), and nothing
 * else makes it leave a host that takes a connection and then says nothing.
 * So the caller watches the time (handler_conninfo_patience), and the next
 * attempt begins behind the host that was silent.
 *
 * A look-up can outlive its HandlerConninfo: Lookup is freed by whoever comes
 * last.
 */
#include "gateway/handler_conninfo.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/text.h"

#define RESOLVED_MS		30000
#define HOSTS_MAX		16
#define ADDRESSES_MAX	4		/* of one host */
#define KEYWORDS_MAX	64
#define PATIENCE_MS		10000	/* for an only host */
#define PATIENCE_EACH_MS 3000	/* for each of several */

typedef struct Lookup
{
	uv_getaddrinfo_t request;	/* first */
	HandlerConninfo *owner;		/* NULL: it has gone */
} Lookup;

/* One address of one host. */
typedef struct Target
{
	uint32_t	host;			/* index of hosts and ports */
	char		address[INET6_ADDRSTRLEN];	/* or "": the host is one, or a directory */
} Target;

struct HandlerConninfo
{
	PQconninfoOption *options;
	char	   *backend_options;
	char	   *database;
	char	   *hosts[HOSTS_MAX];
	char	   *ports[HOSTS_MAX];	/* or NULL: the default */
	uint32_t	host_count;		/* 0: none is named, or libpq is to complain of them */
	bool		by_name;		/* any that has to be looked up? */
	uint64_t	resolved_until;

	Target		targets[HOSTS_MAX * ADDRESSES_MAX];
	uint32_t	target_count;
	uint32_t	first;			/* to be tried */

	/* The look-up under way. */
	Lookup	   *lookup;
	uv_loop_t  *loop;
	uint32_t	next;			/* host to look up */
	HandlerResolved done;
	void	   *ctx;
	char		error[256];
};

static void read_hosts(HandlerConninfo *c);
static const char *option(const HandlerConninfo *c, const char *keyword);
static uint32_t split(const char *list, char **out);
static bool is_name(const char *host);
static void look_up_next(HandlerConninfo *c);
static void on_address(uv_getaddrinfo_t *request, int status, struct addrinfo *found);
static void add_target(HandlerConninfo *c, uint32_t host, const char *address);
static void add_to_list(Text *list, const char *item);
static void wipe(char *s);

HandlerConninfo *
handler_conninfo_new(const HandlerSettings *settings)
{
	HandlerConninfo *c = xcalloc(1, sizeof(*c));
	char		timeout[160];
	const char *given;

	c->options = PQconninfoParse(settings->conninfo, NULL);
	if (!c->options)
	{
		free(c);
		return NULL;
	}
	/* Its notices nobody reads; and it is to notice when we have given up on it. */
	snprintf(timeout, sizeof(timeout), " -c statement_timeout=%u -c client_min_messages=error -c client_connection_check_interval=1s",
			 settings->timeout);
	given = option(c, "options");
	c->backend_options = xmalloc((given ? strlen(given) : 0) + sizeof(timeout));
	strcpy(c->backend_options, given ? given : "");
	strcat(c->backend_options, timeout);
	c->database = xstrndup(settings->database, strlen(settings->database));

	read_hosts(c);
	return c;
}

void
handler_conninfo_free(HandlerConninfo *c)
{
	if (!c)
		return;
	if (c->lookup)
	{
		uv_cancel((uv_req_t *) &c->lookup->request);
		c->lookup->owner = NULL;
	}
	for (PQconninfoOption *o = c->options; o->keyword; o++)
		wipe(o->val);
	PQconninfoFree(c->options);
	for (uint32_t i = 0; i < HOSTS_MAX; i++)
	{
		free(c->hosts[i]);
		free(c->ports[i]);
	}
	free(c->backend_options);
	free(c->database);
	free(c);
}

PGconn *
handler_conninfo_connect(const HandlerConninfo *c)
{
	const char *keywords[KEYWORDS_MAX];
	const char *values[KEYWORDS_MAX];
	int			n = 0;
	bool		has_database = option(c, "dbname") != NULL;
	Text		hosts = {0};
	Text		addresses = {0};
	Text		ports = {0};
	PGconn	   *pg;

	for (uint32_t i = 0; i < c->target_count; i++)
	{
		const Target *t = &c->targets[(c->first + i) % c->target_count];

		add_to_list(&hosts, c->hosts[t->host]);
		add_to_list(&addresses, t->address);
		add_to_list(&ports, c->ports[t->host] ? c->ports[t->host] : "");
	}
#define ADD(keyword, value) (keywords[n] = (keyword), values[n++] = (value))
	ADD("fallback_application_name", "pg_rooms handlers");
	ADD("tcp_user_timeout", "3000");	/* ms: then the next of several hosts is tried */
	ADD("gssencmode", "disable");	/* its library reads files that the sandbox has not */
	if (!has_database)
		ADD("dbname", c->database);
	for (const PQconninfoOption *o = c->options; o->keyword && n < KEYWORDS_MAX - 8; o++)
		if (o->val)
			ADD(o->keyword, o->val);
	if (c->target_count > 0)
	{
		ADD("host", (const char *) hosts.bytes);
		ADD("hostaddr", (const char *) addresses.bytes);
		ADD("port", (const char *) ports.bytes);
	}
	ADD("options", c->backend_options);
	ADD("client_encoding", "UTF8");
	keywords[n] = values[n] = NULL;
#undef ADD
	pg = PQconnectStartParams(keywords, values, 0);
	text_free(&hosts);
	text_free(&addresses);
	text_free(&ports);
	return pg;
}

uint32_t
handler_conninfo_patience(const HandlerConninfo *c)
{
	const char *given = option(c, "connect_timeout");
	int			seconds = given ? atoi(given) : 0;

	if (seconds > 0)
		return (uint32_t) (seconds < 2 ? 2 : seconds < 600 ? seconds : 600) * 1000;
	return c->target_count > 1 ? PATIENCE_EACH_MS : PATIENCE_MS;
}

void
handler_conninfo_skip(HandlerConninfo *c, const PGconn *pg)
{
	for (uint32_t i = 0; i < c->target_count; i++)
	{
		const Target *t = &c->targets[i];
		const char *port = c->ports[t->host];

		if (strcmp(c->hosts[t->host], PQhost(pg)) == 0 && (!t->address[0] || strcmp(t->address, PQhostaddr(pg)) == 0) &&
			(!port || !port[0] || strcmp(port, PQport(pg)) == 0))
		{
			c->first = (i + 1) % c->target_count;
			return;
		}
	}
}

bool
handler_conninfo_resolve(HandlerConninfo *c, uv_loop_t *loop, HandlerResolved done, void *ctx)
{
	if (!c->by_name || uv_now(loop) < c->resolved_until)
		return true;
	c->done = done;
	c->ctx = ctx;
	if (c->lookup)
		return false;
	c->loop = loop;
	c->next = 0;
	c->target_count = c->first = 0;
	c->error[0] = '\0';
	look_up_next(c);
	return false;
}

bool
handler_conninfo_files(const char *conninfo, HandlerFile file, void *ctx)
{
	static const char *const keywords[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"};
	HandlerConninfo c = {.options = PQconninfoParse(conninfo, NULL)};

	if (!c.options)
		return false;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (option(&c, keywords[i]))
			file(ctx, option(&c, keywords[i]));
	for (PQconninfoOption *o = c.options; o->keyword; o++)
		wipe(o->val);
	PQconninfoFree(c.options);
	return true;
}

/* ---- names ---- */

static void
look_up_next(HandlerConninfo *c)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,.ai_family = AF_UNSPEC};

	while (c->next < c->host_count)
	{
		uint32_t	host = c->next++;
		int			error;

		if (!is_name(c->hosts[host]))
		{
			add_target(c, host, "");
			continue;
		}
		c->lookup = xcalloc(1, sizeof(*c->lookup));
		c->lookup->owner = c;
		error = uv_getaddrinfo(c->loop, &c->lookup->request, on_address, c->hosts[host], NULL, &hints);
		if (error == 0)
			return;
		free(c->lookup);
		c->lookup = NULL;
		snprintf(c->error, sizeof(c->error), "could not look up host \"%.100s\": %s", c->hosts[host], uv_strerror(error));
	}
	if (c->target_count > 0)
		c->resolved_until = uv_now(c->loop) + RESOLVED_MS;
	c->done(c->ctx, c->target_count > 0 ? NULL : c->error);
}

static void
on_address(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	Lookup	   *lookup = (Lookup *) request;
	HandlerConninfo *c = lookup->owner;
	uint32_t	count = 0;

	free(lookup);
	if (c)
	{
		c->lookup = NULL;
		for (struct addrinfo *a = found; a && count < ADDRESSES_MAX; a = a->ai_next)
		{
			char		address[INET6_ADDRSTRLEN];
			const void *bytes = a->ai_family == AF_INET6
				? (void *) &((struct sockaddr_in6 *) a->ai_addr)->sin6_addr
				: (void *) &((struct sockaddr_in *) a->ai_addr)->sin_addr;

			if (!inet_ntop(a->ai_family, bytes, address, sizeof(address)))
				continue;
			add_target(c, c->next - 1, address);
			count++;
		}
		if (count == 0)
			snprintf(c->error, sizeof(c->error), "could not look up host \"%.100s\": %s", c->hosts[c->next - 1],
					 status < 0 ? uv_strerror(status) : "it has no address");
		uv_freeaddrinfo(found);
		look_up_next(c);
	}
	else
		uv_freeaddrinfo(found);
}

static void
add_target(HandlerConninfo *c, uint32_t host, const char *address)
{
	Target	   *t = &c->targets[c->target_count++];

	t->host = host;
	snprintf(t->address, sizeof(t->address), "%s", address);
}

/* Terminated for libpq. */
static void
add_to_list(Text *list, const char *item)
{
	if (list->len > 0)
		list->bytes[list->len - 1] = ',';
	text_add_string(list, item);
	text_add(list, slice("", 1));
}

/* Neither a directory, nor an abstract socket, nor an address. */
static bool
is_name(const char *host)
{
	struct in6_addr address;

	return host[0] != '\0' && host[0] != '/' && host[0] != '@' && inet_pton(AF_INET, host, &address) != 1 &&
		inet_pton(AF_INET6, host, &address) != 1;
}

/* ---- the string ---- */

/* Hosts and ports, unless they are by "hostaddr" or do not fit each other: that is libpq's. */
static void
read_hosts(HandlerConninfo *c)
{
	uint32_t	hosts,
				ports;

	if (!option(c, "host") || option(c, "hostaddr"))
		return;
	hosts = split(option(c, "host"), c->hosts);
	ports = option(c, "port") ? split(option(c, "port"), c->ports) : 0;
	if (hosts > HOSTS_MAX || (ports > 1 && ports != hosts))
		return;
	c->host_count = hosts;
	for (uint32_t i = 1; i < hosts && ports == 1; i++)
		c->ports[i] = xstrndup(c->ports[0], strlen(c->ports[0]));
	for (uint32_t i = 0; i < hosts; i++)
		c->by_name = c->by_name || is_name(c->hosts[i]);
	for (uint32_t i = 0; i < hosts && !c->by_name; i++)
		add_target(c, i, "");
}

static const char *
option(const HandlerConninfo *c, const char *keyword)
{
	for (const PQconninfoOption *o = c->options; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val && o->val[0] ? o->val : NULL;
	return NULL;
}

/* How many parts a comma-separated list has; copies of the first HOSTS_MAX. */
static uint32_t
split(const char *list, char **out)
{
	uint32_t	count = 0;

	for (;;)
	{
		size_t		len = strcspn(list, ",");

		if (count < HOSTS_MAX)
			out[count] = xstrndup(list, len);
		count++;
		if (list[len] == '\0')
			return count;
		list += len + 1;
	}
}

static void
wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
}

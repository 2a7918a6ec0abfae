/*
 * handlers.c - clients' events to the database and back.
 *
 * A pool of connections (handler_connection.c): opened when calls wait and
 * none is idle, up to handler_connections, and closed when idle for some
 * seconds.  The registered handlers are fetched over it too, at start and
 * whenever the bus says that they have changed.
 *
 * While the database cannot be reached, calls wait for handler_timeout and are
 * then answered with `unavailable`; connecting is tried again with back-off.
 * A call whose connection broke is never run again: nobody knows whether it
 * had committed.
 *
 * What a client is told of an error: messages raised on purpose (P0001 and
 * class PT), and an id under which the rest stands in the log.
 */
#include "gateway/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/alloc.h"
#include "gateway/handler_connection.h"
#include "gateway/log.h"

#define TICK_MS			100
#define MESSAGE_MAX		4000	/* bytes of an error that a client is told */
#define RETRY_MIN_MS	50
#define RETRY_MAX_MS	5000
#define COMPLAIN_MS		400		/* a server that is just starting is no reason to complain: it has failed for a while */
#define REPEAT_LOG_MS	60000	/* the same complaint is logged again after that */
#define ERRORS_PER_USER	5		/* per second: internal errors that are logged, of one user */
#define ERRORS_LOGGED	8		/* ... and of all: the worker takes 20 lines a second, in which a bucket can give twice */
#define UNLOGGED_MS		1000	/* then it is said how many were not */

struct Handlers
{
	uv_loop_t  *loop;
	uv_timer_t	tick;			/* runs while there is anything to do */
	Server	   *server;
	HandlerConnectionHooks hooks;

	HandlerConninfo *conninfo;	/* NULL: no handlers */
	HandlerSettings settings;	/* its strings are our own */

	HandlerConnection *connections;
	uint32_t	count;
	bool		woken;
	bool		rules_wanted;
	bool		fetching;
	bool		resolving;

	/* Connecting failed. */
	uint64_t	retry_at;
	uint32_t	retry_ms;		/* 0: it did not */
	char		complaint[400]; /* as last logged */
	uint64_t	complain_at;	/* not the same again before */

	/* Handlers failed. */
	Bucket		errors;
	uint32_t	unlogged;
	uint64_t	unlogged_since;
};

static void settings_clear(Handlers *h);
static bool give_work(Handlers *h, HandlerConnection *c);
static void open_connections(Handlers *h);
static void on_resolved(void *ctx, const char *error);
static void on_tick(uv_timer_t *timer);
static void on_answered(void *ctx, HandlerConnection *c, const HandlerAnswer *a);
static void on_lost(void *ctx, HandlerConnection *c, bool was_ready, const char *error, const char *hint);
static void retry_later(Handlers *h, const char *error, const char *hint);
static void take_rules(Handlers *h, const HandlerAnswer *a);
static void answer_call(Handlers *h, Call *call, const HandlerAnswer *a);
static void answer_error(Handlers *h, Call *call, const PGresult *error);
static const char *printable(const char *message, char *text);
static void make_id(char id[13]);
static bool may_log(Handlers *h, const Call *call);
static void tell_unlogged(Handlers *h);
static void log_failure(const Call *call, const PGresult *error, const char *sqlstate, const char *id);

Handlers *
handlers_new(uv_loop_t *loop)
{
	Handlers   *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	h->hooks = (HandlerConnectionHooks) {.ctx = h,.answered = on_answered,.lost = on_lost};
	uv_timer_init(loop, &h->tick);
	h->tick.data = h;
	return h;
}

bool
handlers_check(const HandlerSettings *settings, const char **error)
{
	HandlerConninfo *c;

	if (!settings->conninfo[0])
		return true;
	c = handler_conninfo_new(settings);
	if (!c)
		*error = "it is not a connection string";
	handler_conninfo_free(c);
	return c != NULL;
}

void
handlers_configure(Handlers *h, Server *server, const HandlerSettings *settings)
{
	bool		use = settings->conninfo[0] != '\0';

	h->server = server;
	if (use && h->conninfo && strcmp(settings->conninfo, h->settings.conninfo) == 0 &&
		strcmp(settings->database, h->settings.database) == 0 && settings->timeout == h->settings.timeout)
	{
		h->settings.connections = settings->connections;
		return;
	}
	for (HandlerConnection *c = h->connections; c; c = c->next)
		c->retiring = true;
	settings_clear(h);
	server_use_handlers(server, use);
	h->rules_wanted = use;
	h->retry_at = h->retry_ms = 0;
	h->complaint[0] = '\0';
	if (use)
	{
		h->settings = *settings;
		h->settings.conninfo = xstrndup(settings->conninfo, strlen(settings->conninfo));
		h->settings.database = xstrndup(settings->database, strlen(settings->database));
		h->conninfo = handler_conninfo_new(&h->settings);
	}
	handlers_wake(h);
}

static void
settings_clear(Handlers *h)
{
	handler_conninfo_free(h->conninfo);
	h->conninfo = NULL;
	h->resolving = false;
	if (h->settings.conninfo)
		explicit_bzero((char *) h->settings.conninfo, strlen(h->settings.conninfo));
	free((char *) h->settings.conninfo);
	free((char *) h->settings.database);
	h->settings = (HandlerSettings) {0};
}

void
handlers_wake(Handlers *h)
{
	h->woken = true;
}

void
handlers_rules_changed(Handlers *h)
{
	h->rules_wanted = h->conninfo != NULL;
	h->retry_at = 0;			/* the extension may be there now */
	handlers_wake(h);
}

bool
handlers_quiet(const Handlers *h)
{
	for (const HandlerConnection *c = h->connections; c; c = c->next)
		if (c->state == HANDLER_CALLING)
			return false;
	return true;
}

void
handlers_close(Handlers *h)
{
	settings_clear(h);
	while (h->connections)
		handler_connection_close(h->connections);
	uv_close((uv_handle_t *) &h->tick, NULL);
}

void
handlers_free(Handlers *h)
{
	free(h);
}

/* ---- the pool ---- */

void
handlers_run(Handlers *h)
{
	if (!h->woken)
		return;
	h->woken = false;
	for (HandlerConnection *c = h->connections; c; c = c->next)
		if (c->state == HANDLER_IDLE && !c->retiring && !give_work(h, c))
			break;
	if (h->conninfo)
		open_connections(h);
	if (!uv_is_active((uv_handle_t *) &h->tick))
		uv_timer_start(&h->tick, on_tick, TICK_MS, TICK_MS);
}

/* False: there is none. */
static bool
give_work(Handlers *h, HandlerConnection *c)
{
	Call	   *call;

	if (h->rules_wanted && !h->fetching)
	{
		h->rules_wanted = false;
		h->fetching = true;
		handler_connection_fetch(c);
		return true;
	}
	call = server_call_next(h->server);
	if (call)
		handler_connection_call(c, call, server_marker(h->server));
	return call != NULL;
}

/* As many as there is work for that no connection has yet. */
static void
open_connections(Handlers *h)
{
	uint32_t	work = server_calls_waiting(h->server) + (h->rules_wanted && !h->fetching);

	for (const HandlerConnection *c = h->connections; c; c = c->next)
		if (c->state == HANDLER_CONNECTING && work > 0)
			work--;
	while (work-- > 0 && h->count < h->settings.connections && !h->resolving && uv_now(h->loop) >= h->retry_at)
	{
		HandlerConnection *c;

		h->resolving = !handler_conninfo_resolve(h->conninfo, h->loop, on_resolved, h);
		if (h->resolving)
			return;
		c = handler_connection_new(h->loop, h->conninfo, &h->settings, &h->hooks);
		if (!c)
		{
			retry_later(h, "out of memory", NULL);
			return;
		}
		c->next = h->connections;
		h->connections = c;
		h->count++;
	}
}

static void
on_resolved(void *ctx, const char *error)
{
	Handlers   *h = ctx;

	h->resolving = false;
	if (error)
		retry_later(h, error, NULL);
	handlers_wake(h);
}

static void
on_tick(uv_timer_t *timer)
{
	Handlers   *h = timer->data;
	HandlerConnection *next;

	for (HandlerConnection *c = h->connections; c; c = next)
	{
		next = c->next;
		handler_connection_tick(c);
	}
	if (h->server && h->conninfo)
		server_expire_calls(h->server, uv_now(h->loop), h->settings.timeout);
	if (h->unlogged > 0 && uv_now(h->loop) >= h->unlogged_since + UNLOGGED_MS)
		tell_unlogged(h);
	if (h->conninfo && (h->rules_wanted || server_has_calls(h->server)))
		handlers_wake(h);
	else if (!h->connections && h->unlogged == 0)
		uv_timer_stop(&h->tick);
}

static void
on_lost(void *ctx, HandlerConnection *c, bool was_ready, const char *error, const char *hint)
{
	Handlers   *h = ctx;
	HandlerConnection **at = &h->connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	h->count--;
	if (c->silent && !c->retiring && h->conninfo)
		handler_conninfo_skip(h->conninfo, c->pg);
	if (error && !c->retiring && !was_ready)
		retry_later(h, error, hint);
	handlers_wake(h);
}

static void
retry_later(Handlers *h, const char *error, const char *hint)
{
	h->retry_ms = h->retry_ms == 0 ? RETRY_MIN_MS : h->retry_ms < RETRY_MAX_MS / 2 ? h->retry_ms * 2 : RETRY_MAX_MS;
	h->retry_at = uv_now(h->loop) + h->retry_ms;
	if (h->retry_ms < COMPLAIN_MS)
		return;
	if (strncmp(h->complaint, error, sizeof(h->complaint) - 1) == 0 && uv_now(h->loop) < h->complain_at)
		return;
	snprintf(h->complaint, sizeof(h->complaint), "%s", error);
	h->complain_at = uv_now(h->loop) + REPEAT_LOG_MS;
	log_message(LINK_LOG_WARNING, hint, "handlers cannot reach the database: %s", error);
}

/* ---- answers ---- */

static void
on_answered(void *ctx, HandlerConnection *c, const HandlerAnswer *a)
{
	Handlers   *h = ctx;
	Call	   *call = c->call;

	if (a->result)
	{
		if (h->complaint[0])
			log_message(LINK_LOG_INFO, NULL, "handlers reach the database again");
		h->retry_ms = 0;
		h->complaint[0] = '\0';
	}
	c->call = NULL;
	if (call)
		answer_call(h, call, a);
	else
		take_rules(h, a);
	handlers_wake(h);
}

static void
take_rules(Handlers *h, const HandlerAnswer *a)
{
	h->fetching = false;
	if (a->result)
	{
		Slice		rules = slice(PQgetvalue(a->result, 0, 0), (size_t) PQgetlength(a->result, 0, 0));

		if (server_set_rules(h->server, rules) != WIRE_OK)
			log_message(LINK_LOG_WARNING, "The gateway and the library must be of one build.",
						"the registered handlers could not be read");
		return;
	}
	h->rules_wanted = h->conninfo != NULL;
	retry_later(h, a->error ? PQresultErrorMessage(a->error) : "the connection was lost", NULL);
}

static void
answer_call(Handlers *h, Call *call, const HandlerAnswer *a)
{
	CallResult	r = {.outcome = CALL_OK,.marked = a->marked};

	if (a->error || !a->result)
	{
		answer_error(h, call, a->error);
		return;
	}
	r.reply = slice(PQgetvalue(a->result, 0, 0), (size_t) PQgetlength(a->result, 0, 0));
	server_call_done(h->server, call, &r, uv_now(h->loop));
}

/* `error` is NULL if the connection broke. */
static void
answer_error(Handlers *h, Call *call, const PGresult *error)
{
	const char *sqlstate = error ? PQresultErrorField(error, PG_DIAG_SQLSTATE) : NULL;
	const char *message = error ? PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	CallResult	r = {.outcome = CALL_FAILED};
	char		id[13];
	char		text[MESSAGE_MAX + 1];

	/* Without a state: libpq's own, the connection broke.  Class 57P: the server ends it. */
	if (!sqlstate || strncmp(sqlstate, "57P", 3) == 0)
	{
		r.message = SLICE_LITERAL("the database is not available");
		r.code = SLICE_LITERAL("unavailable");
	}
	else if (strcmp(sqlstate, "P0001") == 0 || strncmp(sqlstate, "PT", 2) == 0)
	{
		r.outcome = CALL_REFUSED;
		r.message = slice_cstring(printable(message ? message : "", text));
		r.code = slice_cstring(sqlstate);
	}
	else if (strcmp(sqlstate, "57014") == 0)
	{
		r.message = SLICE_LITERAL("the handler took too long");
		r.code = SLICE_LITERAL("timeout");
	}
	else
	{
		r.message = SLICE_LITERAL("internal error");
		r.code = SLICE_LITERAL("internal_error");
		if (may_log(h, call))
		{
			make_id(id);
			r.error_id = slice_cstring(id);
			log_failure(call, error, sqlstate, id);
		}
	}
	server_call_done(h->server, call, &r, uv_now(h->loop));
}

/* Clients can make a handler fail as often as they like; the log is to survive it, and one of them not to fill it for all. */
static bool
may_log(Handlers *h, const Call *call)
{
	uint64_t	now = uv_now(h->loop);

	if (bucket_take(&call->share->rate, ERRORS_PER_USER, 1, now) && bucket_take(&h->errors, ERRORS_LOGGED, 1, now))
		return true;
	if (h->unlogged++ == 0)
		h->unlogged_since = now;
	return false;
}

static void
tell_unlogged(Handlers *h)
{
	log_message(LINK_LOG_WARNING, "The server's log has what it logs of each by itself.",
				"%u more errors in handlers were not logged: there were too many", h->unlogged);
	h->unlogged = 0;
}

static void
make_id(char id[13])
{
	uint8_t		random[6];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		memset(random, 0, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(id + 2 * i, 3, "%02x", random[i]);
}

/* Cut at MESSAGE_MAX bytes; what is not UTF-8 (a handler may have changed client_encoding) loses its high bytes. */
static const char *
printable(const char *message, char *text)
{
	size_t		len = strlen(message);

	if (len > MESSAGE_MAX)
	{
		len = MESSAGE_MAX;
		while (len > 0 && ((uint8_t) message[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(text, message, len);
	text[len] = '\0';
	if (!eio_utf8_valid(slice(text, len)))
		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t) text[i] < 0x80 ? text[i] : '?';
	return text;
}

static const char *
field(const PGresult *error, int code)
{
	const char *text = PQresultErrorField(error, code);

	return text ? text : "";
}

/* All there is, in one line that is found by the id. */
static void
log_failure(const Call *call, const PGresult *error, const char *sqlstate, const char *id)
{
	const char *detail = field(error, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = field(error, PG_DIAG_MESSAGE_HINT);
	const char *context = field(error, PG_DIAG_CONTEXT);
	const char *what = "";

	switch (call->kind)
	{
		case HANDLER_EVENT:
			what = "event";
			break;
		case HANDLER_JOIN:
			what = "join of room";
			break;
		case HANDLER_CONNECT:
			what = "connect";
			break;
		case HANDLER_DISCONNECT:
			what = "disconnect";
			break;
	}
	log_message(LINK_LOG_WARNING, NULL, "error %s in the handler of %s \"%.*s\" in namespace \"%s\": %s: %s%s%s%s%s%s%s", id, what,
				(int) call->name.len, (const char *) call->name.data, call->caller->nsp, sqlstate,
				field(error, PG_DIAG_MESSAGE_PRIMARY), detail[0] ? "; detail: " : "", detail, hint[0] ? "; hint: " : "", hint,
				context[0] ? "; context: " : "", context);
}

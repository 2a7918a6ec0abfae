/*
 * handler_connection.c - one connection of libpq on the loop.
 *
 * Connecting: PQconnectPoll() says what to wait for; libpq may change its
 * socket meanwhile, so each step has a uv_poll of its own.  Then one round
 * checks where we are and who, and prepares the two statements.  From there on
 * the connection is in pipeline mode and runs what its owner gives it.
 *
 * Deadlines are our own, for libpq's connect_timeout means nothing to
 * PQconnectPoll() and a server that has gone silent says nothing.  A call has
 * statement_timeout in the server and some seconds more here.
 */
#include "gateway/handler_connection.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "gateway/log.h"

#define CHECK_MS	10000		/* for the checks of where we are */
#define GRACE_MS	5000		/* for the answer beyond handler_timeout */
#define AGE_MS		60000		/* then it is replaced: what was checked may have changed */
#define IDLE_MS		5000		/* then it is closed: a smart shutdown waits for it */

#define HANDLE_STATEMENT	"rooms_handle"
#define RESET_STATEMENT		"rooms_reset"
#define HANDLE_PARAMETERS	14

/* One row; nothing in it can be shadowed, and the last column is null without the extension. */
static const char check_sql[] =
	"SELECT pg_catalog.current_database(), "
	"EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolsuper "
	"AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')), "
	"(SELECT pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) FROM pg_catalog.pg_proc p "
	"WHERE p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace('rooms') "
	"AND p.proname OPERATOR(pg_catalog.=) ANY (ARRAY['handle', 'handler_reset', 'handler_rules']::pg_catalog.name[])), "
	"session_user";

static void connect_step(HandlerConnection *c);
static void begin_checks(HandlerConnection *c);
static bool pass_checks(HandlerConnection *c);
static void poll_open(HandlerConnection *c, int events);
static void poll_close(HandlerConnection *c);
static void on_poll(uv_poll_t *poll, int status, int events);
static void send_queued(HandlerConnection *c);
static void read_results(HandlerConnection *c);
static void take_result(HandlerConnection *c, PGresult *r);
static void finish(HandlerConnection *c);
static void clear_results(HandlerConnection *c);
static void lose(HandlerConnection *c, const char *error, const char *hint);
static void silence(void *arg, const PGresult *notice);

HandlerConnection *
handler_connection_new(uv_loop_t *loop, const HandlerConninfo *conninfo, const HandlerSettings *settings,
					   const HandlerConnectionHooks *hooks)
{
	PGconn	   *pg = handler_conninfo_connect(conninfo);
	HandlerConnection *c;

	if (!pg)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->pg = pg;
	c->loop = loop;
	c->hooks = hooks;
	c->timeout = settings->timeout;
	c->database = xstrndup(settings->database, strlen(settings->database));
	c->born = uv_now(loop);
	c->patience = handler_conninfo_patience(conninfo);
	c->deadline = c->born + c->patience;
	c->host = PQhost(pg);
	PQsetNoticeReceiver(pg, silence, NULL);
	if (PQstatus(pg) == CONNECTION_BAD)
		c->deadline = 0;		/* the next tick says why */
	else
		poll_open(c, UV_WRITABLE);
	return c;
}

void
handler_connection_close(HandlerConnection *c)
{
	lose(c, NULL, NULL);
}

void
handler_connection_tick(HandlerConnection *c)
{
	if (c->state == HANDLER_IDLE && (c->retiring || uv_now(c->loop) >= c->deadline))
		lose(c, NULL, NULL);
	else if (uv_now(c->loop) < c->deadline)
		return;
	else if (PQstatus(c->pg) == CONNECTION_BAD)
		lose(c, PQerrorMessage(c->pg), NULL);
	else
	{
		c->silent = c->state == HANDLER_CONNECTING;
		lose(c, c->silent ? "no answer while connecting" : "no answer",
			 "Check that pg_rooms.handler_conninfo leads to a server that is up.");
	}
}

/* ---- connecting ---- */

static void
connect_step(HandlerConnection *c)
{
	PostgresPollingStatusType status;

	poll_close(c);				/* libpq may close the socket, and open another one of the same number */
	status = PQconnectPoll(c->pg);
	if (PQhost(c->pg) != c->host)
	{
		c->host = PQhost(c->pg);	/* the next one */
		c->deadline = uv_now(c->loop) + c->patience;
	}
	switch (status)
	{
		case PGRES_POLLING_READING:
			poll_open(c, UV_READABLE);
			break;
		case PGRES_POLLING_WRITING:
			poll_open(c, UV_WRITABLE);
			break;
		case PGRES_POLLING_OK:
			c->deadline = uv_now(c->loop) + CHECK_MS;
			begin_checks(c);
			break;
		default:
			lose(c, PQerrorMessage(c->pg), NULL);
			break;
	}
}

static void
begin_checks(HandlerConnection *c)
{
	static const char handle_sql[] = "SELECT rooms.handle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

	if (PQsetnonblocking(c->pg, 1) != 0 || PQenterPipelineMode(c->pg) != 1 ||
		!PQsendQueryParams(c->pg, check_sql, 0, NULL, NULL, NULL, NULL, 0) ||
		!PQsendPrepare(c->pg, HANDLE_STATEMENT, handle_sql, 0, NULL) ||
		!PQsendPrepare(c->pg, RESET_STATEMENT, "SELECT rooms.handler_reset()", 0, NULL) ||
		!PQpipelineSync(c->pg))
	{
		lose(c, PQerrorMessage(c->pg), NULL);
		return;
	}
	c->syncs = 1;
	poll_open(c, UV_READABLE);
	send_queued(c);
}

/* False: it has been lost, and said why. */
static bool
pass_checks(HandlerConnection *c)
{
	char		text[400];
	const char *database,
			   *user;

	if (!c->result || PQntuples(c->result) != 1)
	{
		lose(c, c->error ? PQresultErrorMessage(c->error) : "no answer to a query", NULL);
		return false;
	}
	database = PQgetvalue(c->result, 0, 0);
	user = PQgetvalue(c->result, 0, 3);
	if (strcmp(database, c->database) != 0)
	{
		snprintf(text, sizeof(text), "pg_rooms.handler_conninfo leads to the database \"%.64s\", not to \"%.64s\"",
				 database, c->database);
		lose(c, text, "Let it name the database of pg_rooms.database, or none.");
	}
	else if (PQgetvalue(c->result, 0, 1)[0] != 'f')
	{
		snprintf(text, sizeof(text), "the user \"%.64s\" of pg_rooms.handler_conninfo is a superuser or a member of one", user);
		lose(c, text, "Let it name an ordinary role; see README, \"Handling client events\".");
	}
	else if (PQgetisnull(c->result, 0, 2))
		lose(c, "the extension pg_rooms is not there", "Run CREATE EXTENSION pg_rooms in the database of pg_rooms.database.");
	else if (PQgetvalue(c->result, 0, 2)[0] != 't')
	{
		snprintf(text, sizeof(text), "the user \"%.64s\" of pg_rooms.handler_conninfo may not run handlers", user);
		lose(c, text, "GRANT EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset, rooms.handler_rules to it.");
	}
	else if (c->error)
		lose(c, PQresultErrorMessage(c->error), "The extension must be of the same version as the gateway: ALTER EXTENSION pg_rooms UPDATE.");
	else
		return true;
	return false;
}

/* ---- calls ---- */

void
handler_connection_call(HandlerConnection *c, Call *call, uint64_t marker)
{
	const Caller *caller = call->caller;
	const Identity *identity = &caller->identity;
	const char *values[HANDLE_PARAMETERS];
	int			lengths[HANDLE_PARAMETERS];
	int			formats[HANDLE_PARAMETERS];
	char		kind = (char) call->kind;
	uint8_t		mark[HANDLER_MARKER_SIZE];
	uint8_t		after[8];		/* a pg_lsn, as PostgreSQL sends it */
	uint8_t    *attachments = xmalloc(4 + call->attachments.bytes.len);
	Text		handshake = {0};
	int			n = 0;

	caller_handshake(caller, &handshake);
	write_u64(write_u64(mark, marker), call->id);
	for (int i = 0; i < 8; i++)
		after[i] = (uint8_t) (call_after(call) >> (56 - 8 * i));
	write_bytes(write_u32(attachments, call->attachments.count), call->attachments.bytes);

#define ADD(data, len) (formats[n] = 1, lengths[n] = (int) (len), values[n++] = (const char *) (data))
#define ADD_TEXT(s) ADD((s), (s) ? strlen(s) : 0)
#define ADD_SLICE(s) ADD((s).len > 0 ? (const char *) (s).data : "", (s).len)
	ADD(&kind, 1);
	ADD_TEXT(caller->nsp);
	ADD_SLICE(call->name);
	ADD_SLICE(call->args);
	ADD(attachments, 4 + call->attachments.bytes.len);
	ADD_TEXT(caller->sid);
	ADD_TEXT(identity->user_id);
	ADD_TEXT(identity->tenant_id);
	ADD_TEXT(identity->role);
	ADD_TEXT(identity->claims);
	ADD_SLICE(caller_headers(caller));
	ADD_SLICE(text_slice(&handshake));
	ADD(mark, sizeof(mark));
	ADD(after, sizeof(after));
#undef ADD
#undef ADD_TEXT
#undef ADD_SLICE

	c->state = HANDLER_CALLING;
	c->call = call;
	c->deadline = uv_now(c->loop) + c->timeout + GRACE_MS;
	c->syncs = 2;
	/* What fails here is a connection that is broken: on_poll() will hear of it. */
	if (!PQsendQueryPrepared(c->pg, HANDLE_STATEMENT, n, values, lengths, formats, 1) || !PQpipelineSync(c->pg) ||
		!PQsendQueryPrepared(c->pg, RESET_STATEMENT, 0, NULL, NULL, NULL, 1) || !PQpipelineSync(c->pg))
		c->deadline = 0;
	free(attachments);
	text_free(&handshake);
	send_queued(c);
}

void
handler_connection_fetch(HandlerConnection *c)
{
	c->state = HANDLER_FETCHING;
	c->deadline = uv_now(c->loop) + c->timeout + GRACE_MS;
	c->syncs = 1;
	if (!PQsendQueryParams(c->pg, "SELECT rooms.handler_rules()", 0, NULL, NULL, NULL, NULL, 1) || !PQpipelineSync(c->pg))
		c->deadline = 0;
	send_queued(c);
}

/* ---- input and output ---- */

static void
poll_open(HandlerConnection *c, int events)
{
	c->poll = xmalloc(sizeof(*c->poll));
	if (uv_poll_init(c->loop, c->poll, PQsocket(c->pg)) != 0)
	{
		free(c->poll);
		c->poll = NULL;
		c->deadline = 0;
		return;
	}
	c->poll->data = c;
	c->events = events;
	uv_poll_start(c->poll, events, on_poll);
}

static void
poll_closed(uv_handle_t *poll)
{
	free(poll);
}

static void
poll_close(HandlerConnection *c)
{
	if (c->poll)
		uv_close((uv_handle_t *) c->poll, poll_closed);
	c->poll = NULL;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	HandlerConnection *c = poll->data;

	if (c->state == HANDLER_CONNECTING && c->syncs == 0)
	{
		connect_step(c);
		return;
	}
	if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(c->pg)))
	{
		c->deadline = 0;
		read_results(c);		/* the last words, if there are any */
		return;
	}
	if (events & UV_WRITABLE)
		send_queued(c);
	read_results(c);
}

static void
send_queued(HandlerConnection *c)
{
	int			left = PQflush(c->pg);
	int			events = left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE;

	if (left < 0)
		c->deadline = 0;		/* the next tick loses it; until then its last words may come */
	if (c->poll && c->events != events)
	{
		c->events = events;
		uv_poll_start(c->poll, events, on_poll);
	}
}

static void
read_results(HandlerConnection *c)
{
	PGnotify   *notify;
	int			ends = 0;

	/* A null ends the results of a statement; two of them, all that there are. */
	while (c->syncs > 0 && ends < 2 && !PQisBusy(c->pg))
	{
		PGresult   *r = PQgetResult(c->pg);

		if (r)
			take_result(c, r);
		ends = r ? 0 : ends + 1;
	}
	/* A handler may LISTEN: nobody wants to hear of it. */
	while ((notify = PQnotifies(c->pg)) != NULL)
		PQfreemem(notify);
	if (PQstatus(c->pg) == CONNECTION_BAD)
		lose(c, PQerrorMessage(c->pg), NULL);
	else if (c->syncs == 0 && c->state != HANDLER_IDLE)
		finish(c);
}

static void
take_result(HandlerConnection *c, PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);
	bool		reset = c->state == HANDLER_CALLING && c->syncs == 1;

	if (status == PGRES_PIPELINE_SYNC)
		c->syncs--;
	else if (reset)
	{
		if (status == PGRES_TUPLES_OK && PQntuples(r) == 1)
			c->marked = PQgetvalue(r, 0, 0)[0] != 0;
		else
			c->retiring = true; /* who knows what is left in it */
	}
	else if (status == PGRES_TUPLES_OK && !c->result)
	{
		c->result = r;
		return;
	}
	else if (status == PGRES_FATAL_ERROR && !c->error)
	{
		c->error = r;
		return;
	}
	PQclear(r);
}

/* All that was asked for has been answered. */
static void
finish(HandlerConnection *c)
{
	bool		checked = c->state != HANDLER_CONNECTING;
	HandlerAnswer answer = {.error = c->error,.marked = c->marked};

	if (!checked && !pass_checks(c))
		return;
	if (!c->error)
		answer.result = c->result;
	c->deadline = uv_now(c->loop) + IDLE_MS;
	c->state = HANDLER_IDLE;
	if (uv_now(c->loop) >= c->born + AGE_MS)
		c->retiring = true;
	if (checked)
		c->hooks->answered(c->hooks->ctx, c, &answer);
	clear_results(c);
}

static void
clear_results(HandlerConnection *c)
{
	PQclear(c->result);
	PQclear(c->error);
	c->result = c->error = NULL;
	c->marked = false;
}

/* ---- the end ---- */

static void
lose(HandlerConnection *c, const char *error, const char *hint)
{
	HandlerAnswer unknown = {0};
	bool		was_ready = c->state != HANDLER_CONNECTING;

	if (c->state == HANDLER_CALLING || c->state == HANDLER_FETCHING)
	{
		c->state = HANDLER_IDLE;
		c->retiring = true;
		c->hooks->answered(c->hooks->ctx, c, &unknown);
	}
	c->hooks->lost(c->hooks->ctx, c, was_ready, error, hint);
	poll_close(c);
	clear_results(c);
	PQfinish(c->pg);
	free(c->database);
	free(c);
}

static void
silence(void *arg, const PGresult *notice)
{
	(void) arg;
	(void) notice;
}

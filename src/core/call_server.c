/*
 * call_server.c - calls on their way to the database and back.
 *
 * gateway/handlers.c fetches what waits, brings the answers and the rules, and
 * asks for what has waited in vain to be ended; server.c brings markers.
 */
#include "core/call.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"

#define LOOK_AHEAD 200			/* calls that may be passed over for another user's */

bool
server_knows_rules(const Server *s)
{
	return s->rules != NULL && !s->rules_stale;
}

/* The one that has waited longest, but first whose user has fewer running: the sockets of one are not to hold up all others. */
static Call *
choose(const Server *s)
{
	Call	   *best = s->waiting.first;
	Call	   *c = best;

	for (int i = 0; c != NULL && best->share->running > 0 && i < LOOK_AHEAD; i++, c = c->list_next)
	{
		if (c->share->running < best->share->running)
			best = c;
	}
	return best;
}

Call *
server_call_next(Server *s)
{
	Call	   *c = server_knows_rules(s) ? choose(s) : NULL;
	uint32_t	rate = s->options.max_handler_calls_per_second;

	if (c == NULL || (rate > 0 && !bucket_take(&s->call_rate, rate, 1, s->now)))
		return NULL;
	call_set_state(c, CALL_RUNNING);
	c->since = s->now;
	c->id = ++s->last_call;
	s->counters[COUNTER_CALLS]++;
	return c;
}

uint32_t
server_calls_waiting(const Server *s)
{
	return server_knows_rules(s) ? s->waiting.count : 0;
}

bool
server_has_calls(const Server *s)
{
	return s->waiting.count > 0 || s->running.count > 0;
}

void
server_call_done(Server *s, Call *c, const CallResult *r, uint64_t now)
{
	s->now = now;
	assert(c->state == CALL_RUNNING && !c->answered);
	if (r->outcome == CALL_OK && r->marked && !c->marker_seen)
	{
		c->answered = true;
		c->since = now;
		c->reply = xmalloc(r->reply.len);
		c->reply_len = r->reply.len;
		write_bytes(c->reply, r->reply);
	}
	else
		call_complete(c, r);
}

static void
complete_answered(Call *c)
{
	const CallResult result = {.outcome = CALL_OK,.reply = slice(c->reply, c->reply_len)};

	call_complete(c, &result);
}

/* Markers come in the order of commits, which is about that of the list: the search ends soon. */
void
call_marker(Server *s, Slice marker)
{
	Reader		r = reader(marker);
	uint64_t	server = read_u64(&r);
	uint64_t	id = read_u64(&r);

	if (server != s->marker)
		return;
	for (Call *c = s->running.first; c != NULL; c = c->list_next)
	{
		if (c->id != id)
			continue;
		c->marker_seen = true;
		if (c->answered)
			complete_answered(c);
		return;
	}
}

uint64_t
call_after(const Call *c)
{
	return c->caller->server->revoked;
}

void
call_revoked(Server *s, uint64_t before)
{
	if (before > s->revoked)
		s->revoked = before;
}

uint64_t
server_marker(const Server *s)
{
	return s->marker;
}

/* ---- rules and the way to the database ---- */

typedef bool (*CallTest) (const Call *c, uint64_t before);

/* The callers of those calls in a list that pass, each held: the list may change while they are gone through. */
static uint32_t
hold_callers(const CallList *list, CallTest passes, uint64_t before, Caller ***callers)
{
	uint32_t	count = 0;

	*callers = NULL;
	for (Call *c = list->first; c != NULL; c = c->list_next)
	{
		if (!passes(c, before))
			continue;
		if (*callers == NULL)
			*callers = xmalloc(list->count * sizeof(**callers));
		c->caller->refs++;
		(*callers)[count++] = c->caller;
	}
	return count;
}

static bool
always(const Call *c, uint64_t before)
{
	(void) c;
	(void) before;
	return true;
}

static void
review(Server *s)
{
	Caller	  **callers;
	uint32_t	count = hold_callers(&s->waiting, always, 0, &callers);

	for (uint32_t i = 0; i < count; i++)
	{
		Call	   *c = callers[i]->first;

		if (c != NULL && c->state == CALL_WAITING)
			call_set_state(c, CALL_QUEUED);
		call_step(callers[i]);
		caller_unref(callers[i]);
	}
	free(callers);
}

WireResult
server_set_rules(Server *s, Slice encoded)
{
	Rules	   *rules = rules_new(encoded);

	if (rules == NULL)
		return WIRE_BAD;
	if (!s->use_handlers)
	{
		rules_free(rules);		/* they come too late */
		return WIRE_OK;
	}
	rules_free(s->rules);
	s->rules = rules;
	s->rules_stale = false;
	review(s);
	return WIRE_OK;
}

void
server_use_handlers(Server *s, bool use)
{
	if (s->use_handlers == use)
		return;
	s->use_handlers = use;
	rules_free(s->rules);
	s->rules = NULL;
	s->rules_stale = false;
	/* What follows a failed call is an event that nobody handles, and goes. */
	while (!use && s->waiting.first != NULL)
		call_fail(s->waiting.first, "events are not handled any more", "unavailable");
}

/* ---- what has waited in vain ---- */

/* It is the rate that holds a CONNECT up: all clients may come at once, and each of them in its turn. */
static bool
in_storm(const Call *c)
{
	return (c->kind == HANDLER_CONNECT || c->recheck) && c->caller->server->options.max_handler_calls_per_second > 0;
}

/* Nobody waits for on_disconnect, which is worth having late. */
static bool
is_overdue(const Call *c, uint64_t before)
{
	if (in_storm(c))
		return c->state == CALL_WAITING && c->since + c->caller->server->options.connect_timeout < c->caller->server->now;
	return c->state == CALL_WAITING && c->since < before &&
		(c->kind != HANDLER_DISCONNECT || c->caller->server->call_count > CALLS_KEEP_LEFT);
}

/* The CONNECT of one that came back and waits for on_disconnect of the time before. */
static bool
follower_overdue(const Call *c, uint64_t before)
{
	const Caller *follower = c->caller->follower;

	return follower != NULL && follower->first != NULL && follower->first->state == CALL_QUEUED &&
		follower->first->arrived < before;
}

static void
give_up(Call *c)
{
	Socket	   *socket = c->caller->socket;

	if (in_storm(c) && socket != NULL)
		session_close(socket->session, CLOSE_FORCED);	/* to come back later */
	else
		call_fail(c, "the database is not available", "unavailable");
}

static bool
unmarked(const Call *c, uint64_t before)
{
	return c->answered && c->since < before;
}

static void
end_overdue(Server *s, uint64_t before)
{
	Caller	  **callers;
	uint32_t	count = hold_callers(&s->waiting, follower_overdue, before, &callers);

	for (uint32_t i = 0; i < count; i++)
	{
		if (callers[i]->first != NULL && follower_overdue(callers[i]->first, before))
			call_fail(callers[i]->follower->first, "the database is not available", "unavailable");
		caller_unref(callers[i]);
	}
	free(callers);

	count = hold_callers(&s->waiting, is_overdue, before, &callers);
	for (uint32_t i = 0; i < count; i++)
	{
		while (callers[i]->first != NULL && is_overdue(callers[i]->first, before))
			give_up(callers[i]->first);
		caller_unref(callers[i]);
	}
	free(callers);
}

/* The bus is that far behind, or has lost the marker: the call is over all the same. */
static void
end_unmarked(Server *s, uint64_t before)
{
	Caller	  **callers;
	uint32_t	count = hold_callers(&s->running, unmarked, before, &callers);

	for (uint32_t i = 0; i < count; i++)
	{
		Call	   *c = callers[i]->first;

		if (c != NULL && unmarked(c, before))
		{
			s->counters[COUNTER_MARKERS_MISSED]++;
			c->marker_seen = true;
			complete_answered(c);
		}
		caller_unref(callers[i]);
	}
	free(callers);
}

void
server_expire_calls(Server *s, uint64_t now, uint64_t ms)
{
	s->now = now;
	end_overdue(s, now > ms ? now - ms : 0);
	end_unmarked(s, now > MARKER_MS ? now - MARKER_MS : 0);
}

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

Call *
server_call_next(Server *s)
{
	Call	   *c = s->rules != NULL ? s->waiting.first : NULL;

	if (c == NULL)
		return NULL;
	call_set_state(c, CALL_RUNNING);
	c->id = ++s->last_call;
	s->counters[COUNTER_CALLS]++;
	return c;
}

uint32_t
server_calls_waiting(const Server *s)
{
	return s->rules != NULL ? s->waiting.count : 0;
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
server_marker(const Server *s)
{
	return s->marker;
}

/* ---- rules and the way to the database ---- */

/* The callers of all that waits, each held. */
static uint32_t
take_waiting(Server *s, Caller ***callers)
{
	uint32_t	count = 0;

	*callers = xmalloc((s->waiting.count + 1) * sizeof(**callers));
	while (s->waiting.first != NULL)
	{
		Call	   *c = s->waiting.first;

		call_set_state(c, CALL_QUEUED);
		c->caller->refs++;
		(*callers)[count++] = c->caller;
	}
	return count;
}

static void
review(Server *s)
{
	Caller	  **callers;
	uint32_t	count = take_waiting(s, &callers);

	for (uint32_t i = 0; i < count; i++)
	{
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
	/* What follows a failed call is an event that nobody handles, and goes. */
	while (!use && s->waiting.first != NULL)
		call_fail(s->waiting.first, "events are not handled any more", "unavailable");
}

void
server_expire_calls(Server *s, uint64_t now, uint64_t ms)
{
	s->now = now;
	while (s->waiting.first != NULL && s->waiting.first->since + ms < now)
		call_fail(s->waiting.first, "the database is not available", "unavailable");
	for (Call *c = s->running.first; c != NULL; c = c->list_next)
	{
		if (!c->answered || c->since + MARKER_MS >= now)
			continue;
		/* The bus is that far behind, or has lost the marker: the call is over all the same. */
		s->counters[COUNTER_MARKERS_MISSED]++;
		c->marker_seen = true;
		complete_answered(c);
		break;					/* the list has changed: the rest at the next call */
	}
}

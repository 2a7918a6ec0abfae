/*
 * call.c - the queues of what clients sent, and what becomes of it.
 *
 * Each Caller runs its calls one after the other; call_step() takes the first one
 * as far as it goes.  A call that a handler decides on goes to
 * server->waiting, from there to server->running when gateway/handlers.c
 * fetches it (call_server.c), and is complete when it was answered and, if it
 * emitted, its marker came (call_result.c).  Everything else is done at once.
 *
 * Only the first call of a caller is ever in one of the two lists.
 */
#include "core/call.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "core/text.h"
#include "wire/address.h"
#include "wire/json.h"

/* ---- lists ---- */

static void
list_append(CallList *list, Call *c)
{
	c->list_next = NULL;
	c->list_prev = list->last;
	if (list->last != NULL)
		list->last->list_next = c;
	else
		list->first = c;
	list->last = c;
	list->count++;
}

static void
list_remove(CallList *list, Call *c)
{
	if (c->list_prev != NULL)
		c->list_prev->list_next = c->list_next;
	else
		list->first = c->list_next;
	if (c->list_next != NULL)
		c->list_next->list_prev = c->list_prev;
	else
		list->last = c->list_prev;
	list->count--;
}

void
call_set_state(Call *c, CallState state)
{
	Server	   *s = c->caller->server;

	if (c->state == CALL_WAITING)
		list_remove(&s->waiting, c);
	else if (c->state == CALL_RUNNING)
	{
		list_remove(&s->running, c);
		c->share->running--;
	}
	c->state = state;
	if (state == CALL_WAITING)
		list_append(&s->waiting, c);
	else if (state == CALL_RUNNING)
	{
		list_append(&s->running, c);
		c->share->running++;
	}
}

/* ---- calls ---- */

/* Whose calls are counted together: a user's, or without one an address's. */
static Held *
hold_share(Caller *caller)
{
	Server	   *s = caller->server;
	uint8_t		key[1 + ENVELOPE_MAX_NAME] = {0};
	const char *user = caller->identity.user_id;
	Slice		id = user != NULL ? slice_cstring(user) : address_key(caller->peer->known.address, key + 1);

	key[0] = user != NULL ? 'u' : 'a';
	if (id.len > ENVELOPE_MAX_NAME)
		id.len = ENVELOPE_MAX_NAME;	/* tokens have none that long; the session table's file may have anything */
	if (user != NULL)
		write_bytes(key + 1, id);
	return tally_hold(&s->call_shares, slice(key, 1 + id.len), s->now);
}

static Call *
call_new(Caller *caller, HandlerKind kind, size_t size)
{
	Call	   *c = xcalloc(1, sizeof(*c) + size);
	Server	   *s = caller->server;

	c->kind = kind;
	c->caller = caller;
	c->size = size;
	c->arrived = s->now;
	c->share = hold_share(caller);
	c->share->bytes += size;
	caller->refs++;
	if (caller->last != NULL)
		caller->last->next = c;
	else
		caller->first = c;
	caller->last = c;
	caller->count++;
	s->call_count++;
	s->call_bytes += size;
	return c;
}

/* A handler is called with one argument, the room. */
void
call_become_join(Call *c, Slice room)
{
	Text		t = {0};

	text_add(&t, room);
	text_add_string(&t, "[");
	text_add_json(&t, room);
	text_add_string(&t, "]");
	free(c->room);
	c->room = t.bytes;
	c->name = slice(t.bytes, room.len);
	c->args = slice(t.bytes + room.len, t.len - room.len);
	c->kind = HANDLER_JOIN;
}

/* It must be the first of its caller, whom the caller of this holds on to. */
static void
call_free(Call *c)
{
	Caller	   *caller = c->caller;

	assert(caller->first == c);
	call_set_state(c, CALL_QUEUED);
	caller->first = c->next;
	if (caller->first == NULL)
		caller->last = NULL;
	caller->count--;
	caller->server->call_count--;
	caller->server->call_bytes -= c->size;
	c->share->bytes -= c->size;
	tally_release(&caller->server->call_shares, c->share, caller->server->now);
	free(c->room);
	free(c->reply);
	free(c->left);
	follow_free(c->follow);
	free(c);
	caller_unref(caller);
}

static bool
has_room(Caller *caller, size_t size)
{
	Server	   *s = caller->server;
	Held	   *share = hold_share(caller);
	bool		fits;

	/* A connect and a disconnect ask for no room: there may be more than the caps. */
	fits = caller->count < CALLER_MAX_CALLS && s->call_count < SERVER_MAX_CALLS &&
		s->call_bytes + size <= SERVER_MAX_CALL_BYTES &&
		share->count <= USER_MAX_CALLS && share->bytes + size <= USER_MAX_CALL_BYTES;
	tally_release(&s->call_shares, share, s->now);
	return fits;
}

void
call_connect(Caller *caller)
{
	Call	   *c;

	c = call_new(caller, HANDLER_CONNECT, 2);
	write_bytes(c->bytes, SLICE_LITERAL("[]"));
	c->args = slice(c->bytes, 2);
	call_step(caller);
}

/* One per socket that connected: no more than there are connections, so no cap. */
void
call_disconnect(Caller *caller)
{
	Text		args = {0};
	Call	   *c;

	text_add_string(&args, "[");
	text_add_json(&args, slice_cstring(caller->reason));
	text_add_string(&args, "]");
	c = call_new(caller, HANDLER_DISCONNECT, args.len);
	write_bytes(c->bytes, text_slice(&args));
	c->args = slice(c->bytes, args.len);
	text_free(&args);
}

void
caller_leave(Caller *caller, bool connected, const char *reason)
{
	caller->socket = NULL;
	caller->reason = reason;
	caller->revoked = slice_equal(slice_cstring(reason), SLICE_LITERAL("server namespace disconnect")) ||
		slice_equal(slice_cstring(reason), SLICE_LITERAL("forced server close"));
	if (connected && caller->server->use_handlers)
		call_disconnect(caller);
	if (caller->first != NULL && (caller->first->kind == HANDLER_CONNECT || caller->first->recheck) &&
		caller->first->state == CALL_WAITING)
	{
		call_become_connect(caller->first);
		call_set_state(caller->first, CALL_QUEUED);	/* call_step() drops it */
	}
	if (caller->revoked && caller->first != NULL && caller->first->state == CALL_WAITING)
		call_set_state(caller->first, CALL_QUEUED);	/* and so this one */
	call_step(caller);
	caller_unref(caller);
}

void
call_departed(Caller *caller)
{
	caller->reason = "transport close";
	if (caller->server->use_handlers)
		call_disconnect(caller);
	call_step(caller);
}

/* What stands behind the event's name, as an array of its own. */
static uint8_t *
write_args(uint8_t *out, const SioPacket *p)
{
	const uint8_t *end = p->json.data + p->json.len;
	const uint8_t *at = p->event.data + p->event.len;

	while (at < end && *at != ',' && *at != ']')
		at++;
	out = write_u8(out, '[');
	if (at < end && *at == ',')
		return write_bytes(out, slice(at + 1, (size_t) (end - at - 1)));
	return write_u8(out, ']');
}

/* Event names that are numbers are names as they are written. */
static bool
read_name(Slice event, uint8_t *out, Slice *name)
{
	long		len;

	if (event.data[0] != '"')
	{
		*name = slice(out, event.len);
		write_bytes(out, event);
		return true;
	}
	len = json_unquote(event, out);
	*name = slice(out, len > 0 ? (size_t) len : 0);
	return len >= 0;
}

/* No longer than a handler's can be, whatever escapes it is written with? */
static bool
name_fits(Slice event)
{
	uint8_t		text[2 + 6 * ENVELOPE_MAX_NAME];

	if (event.data[0] != '"')
		return event.len <= ENVELOPE_MAX_NAME;
	return event.len <= sizeof(text) && json_unquote(event, text) <= ENVELOPE_MAX_NAME;
}

void
call_refuse_event(Caller *caller, const SioPacket *p, const char *message, const char *code)
{
	/* A name that is too long is not said again. */
	const Call	refused = {.caller = caller,.event = name_fits(p->event) ? p->event : SLICE_LITERAL("null"),
	.has_ack = p->has_ack,.ack = p->ack};

	call_refuse(&refused, slice_cstring(message), slice_cstring(code), (Slice) {0});
}

void
call_event(Caller *caller, const SioPacket *p, EnvelopeList attachments)
{
	Server	   *s = caller->server;
	size_t		size = 2 * p->event.len + p->json.len + 2 + attachments.bytes.len;
	Call	   *c;
	uint8_t    *at;
	bool		named;

	if (!name_fits(p->event))
	{
		s->counters[COUNTER_REFUSED_NAME]++;
		call_refuse_event(caller, p, "the event's name is too long", "name_too_long");
		return;
	}
	if (!has_room(caller, size))
	{
		s->counters[COUNTER_CALLS_DROPPED]++;
		call_refuse_event(caller, p, "too many events are waiting", "queue_full");
		return;
	}
	c = call_new(caller, HANDLER_EVENT, size);
	c->has_ack = p->has_ack;
	c->ack = p->ack;
	at = c->bytes;
	named = read_name(p->event, at, &c->name) && memchr(c->name.data, '\0', c->name.len) == NULL;
	at += p->event.len;
	c->event = slice(at, p->event.len);
	at = write_bytes(at, p->event);
	c->args.data = at;
	at = write_args(at, p);
	c->args.len = (size_t) (at - c->args.data);
	c->attachments = (EnvelopeList) {attachments.count, slice(at, attachments.bytes.len)};
	write_bytes(at, attachments.bytes);
	c->unnamed = !named;
	call_step(caller);
}

/* Behind one that found no database it has waited as long as that, or since it came. */
static void
wait_for_handler(Call *c)
{
	Server	   *s = c->caller->server;
	uint64_t	stuck = c->caller->stuck_since;

	if (c->since == 0)
		c->since = stuck == 0 ? s->now : stuck > c->arrived ? stuck : c->arrived;
	call_set_state(c, CALL_WAITING);
	s->hooks.call_waiting(s->hooks.ctx);
}

static void
check_again(Call *c)
{
	c->stale = c->answered = c->marker_seen = false;
	c->since = 0;
	free(c->reply);
	c->reply = NULL;
	if (c->kind == HANDLER_CONNECT)
	{
		call_set_state(c, CALL_QUEUED);
		call_step(c->caller);
		return;
	}
	c->checks++;
	wait_for_handler(c);
}

void
call_complete(Call *c, const CallResult *r)
{
	Caller	   *caller = c->caller;

	if (call_finish(c, r))
	{
		check_again(c);
		return;
	}
	caller->refs++;
	caller->stuck_since = call_found_no_database(r) ? c->since : 0;
	if (c->feeding)
		call_set_state(c, CALL_QUEUED);
	else
		call_free(c);
	call_step(caller);
	caller_unref(caller);
}

void
call_continue(Caller *caller)
{
	if (caller->first != NULL && caller->first->feeding)
		call_step(caller);
}

void
call_fail(Call *c, const char *message, const char *code)
{
	const CallResult r = {.outcome = CALL_FAILED,.message = slice_cstring(message),.code = slice_cstring(code)};

	/* Out of the list of those that can be dropped: a refused socket leaves on the way. */
	call_set_state(c, CALL_RUNNING);
	call_complete(c, &r);
}

/* ---- running ---- */

/* Takes a queued call as far as it goes.  True: it is done. */
static bool
begin(Call *c)
{
	Caller	   *caller = c->caller;
	Server	   *s = caller->server;
	Slice		nsp = slice_cstring(caller->nsp);
	HandlerRule rule;
	bool		handled = false;

	if (c->feeding)
	{
		if (!call_feed(c))
			return false;
	}
	else if (c->unnamed)
		call_refuse(c, SLICE_LITERAL("invalid event name"), SLICE_LITERAL("invalid_arguments"), (Slice) {0});
	else if (s->use_handlers && !server_knows_rules(s))
		handled = true;			/* perhaps: it waits for the rules */
	else if (c->kind == HANDLER_CONNECT && caller->socket == NULL)
		;						/* nobody waits for the answer */
	else if (caller->revoked && c->kind != HANDLER_DISCONNECT)
		;						/* it was thrown out: nothing more is done in its name */
	else if (c->kind == HANDLER_CONNECT && caller->follows)
		return false;
	else if (c->kind == HANDLER_CONNECT && call_begin_recheck(c))
		handled = true;
	else if (c->kind == HANDLER_JOIN)
	{
		handled = rules_join(s->rules, nsp, c->name, &rule);
		if (!handled)
			call_refuse(c, SLICE_LITERAL("not allowed"), SLICE_LITERAL("forbidden"), (Slice) {0});
	}
	else if (rules_handle(s->rules, c->kind, nsp, c->name))
		handled = true;
	else if (c->kind == HANDLER_EVENT && builtin_event(c->name))
	{
		handled = !builtin_run(c);
		if (c->feeding)
			return begin(c);
	}
	else if (c->kind == HANDLER_CONNECT)
		socket_connected(caller->socket);

	if (handled)
		wait_for_handler(c);
	else
		call_free(c);
	return !handled;
}

void
call_step(Caller *caller)
{
	caller->refs++;
	while (caller->first != NULL && caller->first->state == CALL_QUEUED && begin(caller->first))
		;
	if (caller->first == NULL && caller->follower != NULL)
	{
		Caller	   *follower = caller->follower;

		caller->follower = NULL;
		follower->follows = false;
		call_step(follower);
		caller_unref(follower);
	}
	caller_unref(caller);
}

void
call_follow(Caller *caller, Caller *before)
{
	if (before->first == NULL)
		return;
	if (before->follower != NULL)
		caller_unref(before->follower);	/* it has left */
	before->follower = caller;
	caller->follows = true;
	caller->refs++;
}


void
calls_free(Server *s)
{
	while (s->waiting.first != NULL || s->running.first != NULL)
	{
		Caller	   *caller = (s->waiting.first != NULL ? s->waiting.first : s->running.first)->caller;

		assert(caller->socket == NULL);
		caller->refs++;
		while (caller->first != NULL)
			call_free(caller->first);
		caller_unref(caller);
	}
}


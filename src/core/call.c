/*
 * call.c - the queues of what clients sent, and what becomes of it.
 *
 * Each Caller runs its calls one after the other; step() takes the first one
 * as far as it goes.  A call that a handler decides on goes to
 * server->waiting, from there to server->running when gateway/handlers.c
 * fetches it, and is complete when it was answered and, if it emitted, its
 * marker came.  Everything else is done at once.
 *
 * Only the first call of a caller is ever in one of the two lists.
 */
#include "core/call.h"

#include <assert.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "core/text.h"
#include "wire/json.h"

static void step(Caller *caller);
static void complete(Call *c, const CallResult *r);
static void complete_answered(Call *c);
static void fail(Call *c, const char *message, const char *code);
static void become_connect(Call *c);

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

static void
set_state(Call *c, CallState state)
{
	Server	   *s = c->caller->server;

	if (c->state == CALL_WAITING)
		list_remove(&s->waiting, c);
	else if (c->state == CALL_RUNNING)
		list_remove(&s->running, c);
	c->state = state;
	if (state == CALL_WAITING)
		list_append(&s->waiting, c);
	else if (state == CALL_RUNNING)
		list_append(&s->running, c);
}

/* ---- calls ---- */

static Call *
call_new(Caller *caller, HandlerKind kind, size_t size)
{
	Call	   *c = xcalloc(1, sizeof(*c) + size);
	Server	   *s = caller->server;

	c->kind = kind;
	c->caller = caller;
	c->size = size;
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

void
call_set_name(Call *c, Slice room)
{
	c->room = xmalloc(room.len);
	write_bytes(c->room, room);
	c->name = slice(c->room, room.len);
}

/* It must be the first of its caller, whom the caller of this holds on to. */
static void
call_free(Call *c)
{
	Caller	   *caller = c->caller;

	assert(caller->first == c);
	set_state(c, CALL_QUEUED);
	caller->first = c->next;
	if (caller->first == NULL)
		caller->last = NULL;
	caller->count--;
	caller->server->call_count--;
	caller->server->call_bytes -= c->size;
	free(c->room);
	free(c->reply);
	free(c->left);
	free(c);
	caller_unref(caller);
}

static bool
has_room(const Caller *caller, size_t size)
{
	const Server *s = caller->server;

	/* A connect and a disconnect ask for no room: there may be more than the caps. */
	return caller->count < CALLER_MAX_CALLS && s->call_count < SERVER_MAX_CALLS &&
		s->call_bytes + size <= SERVER_MAX_CALL_BYTES;
}

void
call_connect(Caller *caller)
{
	Call	   *c;

	c = call_new(caller, HANDLER_CONNECT, 2);
	write_bytes(c->bytes, SLICE_LITERAL("[]"));
	c->args = slice(c->bytes, 2);
	step(caller);
}

/* One per socket that connected: no more than there are connections, so no cap. */
static void
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
		become_connect(caller->first);
		set_state(caller->first, CALL_QUEUED);	/* step() drops it */
	if (caller->revoked && caller->first != NULL && caller->first->state == CALL_WAITING)
		set_state(caller->first, CALL_QUEUED);	/* and so this one */
	}
	step(caller);
	caller_unref(caller);
}

void
call_departed(Caller *caller)
{
	caller->reason = "transport close";
	if (caller->server->use_handlers)
		call_disconnect(caller);
	step(caller);
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

void
call_event(Caller *caller, const SioPacket *p, EnvelopeList attachments)
{
	Server	   *s = caller->server;
	size_t		size = 2 * p->event.len + p->json.len + 2 + attachments.bytes.len;
	Call	   *c;
	uint8_t    *at;
	bool		named;

	if (!has_room(caller, size))
	{
		Call		refused = {.caller = caller,.event = p->event,.has_ack = p->has_ack,.ack = p->ack};

		s->counters[COUNTER_CALLS_DROPPED]++;
		call_refuse(&refused, SLICE_LITERAL("too many events are waiting"), SLICE_LITERAL("queue_full"), (Slice) {0});
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
	step(caller);
}

/* ---- completion ---- */

static const CallResult bad_reply = {
	.outcome = CALL_FAILED,
	.message = {(const uint8_t *) "internal error", 14},
	.code = {(const uint8_t *) "internal_error", 14}
};

static void
complete_event(Call *c, const CallResult *r, const HandlerReply *reply)
{
	if (r->outcome == CALL_OK)
		call_acknowledge(c, reply->args, reply->attachments);
	else
		call_refuse(c, r->message, r->code, r->error_id);
}

static bool
is_true(Slice args)
{
	JsonWalk	walk;
	Slice		key,
				value;

	return json_enter(args, &walk) && json_next(&walk, &key, &value) && slice_equal(value, SLICE_LITERAL("true"));
}

/* True: the check is to be made again. */
static bool
complete_join(Call *c, const CallResult *r, const HandlerReply *reply)
{
	Socket	   *socket = c->caller->socket;

	if (r->outcome != CALL_OK)
		call_refuse(c, r->message, r->code, r->error_id);
	else if (!is_true(reply->args))
		call_refuse(c, SLICE_LITERAL("not allowed"), SLICE_LITERAL("forbidden"), (Slice) {0});
	else if (c->stale && c->checks < JOIN_CHECKS_MAX)
		return socket != NULL;
	else if (c->stale)
		call_refuse(c, SLICE_LITERAL("not allowed"), SLICE_LITERAL("forbidden"), (Slice) {0});
	else if (socket != NULL)
	{
		recovery_join(socket, c->name, true);
		call_accept(c);
	}
	return false;
}

/* A room of a socket that is being recovered.  Always true: there may be more of them, and on_connect. */
static bool
complete_recheck(Call *c, const CallResult *r, const HandlerReply *reply)
{
	Socket	   *socket = c->caller->socket;

	if (socket == NULL)
		;
	else if (r->outcome == CALL_FAILED && slice_equal(r->code, SLICE_LITERAL("unavailable")))
		session_close(socket->session, CLOSE_FORCED);	/* to come back later */
	else
		recovery_checked(socket, c->name, r->outcome == CALL_OK && is_true(reply->args));
	become_connect(c);
	return true;
}

/* The connect is a join of this room, with the arguments of room:join. */
static void
become_recheck(Call *c, Slice room)
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
	c->recheck = true;
}

static void
become_connect(Call *c)
{
	c->kind = HANDLER_CONNECT;
	c->recheck = false;
	c->name = (Slice) {0};
	c->args = slice(c->bytes, c->size);
}

/* The next room whose rule is to be asked before on_connect; without a rule nobody may be in it. */
static bool
begin_recheck(Call *c)
{
	Caller	   *caller = c->caller;
	HandlerRule rule;
	Slice		room;

	if (!recovery_is_claim(caller->socket))
		return false;
	while (recovery_unchecked(caller->socket, &room))
	{
		become_recheck(c, room);
		if (rules_join(caller->server->rules, slice_cstring(caller->nsp), c->name, &rule))
			return true;
		recovery_checked(caller->socket, c->name, false);
		become_connect(c);
	}
	return false;
}

static bool
was_left(const Call *c, Slice room)
{
	EnvelopeList left = {c->left_count, slice(c->left, c->left_len)};
	Slice		name;

	if (c->stale)
		return true;
	while (envelope_next(&left, &name))
	{
		if (slice_equal(name, room))
			return true;
	}
	return false;
}

static void
join_further(Call *c, Slice args)
{
	JsonWalk	walk;
	Slice		key,
				value;

	if (!json_enter(args, &walk))
		return;
	while (json_next(&walk, &key, &value))
	{
		uint8_t    *name = xmalloc(value.len);
		long		len = json_unquote(value, name);

		/* on_connect is the application's own: users' and tenants' rooms are its to give. */
		if (len > 0 && len <= ENVELOPE_MAX_NAME && !room_is_sid(slice(name, (size_t) len)) &&
			!was_left(c, slice(name, (size_t) len)))
			recovery_join(c->caller->socket, slice(name, (size_t) len), false);
		free(name);
	}
}

static void
complete_connect(Call *c, const CallResult *r, const HandlerReply *reply)
{
	Caller	   *caller = c->caller;

	if (caller->socket == NULL)
	{
		/* It left while on_connect ran: whoever has arrived departs. */
		if (r->outcome == CALL_OK && caller->server->use_handlers)
			call_disconnect(caller);
	}
	else if (r->outcome == CALL_OK)
	{
		join_further(c, reply->args);
		socket_connected(caller->socket);
	}
	else
	{
		Text		data = {0};

		text_add_string(&data, "{\"message\":");
		text_add_json(&data, r->message);
		text_add_string(&data, ",\"data\":{\"code\":");
		text_add_json(&data, r->code);
		if (r->error_id.len > 0)
		{
			text_add_string(&data, ",\"id\":");
			text_add_json(&data, r->error_id);
		}
		text_add_string(&data, "}}");
		socket_refused(caller->socket, text_slice(&data));
		text_free(&data);
	}
}

/* True: it is to be run again. */
static bool
finish(Call *c, const CallResult *r)
{
	HandlerReply reply = {0};

	if (r->outcome == CALL_OK && handler_reply_decode(r->reply, &reply) != WIRE_OK)
		r = &bad_reply;
	if (r->outcome != CALL_OK)
		c->caller->server->counters[COUNTER_CALLS_FAILED]++;
	switch (c->kind)
	{
		case HANDLER_EVENT:
			complete_event(c, r, &reply);
			break;
		case HANDLER_JOIN:
			return c->recheck ? complete_recheck(c, r, &reply) : complete_join(c, r, &reply);
		case HANDLER_CONNECT:
			complete_connect(c, r, &reply);
			break;
		case HANDLER_DISCONNECT:
			break;
	}
	return false;
}

static void
wait_for_handler(Call *c)
{
	Server	   *s = c->caller->server;

	c->since = s->now;
	set_state(c, CALL_WAITING);
	s->hooks.call_waiting(s->hooks.ctx);
}

static void
check_again(Call *c)
{
	c->stale = c->answered = c->marker_seen = false;
	free(c->reply);
	c->reply = NULL;
	if (c->kind == HANDLER_CONNECT)
	{
		set_state(c, CALL_QUEUED);
		step(c->caller);
		return;
	}
	c->checks++;
	wait_for_handler(c);
}

static void
complete(Call *c, const CallResult *r)
{
	Caller	   *caller = c->caller;

	if (finish(c, r))
	{
		check_again(c);
		return;
	}
	caller->refs++;
	call_free(c);
	step(caller);
	caller_unref(caller);
}

static void
fail(Call *c, const char *message, const char *code)
{
	const CallResult r = {.outcome = CALL_FAILED,.message = slice_cstring(message),.code = slice_cstring(code)};

	/* Out of the list of those that can be dropped: a refused socket leaves on the way. */
	set_state(c, CALL_RUNNING);
	complete(c, &r);
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

	if (c->unnamed)
		call_refuse(c, SLICE_LITERAL("invalid event name"), SLICE_LITERAL("invalid_arguments"), (Slice) {0});
	else if (s->use_handlers && s->rules == NULL)
		handled = true;			/* perhaps: it waits for the rules */
	else if (c->kind == HANDLER_CONNECT && caller->socket == NULL)
		;						/* nobody waits for the answer */
	else if (caller->revoked && c->kind != HANDLER_DISCONNECT)
		;						/* it was thrown out: nothing more is done in its name */
	else if (c->kind == HANDLER_CONNECT && caller->follows)
		return false;
	else if (c->kind == HANDLER_CONNECT && begin_recheck(c))
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
		handled = !builtin_run(c);
	else if (c->kind == HANDLER_CONNECT)
		socket_connected(caller->socket);

	if (handled)
		wait_for_handler(c);
	else
		call_free(c);
	return !handled;
}

static void
step(Caller *caller)
{
	caller->refs++;
	while (caller->first != NULL && caller->first->state == CALL_QUEUED && begin(caller->first))
		;
	if (caller->first == NULL && caller->follower != NULL)
	{
		Caller	   *follower = caller->follower;

		caller->follower = NULL;
		follower->follows = false;
		step(follower);
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

Call *
server_call_next(Server *s)
{
	Call	   *c = s->rules != NULL ? s->waiting.first : NULL;

	if (c == NULL)
		return NULL;
	set_state(c, CALL_RUNNING);
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
		complete(c, r);
}

static void
complete_answered(Call *c)
{
	const CallResult result = {.outcome = CALL_OK,.reply = slice(c->reply, c->reply_len)};

	complete(c, &result);
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

void
call_overlap_rooms(Server *s, Slice nsp, EnvelopeList rooms, EnvelopeList in)
{
	for (Call *c = s->running.first; c != NULL; c = c->list_next)
	{
		EnvelopeList left = in;
		Slice		room;
		bool		on_its_way = c->kind == HANDLER_CONNECT;

		if (!slice_equal(slice_cstring(c->caller->nsp), nsp))
			continue;
		while (!on_its_way && c->kind == HANDLER_JOIN && envelope_next(&left, &room))
			on_its_way = slice_equal(room, c->name);
		if (on_its_way)
			call_overlap(c->caller, rooms);
	}
}

void
call_overlap(Caller *caller, EnvelopeList rooms)
{
	Call	   *c = caller->first;
	Slice		room;

	if (c == NULL || c->state != CALL_RUNNING || rooms.count == 0)
		return;
	if (c->kind == HANDLER_CONNECT && c->left_len + rooms.bytes.len > CALL_MAX_LEFT)
		c->stale = true;
	else if (c->kind == HANDLER_CONNECT)
	{
		c->left = xrealloc(c->left, c->left_len + rooms.bytes.len);
		write_bytes(c->left + c->left_len, rooms.bytes);
		c->left_len += rooms.bytes.len;
		c->left_count += rooms.count;
	}
	else if (c->kind == HANDLER_JOIN)
	{
		while (envelope_next(&rooms, &room))
			c->stale = c->stale || slice_equal(room, c->name);
	}
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

		set_state(c, CALL_QUEUED);
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
		step(callers[i]);
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
		fail(s->waiting.first, "events are not handled any more", "unavailable");
}

void
server_expire_calls(Server *s, uint64_t now, uint64_t ms)
{
	s->now = now;
	while (s->waiting.first != NULL && s->waiting.first->since + ms < now)
		fail(s->waiting.first, "the database is not available", "unavailable");
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

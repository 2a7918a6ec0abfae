/*
 * call_result.c - what a handler's answer means.
 *
 * An event is acknowledged or refused, a join takes effect, a CONNECT is
 * answered.  A CONNECT that is to be recovered is first a join of each room
 * whose rule has to be asked again.  Leaves that overlap the check of a join
 * have it made again; those that overlap on_connect are remembered.
 *
 * Called by call.c, which moves calls and frees them; nothing here does.
 */
#include "core/call.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "core/text.h"
#include "wire/json.h"

static const CallResult bad_reply = {
	.outcome = CALL_FAILED,
	.message = {(const uint8_t *) "internal error", 14},
	.code = {(const uint8_t *) "internal_error", 14}
};

bool
call_found_no_database(const CallResult *r)
{
	return r->outcome == CALL_FAILED && slice_equal(r->code, SLICE_LITERAL("unavailable"));
}

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
	else if (socket != NULL && c->follow != NULL)
		c->feeding = true;
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
	else if (call_found_no_database(r))
		session_close(socket->session, CLOSE_FORCED);	/* to come back later */
	else
		recovery_checked(socket, c->name, r->outcome == CALL_OK && is_true(reply->args));
	call_become_connect(c);
	return true;
}

void
call_become_connect(Call *c)
{
	c->kind = HANDLER_CONNECT;
	c->recheck = false;
	c->name = (Slice) {0};
	c->args = slice(c->bytes, c->size);
}

/* The next room whose rule is to be asked before on_connect; without a rule nobody may be in it. */
bool
call_begin_recheck(Call *c)
{
	Caller	   *caller = c->caller;
	HandlerRule rule;
	Slice		room;

	if (!recovery_is_claim(caller->socket))
		return false;
	while (recovery_unchecked(caller->socket, &room))
	{
		call_become_join(c, room);
		c->recheck = true;
		if (rules_join(caller->server->rules, slice_cstring(caller->nsp), c->name, &rule))
			return true;
		recovery_checked(caller->socket, c->name, false);
		call_become_connect(c);
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
	else if (call_found_no_database(r))
		session_close(caller->socket->session, CLOSE_FORCED);	/* stock clients come back after that, not after a CONNECT_ERROR */
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
bool
call_finish(Call *c, const CallResult *r)
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
			if (call_found_no_database(r))
				c->caller->server->counters[COUNTER_DISCONNECTS_LOST]++;
			break;
	}
	return false;
}

/* ---- leaves that overlap ---- */

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

/* ---- room:join since a snapshot ---- */

bool
call_feed(Call *c)
{
	Server	   *s = c->caller->server;
	Socket	   *socket = c->caller->socket;
	FollowResult result = FOLLOW_MORE;

	if (socket == NULL)
		return true;
	if (c->follow != NULL)
		result = follow_begin(socket, c->follow);
	c->follow = NULL;
	if (result == FOLLOW_MORE)
		result = follow_feed(socket, c->name);
	switch (result)
	{
		case FOLLOW_MORE:
			return false;
		case FOLLOW_DONE:
			call_accept(c);
			break;
		case FOLLOW_LEFT:
			call_refuse(c, SLICE_LITERAL("not allowed"), SLICE_LITERAL("forbidden"), (Slice) {0});
			break;
		case FOLLOW_NO_HISTORY:
			call_refuse(c, SLICE_LITERAL("there is no history"), SLICE_LITERAL("no_history"), (Slice) {0});
			break;
		case FOLLOW_GAP:
			s->counters[COUNTER_FOLLOWS_GAP]++;
			s->hooks.missed(s->hooks.ctx, MISSED_SINCE);
			call_refuse(c, SLICE_LITERAL("not all that came since is known"), SLICE_LITERAL("gap"), (Slice) {0});
			break;
		case FOLLOW_TOO_MANY:
			call_refuse(c, SLICE_LITERAL("too many rooms are being followed"), SLICE_LITERAL("queue_full"), (Slice) {0});
			break;
	}
	return true;
}

/*
 * builtin.c - the events that the gateway handles itself, unless a handler of
 * the same name is registered.
 *
 *   room:join(room[, {since}])          a rule decides (rooms.on_join)
 *   room:leave(room)
 *   room:emit(room, event, ...args)     to the others in the room, if the rule lists the event
 *   auth:refresh(token)                 a new token for the same user and tenant
 *
 * Run by call.c when it is their turn in their caller's queue.  None of them
 * asks the database but room:join, which becomes a join that a handler decides.
 */
#include "core/call.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "core/text.h"
#include "wire/json.h"
#include "wire/room.h"

static void
refuse(const Call *c, const char *message, const char *code)
{
	call_refuse(c, slice_cstring(message), slice_cstring(code), (Slice) {0});
}

static void
refuse_arguments(const Call *c)
{
	refuse(c, "invalid arguments", "invalid_arguments");
}

static bool
is_too_long(Slice raw)
{
	uint8_t		text[2 + 6 * ENVELOPE_MAX_NAME];	/* each byte escaped */

	return raw.len > 0 && raw.data[0] == '"' && (raw.len > sizeof(text) || json_unquote(raw, text) > ENVELOPE_MAX_NAME);
}

static void
refuse_room(const Call *c, Slice raw)
{
	if (!is_too_long(raw))
	{
		refuse_arguments(c);
		return;
	}
	c->caller->server->counters[COUNTER_REFUSED_ROOM_NAME]++;
	refuse(c, "the room's name is too long", "name_too_long");
}

/* A name for a room: a string of 1 to 255 bytes without control characters. */
static bool
read_room(Slice raw, uint8_t out[ENVELOPE_MAX_NAME], Slice *room)
{
	uint8_t		text[2 + 6 * ENVELOPE_MAX_NAME];	/* each byte escaped */
	long		len = raw.len <= sizeof(text) ? json_unquote(raw, text) : -1;

	if (len < 1 || len > ENVELOPE_MAX_NAME)
		return false;
	for (long i = 0; i < len; i++)
	{
		if (text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	*room = slice(out, (size_t) len);
	write_bytes(out, slice(text, (size_t) len));
	return true;
}

/* The first `n` arguments, raw; false if there are fewer.  *rest: what follows. */
static bool
take_arguments(const Call *c, Slice *args, int n, JsonWalk *rest)
{
	Slice		key;

	if (!json_enter(c->args, rest))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (!json_next(rest, &key, &args[i]))
			return false;
	}
	return true;
}

/* The options of room:join: an object; `since`, if it is there, becomes c->follow. */
static bool
take_since(Call *c, Slice room, Slice options)
{
	JsonWalk	walk;
	Slice		key,
				value,
				since = {0};

	if (!json_enter(options, &walk) || !walk.object)
		return false;
	while (json_next(&walk, &key, &value))
	{
		if (slice_equal(key, SLICE_LITERAL("\"since\"")))
			since = value;
	}
	if (since.len == 0 || slice_equal(since, SLICE_LITERAL("null")))
		return true;
	/* What it may be needs no escapes. */
	if (since.len < 2 || since.data[0] != '"')
		return false;
	c->follow = follow_new(room, slice(since.data + 1, since.len - 2));
	return c->follow != NULL;
}

/* What SQL makes a socket join counts too, but is never refused. */
static bool
room_join(Call *c)
{
	Caller	   *caller = c->caller;
	uint32_t	max = caller->server->options.max_rooms_per_socket;
	uint8_t		bytes[ENVELOPE_MAX_NAME];
	HandlerRule rule;
	Slice		args[1];
	Slice		key,
				options,
				room;
	JsonWalk	rest;
	bool		is_in;

	if (!take_arguments(c, args, 1, &rest))
	{
		refuse_arguments(c);
		return true;
	}
	if (!read_room(args[0], bytes, &room))
	{
		refuse_room(c, args[0]);
		return true;
	}
	if (json_next(&rest, &key, &options) && (!take_since(c, room, options) || json_next(&rest, &key, &options)))
	{
		refuse_arguments(c);
		return true;
	}
	is_in = registry_is_in(&caller->socket->member, room);
	if (is_in && c->follow != NULL)
	{
		call_become_join(c, room);
		c->feeding = true;
		return false;
	}
	if (is_in && (follow_resume(caller->socket, room) || !room_is_reserved(room)))
	{
		call_accept(c);
		return true;
	}
	if (room_is_reserved(room))
	{
		refuse(c, "not allowed", "forbidden");
		return true;
	}
	if (!rules_join(caller->server->rules, slice_cstring(caller->nsp), room, &rule))
	{
		refuse(c, "not allowed", "forbidden");
		return true;
	}
	if (max > 0 && caller->socket->member.room_count >= max)
	{
		caller->server->counters[COUNTER_REFUSED_ROOMS]++;
		refuse(c, "too many rooms", "too_many_rooms");
		return true;
	}
	call_become_join(c, room);
	return false;
}

static void
room_leave(Call *c)
{
	Socket	   *socket = c->caller->socket;
	uint8_t		bytes[ENVELOPE_MAX_NAME];
	Slice		args[1];
	Slice		key,
				value,
				room;
	JsonWalk	rest;

	if (!take_arguments(c, args, 1, &rest) || json_next(&rest, &key, &value))
		refuse_arguments(c);
	else if (!read_room(args[0], bytes, &room))
		refuse_room(c, args[0]);
	else if (room_is_reserved(room) && !(registry_is_in(&socket->member, room) && follow_pause(socket, room)))
		refuse(c, "not allowed", "forbidden");
	else
	{
		if (!room_is_reserved(room))
			recovery_leave(socket, room);
		call_accept(c);
	}
}

/* The event as others get it: its arguments, then who sent it. */
static void
relay(const Call *c, Slice room, Slice event, JsonWalk rest)
{
	const Caller *caller = c->caller;
	Slice		sid = slice_cstring(caller->sid);
	Text		packet = {0};
	Text		rooms = {0};
	Text		except = {0};
	Slice		key,
				value;
	Envelope	e = {.kind = ENVELOPE_EMIT,.nsp = slice_cstring(caller->nsp),.attachments = c->attachments};

	call_packet(&packet, caller, c->attachments.count > 0 ? SIO_BINARY_EVENT : SIO_EVENT, c->attachments.count);
	text_add_string(&packet, "[");
	text_add(&packet, event);
	while (json_next(&rest, &key, &value))
	{
		text_add_string(&packet, ",");
		text_add(&packet, value);
	}
	text_add_string(&packet, ",{\"userId\":");
	if (caller->identity.user_id != NULL)
		text_add_json(&packet, slice_cstring(caller->identity.user_id));
	else
		text_add_string(&packet, "null");
	text_add_string(&packet, ",\"sid\":");
	text_add_json(&packet, sid);
	text_add_string(&packet, "}]");

	text_add_item(&rooms, room);
	text_add_item(&except, sid);
	e.packet = text_slice(&packet);
	e.rooms = (EnvelopeList) {1, text_slice(&rooms)};
	e.except = (EnvelopeList) {1, text_slice(&except)};
	server_emit(caller->server, &e, false);
	caller->server->counters[COUNTER_RELAYED]++;
	text_free(&packet);
	text_free(&rooms);
	text_free(&except);
}

static void
room_emit(Call *c)
{
	Caller	   *caller = c->caller;
	uint8_t		room_bytes[ENVELOPE_MAX_NAME];
	uint8_t		name_bytes[ENVELOPE_MAX_NAME];
	Slice		args[2];
	Slice		room;
	Slice		name;
	JsonWalk	rest;

	if (!take_arguments(c, args, 2, &rest))
		refuse_arguments(c);
	else if (!read_room(args[0], room_bytes, &room))
		refuse_room(c, args[0]);
	else if (!read_room(args[1], name_bytes, &name))
		refuse_arguments(c);
	else if (!registry_is_in(&caller->socket->member, room))
		refuse(c, "not in the room", "not_in_room");
	else if (room_is_reserved(room) || sio_reserved_event(name) || slice_equal(name, SLICE_LITERAL("error")) ||
			 !rules_relay(caller->server->rules, slice_cstring(caller->nsp), room, name))
		refuse(c, "not allowed", "forbidden");
	else
	{
		relay(c, room, args[1], rest);
		call_accept(c);
	}
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
auth_refresh(Call *c)
{
	Caller	   *caller = c->caller;
	Server	   *s = caller->server;
	Session    *session = caller->socket->session;
	Slice		args[1];
	JsonWalk	rest;
	Text		auth = {0};
	Identity	identity = {0};
	ConnectError err = {0};

	if (!take_arguments(c, args, 1, &rest) || args[0].len < 3 || args[0].data[0] != '"')
	{
		refuse_arguments(c);
		return;
	}
	/* A signature to be checked, as with a CONNECT. */
	if (++session->state->connects > CONNECTS_MAX)
	{
		refuse(c, "too many tokens", "queue_full");
		return;
	}
	text_add_string(&auth, "{\"token\":");
	text_add(&auth, args[0]);
	text_add_string(&auth, "}");
	if (!s->hooks.authorize(s->hooks.ctx, session, text_slice(&auth), &identity, &err))
	{
		s->counters[COUNTER_REFUSED_AUTH]++;
		refuse(c, err.message, err.code != NULL ? err.code : "invalid_arguments");
	}
	else if (!same(identity.user_id, caller->identity.user_id) || !same(identity.tenant_id, caller->identity.tenant_id))
		refuse(c, "the token is not of the same user and tenant", "identity_mismatch");
	else
	{
		caller_set_identity(caller, &identity);
		session_expiry(session);
		call_accept(c);
	}
	identity_clear(&identity);
	text_free(&auth);
}

bool
builtin_event(Slice name)
{
	return slice_equal(name, SLICE_LITERAL("room:join")) || slice_equal(name, SLICE_LITERAL("room:leave")) ||
		slice_equal(name, SLICE_LITERAL("room:emit")) || slice_equal(name, SLICE_LITERAL("auth:refresh"));
}

bool
builtin_run(Call *c)
{
	if (c->caller->socket == NULL)
		return true;			/* it has left, and there is nobody to do it for */
	if (slice_equal(c->name, SLICE_LITERAL("room:join")))
		return room_join(c);
	if (slice_equal(c->name, SLICE_LITERAL("room:leave")))
		room_leave(c);
	else if (slice_equal(c->name, SLICE_LITERAL("room:emit")))
		room_emit(c);
	else
		auth_refresh(c);
	return true;
}

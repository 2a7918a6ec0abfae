/*
 * commands.c - the SQL functions that move sockets: sockets_join,
 * sockets_leave, disconnect_sockets.
 *
 * A command is a message like those of emitter.c: it waits in the outbox and
 * goes the same way, so it takes effect when the transaction commits, in the
 * order of all messages, and on every server that reads this WAL.
 *
 * pg_rooms.emit = off does not stop them.  They may take rights away, and a
 * right that was taken away in the tables must not live on in a room.
 */
#include "postgres.h"

#include "fmgr.h"

#include "backend/arguments.h"
#include "backend/guc.h"
#include "backend/outbox.h"
#include "backend/packet.h"

PG_FUNCTION_INFO_V1(rooms_sockets_join);
PG_FUNCTION_INFO_V1(rooms_sockets_leave);
PG_FUNCTION_INFO_V1(rooms_disconnect_sockets);

static Datum change_rooms(FunctionCallInfo fcinfo, EnvelopeKind kind);
static bool command_ready(void);
static EnvelopeList room_argument(FunctionCallInfo fcinfo, uint8 *bytes);
static void send_command(const Envelope *e);

/* sockets_join(in_room, rooms, namespace) */
PGDLLEXPORT Datum
rooms_sockets_join(PG_FUNCTION_ARGS)
{
	return change_rooms(fcinfo, ENVELOPE_SOCKETS_JOIN);
}

/* sockets_leave(in_room, rooms, namespace) */
PGDLLEXPORT Datum
rooms_sockets_leave(PG_FUNCTION_ARGS)
{
	return change_rooms(fcinfo, ENVELOPE_SOCKETS_LEAVE);
}

/* disconnect_sockets(in_room, close, namespace) */
PGDLLEXPORT Datum
rooms_disconnect_sockets(PG_FUNCTION_ARGS)
{
	Envelope	e = {.kind = ENVELOPE_DISCONNECT_SOCKETS};
	uint8		bytes[4 + ENVELOPE_MAX_NAME];

	if (!command_ready())
		PG_RETURN_VOID();

	e.rooms = room_argument(fcinfo, bytes);
	if (argument_bool(fcinfo, 1, "close"))
		e.flags |= ENVELOPE_CLOSE;
	e.nsp = packet_utf8(argument_namespace(fcinfo, 2));
	send_command(&e);
	PG_RETURN_VOID();
}

static Datum
change_rooms(FunctionCallInfo fcinfo, EnvelopeKind kind)
{
	Envelope	e = {.kind = kind};
	uint8		bytes[4 + ENVELOPE_MAX_NAME];

	if (!command_ready())
		PG_RETURN_VOID();

	e.rooms = room_argument(fcinfo, bytes);
	e.except = argument_rooms(fcinfo, 1, "rooms", false);
	e.nsp = packet_utf8(argument_namespace(fcinfo, 2));
	if (e.except.count > 0)
		send_command(&e);
	PG_RETURN_VOID();
}

/*
 * False: do nothing at all.  With pg_rooms.emit off a database may be restored
 * where nobody is served; otherwise that is the ERROR raised here.
 */
static bool
command_ready(void)
{
	if (!rooms_emit && !outbox_served())
		return false;
	outbox_check();
	return true;
}

/* The room that says which sockets are meant, as a list in `bytes`. */
static EnvelopeList
room_argument(FunctionCallInfo fcinfo, uint8 *bytes)
{
	Slice		room;

	if (PG_ARGISNULL(0))
		argument_null_error("in_room");
	room = argument_check_name(argument_text(PG_GETARG_DATUM(0)), "room name");
	return (EnvelopeList) {1, slice(bytes, write_string(bytes, room) - bytes)};
}

static void
send_command(const Envelope *e)
{
	envelope_encode(e, outbox_reserve(envelope_size(e)));
}

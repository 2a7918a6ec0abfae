/*
 * emitter.c - the emitting SQL functions: notify_user, notify_tenant, emit,
 * emit_all, emit_to, emit_all_to.
 *
 * Each call checks all that was passed, writes the Socket.IO packet once
 * (packet.c) and puts one envelope into the transaction's outbox, where it
 * waits for the commit.  What this code accepts the gateway takes as good.
 *
 * Memory is the caller's short-lived context.  Whatever is wrong is an ERROR
 * before anything has been put into the outbox: a savepoint is enough to go
 * on.  No SPI, no catalog access: emit is called once per row in places.
 *
 * NULL is never silence.  These functions are not STRICT: a NULL room, event,
 * id or list is an ERROR, while a NULL event argument is JSON null.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "backend/arguments.h"
#include "backend/emitter.h"
#include "backend/guc.h"
#include "backend/list_builder.h"
#include "backend/outbox.h"
#include "backend/packet.h"
#include "wire/envelope.h"

#define MAX_THROTTLE_MS		((int64) 24 * 60 * 60 * 1000)

PG_FUNCTION_INFO_V1(rooms_notify_user_text);
PG_FUNCTION_INFO_V1(rooms_notify_user_bigint);
PG_FUNCTION_INFO_V1(rooms_notify_user_uuid);
PG_FUNCTION_INFO_V1(rooms_notify_tenant_text);
PG_FUNCTION_INFO_V1(rooms_notify_tenant_bigint);
PG_FUNCTION_INFO_V1(rooms_notify_tenant_uuid);
PG_FUNCTION_INFO_V1(rooms_emit_room);
PG_FUNCTION_INFO_V1(rooms_emit_all);
PG_FUNCTION_INFO_V1(rooms_emit_to);
PG_FUNCTION_INFO_V1(rooms_emit_all_to);

typedef Slice (*IdText) (Datum id);

static Datum notify_user(FunctionCallInfo fcinfo, IdText id_text);
static Datum notify_tenant(FunctionCallInfo fcinfo, IdText id_text);
static void notify(FunctionCallInfo fcinfo, const char *id_name, IdText id_text,
				   const char *prefix, Slice event);
static Slice id_from_text(Datum id);
static Slice id_from_bigint(Datum id);
static Slice id_from_uuid(Datum id);
static void begin_with_arguments(StringInfo packet, FunctionCallInfo fcinfo, int event_arg);
static void emit_with_options(FunctionCallInfo fcinfo, int event_arg, Envelope *e);
static void send_packet(Envelope *e, StringInfo packet);

static uint32 throttle_argument(FunctionCallInfo fcinfo, int n);
static Jsonb *args_argument(FunctionCallInfo fcinfo, int n);
static EnvelopeList attachments_argument(FunctionCallInfo fcinfo, int n);

bool
emitter_ready(void)
{
	if (!rooms_emit)
		return false;
	outbox_check();
	return true;
}

void
emitter_send_room(Slice room, StringInfo packet)
{
	uint8		bytes[4 + ENVELOPE_MAX_NAME];
	Envelope	e = {.kind = ENVELOPE_EMIT,.nsp = SLICE_LITERAL("/")};

	room = argument_check_name(room, "room name");
	e.rooms.count = 1;
	e.rooms.bytes = slice(bytes, write_string(bytes, room) - bytes);
	send_packet(&e, packet);
}

PGDLLEXPORT Datum
rooms_notify_user_text(PG_FUNCTION_ARGS)
{
	return notify_user(fcinfo, id_from_text);
}

PGDLLEXPORT Datum
rooms_notify_user_bigint(PG_FUNCTION_ARGS)
{
	return notify_user(fcinfo, id_from_bigint);
}

PGDLLEXPORT Datum
rooms_notify_user_uuid(PG_FUNCTION_ARGS)
{
	return notify_user(fcinfo, id_from_uuid);
}

PGDLLEXPORT Datum
rooms_notify_tenant_text(PG_FUNCTION_ARGS)
{
	return notify_tenant(fcinfo, id_from_text);
}

PGDLLEXPORT Datum
rooms_notify_tenant_bigint(PG_FUNCTION_ARGS)
{
	return notify_tenant(fcinfo, id_from_bigint);
}

PGDLLEXPORT Datum
rooms_notify_tenant_uuid(PG_FUNCTION_ARGS)
{
	return notify_tenant(fcinfo, id_from_uuid);
}

/* emit(room, event, VARIADIC args) */
PGDLLEXPORT Datum
rooms_emit_room(PG_FUNCTION_ARGS)
{
	StringInfoData packet;

	if (!emitter_ready())
		PG_RETURN_VOID();

	if (PG_ARGISNULL(0))
		argument_null_error("room");
	initStringInfo(&packet);
	begin_with_arguments(&packet, fcinfo, 1);
	emitter_send_room(argument_text(PG_GETARG_DATUM(0)), &packet);
	PG_RETURN_VOID();
}

/* emit_all(event, VARIADIC args) */
PGDLLEXPORT Datum
rooms_emit_all(PG_FUNCTION_ARGS)
{
	Envelope	e = {.kind = ENVELOPE_EMIT,.flags = ENVELOPE_ALL,.nsp = SLICE_LITERAL("/")};
	StringInfoData packet;

	if (!emitter_ready())
		PG_RETURN_VOID();

	initStringInfo(&packet);
	begin_with_arguments(&packet, fcinfo, 0);
	send_packet(&e, &packet);
	PG_RETURN_VOID();
}

/* emit_to(rooms, event, args, except_rooms, namespace, throttle, volatile, attachments) */
PGDLLEXPORT Datum
rooms_emit_to(PG_FUNCTION_ARGS)
{
	Envelope	e = {.kind = ENVELOPE_EMIT};

	if (!emitter_ready())
		PG_RETURN_VOID();

	e.rooms = argument_rooms(fcinfo, 0, "rooms", false);
	emit_with_options(fcinfo, 1, &e);
	PG_RETURN_VOID();
}

/* emit_all_to(event, args, except_rooms, namespace, throttle, volatile, attachments) */
PGDLLEXPORT Datum
rooms_emit_all_to(PG_FUNCTION_ARGS)
{
	Envelope	e = {.kind = ENVELOPE_EMIT,.flags = ENVELOPE_ALL};

	if (!emitter_ready())
		PG_RETURN_VOID();

	emit_with_options(fcinfo, 0, &e);
	PG_RETURN_VOID();
}

static Datum
notify_user(FunctionCallInfo fcinfo, IdText id_text)
{
	notify(fcinfo, "user_id", id_text, "user:", SLICE_LITERAL("notification:new"));
	PG_RETURN_VOID();
}

static Datum
notify_tenant(FunctionCallInfo fcinfo, IdText id_text)
{
	notify(fcinfo, "tenant_id", id_text, "tenant:", SLICE_LITERAL("tenant:event"));
	PG_RETURN_VOID();
}

/* Sends the second argument to the room named by the first, an id. */
static void
notify(FunctionCallInfo fcinfo, const char *id_name, IdText id_text,
	   const char *prefix, Slice event)
{
	StringInfoData room;
	StringInfoData packet;
	Slice		id;

	if (!emitter_ready())
		return;

	if (PG_ARGISNULL(0))
		argument_null_error(id_name);
	id = id_text(PG_GETARG_DATUM(0));
	if (id.len == 0)
		argument_empty_error(id_name);
	initStringInfo(&room);
	appendStringInfoString(&room, prefix);
	appendBinaryStringInfo(&room, (const char *) id.data, id.len);

	initStringInfo(&packet);
	packet_begin(&packet, SLICE_LITERAL("/"), 0, event);
	packet_add(&packet, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1));
	emitter_send_room(slice(room.data, room.len), &packet);
}

static Slice
id_from_text(Datum id)
{
	return argument_text(id);
}

static Slice
id_from_bigint(Datum id)
{
	char	   *text = palloc(MAXINT8LEN + 1);

	return slice(text, pg_lltoa(DatumGetInt64(id), text));
}

static Slice
id_from_uuid(Datum id)
{
	return slice_cstring(DatumGetCString(DirectFunctionCall1(uuid_out, id)));
}

/* Begins the packet of emit() and emit_all(): the arguments are a jsonb[] behind the event. */
static void
begin_with_arguments(StringInfo packet, FunctionCallInfo fcinfo, int event_arg)
{
	Slice		event = argument_event(fcinfo, event_arg);
	ArrayType  *args = argument_array(fcinfo, event_arg + 1, "args");
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(args, JSONBOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	packet_begin(packet, SLICE_LITERAL("/"), 0, event);
	for (int i = 0; i < count; i++)
		packet_add(packet, nulls[i] ? NULL : DatumGetJsonbP(values[i]));
}

/* The common part of emit_to() and emit_all_to(), from the event on. */
static void
emit_with_options(FunctionCallInfo fcinfo, int event_arg, Envelope *e)
{
	Slice		event = argument_event(fcinfo, event_arg);
	Jsonb	   *args = args_argument(fcinfo, event_arg + 1);
	Slice		nsp = argument_namespace(fcinfo, event_arg + 3);
	StringInfoData packet;

	/* rooms.current_sid() is NULL outside of handlers, where there is nobody to except. */
	e->except = argument_rooms(fcinfo, event_arg + 2, "except_rooms", true);
	e->nsp = packet_utf8(nsp);
	e->throttle_ms = throttle_argument(fcinfo, event_arg + 4);
	if (argument_bool(fcinfo, event_arg + 5, "volatile"))
		e->flags |= ENVELOPE_VOLATILE;
	e->attachments = attachments_argument(fcinfo, event_arg + 6);
	packet_check_placeholders(args, e->attachments.count);

	/* Nobody is nobody: an empty list must not become everybody. */
	if (e->rooms.count == 0 && !(e->flags & ENVELOPE_ALL))
		return;

	initStringInfo(&packet);
	packet_begin(&packet, nsp, e->attachments.count, event);
	packet_add_elements(&packet, args);
	send_packet(e, &packet);
}

static void
send_packet(Envelope *e, StringInfo packet)
{
	e->packet = packet_finish(packet);
	packet_check_size(e->packet.len + e->attachments.bytes.len);
	envelope_encode(e, outbox_reserve(envelope_size(e)));
}

/* The throttle in ms; 0 for NULL, not throttled. */
static uint32
throttle_argument(FunctionCallInfo fcinfo, int n)
{
	Interval   *interval;
	double		ms;

	if (PG_ARGISNULL(n))
		return 0;
	interval = PG_GETARG_INTERVAL_P(n);
	ms = interval->time / 1000.0 + interval->day * (double) MAX_THROTTLE_MS;
	if (interval->month != 0 || ms < 1 || ms > MAX_THROTTLE_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("throttle must be between 1 millisecond and 1 day"),
				 errhint("Months and years have no fixed length and are not taken; NULL means no throttle.")));
	return (uint32) ms;
}

/* The event's arguments as one JSON array. */
static Jsonb *
args_argument(FunctionCallInfo fcinfo, int n)
{
	Jsonb	   *args;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("args must not be NULL"),
				 errhint("Use '[]' for no argument, '[null]' for JSON null.")));
	args = PG_GETARG_JSONB_P(n);
	if (!JB_ROOT_IS_ARRAY(args) || JB_ROOT_IS_SCALAR(args))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("args must be a JSON array"),
				 errhint("Put the arguments of the event in an array, for example with jsonb_build_array().")));
	return args;
}

static EnvelopeList
attachments_argument(FunctionCallInfo fcinfo, int n)
{
	ArrayType  *attachments = argument_array(fcinfo, n, "attachments");
	ListBuilder list;

	list_begin(&list);
	argument_attachments(attachments, &list);
	return list_finish(&list);
}

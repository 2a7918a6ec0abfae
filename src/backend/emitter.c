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

#include "backend/compat.h"
#include "backend/emitter.h"
#include "backend/guc.h"
#include "backend/outbox.h"
#include "backend/packet.h"
#include "wire/envelope.h"
#include "wire/sio.h"

#define MAX_THROTTLE_MS		((int64) 24 * 60 * 60 * 1000)

/* An EnvelopeList that grows. */
typedef struct ListBuilder
{
	StringInfoData bytes;
	uint32		count;
} ListBuilder;

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

static Slice event_argument(FunctionCallInfo fcinfo, int n);
static Slice namespace_argument(FunctionCallInfo fcinfo, int n);
static uint32 throttle_argument(FunctionCallInfo fcinfo, int n);
static bool volatile_argument(FunctionCallInfo fcinfo, int n);
static Jsonb *args_argument(FunctionCallInfo fcinfo, int n);
static EnvelopeList rooms_argument(FunctionCallInfo fcinfo, int n, const char *name);
static EnvelopeList attachments_argument(FunctionCallInfo fcinfo, int n);
static ArrayType *array_argument(FunctionCallInfo fcinfo, int n, const char *name);
static Slice checked_name(Slice name, const char *what);

static void list_begin(ListBuilder *list);
static void list_add(ListBuilder *list, Slice s);
static EnvelopeList list_finish(ListBuilder *list);
pg_noreturn static void null_error(const char *what);
pg_noreturn static void empty_error(const char *what);

static inline Slice
text_slice(Datum value)
{
	text	   *t = DatumGetTextPP(value);

	return slice(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

bool
emitter_ready(void)
{
	if (!rooms_emit)
		return false;
	outbox_check();
	return true;
}

void
emitter_check_event(Slice event)
{
	if (event.len == 0)
		empty_error("event");
	if (sio_reserved_event(event))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("event name \"%.*s\" is reserved", (int) event.len, (const char *) event.data),
				 errhint("Socket.IO clients use this name for events of their own: choose another one.")));
}

void
emitter_send_room(Slice room, StringInfo packet)
{
	uint8		bytes[4 + ENVELOPE_MAX_NAME];
	Envelope	e = {.kind = ENVELOPE_EMIT,.nsp = SLICE_LITERAL("/")};

	room = checked_name(room, "room name");
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
		null_error("room");
	initStringInfo(&packet);
	begin_with_arguments(&packet, fcinfo, 1);
	emitter_send_room(text_slice(PG_GETARG_DATUM(0)), &packet);
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

	e.rooms = rooms_argument(fcinfo, 0, "rooms");
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
		null_error(id_name);
	id = id_text(PG_GETARG_DATUM(0));
	if (id.len == 0)
		empty_error(id_name);
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
	return text_slice(id);
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
	Slice		event = event_argument(fcinfo, event_arg);
	ArrayType  *args = array_argument(fcinfo, event_arg + 1, "args");
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
	Slice		event = event_argument(fcinfo, event_arg);
	Jsonb	   *args = args_argument(fcinfo, event_arg + 1);
	Slice		nsp = namespace_argument(fcinfo, event_arg + 3);
	StringInfoData packet;

	e->except = rooms_argument(fcinfo, event_arg + 2, "except_rooms");
	e->nsp = packet_utf8(nsp);
	e->throttle_ms = throttle_argument(fcinfo, event_arg + 4);
	if (volatile_argument(fcinfo, event_arg + 5))
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

static Slice
event_argument(FunctionCallInfo fcinfo, int n)
{
	Slice		event;

	if (PG_ARGISNULL(n))
		null_error("event");
	event = text_slice(PG_GETARG_DATUM(n));
	emitter_check_event(event);
	return event;
}

/* The namespace in the database's encoding, as the packet's text needs it. */
static Slice
namespace_argument(FunctionCallInfo fcinfo, int n)
{
	Slice		nsp;

	if (PG_ARGISNULL(n))
		null_error("namespace");
	nsp = text_slice(PG_GETARG_DATUM(n));

	(void) checked_name(nsp, "namespace");
	/* A comma would end it in the packet's text; pg_rooms.namespaces takes none of the others. */
	if (nsp.data[0] != '/' || memchr(nsp.data, ',', nsp.len) != NULL ||
		memchr(nsp.data, '?', nsp.len) != NULL || memchr(nsp.data, ' ', nsp.len) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid namespace \"%.*s\"", (int) nsp.len, (const char *) nsp.data),
				 errhint("A namespace begins with \"/\" and contains no comma, question mark or blank.")));
	return nsp;
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

static bool
volatile_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		null_error("volatile");
	return PG_GETARG_BOOL(n);
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
rooms_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	ArrayType  *rooms = array_argument(fcinfo, n, name);
	ListBuilder list;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(rooms, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	if (count == 0)
		return (EnvelopeList) {0};

	list_begin(&list);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			null_error(psprintf("an element of %s", name));
		list_add(&list, checked_name(text_slice(values[i]), "room name"));
		if (list.bytes.len > rooms_max_message_size)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the names in %s are longer than pg_rooms.max_message_size (%d bytes)",
							name, rooms_max_message_size),
					 errhint("Let the recipients join a common room, or emit in several calls.")));
	}
	return list_finish(&list);
}

static EnvelopeList
attachments_argument(FunctionCallInfo fcinfo, int n)
{
	ArrayType  *attachments = array_argument(fcinfo, n, "attachments");
	ListBuilder list;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(attachments, BYTEAOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	if (count == 0)
		return (EnvelopeList) {0};
	if (count > ENVELOPE_MAX_ATTACHMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message can have at most %d attachments", ENVELOPE_MAX_ATTACHMENTS),
				 errdetail("There are %d.", count),
				 errhint("Socket.IO clients close the connection if there are more.")));

	list_begin(&list);
	for (int i = 0; i < count; i++)
	{
		bytea	   *bytes;

		if (nulls[i])
			null_error("an element of attachments");
		/* Its size in memory is known before anything is copied. */
		packet_check_size(list.bytes.len + toast_raw_datum_size(values[i]) - VARHDRSZ);
		bytes = DatumGetByteaPP(values[i]);
		list_add(&list, slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
	}
	return list_finish(&list);
}

/* An array that is not NULL and has at most one dimension. */
static ArrayType *
array_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	ArrayType  *array;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name),
				 errhint("Use '{}' for none; array_agg() over no rows gives NULL, coalesce() helps.")));
	array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a one-dimensional array", name),
				 errhint("Flatten it, for example with unnest() and array_agg().")));
	return array;
}

/* The name of a room or a namespace in UTF-8, if it is a good one. */
static Slice
checked_name(Slice name, const char *what)
{
	if (name.len == 0)
		empty_error(what);
	name = packet_utf8(name);
	if (name.len > ENVELOPE_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", what),
				 errdetail("It has %zu bytes in UTF-8.", name.len),
				 errhint("The limit is %d bytes.", ENVELOPE_MAX_NAME)));
	for (size_t i = 0; i < name.len; i++)
	{
		if (name.data[i] < 0x20 || name.data[i] == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s contains a control character", what),
					 errdetail("It is character code %d at byte %zu.", name.data[i], i + 1),
					 errhint("Use printable characters only.")));
	}
	return name;
}

static void
list_begin(ListBuilder *list)
{
	initStringInfo(&list->bytes);
	list->count = 0;
}

static void
list_add(ListBuilder *list, Slice s)
{
	uint8		length[4];

	write_u32(length, s.len);
	appendBinaryStringInfo(&list->bytes, (const char *) length, sizeof(length));
	appendBinaryStringInfo(&list->bytes, (const char *) s.data, s.len);
	list->count++;
}

static EnvelopeList
list_finish(ListBuilder *list)
{
	return (EnvelopeList) {list->count, slice(list->bytes.data, list->bytes.len)};
}

static void
null_error(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be NULL", what),
			 errhint("A message without a recipient or a name is refused, not dropped: check the value before the call.")));
}

static void
empty_error(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be empty", what),
			 errhint("A message without a recipient or a name is refused, not dropped: check the value before the call.")));
}

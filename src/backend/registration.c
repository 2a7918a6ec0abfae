/*
 * registration.c - registering handlers, and looking them up.
 *
 * on_event, on_join, on_connect, on_disconnect and their off_ counterparts
 * write the table rooms.handlers; a trigger on it tells the gateways, over the
 * bus and so at COMMIT, to fetch the rules again (rooms.handler_rules).
 *
 * A handler is named as in SQL, by its caller's search path, and stored as its
 * schema-qualified signature.  The table is written as its owner: who may call
 * these functions needs no right to it.  It is read by index and without a
 * look at rights, as a catalog is.
 *
 * Memory is the caller's short-lived context.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "backend/arguments.h"
#include "backend/handler_function.h"
#include "backend/list_builder.h"
#include "backend/outbox.h"
#include "backend/packet.h"
#include "backend/registration.h"
#include "wire/room.h"

/* Columns of rooms.handlers; the first three are its primary key. */
#define COLUMN_KIND			1
#define COLUMN_NAMESPACE	2
#define COLUMN_NAME			3
#define COLUMN_HANDLER		4
#define COLUMN_RELAY		5

/*
 * Run as the table's owner, with the caller's search path: nothing in them may
 * be looked up there.
 */
#define STORE_SQL \
	"INSERT INTO rooms.handlers (kind, namespace, name, handler, relay) VALUES ($1, $2, $3, $4, $5) " \
	"ON CONFLICT (kind, namespace, name) DO UPDATE SET handler = excluded.handler, relay = excluded.relay"
#define REMOVE_SQL \
	"DELETE FROM rooms.handlers WHERE kind OPERATOR(pg_catalog.=) $1 " \
	"AND namespace OPERATOR(pg_catalog.=) $2 AND name OPERATOR(pg_catalog.=) $3"

PG_FUNCTION_INFO_V1(rooms_on_event);
PG_FUNCTION_INFO_V1(rooms_on_join);
PG_FUNCTION_INFO_V1(rooms_on_connect);
PG_FUNCTION_INFO_V1(rooms_on_disconnect);
PG_FUNCTION_INFO_V1(rooms_off_event);
PG_FUNCTION_INFO_V1(rooms_off_join);
PG_FUNCTION_INFO_V1(rooms_off_connect);
PG_FUNCTION_INFO_V1(rooms_off_disconnect);
PG_FUNCTION_INFO_V1(rooms_handlers_changed);
PG_FUNCTION_INFO_V1(rooms_handler_rules);

static Slice event_argument(FunctionCallInfo fcinfo, int n);
static Slice pattern_argument(FunctionCallInfo fcinfo, int n);
static ArrayType *relay_argument(FunctionCallInfo fcinfo, int n);
static char *handler_argument(FunctionCallInfo fcinfo, int n, HandlerKind kind);
static bool has_argument_types(const char *name);

static void store(HandlerKind kind, Slice nsp, Slice name, const char *handler, ArrayType *relay);
static bool remove_row(HandlerKind kind, Slice nsp, Slice name);
static uint64 write_table(const char *sql, int count, Datum *values);
static text *slice_text(Slice s);

static Relation open_table(void);
static SysScanDesc begin_scan(Relation table, ScanKey keys, int count);
static char *find_join(SysScanDesc scan, Relation table, Slice room);
static Slice column_text(HeapTuple row, Relation table, int column);
static Datum column(HeapTuple row, Relation table, int column);
static EnvelopeList relay_list(ArrayType *relay);

/* on_event(event, handler, namespace) */
PGDLLEXPORT Datum
rooms_on_event(PG_FUNCTION_ARGS)
{
	Slice		event,
				nsp;

	outbox_check_served();
	event = event_argument(fcinfo, 0);
	nsp = argument_namespace(fcinfo, 2);
	store(HANDLER_EVENT, nsp, event, handler_argument(fcinfo, 1, HANDLER_EVENT), construct_empty_array(TEXTOID));
	PG_RETURN_VOID();
}

/* on_join(pattern, handler, relay, namespace) */
PGDLLEXPORT Datum
rooms_on_join(PG_FUNCTION_ARGS)
{
	Slice		pattern,
				nsp;
	ArrayType  *relay;

	outbox_check_served();
	pattern = pattern_argument(fcinfo, 0);
	relay = relay_argument(fcinfo, 2);
	nsp = argument_namespace(fcinfo, 3);
	store(HANDLER_JOIN, nsp, pattern, handler_argument(fcinfo, 1, HANDLER_JOIN), relay);
	PG_RETURN_VOID();
}

/* on_connect(handler, namespace) */
PGDLLEXPORT Datum
rooms_on_connect(PG_FUNCTION_ARGS)
{
	Slice		nsp;

	outbox_check_served();
	nsp = argument_namespace(fcinfo, 1);
	store(HANDLER_CONNECT, nsp, (Slice) {0}, handler_argument(fcinfo, 0, HANDLER_CONNECT),
		  construct_empty_array(TEXTOID));
	PG_RETURN_VOID();
}

/* on_disconnect(handler, namespace) */
PGDLLEXPORT Datum
rooms_on_disconnect(PG_FUNCTION_ARGS)
{
	Slice		nsp;

	outbox_check_served();
	nsp = argument_namespace(fcinfo, 1);
	store(HANDLER_DISCONNECT, nsp, (Slice) {0}, handler_argument(fcinfo, 0, HANDLER_DISCONNECT),
		  construct_empty_array(TEXTOID));
	PG_RETURN_VOID();
}

/* off_event(event, namespace): true if there was one, as in the other three. */
PGDLLEXPORT Datum
rooms_off_event(PG_FUNCTION_ARGS)
{
	Slice		event;

	outbox_check_served();
	event = event_argument(fcinfo, 0);
	PG_RETURN_BOOL(remove_row(HANDLER_EVENT, argument_namespace(fcinfo, 1), event));
}

/* off_join(pattern, namespace) */
PGDLLEXPORT Datum
rooms_off_join(PG_FUNCTION_ARGS)
{
	Slice		pattern;

	outbox_check_served();
	pattern = pattern_argument(fcinfo, 0);
	PG_RETURN_BOOL(remove_row(HANDLER_JOIN, argument_namespace(fcinfo, 1), pattern));
}

/* off_connect(namespace) */
PGDLLEXPORT Datum
rooms_off_connect(PG_FUNCTION_ARGS)
{
	outbox_check_served();
	PG_RETURN_BOOL(remove_row(HANDLER_CONNECT, argument_namespace(fcinfo, 0), (Slice) {0}));
}

/* off_disconnect(namespace) */
PGDLLEXPORT Datum
rooms_off_disconnect(PG_FUNCTION_ARGS)
{
	outbox_check_served();
	PG_RETURN_BOOL(remove_row(HANDLER_DISCONNECT, argument_namespace(fcinfo, 0), (Slice) {0}));
}

/*
 * Trigger on rooms.handlers, after each statement: tells the gateways.  Says
 * nothing where nobody is served, so that a dump can be restored there, and
 * does not heed pg_rooms.emit, which is off when one is restored here.
 */
PGDLLEXPORT Datum
rooms_handlers_changed(PG_FUNCTION_ARGS)
{
	Envelope	e = {.kind = ENVELOPE_RULES,.nsp = SLICE_LITERAL("/")};

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rooms.handlers_changed() must be called as a trigger"),
				 errhint("It is the trigger of table rooms.handlers.")));
	if (outbox_served())
		envelope_encode(&e, outbox_reserve(envelope_size(&e)));
	PG_RETURN_POINTER(NULL);
}

/* handler_rules(): all that is registered, as wire/handler.h says. */
PGDLLEXPORT Datum
rooms_handler_rules(PG_FUNCTION_ARGS)
{
	Relation	table = open_table();
	SysScanDesc scan = begin_scan(table, NULL, 0);
	StringInfoData out;
	uint32		count = 0;
	HeapTuple	row;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ + sizeof(uint32));
	while ((row = systable_getnext(scan)) != NULL)
	{
		Slice		nsp = argument_check_name(column_text(row, table, COLUMN_NAMESPACE), "namespace");
		Slice		name = column_text(row, table, COLUMN_NAME);
		EnvelopeList relay = relay_list(DatumGetArrayTypeP(column(row, table, COLUMN_RELAY)));
		uint8	   *at;

		if (name.len > 0)
			name = argument_check_name(name, "name");
		enlargeStringInfo(&out, 1 + 4 + nsp.len + 4 + name.len + 4 + relay.bytes.len);
		at = (uint8 *) out.data + out.len;
		at = write_u8(at, (uint8) DatumGetChar(column(row, table, COLUMN_KIND)));
		at = write_string(at, nsp);
		at = write_string(at, name);
		at = write_bytes(write_u32(at, relay.count), relay.bytes);
		out.len = (char *) at - out.data;
		count++;
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);

	SET_VARSIZE(out.data, out.len);
	write_u32((uint8 *) VARDATA(out.data), count);
	PG_RETURN_BYTEA_P(out.data);
}

char *
registration_find(HandlerKind kind, Slice nsp, Slice name)
{
	Relation	table = open_table();
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	row;
	char	   *handler = NULL;

	ScanKeyInit(&keys[0], COLUMN_KIND, BTEqualStrategyNumber, F_CHAREQ, CharGetDatum(kind));
	ScanKeyInit(&keys[1], COLUMN_NAMESPACE, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(slice_text(nsp)));
	if (kind == HANDLER_JOIN)
	{
		scan = begin_scan(table, keys, 2);
		handler = find_join(scan, table, name);
	}
	else
	{
		ScanKeyInit(&keys[2], COLUMN_NAME, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(slice_text(name)));
		scan = begin_scan(table, keys, 3);
		row = systable_getnext(scan);
		if (row != NULL)
			handler = TextDatumGetCString(column(row, table, COLUMN_HANDLER));
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return handler;
}

/* An event that clients may send: a name within the limits of all names. */
static Slice
event_argument(FunctionCallInfo fcinfo, int n)
{
	Slice		event = argument_event(fcinfo, n);

	(void) argument_check_name(event, "event");
	return event;
}

static Slice
pattern_argument(FunctionCallInfo fcinfo, int n)
{
	Slice		pattern,
				utf8;

	if (PG_ARGISNULL(n))
		argument_null_error("pattern");
	pattern = argument_text(PG_GETARG_DATUM(n));
	utf8 = argument_check_name(pattern, "pattern");
	if (!room_pattern_valid(utf8))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid pattern \"%.*s\"", (int) pattern.len, (const char *) pattern.data),
				 errhint("A pattern is the name of a room, or the beginning of names with one \"*\" behind it.")));
	if (room_is_reserved(utf8))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("room \"%.*s\" is never joined by request", (int) pattern.len, (const char *) pattern.data),
				 errhint("The server itself puts sockets into rooms of users, tenants and sockets.")));
	return pattern;
}

static ArrayType *
relay_argument(FunctionCallInfo fcinfo, int n)
{
	ArrayType  *relay = argument_array(fcinfo, n, "relay");

	(void) relay_list(relay);
	return relay;
}

/* The signature of the function, which has been found to be good. */
static char *
handler_argument(FunctionCallInfo fcinfo, int n, HandlerKind kind)
{
	char	   *name;
	PGFunction	in;
	Oid			oid;

	if (PG_ARGISNULL(n))
		argument_null_error("handler");
	name = text_to_cstring(PG_GETARG_TEXT_PP(n));

	/* regprocin() would take these for an oid, and for none. */
	if (strspn(name, "0123456789") == strlen(name) || strcmp(name, "-") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid handler \"%s\"", name),
				 errhint("Name a function, with the types of its parameters when there are several of that name.")));
	in = has_argument_types(name) ? regprocedurein : regprocin;
	oid = DatumGetObjectId(DirectFunctionCall1(in, CStringGetDatum(name)));
	(void) handler_function_make(kind, oid);
	return format_procedure_qualified(oid);
}

/* Is there a parenthesis that is not within a quoted name? */
static bool
has_argument_types(const char *name)
{
	bool		quoted = false;

	for (; *name != '\0'; name++)
	{
		if (*name == '"')
			quoted = !quoted;
		else if (*name == '(' && !quoted)
			return true;
	}
	return false;
}

static void
store(HandlerKind kind, Slice nsp, Slice name, const char *handler, ArrayType *relay)
{
	Datum		values[] = {
		CharGetDatum(kind),
		PointerGetDatum(slice_text(nsp)),
		PointerGetDatum(slice_text(name)),
		CStringGetTextDatum(handler),
		PointerGetDatum(relay),
	};

	write_table(STORE_SQL, lengthof(values), values);
}

static bool
remove_row(HandlerKind kind, Slice nsp, Slice name)
{
	Datum		values[] = {
		CharGetDatum(kind),
		PointerGetDatum(slice_text(nsp)),
		PointerGetDatum(slice_text(name)),
	};

	return write_table(REMOVE_SQL, lengthof(values), values) > 0;
}

/* Runs one of the statements above as the table's owner; gives the number of rows. */
static uint64
write_table(const char *sql, int count, Datum *values)
{
	Oid			types[] = {CHAROID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID};
	Relation	table = open_table();
	Oid			owner = table->rd_rel->relowner;
	Oid			caller;
	int			security;
	uint64		rows;

	table_close(table, AccessShareLock);
	GetUserIdAndSecContext(&caller, &security);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	SPI_connect();
	if (SPI_execute_with_args(sql, count, types, values, NULL, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
	rows = SPI_processed;
	SPI_finish();
	SetUserIdAndSecContext(caller, security);
	return rows;
}

static text *
slice_text(Slice s)
{
	return cstring_to_text_with_len((const char *) s.data, s.len);
}

/* Opened with AccessShareLock. */
static Relation
open_table(void)
{
	Oid			oid = get_relname_relid("handlers", get_namespace_oid("rooms", false));

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table rooms.handlers does not exist"),
				 errhint("It is part of the extension pg_rooms.")));
	return table_open(oid, AccessShareLock);
}

/* By the primary key, or all rows. */
static SysScanDesc
begin_scan(Relation table, ScanKey keys, int count)
{
	Oid			index = get_relname_relid("handlers_pkey", RelationGetNamespace(table));

	return systable_beginscan(table, index, OidIsValid(index) && count > 0, GetActiveSnapshot(), count, keys);
}

/* The handler of the pattern that fits a room best. */
static char *
find_join(SysScanDesc scan, Relation table, Slice room)
{
	size_t		best = 0;
	char	   *handler = NULL;
	HeapTuple	row;

	while ((row = systable_getnext(scan)) != NULL)
	{
		Slice		pattern = column_text(row, table, COLUMN_NAME);
		size_t		rank = pattern.len > 0 ? room_pattern_rank(pattern, room) : 0;

		if (rank <= best)
			continue;
		best = rank;
		handler = TextDatumGetCString(column(row, table, COLUMN_HANDLER));
	}
	return handler;
}

/* Lives as long as the row. */
static Slice
column_text(HeapTuple row, Relation table, int number)
{
	return argument_text(column(row, table, number));
}

static Datum
column(HeapTuple row, Relation table, int number)
{
	bool		isnull;
	Datum		value = heap_getattr(row, number, RelationGetDescr(table), &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of rooms.handlers", number);
	return value;
}

/* The names of events that members of a room may send each other, in UTF-8. */
static EnvelopeList
relay_list(ArrayType *relay)
{
	ListBuilder list;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(relay, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	list_begin(&list);
	for (int i = 0; i < count; i++)
	{
		Slice		event;

		if (nulls[i])
			argument_null_error("an element of relay");
		event = argument_text(values[i]);
		argument_check_event(event);
		if (slice_equal(event, SLICE_LITERAL("error")))
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("event name \"error\" is reserved"),
					 errhint("It is how the server tells a client of an error: members of a room must not send it.")));
		list_add(&list, argument_check_name(event, "event"));
	}
	return list_finish(&list);
}

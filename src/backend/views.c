/*
 * views.c - C functions behind the views rooms.processes, rooms.stats,
 * rooms.sockets and rooms.rooms.
 *
 * The rows of the last two are the gateway's (inquiry.h).  The first two read the shared counters without a lock: each value is right in itself,
 * and no two of them need be from the same moment (shared.h).  Without the
 * library preloaded there is nothing to show but the reason.
 */
#include "postgres.h"

#include "fmgr.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "backend/inquiry.h"
#include "backend/shared.h"

PG_FUNCTION_INFO_V1(rooms_processes);
PG_FUNCTION_INFO_V1(rooms_stats);
PG_FUNCTION_INFO_V1(rooms_sockets);
PG_FUNCTION_INFO_V1(rooms_rooms);

#define SOCKET_COLUMNS	14
#define ROOM_COLUMNS	3
#define UNIX_MS			((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY * 1000)

static ReturnSetInfo *begin_rows(FunctionCallInfo fcinfo);
static void put_process(ReturnSetInfo *rows, pg_atomic_uint32 *pid, const char *role);
static void put_counter(ReturnSetInfo *rows, const char *name, pg_atomic_uint64 *value);
static void put_socket(void *ctx, Slice row);
static void put_room(void *ctx, Slice row);
static void put_row(ReturnSetInfo *rows, const Reader *r, Datum *values, bool *nulls);
static Datum text_of(Slice s);

#define C(id, name, kind, text) name,
static const char *const worker_names[] = {WORKER_COUNTERS(C)};
static const char *const gateway_names[] = {GATEWAY_COUNTERS(C)};
#undef C

/* setof (pid integer, role text) */
PGDLLEXPORT Datum
rooms_processes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	put_process(rows, &rooms_shared->worker_pid, "worker");
	put_process(rows, &rooms_shared->gateway_pid, "gateway");
	return (Datum) 0;
}

/* setof (name text, value bigint) */
PGDLLEXPORT Datum
rooms_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		put_counter(rows, worker_names[i], &rooms_shared->worker_counters[i]);
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		put_counter(rows, gateway_names[i], &rooms_shared->gateway_counters[i]);
	return (Datum) 0;
}

/* setof (sid, user_id, ...), see the view */
PGDLLEXPORT Datum
rooms_sockets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	inquiry_run(LINK_QUERY_SOCKETS, put_socket, rows);
	return (Datum) 0;
}

/* setof (namespace text, room text, sockets integer) */
PGDLLEXPORT Datum
rooms_rooms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = begin_rows(fcinfo);

	inquiry_run(LINK_QUERY_ROOMS, put_room, rows);
	return (Datum) 0;
}

static ReturnSetInfo *
begin_rows(FunctionCallInfo fcinfo)
{
	if (rooms_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_rooms is not running in this server"),
				 errhint("Add pg_rooms to shared_preload_libraries in postgresql.conf and restart.")));
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static void
put_process(ReturnSetInfo *rows, pg_atomic_uint32 *pid, const char *role)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = Int32GetDatum((int32) pg_atomic_read_u32(pid));
	values[1] = CStringGetTextDatum(role);
	if (DatumGetInt32(values[0]) != 0)
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

static void
put_counter(ReturnSetInfo *rows, const char *name, pg_atomic_uint64 *value)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(name);
	values[1] = Int64GetDatum((int64) pg_atomic_read_u64(value));
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/* core/inspect.h has the form of these rows. */
static void
put_socket(void *ctx, Slice row)
{
	Reader		r = reader(row);
	Datum		values[SOCKET_COLUMNS];
	bool		nulls[SOCKET_COLUMNS] = {false};
	Datum	   *rooms;
	uint32		count;
	uint8		flags;
	int			i = 0;

	values[i++] = text_of(read_string(&r));
	flags = read_u8(&r);
	nulls[i] = (flags & 1) == 0;
	values[i++] = text_of(read_string(&r));
	nulls[i] = (flags & 2) == 0;
	values[i++] = text_of(read_string(&r));
	values[i++] = text_of(read_string(&r));
	values[i++] = CStringGetTextDatum((flags & 4) != 0 ? "websocket" : "polling");
	values[i++] = text_of(read_string(&r));
	values[i++] = TimestampTzGetDatum(((int64) read_u64(&r) - UNIX_MS) * 1000);
	values[i++] = TimestampTzGetDatum(GetCurrentTimestamp() - (int64) read_u64(&r) * 1000);
	for (int k = 0; k < 5; k++)
		values[i++] = Int64GetDatum((int64) read_u64(&r));
	count = read_u32(&r);
	if (count > reader_left(&r) / 4)
		count = 0;				/* then not all is read */
	rooms = palloc(count * sizeof(Datum) + 1);
	for (uint32 k = 0; k < count; k++)
		rooms[k] = text_of(read_string(&r));
	values[i++] = PointerGetDatum(construct_array(rooms, (int) count, TEXTOID, -1, false, TYPALIGN_INT));
	Assert(i == SOCKET_COLUMNS);
	put_row(ctx, &r, values, nulls);
}

static void
put_room(void *ctx, Slice row)
{
	Reader		r = reader(row);
	Datum		values[ROOM_COLUMNS];
	bool		nulls[ROOM_COLUMNS] = {false};

	values[0] = text_of(read_string(&r));
	values[1] = text_of(read_string(&r));
	values[2] = Int32GetDatum((int32) read_u32(&r));
	put_row(ctx, &r, values, nulls);
}

static void
put_row(ReturnSetInfo *rows, const Reader *r, Datum *values, bool *nulls)
{
	if (r->bad || reader_left(r) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the pg_rooms gateway sent a malformed row"),
				 errhint("Install the gateway and the library of one build, then restart the server.")));
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/*
 * The gateway's texts are UTF-8, or should be.  What is not becomes '?', and
 * in a database of another encoding whatever is not ASCII: a monitoring query
 * must not fail because of what some client calls itself.
 */
static Datum
text_of(Slice s)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
	int			len = (int) s.len;
	char	   *copy = palloc(len + 1);

	for (int i = 0; i < len;)
	{
		int			n = pg_encoding_verifymbchar(PG_UTF8, (const char *) s.data + i, len - i);

		if (n <= 0 || s.data[i] == 0 || (n > 1 && !utf8))
		{
			copy[i++] = '?';
			continue;
		}
		memcpy(copy + i, s.data + i, n);
		i += n;
	}
	return PointerGetDatum(cstring_to_text_with_len(copy, len));
}

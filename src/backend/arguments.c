/*
 * arguments.c - how the SQL functions read and check what they are called with.
 *
 * Called by the emitting functions, the commands to the sockets and the
 * registration of handlers.  None of these functions is STRICT: a NULL where
 * something must be is an ERROR.  Memory is the caller's short-lived context.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "backend/arguments.h"
#include "backend/guc.h"
#include "backend/list_builder.h"
#include "backend/packet.h"
#include "wire/sio.h"

Slice
argument_text(Datum value)
{
	text	   *t = DatumGetTextPP(value);

	return slice(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

Slice
argument_event(FunctionCallInfo fcinfo, int n)
{
	Slice		event;

	if (PG_ARGISNULL(n))
		argument_null_error("event");
	event = argument_text(PG_GETARG_DATUM(n));
	argument_check_event(event);
	return event;
}

/* The namespace in the database's encoding, as the packet's text needs it. */
Slice
argument_namespace(FunctionCallInfo fcinfo, int n)
{
	Slice		nsp;

	if (PG_ARGISNULL(n))
		argument_null_error("namespace");
	nsp = argument_text(PG_GETARG_DATUM(n));

	(void) argument_check_name(nsp, "namespace");
	/* A comma would end it in the packet's text; pg_rooms.namespaces takes none of the others. */
	if (nsp.data[0] != '/' || memchr(nsp.data, ',', nsp.len) != NULL ||
		memchr(nsp.data, '?', nsp.len) != NULL || memchr(nsp.data, ' ', nsp.len) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid namespace \"%.*s\"", (int) nsp.len, (const char *) nsp.data),
				 errhint("A namespace begins with \"/\" and contains no comma, question mark or blank.")));
	return nsp;
}

bool
argument_bool(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		argument_null_error(name);
	return PG_GETARG_BOOL(n);
}

EnvelopeList
argument_rooms(FunctionCallInfo fcinfo, int n, const char *name, bool skip_nulls)
{
	ArrayType  *rooms = argument_array(fcinfo, n, name);
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
		if (nulls[i] && skip_nulls)
			continue;
		if (nulls[i])
			argument_null_error(psprintf("an element of %s", name));
		list_add(&list, argument_check_name(argument_text(values[i]), "room name"));
		if (list.bytes.len > rooms_max_message_size)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the names in %s are longer than pg_rooms.max_message_size (%d bytes)",
							name, rooms_max_message_size),
					 errhint("Let the recipients join a common room, or emit in several calls.")));
	}
	return list_finish(&list);
}

/* An array that is not NULL and has at most one dimension. */
ArrayType *
argument_array(FunctionCallInfo fcinfo, int n, const char *name)
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

void
argument_attachments(ArrayType *attachments, ListBuilder *list)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(attachments, BYTEAOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	if (count > ENVELOPE_MAX_ATTACHMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message can have at most %d attachments", ENVELOPE_MAX_ATTACHMENTS),
				 errdetail("There are %d.", count),
				 errhint("Socket.IO clients close the connection if there are more.")));

	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			argument_null_error("an element of attachments");
		/* Its size in memory is known before anything is copied. */
		packet_check_size(list->bytes.len + toast_raw_datum_size(values[i]) - VARHDRSZ);
		list_add(list, argument_text(values[i]));
	}
}

void
argument_check_event(Slice event)
{
	if (event.len == 0)
		argument_empty_error("event");
	if (sio_reserved_event(event))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("event name \"%.*s\" is reserved", (int) event.len, (const char *) event.data),
				 errhint("Socket.IO clients use this name for events of their own: choose another one.")));
}

/* The name of a room or a namespace in UTF-8, if it is a good one. */
Slice
argument_check_name(Slice name, const char *what)
{
	if (name.len == 0)
		argument_empty_error(what);
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

void
argument_null_error(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be NULL", what),
			 errhint("A NULL or empty value is refused, not ignored: check it before the call.")));
}

void
argument_empty_error(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be empty", what),
			 errhint("A NULL or empty value is refused, not ignored: check it before the call.")));
}

/*
 * handler_arguments.c - a client's event as the parameters of a function.
 *
 * A function that takes rooms.event is given all there is.  Any other gets the
 * JSON arguments by position, converted as json_populate_record() does it: a
 * string by its text, a number or boolean by its JSON text, an array or object
 * to an array or composite type, null to NULL, json and jsonb as they are.  A
 * binary argument is bytea; inside of an array or object it goes through
 * bytea's text form.
 *
 * What cannot be converted is the client's fault and is told to it: whatever
 * the types' input functions and the domains' checks raise becomes
 * ERRCODE_ROOMS_BAD_ARGUMENTS.  The JSON is UTF-8 and has been checked by the
 * gateway; nothing of it becomes SQL.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "backend/compat.h"
#include "backend/handler_call.h"
#include "wire/json.h"

/* Bytes of a message that are passed on. */
#define MESSAGE_MAX 200

static Datum make_event(const HandlerEvent *e);
static text *event_name(const HandlerEvent *e);
static Datum bytea_array(EnvelopeList attachments);
static int	set_given(const HandlerFunction *f, const HandlerEvent *e, FunctionCallInfo call);
static void set_defaults(const HandlerFunction *f, FunctionCallInfo call, int given);
static Datum variadic_array(const HandlerFunction *f, const HandlerEvent *e, JsonWalk *walk, int number);
static int	count_elements(Slice array);
static Datum convert_checked(Oid type, Slice value, const HandlerEvent *e, int number, bool *isnull);
static Datum convert(Oid type, Slice value, const HandlerEvent *e, bool *isnull);
static Datum convert_scalar(Oid type, Slice value, bool *isnull);
static Datum convert_nested(Oid type, const char *json, bool *isnull);
static bool is_placeholder(Slice value, const HandlerEvent *e, Slice *attachment);
static Slice with_hex(Slice value, const HandlerEvent *e);
static char *server_text(Slice utf8);
static Slice attachment_at(EnvelopeList attachments, int n);
static bytea *make_bytea(Slice s);

void
handler_arguments(const HandlerFunction *f, const HandlerEvent *e, FunctionCallInfo call)
{
	call->nargs = f->parameters;
	if (f->takes_event)
	{
		call->args[0].value = make_event(e);
		call->args[0].isnull = false;
	}
	else
		set_defaults(f, call, set_given(f, e, call));
}

/* ---- the whole event ---- */

static Datum
make_event(const HandlerEvent *e)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(handler_type("event"), -1);
	Datum		values[8];
	bool		nulls[8] = {false};

	if (desc->natts != lengthof(values))
		elog(ERROR, "type rooms.event has %d columns", desc->natts);
	values[0] = PointerGetDatum(event_name(e));
	values[1] = convert_checked(JSONBOID, e->args, e, 0, &nulls[1]);
	values[2] = bytea_array(e->attachments);
	values[3] = PointerGetDatum(e->sid);
	values[4] = PointerGetDatum(e->user_id);
	nulls[4] = e->user_id == NULL;
	values[5] = PointerGetDatum(e->tenant_id);
	nulls[5] = e->tenant_id == NULL;
	values[6] = PointerGetDatum(e->nsp);
	values[7] = convert_checked(JSONBOID, slice(VARDATA_ANY(e->handshake), VARSIZE_ANY_EXHDR(e->handshake)),
								e, 0, &nulls[7]);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

static text *
event_name(const HandlerEvent *e)
{
	switch (e->kind)
	{
		case HANDLER_JOIN:
			return cstring_to_text("room:join");
		case HANDLER_CONNECT:
			return cstring_to_text("connect");
		case HANDLER_DISCONNECT:
			return cstring_to_text("disconnect");
		case HANDLER_EVENT:
			break;
	}
	return e->name;
}

static Datum
bytea_array(EnvelopeList attachments)
{
	Datum		values[ENVELOPE_MAX_ATTACHMENTS];
	int			count = 0;
	Slice		s;

	while (count < (int) lengthof(values) && envelope_next(&attachments, &s))
		values[count++] = PointerGetDatum(make_bytea(s));
	return PointerGetDatum(construct_array(values, count, BYTEAOID, -1, false, TYPALIGN_INT));
}

/* ---- one by one ---- */

/* Sets those that the client sent and gives how many parameters they fill. */
static int
set_given(const HandlerFunction *f, const HandlerEvent *e, FunctionCallInfo call)
{
	int			fixed = OidIsValid(f->variadic) ? f->parameters - 1 : f->parameters;
	int			count = e->kind == HANDLER_CONNECT ? 0 : count_elements(e->args);
	JsonWalk	walk;
	Slice		key,
				value;

	if (count < f->least || count > f->most)
		ereport(ERROR,
				(errcode(ERRCODE_ROOMS_BAD_ARGUMENTS),
				 count < f->least
				 ? errmsg("too few arguments: at least %d, not %d", f->least, count)
				 : errmsg("too many arguments: at most %d, not %d", f->most, count)));
	if (!json_enter(e->args, &walk))
		elog(ERROR, "arguments are not an array");
	for (int i = 0; i < fixed && i < count; i++)
	{
		if (!json_next(&walk, &key, &value))
			elog(ERROR, "could not read argument %d", i + 1);
		call->args[i].value = convert_checked(f->types[i], value, e, i + 1, &call->args[i].isnull);
	}
	if (count <= fixed && !(OidIsValid(f->variadic) && count == fixed && f->defaults == 0))
		return count;
	call->args[fixed].value = variadic_array(f, e, &walk, fixed + 1);
	call->args[fixed].isnull = false;
	return f->parameters;
}

/* The last of the defaults, for the parameters that were not given. */
static void
set_defaults(const HandlerFunction *f, FunctionCallInfo call, int given)
{
	HeapTuple	tuple;
	Datum		text_datum;
	bool		isnull;
	List	   *defaults;
	EState	   *estate;

	if (given == f->parameters)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(f->oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", f->oid);
	text_datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &isnull);
	if (isnull)
		elog(ERROR, "function %u has no defaults", f->oid);
	defaults = castNode(List, stringToNode(TextDatumGetCString(text_datum)));
	ReleaseSysCache(tuple);

	estate = CreateExecutorState();
	for (int i = given; i < f->parameters; i++)
	{
		Expr	   *expr = list_nth(defaults, i - (f->parameters - list_length(defaults)));
		ExprState  *state = ExecPrepareExpr(expr, estate);
		Datum		value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &call->args[i].isnull);

		if (!call->args[i].isnull)
		{
			int16		len;
			bool		by_value;

			get_typlenbyval(f->types[i], &len, &by_value);
			value = datumCopy(value, by_value, len);
		}
		call->args[i].value = value;
	}
	FreeExecutorState(estate);
}

/* All that is left of the arguments. */
static Datum
variadic_array(const HandlerFunction *f, const HandlerEvent *e, JsonWalk *walk, int number)
{
	ArrayBuildState *array = initArrayResult(f->variadic, CurrentMemoryContext, false);
	Slice		key,
				value;

	while (json_next(walk, &key, &value))
	{
		bool		isnull;
		Datum		element = convert_checked(f->variadic, value, e, number++, &isnull);

		accumArrayResult(array, element, isnull, f->variadic, CurrentMemoryContext);
	}
	return makeArrayResult(array, CurrentMemoryContext);
}

static int
count_elements(Slice array)
{
	JsonWalk	walk;
	Slice		key,
				value;
	int			count = 0;

	if (!json_enter(array, &walk))
		elog(ERROR, "arguments are not an array");
	while (json_next(&walk, &key, &value))
		count++;
	return count;
}

/* ---- one value ---- */

/* `number` counts from 1; 0: all of them. */
static Datum
convert_checked(Oid type, Slice value, const HandlerEvent *e, int number, bool *isnull)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		volatile result = (Datum) 0;

	PG_TRY();
	{
		result = convert(type, value, e, isnull);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_TO_CATEGORY(ERRCODE_CHECK_VIOLATION) &&
			category != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		/* It often repeats the value, which may be as large as a packet. */
		error->message[pg_mbcliplen(error->message, strlen(error->message), MESSAGE_MAX)] = '\0';
		/* The transaction ends with this error: nothing needs to be rolled back first. */
		ereport(ERROR,
				(errcode(ERRCODE_ROOMS_BAD_ARGUMENTS),
				 number > 0 ? errmsg("argument %d: %s", number, error->message)
				 : errmsg("arguments: %s", error->message)));
	}
	PG_END_TRY();
	return result;
}

static Datum
convert(Oid type, Slice value, const HandlerEvent *e, bool *isnull)
{
	Oid			base = getBaseType(type);
	Slice		attachment;

	*isnull = slice_equal(value, SLICE_LITERAL("null"));
	if (type == base && *isnull)
		return (Datum) 0;
	if (base == JSONOID || base == JSONBOID)
		return type == base ? OidInputFunctionCall(base == JSONOID ? F_JSON_IN : F_JSONB_IN, server_text(value), base, -1)
			: convert_nested(type, server_text(value), isnull);
	if (type == BYTEAOID)
	{
		if (!is_placeholder(value, e, &attachment))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("binary data expected")));
		return PointerGetDatum(make_bytea(attachment));
	}
	if (e->attachments.count > 0)
		value = with_hex(value, e);
	if (type == base && !type_is_rowtype(type) && !type_is_array(type))
		return convert_scalar(type, value, isnull);
	return convert_nested(type, server_text(value), isnull);
}

/* By the type's text form. */
static Datum
convert_scalar(Oid type, Slice value, bool *isnull)
{
	Oid			input,
				ioparam;
	char	   *input_text;

	if (value.data[0] == '"')
	{
		uint8	   *bytes = palloc(value.len);
		long		len = json_unquote(value, bytes);

		if (len < 0 || memchr(bytes, '\0', len) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
					 errmsg("the string has a character that text cannot hold")));
		input_text = server_text(slice(bytes, len));
	}
	else
		input_text = server_text(value);
	*isnull = false;
	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, input_text, ioparam, -1);
}

/*
 * Domains, arrays and composite types, with all that is in them: by
 * json_populate_record() of a record that has this one column.
 */
static Datum
convert_nested(Oid type, const char *json, bool *isnull)
{
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	Datum		none = (Datum) 0;
	bool		is_none = true;
	Const	   *record;
	FmgrInfo	function;
	HeapTupleHeader row;

	TupleDescInitEntry(desc, 1, "value", type, -1, 0);
	desc = BlessTupleDesc(desc);
	/* It asks for the declared type of its first argument. */
	record = makeNullConst(RECORDOID, -1, InvalidOid);
	fmgr_info(F_JSON_POPULATE_RECORD, &function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD, RECORDOID, list_make1(record),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL), &function);
	row = DatumGetHeapTupleHeader(FunctionCall3(&function,
												HeapTupleGetDatum(heap_form_tuple(desc, &none, &is_none)),
												CStringGetTextDatum(psprintf("{\"value\":%s}", json)),
												BoolGetDatum(false)));
	return GetAttributeByNum(row, 1, isnull);
}

/* Is it exactly the place of a binary argument? */
static bool
is_placeholder(Slice value, const HandlerEvent *e, Slice *attachment)
{
	JsonWalk	walk;
	Slice		key,
				member,
				num = {0};
	bool		marked = false;

	if (value.data[0] != '{' || !json_enter(value, &walk))
		return false;
	while (json_next(&walk, &key, &member))
	{
		if (slice_equal(key, SLICE_LITERAL("\"_placeholder\"")))
			marked = slice_equal(member, SLICE_LITERAL("true"));
		else if (slice_equal(key, SLICE_LITERAL("\"num\"")))
			num = member;
	}
	if (!marked || num.len != 1 || num.data[0] < '0' || num.data[0] >= '0' + e->attachments.count)
		return false;
	*attachment = attachment_at(e->attachments, num.data[0] - '0');
	return true;
}

/* The value with a string, bytea's text form, for each placeholder in it. */
static Slice
with_hex(Slice value, const HandlerEvent *e)
{
	StringInfoData out;
	JsonWalk	walk;
	Slice		key,
				member,
				attachment;
	const char *separator = "";

	check_stack_depth();
	initStringInfo(&out);
	if (is_placeholder(value, e, &attachment))
	{
		appendStringInfoString(&out, "\"\\\\x");
		enlargeStringInfo(&out, attachment.len * 2);
		out.len += hex_encode((const char *) attachment.data, attachment.len, out.data + out.len);
		appendStringInfoChar(&out, '"');
		return slice(out.data, out.len);
	}
	if (!json_enter(value, &walk))
		return value;
	appendStringInfoChar(&out, walk.object ? '{' : '[');
	while (json_next(&walk, &key, &member))
	{
		appendStringInfoString(&out, separator);
		separator = ",";
		if (walk.object)
		{
			appendBinaryStringInfo(&out, (const char *) key.data, key.len);
			appendStringInfoChar(&out, ':');
		}
		member = with_hex(member, e);
		appendBinaryStringInfo(&out, (const char *) member.data, member.len);
	}
	appendStringInfoChar(&out, walk.object ? '}' : ']');
	return slice(out.data, out.len);
}

static Slice
attachment_at(EnvelopeList attachments, int n)
{
	Slice		s = {0};

	for (int i = 0; i <= n; i++)
		if (!envelope_next(&attachments, &s))
			return (Slice) {0};
	return s;
}

static char *
server_text(Slice utf8)
{
	char	   *s = pnstrdup((const char *) utf8.data, utf8.len);

	return pg_any_to_server(s, utf8.len, PG_UTF8);
}

static bytea *
make_bytea(Slice s)
{
	return (bytea *) cstring_to_text_with_len((const char *) s.data, s.len);
}

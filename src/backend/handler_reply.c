/*
 * handler_reply.c - calls a handler and makes a reply of its result.
 *
 *   void           []
 *   bytea          [placeholder], and the bytes as an attachment
 *   rooms.reply    what it says
 *   SETOF          [[value, ...]]
 *   anything else  [value], as to_json() has it, but for numbers that
 *                  JavaScript cannot hold (packet.h)
 *
 * Of a join the reply is [true] or [false], of a connect the rooms' names, of
 * a disconnect [].
 *
 * Sets are read as execSRF.c does it: row by row or from a tuplestore, as the
 * function's language has it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "backend/arguments.h"
#include "backend/handler_call.h"
#include "backend/list_builder.h"
#include "backend/packet.h"
#include "backend/row_json.h"

typedef struct Reply
{
	StringInfoData args;
	ListBuilder attachments;
	bool		names;			/* values are names of rooms */
	bool		binary;			/* ... or bytea */
	RowColumn	column;			/* else how to write one */
	const char *separator;
} Reply;

static void call_plain(Reply *reply, const HandlerFunction *f, HandlerKind kind, FunctionCallInfo call);
static bool has_null(FunctionCallInfo call);
static void call_set(Reply *reply, FunctionCallInfo call, const HandlerFunction *f);
static TupleDesc set_desc(const HandlerFunction *f);
static void append_stored(Reply *reply, ReturnSetInfo *set);
static void append(Reply *reply, Datum value, bool isnull);
static void append_names(Reply *reply, ArrayType *names);
static void append_reply_type(Reply *reply, HeapTupleHeader row);
static bytea *encode(Reply *reply);

bytea *
handler_reply(const HandlerFunction *f, HandlerKind kind, FunctionCallInfo call)
{
	Reply		reply = {.separator = ""};
	bool		nested = f->returns_set && kind == HANDLER_EVENT;

	initStringInfo(&reply.args);
	list_begin(&reply.attachments);
	reply.names = kind == HANDLER_CONNECT;
	reply.binary = getBaseType(f->result) == BYTEAOID;
	if (!reply.names && !reply.binary && f->result != VOIDOID)
		row_value_init(&reply.column, f->result);

	appendStringInfoString(&reply.args, nested ? "[[" : "[");
	if (f->returns_set)
		call_set(&reply, call, f);
	else
		call_plain(&reply, f, kind, call);
	appendStringInfoString(&reply.args, nested ? "]]" : "]");
	if (kind == HANDLER_DISCONNECT)
	{
		resetStringInfo(&reply.args);
		appendStringInfoString(&reply.args, "[]");
		list_begin(&reply.attachments);
	}
	return encode(&reply);
}

static void
call_plain(Reply *reply, const HandlerFunction *f, HandlerKind kind, FunctionCallInfo call)
{
	Datum		value = (Datum) 0;

	call->isnull = call->flinfo->fn_strict && has_null(call);
	if (!call->isnull)
		value = FunctionCallInvoke(call);

	if (f->result == VOIDOID)
		return;
	if (kind == HANDLER_JOIN)
		appendStringInfoString(&reply->args, !call->isnull && DatumGetBool(value) ? "true" : "false");
	else if (kind == HANDLER_CONNECT)
	{
		if (!call->isnull)
			append_names(reply, DatumGetArrayTypeP(value));
	}
	else if (f->returns_reply)
	{
		if (!call->isnull)
			append_reply_type(reply, DatumGetHeapTupleHeader(value));
	}
	else
		append(reply, value, call->isnull);
}

static bool
has_null(FunctionCallInfo call)
{
	for (int i = 0; i < call->nargs; i++)
		if (call->args[i].isnull)
			return true;
	return false;
}

static void
call_set(Reply *reply, FunctionCallInfo call, const HandlerFunction *f)
{
	ExprContext *econtext = CreateStandaloneExprContext();
	ReturnSetInfo set = {
		.type = T_ReturnSetInfo,
		.econtext = econtext,
		.expectedDesc = set_desc(f),
		.allowedModes = SFRM_ValuePerCall | SFRM_Materialize,
		.returnMode = SFRM_ValuePerCall,
	};

	if (call->flinfo->fn_strict && has_null(call))
		return;
	call->resultinfo = (Node *) &set;
	for (;;)
	{
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		call->isnull = false;
		set.isDone = ExprSingleResult;
		value = FunctionCallInvoke(call);
		if (set.returnMode == SFRM_Materialize)
		{
			append_stored(reply, &set);
			break;
		}
		if (set.isDone == ExprEndResult)
			break;
		append(reply, value, call->isnull);
		if (set.isDone == ExprSingleResult)
			break;
	}
	FreeExprContext(econtext, true);
}

static TupleDesc
set_desc(const HandlerFunction *f)
{
	TupleDesc	desc;
	Oid			type;

	if (get_func_result_type(f->oid, &type, &desc) == TYPEFUNC_SCALAR)
	{
		desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(desc, 1, "value", type, -1, 0);
		return desc;
	}
	return BlessTupleDesc(CreateTupleDescCopy(desc));
}

/* Rows of one column are that column's values, unless the result is a row. */
static void
append_stored(Reply *reply, ReturnSetInfo *set)
{
	TupleDesc	desc = set->expectedDesc;
	bool		rows = reply->column.kind == ROW_COMPOSITE && !reply->names && !reply->binary;
	TupleTableSlot *slot;

	if (set->setResult == NULL)
		return;
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(set->setResult, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (rows)
			append(reply, ExecFetchSlotHeapTupleDatum(slot), false);
		else
		{
			bool		isnull;
			Datum		value = slot_getattr(slot, 1, &isnull);

			append(reply, value, isnull);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(set->setResult);
}

static void
append(Reply *reply, Datum value, bool isnull)
{
	appendStringInfoString(&reply->args, reply->separator);
	reply->separator = ",";
	if (reply->names)
	{
		if (isnull)
			argument_null_error("the name of a room");
		(void) argument_check_name(argument_text(value), "room name");
		packet_append_string(&reply->args, argument_text(value));
	}
	else if (reply->binary && !isnull)
	{
		if (reply->attachments.count == ENVELOPE_MAX_ATTACHMENTS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a handler returned more than %d bytea values", ENVELOPE_MAX_ATTACHMENTS),
					 errhint("Stock clients take no more attachments in one message.")));
		appendStringInfo(&reply->args, "{\"_placeholder\":true,\"num\":%u}", reply->attachments.count);
		list_add(&reply->attachments, argument_text(value));
		packet_check_size(reply->attachments.bytes.len);
	}
	else
		row_value_append(&reply->args, &reply->column, value, isnull);
}

static void
append_names(Reply *reply, ArrayType *names)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		append(reply, values[i], nulls[i]);
}

/* Its args go in as they are, in the place of "[". */
static void
append_reply_type(Reply *reply, HeapTupleHeader row)
{
	bool		no_args,
				no_attachments;
	Datum		args = GetAttributeByNum(row, 1, &no_args);
	Datum		attachments = GetAttributeByNum(row, 2, &no_attachments);
	Jsonb	   *json;

	if (!no_attachments)
		argument_attachments(DatumGetArrayTypeP(attachments), &reply->attachments);
	json = no_args ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"))) : DatumGetJsonbP(args);
	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("args of a rooms.reply must be a JSON array"),
				 errhint("Its elements are the arguments of the acknowledgement: use jsonb_build_array().")));
	packet_check_placeholders(json, reply->attachments.count);
	resetStringInfo(&reply->args);
	packet_append_jsonb(&reply->args, json);
	reply->args.data[--reply->args.len] = '\0';	/* the caller closes it */
}

static bytea *
encode(Reply *reply)
{
	Slice		args = packet_utf8(slice(reply->args.data, reply->args.len));
	EnvelopeList attachments = list_finish(&reply->attachments);
	Size		size = VARHDRSZ + 4 + args.len + 4 + attachments.bytes.len;
	bytea	   *result;
	uint8	   *at;

	packet_check_size(args.len + attachments.bytes.len);
	result = palloc(size);
	SET_VARSIZE(result, size);
	at = write_string((uint8 *) VARDATA(result), args);
	write_bytes(write_u32(at, attachments.count), attachments.bytes);
	return result;
}

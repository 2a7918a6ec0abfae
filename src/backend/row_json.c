/*
 * row_json.c - writes a row's columns as members of a JSON object.
 *
 * Called by emit_row.c with the columns of one table, prepared once per
 * statement, in a context that is reset after each row, and by
 * handler_reply.c with what a handler returned.  Kinds and formats
 * are those of to_json() (json_categorize_type() and datum_to_json() in
 * src/backend/utils/adt/json.c), written straight into the packet: to_jsonb()
 * of the whole row would look up every column's type again for each row.
 *
 * Arrays and composite values are core's own JSON text.  This and columns of
 * type json are sent as they are but for numbers that JavaScript cannot hold.
 * They do not become jsonb on the way: jsonb refuses \u0000 and lone
 * surrogates, and what a column may hold must not fail in a trigger.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "backend/packet.h"
#include "backend/row_json.h"

static RowColumnKind classify(Oid type, Oid *function);
static void append_value(StringInfo out, RowColumn *column, Datum value);
static void append_integer(StringInfo out, RowColumn *column, Datum value);
static void append_number(StringInfo out, RowColumn *column, Datum value);
static void append_json_text(StringInfo out, Datum json);
static Size json_run(const char *json, Size len);

void
row_column_init(RowColumn *column, Form_pg_attribute attribute)
{
	StringInfoData key;

	row_value_init(column, attribute->atttypid);
	column->attnum = attribute->attnum;
	column->typlen = attribute->attlen;
	column->typbyval = attribute->attbyval;

	initStringInfo(&key);
	packet_append_string(&key, slice_cstring(NameStr(attribute->attname)));
	appendStringInfoChar(&key, ':');
	column->key = key.data;
}

void
row_column_append(StringInfo out, RowColumn *column, Datum value, bool isnull)
{
	appendStringInfoString(out, column->key);
	row_value_append(out, column, value, isnull);
}

void
row_value_init(RowColumn *column, Oid type)
{
	Oid			function;

	column->type = getBaseType(type);
	column->kind = classify(column->type, &function);
	fmgr_info(function, &column->convert);
}

void
row_value_append(StringInfo out, RowColumn *column, Datum value, bool isnull)
{
	if (isnull)
		appendBinaryStringInfo(out, "null", 4);
	else
		append_value(out, column, value);
	packet_check_size(out->len);
}

/* How to_json() treats a type, and the function that is called for it. */
static RowColumnKind
classify(Oid type, Oid *function)
{
	bool		is_varlena;

	getTypeOutputInfo(type, function, &is_varlena);
	switch (type)
	{
		case BOOLOID:
			return ROW_BOOL;
		case INT2OID:
		case INT4OID:
			return ROW_INTEGER;
		case INT8OID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			return ROW_NUMBER;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return ROW_DATETIME;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return ROW_TEXT;
		case JSONOID:
			return ROW_JSON;
		case JSONBOID:
			return ROW_JSONB;
		default:
			break;
	}
	if (OidIsValid(get_element_type(type)) || type == RECORDARRAYOID)
		return ROW_ARRAY;
	if (type_is_rowtype(type))
		return ROW_COMPOSITE;
	/* Built-in types have no such cast: spare the look-up, as core does. */
	if (type >= FirstNormalObjectId)
	{
		Oid			cast;

		if (find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &cast) == COERCION_PATH_FUNC)
		{
			*function = cast;
			return ROW_CAST;
		}
	}
	return ROW_OTHER;
}

static void
append_value(StringInfo out, RowColumn *column, Datum value)
{
	switch (column->kind)
	{
		case ROW_BOOL:
			if (DatumGetBool(value))
				appendBinaryStringInfo(out, "true", 4);
			else
				appendBinaryStringInfo(out, "false", 5);
			break;
		case ROW_INTEGER:
			append_integer(out, column, value);
			break;
		case ROW_NUMBER:
			append_number(out, column, value);
			break;
		case ROW_DATETIME:
			{
				char		text[MAXDATELEN + 1];

				JsonEncodeDateTime(text, value, column->type, NULL);
				packet_append_string(out, slice_cstring(text));
				break;
			}
		case ROW_TEXT:
			{
				struct varlena *t = PG_DETOAST_DATUM_PACKED(value);

				packet_append_string(out, slice(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)));
				break;
			}
		case ROW_JSON:
			append_json_text(out, value);
			break;
		case ROW_JSONB:
			packet_append_jsonb(out, DatumGetJsonbP(value));
			break;
		case ROW_ARRAY:
			append_json_text(out, DirectFunctionCall1(array_to_json, value));
			break;
		case ROW_COMPOSITE:
			append_json_text(out, DirectFunctionCall1(row_to_json, value));
			break;
		case ROW_CAST:
			append_json_text(out, FunctionCall1(&column->convert, value));
			break;
		case ROW_OTHER:
			packet_append_string(out, slice_cstring(OutputFunctionCall(&column->convert, value)));
			break;
	}
}

static void
append_integer(StringInfo out, RowColumn *column, Datum value)
{
	char		text[12];
	int32		number = column->type == INT2OID ? DatumGetInt16(value) : DatumGetInt32(value);

	appendBinaryStringInfo(out, text, pg_ltoa(number, text));
}

static void
append_number(StringInfo out, RowColumn *column, Datum value)
{
	char	   *text = OutputFunctionCall(&column->convert, value);

	/* NaN and Infinity are no JSON numbers; to_json() makes strings of them. */
	if (!isdigit((unsigned char) text[strcspn(text, "0123456789IN")]))
		packet_append_string(out, slice_cstring(text));
	else
		packet_append_number(out, text);
}

/* JSON text, in which numbers are looked at. */
static void
append_json_text(StringInfo out, Datum json)
{
	text	   *t = DatumGetTextPP(json);
	const char *at = VARDATA_ANY(t);
	const char *end = at + VARSIZE_ANY_EXHDR(t);

	packet_check_size(out->len + (end - at));
	while (at < end)
	{
		Size		len = json_run(at, end - at);

		if (len > 0)
			appendBinaryStringInfo(out, at, len);
		at += len;
		for (len = 0; at + len < end && strchr("+-.0123456789eE", at[len]) != NULL; len++)
			;
		if (len > 0)
			packet_append_number(out, pnstrdup(at, len));
		at += len;
	}
}

/* Bytes up to the next number; digits within strings do not count. */
static Size
json_run(const char *json, Size len)
{
	bool		quoted = false;

	for (Size i = 0; i < len; i++)
	{
		char		c = json[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '-' || isdigit((unsigned char) c)))
			return i;
	}
	return len;
}

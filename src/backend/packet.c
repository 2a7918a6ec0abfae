/*
 * packet.c - writes the text of Socket.IO packets.
 *
 * Called by emitter.c and emit_row.c in the user's own transaction; memory is
 * the current context's, everything that fails is an ERROR.  The text is made
 * once here and never again: the gateway sends these very bytes to everybody.
 *
 * jsonb is written without the spaces that its output function puts in, as
 * they would travel to every recipient.
 *
 * Numbers: the receiver is JavaScript, whose numbers are doubles.  JSON.parse
 * would turn the id 9007199254740993 into ...992 without a word, so a number
 * that a double cannot hold goes as a string ("9007199254740993"):
 *  - an integer beyond +-(2^53 - 1), Number.MAX_SAFE_INTEGER;
 *  - a fraction that does not survive the way through a double and back
 *    (12345678901234567.89 does not, 0.1 and 0.30000000000000004 do).
 * The rule is the same in all emitting functions and at any depth.  A number
 * with an exponent, as floats and columns of type json have, is left alone: who
 * writes it so means a double.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "backend/guc.h"
#include "backend/packet.h"
#include "wire/json.h"
#include "wire/sio.h"

/* Digits that a double always holds (DBL_DIG), and the largest safe integer. */
#define SAFE_DIGITS			15
#define MAX_SAFE_INTEGER	"9007199254740991"
/* Longer than the smallest double, 5e-324, written out. */
#define MAX_FRACTION		400

static void append_scalar(StringInfo out, const JsonbValue *v);
static bool number_is_exact(const char *number);
static bool survives_double(const char *number);
static void find_placeholders(JsonbContainer *container, int attachments, bool *used);
static bool is_placeholder(JsonbContainer *container);
static int	placeholder_number(JsonbContainer *container, int attachments);

void
packet_begin(StringInfo packet, Slice nsp, int attachments, Slice event)
{
	if (attachments > 0)
		appendStringInfo(packet, "5%d-", attachments);
	else
		appendStringInfoChar(packet, '2');
	if (nsp.len > 1)			/* "/" is left out */
	{
		appendBinaryStringInfo(packet, (const char *) nsp.data, nsp.len);
		appendStringInfoChar(packet, ',');
	}
	appendStringInfoChar(packet, '[');
	packet_append_string(packet, event);
}

void
packet_add(StringInfo packet, Jsonb *argument)
{
	appendStringInfoChar(packet, ',');
	if (argument == NULL)
		appendBinaryStringInfo(packet, "null", 4);
	else
		packet_append_jsonb(packet, argument);
}

void
packet_add_elements(StringInfo packet, Jsonb *array)
{
	int			start = packet->len;

	if (JB_ROOT_COUNT(array) == 0)
		return;

	/* "[a,b]" becomes ",a,b". */
	packet_append_jsonb(packet, array);
	packet->data[start] = ',';
	packet->data[--packet->len] = '\0';
}

Slice
packet_finish(StringInfo packet)
{
	appendStringInfoChar(packet, ']');
	return packet_utf8(slice(packet->data, packet->len));
}

void
packet_append_jsonb(StringInfo packet, Jsonb *value)
{
	JsonbIterator *it = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		comma = false;
	bool		scalar = false;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		/* A value that follows another one, but not a key's own value. */
		if (comma && token != WJB_END_ARRAY && token != WJB_END_OBJECT)
			appendStringInfoCharMacro(packet, ',');
		comma = true;

		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				/* A lone scalar is stored as an array of one. */
				scalar = v.val.array.rawScalar;
				if (!scalar)
					appendStringInfoCharMacro(packet, '[');
				comma = false;
				break;
			case WJB_BEGIN_OBJECT:
				appendStringInfoCharMacro(packet, '{');
				comma = false;
				break;
			case WJB_KEY:
				append_scalar(packet, &v);
				appendStringInfoCharMacro(packet, ':');
				comma = false;
				break;
			case WJB_VALUE:
			case WJB_ELEM:
				append_scalar(packet, &v);
				break;
			case WJB_END_ARRAY:
				if (!scalar)
					appendStringInfoCharMacro(packet, ']');
				break;
			case WJB_END_OBJECT:
				appendStringInfoCharMacro(packet, '}');
				break;
			default:
				elog(ERROR, "unexpected jsonb token %d", (int) token);
		}
		packet_check_size(packet->len);
	}
}

void
packet_append_string(StringInfo packet, Slice s)
{
	Size		size = json_quoted_size(s);
	uint8_t    *at;

	packet_check_size(packet->len + size);
	enlargeStringInfo(packet, size);
	at = (uint8_t *) packet->data + packet->len;
	if (size == s.len + 2)		/* most strings need no escape: copy at once */
		write_u8(write_bytes(write_u8(at, '"'), s), '"');
	else
		json_quote(at, s);
	packet->len += size;
	packet->data[packet->len] = '\0';
}

void
packet_append_number(StringInfo packet, const char *number)
{
	if (number_is_exact(number))
		appendStringInfoString(packet, number);
	else
		appendStringInfo(packet, "\"%s\"", number);
}

void
packet_check_size(Size bytes)
{
	if (unlikely(bytes > (Size) rooms_max_message_size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is larger than pg_rooms.max_message_size (%d bytes)",
						rooms_max_message_size),
				 errhint("Send a key and let clients fetch the rest, or raise pg_rooms.max_message_size.")));
}

Slice
packet_utf8(Slice s)
{
	const char *utf8;

	if (GetDatabaseEncoding() == PG_UTF8)
		return s;

	/* In a SQL_ASCII database this checks that the bytes are UTF-8 already. */
	utf8 = pg_server_to_any((const char *) s.data, s.len, PG_UTF8);
	return utf8 == (const char *) s.data ? s : slice_cstring(utf8);
}

void
packet_check_placeholders(Jsonb *args, int attachments)
{
	bool		used[SIO_MAX_ATTACHMENTS] = {false};

	find_placeholders(&args->root, attachments, used);
	for (int i = 0; i < attachments; i++)
	{
		if (!used[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("attachment %d has no placeholder in args", i),
					 errhint("Put {\"_placeholder\": true, \"num\": %d} where it belongs.", i)));
	}
}

static void
append_scalar(StringInfo out, const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			packet_append_string(out, slice(v->val.string.val, v->val.string.len));
			break;
		case jbvNumeric:
			packet_append_number(out,
								 DatumGetCString(DirectFunctionCall1(numeric_out,
																	 NumericGetDatum(v->val.numeric))));
			break;
		case jbvBool:
			if (v->val.boolean)
				appendBinaryStringInfo(out, "true", 4);
			else
				appendBinaryStringInfo(out, "false", 5);
			break;
		case jbvNull:
			appendBinaryStringInfo(out, "null", 4);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type %d", (int) v->type);
	}
}

/* True if a double holds this number, which is a JSON number. */
static bool
number_is_exact(const char *number)
{
	Size		digits;

	if (*number == '-')
		number++;
	digits = strlen(number);
	if (digits <= SAFE_DIGITS || strpbrk(number, "eE") != NULL)
		return true;
	if (strspn(number, "0123456789") == digits)
		return digits < strlen(MAX_SAFE_INTEGER) ||
			(digits == strlen(MAX_SAFE_INTEGER) && strcmp(number, MAX_SAFE_INTEGER) <= 0);
	return digits <= MAX_FRACTION && survives_double(number);
}

/* True if the shortest text that means the same double is the same number. */
static bool
survives_double(const char *number)
{
	double		d = strtod(number, NULL);
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	Datum		before,
				after;

	if (isinf(d))
		return false;
	double_to_shortest_decimal_buf(d, shortest);
	before = DirectFunctionCall3(numeric_in, CStringGetDatum(number),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	after = DirectFunctionCall3(numeric_in, CStringGetDatum(shortest),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return DatumGetBool(DirectFunctionCall2(numeric_eq, before, after));
}

static void
find_placeholders(JsonbContainer *container, int attachments, bool *used)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	check_stack_depth();
	if (is_placeholder(container))
	{
		used[placeholder_number(container, attachments)] = true;
		return;
	}
	it = JsonbIteratorInit(container);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if ((token == WJB_VALUE || token == WJB_ELEM) && v.type == jbvBinary)
			find_placeholders(v.val.binary.data, attachments, used);
	}
}

/* As the stock parser asks: an object whose _placeholder is true, and nothing else. */
static bool
is_placeholder(JsonbContainer *container)
{
	JsonbValue	v;

	return JsonContainerIsObject(container) &&
		getKeyJsonValueFromContainer(container, "_placeholder", strlen("_placeholder"), &v) != NULL &&
		v.type == jbvBool && v.val.boolean;
}

static int
placeholder_number(JsonbContainer *container, int attachments)
{
	JsonbValue	v;

	if (getKeyJsonValueFromContainer(container, "num", strlen("num"), &v) != NULL &&
		v.type == jbvNumeric)
	{
		char	   *num = DatumGetCString(DirectFunctionCall1(numeric_out,
															  NumericGetDatum(v.val.numeric)));

		if (strlen(num) < 3 && strspn(num, "0123456789") == strlen(num) &&
			atoi(num) < attachments)
			return atoi(num);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a placeholder in args has no attachment"),
			 errdetail_plural("There is %d attachment, numbered from 0.",
							  "There are %d attachments, numbered from 0.",
							  attachments, attachments),
			 errhint("The \"num\" of {\"_placeholder\": true, \"num\": ...} is the position in attachments.")));
}

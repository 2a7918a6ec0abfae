/*
 * emit_row.c - the trigger function that makes a table a source of events.
 *
 *   CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON ticket FOR EACH ROW
 *     EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket' [, 'id,title']);
 *
 * The first argument is the room, with columns of the row in braces, the
 * second the stem of the event's name, the third the columns to send (all, if
 * it is left out).
 *
 *   INSERT                            ticket:created  new row, to its room
 *   UPDATE within a room              ticket:updated  new row
 *   UPDATE from one room to another   ticket:deleted  old row, to the old room
 *                                     ticket:created  new row, to the new room
 *   DELETE                            ticket:deleted  old row
 *
 * A NULL in a placeholder means: no room, no message.  With a column list, an
 * UPDATE within a room that changes none of the listed columns sends nothing;
 * without one every UPDATE sends.  A row that moves between partitions is
 * deleted and created, as PostgreSQL's row triggers see it.  Virtual generated
 * columns are not computed when triggers fire (trigger.sgml): they are left out.
 *
 * Security invoker: whoever may write the table causes the messages; only who
 * creates the trigger needs EXECUTE.  Row security plays no part: what the
 * trigger names is sent.
 *
 * The arguments are taken apart once per statement and table (or partition:
 * column numbers differ among them) and kept in the FmgrInfo, which the
 * executor keeps as long as the lock on the table, so no DDL can make the plan
 * stale.  Keeping it longer would need invalidation for a gain of a few
 * microseconds per statement.  Anything wrong is an ERROR of the statement.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "backend/arguments.h"
#include "backend/compat.h"
#include "backend/emitter.h"
#include "backend/packet.h"
#include "backend/row_json.h"

/* A piece of the room's name: text, and the column that follows it. */
typedef struct RoomPart
{
	Slice		text;
	AttrNumber	attnum;			/* 0: none follows */
	FmgrInfo	output;
} RoomPart;

typedef struct RowPlan
{
	List	   *room;			/* of RoomPart */
	RowColumn  *columns;
	int			column_count;
	bool		listed;			/* the trigger names its columns */
	Slice		created;		/* event names */
	Slice		updated;
	Slice		deleted;
} RowPlan;

PG_FUNCTION_INFO_V1(rooms_emit_row);

static Datum unchanged_row(FunctionCallInfo fcinfo);
static void check_trigger(FunctionCallInfo fcinfo);
static RowPlan *get_plan(FunctionCallInfo fcinfo);
static RowPlan *make_plan(Trigger *trigger, TupleDesc desc);
static List *parse_room(const char *template, TupleDesc desc);
static RoomPart *make_part(Slice text, Form_pg_attribute column);
static const char *placeholder_end(const char *at);
static void plan_all_columns(RowPlan *plan, TupleDesc desc);
static void plan_listed_columns(RowPlan *plan, TupleDesc desc, const char *list);
static void add_column(RowPlan *plan, Form_pg_attribute column);
static Form_pg_attribute find_column(TupleDesc desc, const char *name);
static Slice event_name(const char *stem, const char *verb);
static void send_update(RowPlan *plan, TupleTableSlot *old_row, TupleTableSlot *new_row);
static void send_row(RowPlan *plan, TupleTableSlot *row, Slice event, Slice room);
static Slice room_of(RowPlan *plan, TupleTableSlot *row);
static bool columns_differ(RowPlan *plan, TupleTableSlot *old_row, TupleTableSlot *new_row);

PGDLLEXPORT Datum
rooms_emit_row(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	RowPlan    *plan;

	if (!emitter_ready())
		return unchanged_row(fcinfo);
	check_trigger(fcinfo);

	plan = get_plan(fcinfo);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		send_row(plan, data->tg_trigslot, plan->created, room_of(plan, data->tg_trigslot));
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		send_row(plan, data->tg_trigslot, plan->deleted, room_of(plan, data->tg_trigslot));
	else
		send_update(plan, data->tg_trigslot, data->tg_newslot);

	return PointerGetDatum(NULL);
}

/*
 * What leaves the statement alone.  With pg_rooms.emit off not even the kind
 * of trigger is checked, and NULL from a BEFORE trigger would drop the row.
 */
static Datum
unchanged_row(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
						   data->tg_newtuple : data->tg_trigtuple);
}

static void
check_trigger(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("emit_row() was not called by a trigger"),
				 errhint("Use it in CREATE TRIGGER, or call rooms.emit().")));
	if (!TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" on table \"%s\" calls emit_row() but is not AFTER ... FOR EACH ROW",
						data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation)),
				 errhint("Create it as AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW.  For TRUNCATE, call rooms.emit() in a trigger function of your own.")));
	if (data->tg_trigger->tgnargs < 2 || data->tg_trigger->tgnargs > 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" on table \"%s\" passes %d arguments to emit_row()",
						data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation),
						data->tg_trigger->tgnargs),
				 errhint("Pass a room, an event name and, if not all columns are to be sent, a list of columns: emit_row('tenant:{tenant_id}', 'ticket', 'id,title').")));
}

static RowPlan *
get_plan(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	FmgrInfo   *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(flinfo->fn_mcxt);

		flinfo->fn_extra = make_plan(data->tg_trigger, RelationGetDescr(data->tg_relation));
		MemoryContextSwitchTo(old);
	}
	return flinfo->fn_extra;
}

/* Everything in the plan is allocated in the current context. */
static RowPlan *
make_plan(Trigger *trigger, TupleDesc desc)
{
	RowPlan    *plan = palloc0(sizeof(RowPlan));
	const char *stem = trigger->tgargs[1];

	if (stem[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event name in the arguments of emit_row() must not be empty"),
				 errhint("The second argument of emit_row() is the name's first part: 'ticket' for ticket:created, ticket:updated and ticket:deleted.")));
	plan->created = event_name(stem, "created");
	plan->updated = event_name(stem, "updated");
	plan->deleted = event_name(stem, "deleted");
	plan->room = parse_room(trigger->tgargs[0], desc);
	plan->columns = palloc(desc->natts * sizeof(RowColumn));
	plan->listed = trigger->tgnargs > 2;
	if (plan->listed)
		plan_listed_columns(plan, desc, trigger->tgargs[2]);
	else
		plan_all_columns(plan, desc);
	return plan;
}

static List *
parse_room(const char *template, TupleDesc desc)
{
	List	   *parts = NIL;
	const char *at = pstrdup(template);

	for (;;)
	{
		Slice		text = slice(at, strcspn(at, "{}"));
		const char *end;
		List	   *names;

		at += text.len;
		if (*at == '\0')
			return lappend(parts, make_part(text, NULL));
		end = *at == '{' ? placeholder_end(at + 1) : NULL;
		if (end == NULL ||
			!SplitIdentifierString(pnstrdup(at + 1, end - at - 1), ',', &names) ||
			list_length(names) != 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid room template \"%s\" in trigger", template),
					 errhint("A placeholder is one column in braces: {tenant_id}, or {\"Tenant Id\"} where the name needs quotes.")));
		parts = lappend(parts, make_part(text, find_column(desc, linitial(names))));
		at = end + 1;
	}
}

static RoomPart *
make_part(Slice text, Form_pg_attribute column)
{
	RoomPart   *part = palloc0(sizeof(RoomPart));

	part->text = text;
	if (column != NULL)
	{
		Oid			output;
		bool		is_varlena;

		part->attnum = column->attnum;
		getTypeOutputInfo(column->atttypid, &output, &is_varlena);
		fmgr_info(output, &part->output);
	}
	return part;
}

/* The brace that closes a placeholder, or NULL; one in a quoted name does not. */
static const char *
placeholder_end(const char *at)
{
	bool		quoted = false;

	for (; *at != '\0'; at++)
	{
		if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '}')
			return at;
	}
	return NULL;
}

static void
plan_all_columns(RowPlan *plan, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && column->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)
			add_column(plan, column);
	}
}

static void
plan_listed_columns(RowPlan *plan, TupleDesc desc, const char *list)
{
	List	   *names;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(list), ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid column list \"%s\" in trigger", list),
				 errhint("Name columns as in SQL, with commas between them: 'id,title,\"Due Date\"'.")));
	foreach(cell, names)
	{
		Form_pg_attribute column = find_column(desc, lfirst(cell));

		for (int i = 0; i < plan->column_count; i++)
		{
			if (plan->columns[i].attnum == column->attnum)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is listed twice in trigger", NameStr(column->attname)),
						 errhint("Name each column once in the arguments of emit_row().")));
		}
		add_column(plan, column);
	}
}

static void
add_column(RowPlan *plan, Form_pg_attribute column)
{
	row_column_init(&plan->columns[plan->column_count++], column);
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || strcmp(NameStr(column->attname), name) != 0)
			continue;
		if (column->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" in the arguments of emit_row() is a virtual generated column", name),
					 errhint("Its value is not computed when triggers fire: make it STORED, or call rooms.emit() in a trigger function of your own.")));
		return column;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" in the arguments of emit_row() does not exist", name),
			 errhint("Correct the trigger's arguments.  Names are read as in SQL: without quotes they are lower case.")));
}

/* Only the whole name must not be a reserved one: "connect" will do as a stem. */
static Slice
event_name(const char *stem, const char *verb)
{
	Slice		name = slice_cstring(psprintf("%s:%s", stem, verb));

	argument_check_event(name);
	return name;
}

static void
send_update(RowPlan *plan, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	Slice		old_room = room_of(plan, old_row);
	Slice		new_room = room_of(plan, new_row);

	if (old_room.data != NULL && new_room.data != NULL && slice_equal(old_room, new_room))
	{
		if (!plan->listed || columns_differ(plan, old_row, new_row))
			send_row(plan, new_row, plan->updated, new_room);
		return;
	}
	send_row(plan, old_row, plan->deleted, old_room);
	send_row(plan, new_row, plan->created, new_room);
}

/* Sends the row as one JSON object, unless there is no room. */
static void
send_row(RowPlan *plan, TupleTableSlot *row, Slice event, Slice room)
{
	StringInfoData packet;

	if (room.data == NULL)
		return;

	initStringInfo(&packet);
	packet_begin(&packet, SLICE_LITERAL("/"), 0, event);
	appendStringInfoString(&packet, ",{");
	for (int i = 0; i < plan->column_count; i++)
	{
		RowColumn  *column = &plan->columns[i];
		bool		isnull;
		Datum		value = slot_getattr(row, column->attnum, &isnull);

		if (i > 0)
			appendStringInfoChar(&packet, ',');
		row_column_append(&packet, column, value, isnull);
	}
	appendStringInfoChar(&packet, '}');
	emitter_send_room(room, &packet);
}

/* The room of a row; its data is NULL if a placeholder is. */
static Slice
room_of(RowPlan *plan, TupleTableSlot *row)
{
	StringInfoData room;
	ListCell   *cell;

	initStringInfo(&room);
	foreach(cell, plan->room)
	{
		RoomPart   *part = lfirst(cell);
		Datum		value;
		bool		isnull;

		appendBinaryStringInfo(&room, (const char *) part->text.data, part->text.len);
		if (part->attnum == 0)
			continue;
		value = slot_getattr(row, part->attnum, &isnull);
		if (isnull)
			return (Slice) {NULL, 0};
		appendStringInfoString(&room, OutputFunctionCall(&part->output, value));
	}
	return slice(room.data, room.len);
}

static bool
columns_differ(RowPlan *plan, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	for (int i = 0; i < plan->column_count; i++)
	{
		RowColumn  *column = &plan->columns[i];
		bool		old_null;
		bool		new_null;
		Datum		old_value = slot_getattr(old_row, column->attnum, &old_null);
		Datum		new_value = slot_getattr(new_row, column->attnum, &new_null);

		if (old_null != new_null)
			return true;
		if (!old_null && !datum_image_eq(old_value, new_value, column->typbyval, column->typlen))
			return true;
	}
	return false;
}

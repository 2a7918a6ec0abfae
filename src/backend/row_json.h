/*
 * row_json.h - values as JSON, and a table's column as a member of an object.
 *
 * What to_json() makes of a value, but for numbers that JavaScript cannot
 * hold (packet.h), and with the look-ups done once.
 */
#ifndef ROOMS_BACKEND_ROW_JSON_H
#define ROOMS_BACKEND_ROW_JSON_H

#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

typedef enum RowColumnKind
{
	ROW_BOOL,
	ROW_INTEGER,				/* int2, int4 */
	ROW_NUMBER,					/* int8, numeric, float: checked for JavaScript */
	ROW_DATETIME,
	ROW_TEXT,					/* the varlena's bytes are the text */
	ROW_JSON,
	ROW_JSONB,
	ROW_ARRAY,
	ROW_COMPOSITE,
	ROW_CAST,					/* the type has a cast to json */
	ROW_OTHER					/* a string, by the output function */
} RowColumnKind;

typedef struct RowColumn
{
	AttrNumber	attnum;
	int16		typlen;
	bool		typbyval;
	RowColumnKind kind;
	Oid			type;			/* domains resolved */
	FmgrInfo	convert;		/* the output function or the cast */
	char	   *key;			/* "name": as JSON */
} RowColumn;

/* Looks up all that is needed; the column lives in the current context. */
extern void row_column_init(RowColumn *column, Form_pg_attribute attribute);

/* Appends the key and the value. */
extern void row_column_append(StringInfo out, RowColumn *column, Datum value, bool isnull);

/* The same for a value of some type that is no column: without key and number. */
extern void row_value_init(RowColumn *column, Oid type);
extern void row_value_append(StringInfo out, RowColumn *column, Datum value, bool isnull);

#endif							/* ROOMS_BACKEND_ROW_JSON_H */

/*
 * arguments.h - how the SQL functions read and check what they are called with.
 *
 * All raise an ERROR for what cannot be, NULL included.  `n` counts from 0;
 * `name` is the parameter's, for messages.
 */
#ifndef ROOMS_BACKEND_ARGUMENTS_H
#define ROOMS_BACKEND_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/array.h"

#include "backend/compat.h"
#include "backend/list_builder.h"
#include "wire/envelope.h"

/* The name of an event that is neither empty nor reserved, in the database's encoding. */
extern Slice argument_event(FunctionCallInfo fcinfo, int n);

/* A namespace, in the database's encoding, as the text of a packet needs it. */
extern Slice argument_namespace(FunctionCallInfo fcinfo, int n);

extern bool argument_bool(FunctionCallInfo fcinfo, int n, const char *name);

/* A text[] of rooms, in UTF-8.  An element that is NULL is an ERROR, or left out with skip_nulls. */
extern EnvelopeList argument_rooms(FunctionCallInfo fcinfo, int n, const char *name, bool skip_nulls);

/* An array that has at most one dimension. */
extern ArrayType *argument_array(FunctionCallInfo fcinfo, int n, const char *name);

/* The pieces.  What a text or a bytea holds, which must not be NULL: */
extern Slice argument_text(Datum value);

/* Adds the elements of a bytea[], which a message carries. */
extern void argument_attachments(ArrayType *attachments, ListBuilder *list);

/* Raises the ERROR for an empty or reserved event name. */
extern void argument_check_event(Slice event);

/*
 * A name of 1 to ENVELOPE_MAX_NAME bytes without control characters, in UTF-8;
 * `what` says in messages what it names.
 */
extern Slice argument_check_name(Slice name, const char *what);

pg_noreturn extern void argument_null_error(const char *what);
pg_noreturn extern void argument_empty_error(const char *what);

#endif							/* ROOMS_BACKEND_ARGUMENTS_H */

/*
 * handler_function.h - which SQL functions may be handlers.
 *
 * One that takes rooms.event gets all there is to know.  Any other gets the
 * arguments by position: an event's own, for a join the room, for a disconnect
 * the reason, for a connect none.
 */
#ifndef ROOMS_BACKEND_HANDLER_FUNCTION_H
#define ROOMS_BACKEND_HANDLER_FUNCTION_H

#include "postgres.h"

#include "wire/handler.h"

typedef struct HandlerFunction
{
	Oid			oid;
	Oid			schema;
	bool		takes_event;	/* the only parameter is a rooms.event */
	int			least;			/* arguments that it can be called with */
	int			most;
	int			parameters;
	int			defaults;		/* of how many of them, the last ones */
	Oid			variadic;		/* type of an element of the last parameter, an array; or InvalidOid */
	Oid		   *types;			/* of the parameters */
	Oid			result;
	bool		returns_set;
	bool		returns_reply;	/* the result is a rooms.reply */
} HandlerFunction;

/*
 * Looks at a function, in the current memory context.  Raises the ERROR if it
 * cannot be a handler of this kind.
 */
extern HandlerFunction *handler_function_make(HandlerKind kind, Oid oid);

/*
 * The function with this signature, as registration.c stores it: from a cache,
 * where it stays until the next call of this function.  Raises the ERROR if it
 * is not there (any more) or cannot be a handler of this kind.
 */
extern const HandlerFunction *handler_function_find(HandlerKind kind, const char *signature);

/* The composite type rooms.<name>. */
extern Oid	handler_type(const char *name);

#endif							/* ROOMS_BACKEND_HANDLER_FUNCTION_H */

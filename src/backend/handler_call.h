/*
 * handler_call.h - one call of a handler: what it is given, what it gives back.
 *
 * handle.c calls the function; handler_arguments.c turns the client's JSON
 * into its parameters, handler_reply.c its result into the reply.  Memory is
 * the caller's short-lived context.
 */
#ifndef ROOMS_BACKEND_HANDLER_CALL_H
#define ROOMS_BACKEND_HANDLER_CALL_H

#include "postgres.h"

#include "fmgr.h"

#include "backend/handler_function.h"
#include "wire/envelope.h"

/*
 * Errors that are meant for the client: their class is PT, as PostgREST has
 * it, and the digits are HTTP's.  Only the message is shown.
 */
#define ERRCODE_ROOMS_BAD_ARGUMENTS MAKE_SQLSTATE('P', 'T', '4', '0', '0')
#define ERRCODE_ROOMS_FORBIDDEN		MAKE_SQLSTATE('P', 'T', '4', '0', '3')
#define ERRCODE_ROOMS_NOT_FOUND		MAKE_SQLSTATE('P', 'T', '4', '0', '4')

typedef struct HandlerEvent
{
	HandlerKind kind;
	text	   *nsp;
	text	   *name;			/* event, or room of a join */
	Slice		args;			/* JSON array, UTF-8, valid */
	EnvelopeList attachments;
	text	   *sid;
	text	   *user_id;		/* or NULL */
	text	   *tenant_id;		/* or NULL */
	text	   *handshake;		/* JSON object */
} HandlerEvent;

/*
 * Sets the arguments of `call`.  Raises ERRCODE_ROOMS_BAD_ARGUMENTS for what
 * the client sent and the function cannot take.
 */
extern void handler_arguments(const HandlerFunction *f, const HandlerEvent *e, FunctionCallInfo call);

/* Calls the function and gives its reply in the form of wire/handler.h. */
extern bytea *handler_reply(const HandlerFunction *f, HandlerKind kind, FunctionCallInfo call);

#endif							/* ROOMS_BACKEND_HANDLER_CALL_H */

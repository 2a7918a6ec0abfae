/*
 * handler_connection.h - one connection to PostgreSQL that runs handlers.
 *
 * Never blocks: everything happens in callbacks of the loop.  One call at a
 * time; each is sent as two transactions in one go, rooms.handle() and
 * rooms.handler_reset() (libpq's pipeline mode).
 */
#ifndef ROOMS_GATEWAY_HANDLER_CONNECTION_H
#define ROOMS_GATEWAY_HANDLER_CONNECTION_H

#include "core/call.h"
#include "gateway/handler_conninfo.h"

typedef enum HandlerState
{
	HANDLER_CONNECTING,			/* up to the checks of who and where we are */
	HANDLER_IDLE,
	HANDLER_CALLING,
	HANDLER_FETCHING			/* the rules */
} HandlerState;

typedef struct HandlerConnection HandlerConnection;

/* What came of a call or a fetch; the results are the connection's. */
typedef struct HandlerAnswer
{
	const PGresult *result;		/* NULL unless it succeeded */
	const PGresult *error;		/* or NULL: the connection was lost, what became of it is unknown */
	bool		marked;			/* rooms.handler_reset() said true */
} HandlerAnswer;

typedef struct HandlerConnectionHooks
{
	void	   *ctx;

	/* The call or fetch is over; the connection is idle, or about to be lost. */
	void		(*answered) (void *ctx, HandlerConnection *c, const HandlerAnswer *a);

	/*
	 * It has come to its end and is freed after this.  `was_ready`: it had
	 * passed its checks.  `error` and `hint` may be NULL.
	 */
	void		(*lost) (void *ctx, HandlerConnection *c, bool was_ready, const char *error, const char *hint);
} HandlerConnectionHooks;

struct HandlerConnection
{
	HandlerConnection *next;	/* for the owner's list */
	Call	   *call;			/* HANDLER_CALLING: its owner's */
	HandlerState state;			/* the rest is read by the owner at most */
	uint64_t	deadline;		/* by the loop's clock: then it is lost, or idle for long enough */
	uint64_t	born;
	bool		silent;			/* lost because the host it had come to did not answer */
	bool		retiring;		/* to be closed when idle */

	const HandlerConnectionHooks *hooks;
	uv_loop_t  *loop;
	PGconn	   *pg;
	const char *host;			/* that it tries: libpq's, a place of its own for each */
	uint32_t	patience;		/* ms for each */
	uv_poll_t  *poll;
	int			events;			/* that it waits for */
	char	   *database;		/* that it has to lead to */
	uint32_t	syncs;			/* ends of transactions still to come */
	PGresult   *result;			/* of the first transaction */
	PGresult   *error;
	bool		marked;
	uint32_t	timeout;		/* ms for a call */
};

/* Begins to connect.  NULL: out of memory. */
extern HandlerConnection *handler_connection_new(uv_loop_t *loop, const HandlerConninfo *conninfo,
												 const HandlerSettings *settings, const HandlerConnectionHooks *hooks);

/* When idle: starts a call; `marker` is the server's; or the fetch of the rules. */
extern void handler_connection_call(HandlerConnection *c, Call *call, uint64_t marker);
extern void handler_connection_fetch(HandlerConnection *c);

/* Looks at its deadline.  It may be gone afterwards. */
extern void handler_connection_tick(HandlerConnection *c);

/* Closes it, calling hooks.answered if a call is under way, and hooks.lost. */
extern void handler_connection_close(HandlerConnection *c);

#endif							/* ROOMS_GATEWAY_HANDLER_CONNECTION_H */

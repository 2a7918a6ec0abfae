/*
 * gateway_process.h - the gateway as the worker sees it: started, fed,
 * watched, replaced.
 *
 * Nothing here blocks (but for the exec itself, and at most a second when the
 * worker exits) and no misbehaviour of the gateway is an ERROR.
 */
#ifndef ROOMS_BACKEND_GATEWAY_PROCESS_H
#define ROOMS_BACKEND_GATEWAY_PROCESS_H

#include "postgres.h"

#include "wire/link.h"

/* Once, at the worker's start: also registers the end of the gateway with that of the worker. */
extern void gateway_init(void);

/* The settings may have changed: reads them, sends CONFIG. */
extern void gateway_reload(void);

/* listen_service() has changed the sockets: sends LISTEN. */
extern void gateway_listen(void);

/*
 * Reads the link (if something has happened on it), reaps, starts, pings,
 * ends: whatever is due.
 */
extern void gateway_service(int64 now, bool link_event);

/* Milliseconds until gateway_service() must be called, if no event comes before. */
extern long gateway_timeout(int64 now);

/*
 * A new gateway is given the past before it may listen: true from its start
 * until gateway_filled(), which sends LISTEN.
 */
extern bool gateway_filling(void);
extern void gateway_filled(void);

/*
 * May something be sent?  False while no gateway is READY or being filled, and
 * while one has not taken what it was sent: the WAL waits.
 */
extern bool gateway_has_room(void);

/* Queue something (copied); only when gateway_has_room().  History: only while filling. */
extern void gateway_send(const LinkMessage *m);
extern void gateway_send_history(uint32 age, const LinkMessage *m);
extern void gateway_send_covered(const LinkPosition *p);
extern void gateway_send_position(const LinkPosition *p);
extern void gateway_send_session(const LinkSession *s);
extern void gateway_send_query(uint64 id, LinkQuery what);	/* answered by inquiry_rows() */

/* Writes what is queued, as far as the gateway takes it now. */
extern void gateway_flush(void);

/* READY has come and the gateway lives. */
extern bool gateway_ready(void);

/*
 * What to wait for: the link, or PGINVALID_SOCKET.  *generation changes with
 * every new link, because a new socket may get an old one's number.
 * *blocked: wait for it to become writable, too.
 */
extern pgsocket gateway_socket(uint32 *generation, bool *blocked);

#endif							/* ROOMS_BACKEND_GATEWAY_PROCESS_H */

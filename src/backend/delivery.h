/*
 * delivery.h - hands out one committed transaction message by message.
 *
 * Used by bus.c for what is new and by refill.c for what is past.
 */
#ifndef ROOMS_BACKEND_DELIVERY_H
#define ROOMS_BACKEND_DELIVERY_H

#include "postgres.h"

#include "backend/pending.h"
#include "wire/link.h"

typedef struct Delivery Delivery;

extern Delivery *delivery_new(void);
extern void delivery_free(Delivery *d); /* only when nothing is being handed out */

/* Begins with t, whose t->commit is set. */
extern void delivery_begin(Delivery *d, BusTransaction *t);

/* The one that is being handed out, or NULL. */
extern BusTransaction *delivery_current(const Delivery *d);

/*
 * The next message, whose envelope lives until the next call.  False: that was
 * all; what could not be had is told by a WARNING, and delivery_lost().
 */
extern bool delivery_next(Delivery *d, LinkMessage *m);
extern bool delivery_lost(const Delivery *d);

/* How many messages have been handed out. */
extern uint32 delivery_count(const Delivery *d);

/* Nothing is being handed out any more; gives t back. */
extern BusTransaction *delivery_end(Delivery *d);

#endif							/* ROOMS_BACKEND_DELIVERY_H */

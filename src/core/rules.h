/*
 * rules.h - which handlers are registered in the database, as the gateway
 * knows it: what needs no database to be refused or done is decided by these.
 */
#ifndef ROOMS_CORE_RULES_H
#define ROOMS_CORE_RULES_H

#include "wire/handler.h"

typedef struct Rules Rules;

/* Copies `encoded` (wire/handler.h).  NULL: malformed. */
extern Rules *rules_new(Slice encoded);
extern void rules_free(Rules *r);

/* Is there a handler?  `name` is empty for connect and disconnect; r may be NULL: none. */
extern bool rules_handle(const Rules *r, HandlerKind kind, Slice nsp, Slice name);

/*
 * The join rule for a room: of the patterns that match, the one with the
 * longest text before its '*', an exact name before any.  False: none.
 */
extern bool rules_join(const Rules *r, Slice nsp, Slice room, HandlerRule *rule);

/* May members of `room` send `event` there by room:emit? */
extern bool rules_relay(const Rules *r, Slice nsp, Slice room, Slice event);

#endif							/* ROOMS_CORE_RULES_H */

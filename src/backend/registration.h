/*
 * registration.h - the handlers that are registered: table rooms.handlers.
 */
#ifndef ROOMS_BACKEND_REGISTRATION_H
#define ROOMS_BACKEND_REGISTRATION_H

#include "postgres.h"

#include "wire/handler.h"

/*
 * The signature of the handler for an event (`name`), for joining the room
 * `name`, or for connect and disconnect (`name` empty); NULL if there is none.
 * Names are in the database's encoding.  Needs no right to the table.
 */
extern char *registration_find(HandlerKind kind, Slice nsp, Slice name);

#endif							/* ROOMS_BACKEND_REGISTRATION_H */

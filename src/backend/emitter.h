/*
 * emitter.h - what the emitting SQL functions share with emit_row.
 */
#ifndef ROOMS_BACKEND_EMITTER_H
#define ROOMS_BACKEND_EMITTER_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "wire/slice.h"

/*
 * False: pg_rooms.emit is off, do nothing at all.  Otherwise raises the ERROR
 * if this process cannot emit now.  Every emitting function begins with it.
 */
extern bool emitter_ready(void);

/*
 * Sends the packet, which packet_begin() began for namespace "/", to one
 * room.  Checks the room's name and finishes the packet.
 */
extern void emitter_send_room(Slice room, StringInfo packet);

#endif							/* ROOMS_BACKEND_EMITTER_H */

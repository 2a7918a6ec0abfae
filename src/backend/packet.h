/*
 * packet.h - the text of one Socket.IO EVENT packet, made from jsonb.
 *
 *   2[<nsp>,]["event",arg,...]        EVENT
 *   5<n>-[<nsp>,]["event",arg,...]    BINARY_EVENT, n attachments follow
 *
 * The text grows in a StringInfo of the caller, in the database's encoding;
 * packet_finish() gives it in UTF-8.  Every function raises an ERROR as soon
 * as the text is longer than pg_rooms.max_message_size.
 */
#ifndef ROOMS_BACKEND_PACKET_H
#define ROOMS_BACKEND_PACKET_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "wire/slice.h"

/* Begins a packet: its head and the event's name. */
extern void packet_begin(StringInfo packet, Slice nsp, int attachments, Slice event);

/* Adds one argument; NULL stands for JSON null. */
extern void packet_add(StringInfo packet, Jsonb *argument);

/* Adds the elements of a JSON array as arguments. */
extern void packet_add_elements(StringInfo packet, Jsonb *array);

/* Ends the packet and gives it in UTF-8.  The bytes live as long as the StringInfo's context. */
extern Slice packet_finish(StringInfo packet);

/* The pieces, for callers that write JSON of their own between begin and finish. */
extern void packet_append_jsonb(StringInfo packet, Jsonb *value);
extern void packet_append_string(StringInfo packet, Slice s);

/*
 * Appends a number given as text.  One that a JavaScript number cannot hold
 * goes as a string: see packet.c.
 */
extern void packet_append_number(StringInfo packet, const char *number);

/* Raises the ERROR for a message of `bytes` bytes if that is too much. */
extern void packet_check_size(Size bytes);

/*
 * Raises the ERROR unless every attachment has its placeholder in the array
 * and every placeholder its attachment: the stock parser closes the connection
 * of whoever gets such a packet.
 */
extern void packet_check_placeholders(Jsonb *args, int attachments);

/* `s`, which is in the database's encoding, in UTF-8. */
extern Slice packet_utf8(Slice s);

#endif							/* ROOMS_BACKEND_PACKET_H */

/*
 * inspect.c - walks the tables of sessions and rooms in slices.
 *
 * Called by gateway/main.c for each QUERY of the worker.  Between two slices
 * everything may change: a walk keeps no pointers, only the number of the next
 * bucket (hash_next_bucket()), and takes whole buckets, which are short.
 */
#include "core/inspect.h"

#include <stdlib.h>

#include "core/session_state.h"

#define BUCKETS_MAX 4096		/* of one slice: most may be empty */

static void
add_optional(Text *t, const char *s)
{
	text_add_item(t, s != NULL ? slice_cstring(s) : (Slice) {0});
}

/* A row begins with its length, known at its end. */
static size_t
begin_row(Text *t)
{
	text_add_u32(t, 0);
	return t->len;
}

static void
end_row(Text *t, size_t begin)
{
	write_u32(t->bytes + begin - 4, (uint32_t) (t->len - begin));
}

static void
add_socket(Text *t, const Socket *socket)
{
	const Caller *caller = socket->caller;
	const Identity *identity = &caller->identity;
	const Session *s = socket->session;
	const Member *m = &socket->member;
	uint8_t		flags = 0;
	size_t		row = begin_row(t);

	flags |= identity->user_id != NULL ? INSPECT_HAS_USER : 0;
	flags |= identity->tenant_id != NULL ? INSPECT_HAS_TENANT : 0;
	flags |= s->transport == TRANSPORT_WEBSOCKET ? INSPECT_WEBSOCKET : 0;
	text_add_item(t, slice_cstring(caller->sid));
	text_add(t, slice(&flags, 1));
	add_optional(t, identity->user_id);
	add_optional(t, identity->tenant_id);
	text_add_item(t, slice_cstring(caller->nsp));
	text_add_item(t, session_peer(s)->address);
	text_add_u64(t, (uint64_t) session_peer(s)->issued);
	text_add_u64(t, s->server->now - s->state->last_seen);
	text_add_u64(t, s->queue.bytes + s->answer_len);
	text_add_u64(t, s->state->messages_in);
	text_add_u64(t, s->messages_out);
	text_add_u64(t, s->state->bytes_in);
	text_add_u64(t, s->bytes_out);
	text_add_u32(t, m->room_count);
	for (uint32_t i = 0; i < m->room_count; i++)
		text_add_item(t, room_name(m->rooms[i].room));
	end_row(t, row);
}

/* Sockets whose CONNECT is not answered yet are not connected. */
static void
add_sockets(Text *t, const Session *s)
{
	if (s->closing != CLOSE_NONE)
		return;
	for (const Socket *socket = s->sockets; socket != NULL; socket = socket->next)
	{
		if (socket->connected)
			add_socket(t, socket);
	}
}

static void
add_room(Text *t, const Room *room)
{
	size_t		row = begin_row(t);

	text_add_item(t, namespace_name(room_namespace(room)));
	text_add_item(t, room_name(room));
	text_add_u32(t, room_size(room));
	end_row(t, row);
}

static void
walk(Server *s, Inspection *i, size_t max)
{
	const HashTable *table = i->what == LINK_QUERY_SOCKETS ? &s->sessions : registry_room_table(s->registry);

	for (uint32_t n = 0; n < BUCKETS_MAX && i->rows.len < max && !i->over; n++)
	{
		for (HashLink *l = hash_chain(table, i->bucket); l != NULL; l = l->next)
		{
			if (i->what == LINK_QUERY_SOCKETS)
				add_sockets(&i->rows, ((SessionState *) l)->session);
			else
				add_room(&i->rows, (const Room *) l);
		}
		i->bucket = hash_next_bucket(table, i->bucket);
		i->over = i->bucket == 0;
	}
}

size_t
server_inspect(Server *s, uint64_t id, LinkQuery what, uint8_t *out, size_t max, bool *more)
{
	Inspection *i = &s->inspection;
	size_t		len;

	if (id != i->id || what != i->what)
	{
		text_free(&i->rows);
		*i = (Inspection) {.id = id,.what = what,.over = what == LINK_QUERY_NONE};
	}
	if (i->taken == i->rows.len)
	{
		/* One large row's memory is not kept for the others. */
		if (i->rows.space > 4 * max)
			text_free(&i->rows);
		i->rows.len = i->taken = 0;
		walk(s, i, max);
	}
	len = i->rows.len - i->taken < max ? i->rows.len - i->taken : max;
	if (len > 0)
		memcpy(out, i->rows.bytes + i->taken, len);
	i->taken += len;
	*more = !i->over || i->taken < i->rows.len;
	if (!*more)
	{
		text_free(&i->rows);
		i->taken = 0;
	}
	return len;
}

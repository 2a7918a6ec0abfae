/*
 * registry_model.h - the registry against a naive model: a table of who is in
 * which room, searched from end to end.
 *
 * A script is bytes: an operation and its operands, one byte each.  Used with
 * random scripts by test_registry.c and by the fuzzer.
 */
#ifndef ROOMS_TEST_REGISTRY_MODEL_H
#define ROOMS_TEST_REGISTRY_MODEL_H

#include "core/registry.h"

#include <stdio.h>

#define MODEL_MEMBERS	24
#define MODEL_SPACES	3
#define MODEL_ROOMS		16

typedef struct Model
{
	Registry   *registry;
	Namespace  *spaces[MODEL_SPACES];
	Member		members[MODEL_MEMBERS];
	int			space_of[MODEL_MEMBERS];	/* -1: none */
	bool		in[MODEL_MEMBERS][MODEL_ROOMS];
	int			called[MODEL_MEMBERS];
	uint8_t		lists[2][MODEL_ROOMS * 16];
	const uint8_t *at;
	const uint8_t *end;
} Model;

static const char *const model_spaces[MODEL_SPACES] = {"/", "/a", "/admin"};
static const char *const model_rooms[MODEL_ROOMS] = {
	"a", "b", "user:1", "user:2", "user:3", "tenant:1", "tenant:2", "abcdefgh", "abcdefghi", "12345678abcdefg",
	"c", "d", "e", "f", "A", "B"
};

static uint8_t
model_next(Model *m)
{
	return m->at < m->end ? *m->at++ : 0;
}

static void
model_call(void *ctx, Member *member)
{
	Model	   *m = ctx;

	m->called[member - m->members]++;
}

/* The rooms whose bits are set, as a list; which: 0 or 1. */
static EnvelopeList
model_list(Model *m, int which, unsigned mask)
{
	uint8_t    *at = m->lists[which];
	EnvelopeList list = {0};

	for (int r = 0; r < MODEL_ROOMS; r++)
	{
		if ((mask >> r & 1) == 0)
			continue;
		at = write_string(at, slice_cstring(model_rooms[r]));
		list.count++;
	}
	list.bytes = slice(m->lists[which], (size_t) (at - m->lists[which]));
	return list;
}

static bool
model_in_any(const Model *m, int member, unsigned mask)
{
	for (int r = 0; r < MODEL_ROOMS; r++)
	{
		if ((mask >> r & 1) && m->in[member][r])
			return true;
	}
	return false;
}

static bool
model_each(Model *m, int space, bool all, unsigned rooms, unsigned except)
{
	uint32_t	expected = 0;
	uint32_t	calls;

	memset(m->called, 0, sizeof(m->called));
	calls = registry_each(m->spaces[space], all, model_list(m, 0, rooms), model_list(m, 1, except), model_call, m);
	for (int i = 0; i < MODEL_MEMBERS; i++)
	{
		int			wanted = m->space_of[i] == space && (all || model_in_any(m, i, rooms)) && !model_in_any(m, i, except);

		if (m->called[i] != wanted)
			return false;
		expected += (uint32_t) wanted;
	}
	return calls == expected;
}

/* Sizes of everything, and each member's rooms. */
static bool
model_same(const Model *m)
{
	uint32_t	rooms = 0;

	for (int s = 0; s < MODEL_SPACES; s++)
	{
		uint32_t	size = 0;

		for (int i = 0; i < MODEL_MEMBERS; i++)
			size += m->space_of[i] == s;
		if (m->spaces[s] != NULL && namespace_size(m->spaces[s]) != size)
			return false;
		for (int r = 0; r < MODEL_ROOMS; r++)
		{
			bool		somebody = false;

			for (int i = 0; i < MODEL_MEMBERS; i++)
				somebody = somebody || (m->space_of[i] == s && m->in[i][r]);
			rooms += somebody;
		}
	}
	if (registry_rooms(m->registry) != rooms)
		return false;
	for (int i = 0; i < MODEL_MEMBERS; i++)
	{
		uint32_t	count = 0;

		for (int r = 0; r < MODEL_ROOMS; r++)
		{
			count += m->in[i][r];
			if (registry_is_in(&m->members[i], slice_cstring(model_rooms[r])) != m->in[i][r])
				return false;
		}
		if (m->members[i].room_count != count)
			return false;
	}
	return true;
}

static void
model_exit(Model *m, int member)
{
	registry_exit(&m->members[member]);
	m->space_of[member] = -1;
	memset(m->in[member], 0, sizeof(m->in[member]));
}

static bool
model_step(Model *m)
{
	int			operation = model_next(m) % 16;
	int			member = model_next(m) % MODEL_MEMBERS;
	int			space = model_next(m) % MODEL_SPACES;
	int			room = model_next(m) % MODEL_ROOMS;
	Slice		name = slice_cstring(model_rooms[room]);
	unsigned	rooms;
	unsigned	except;

	switch (operation)
	{
		case 0:
		case 1:
			if (m->space_of[member] >= 0 || m->spaces[space] == NULL)
				break;
			registry_enter(m->spaces[space], &m->members[member]);
			m->space_of[member] = space;
			break;
		case 2:
			model_exit(m, member);
			break;
		case 3:
			/* A namespace comes or, when everybody has left it, goes. */
			if (m->spaces[space] == NULL)
				m->spaces[space] = registry_add_namespace(m->registry, slice_cstring(model_spaces[space]));
			else
			{
				for (int i = 0; i < MODEL_MEMBERS; i++)
				{
					if (m->space_of[i] == space)
						model_exit(m, i);
				}
				registry_remove_namespace(m->registry, m->spaces[space]);
				m->spaces[space] = NULL;
			}
			if (registry_find_namespace(m->registry, slice_cstring(model_spaces[space])) != m->spaces[space])
				return false;
			break;
		case 4:
		case 5:
		case 6:
			if (m->space_of[member] < 0)
				break;
			registry_leave(&m->members[member], name);
			m->in[member][room] = false;
			break;
		case 7:
		case 8:
			rooms = model_next(m) | (unsigned) model_next(m) << 8;
			except = (model_next(m) | (unsigned) model_next(m) << 8) & (model_next(m) | (unsigned) model_next(m) << 8);
			if (m->spaces[space] != NULL)
				return model_each(m, space, room == 0, rooms, except);
			break;
		default:
			if (m->space_of[member] < 0)
				break;
			registry_join(&m->members[member], name);
			m->in[member][room] = true;
			break;
	}
	return true;
}

/* False: registry and model differ. */
static bool
model_run(const uint8_t *script, size_t len)
{
	static Model m;
	bool		same = true;

	memset(&m, 0, sizeof(m));
	m.registry = registry_new((HashKey) {1, 2});
	m.at = script;
	m.end = script + len;
	for (int s = 0; s < MODEL_SPACES; s++)
		m.spaces[s] = registry_add_namespace(m.registry, slice_cstring(model_spaces[s]));
	for (int i = 0; i < MODEL_MEMBERS; i++)
		m.space_of[i] = -1;
	for (int step = 1; same && m.at < m.end; step++)
		same = model_step(&m) && (step % 16 != 0 || model_same(&m));
	same = same && model_same(&m);
	for (int i = 0; i < MODEL_MEMBERS; i++)
		registry_exit(&m.members[i]);
	registry_free(m.registry);
	return same;
}

#endif							/* ROOMS_TEST_REGISTRY_MODEL_H */

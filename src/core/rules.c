/*
 * rules.c - the registered handlers, as the database told them.
 *
 * The encoded list is kept as it came.  Events and exact room names are found
 * by hash; patterns of rooms are few and are tried one after the other.
 */
#include "core/rules.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/hash.h"
#include "wire/room.h"

typedef struct Entry
{
	HashLink	link;			/* first: in rules->table */
	HandlerRule rule;
} Entry;

struct Rules
{
	HashTable	table;			/* all but patterns */
	Entry	   *entries;
	uint32_t	count;
	uint32_t   *patterns;		/* places in `entries` */
	uint32_t	pattern_count;
	uint8_t		bytes[];
};

/* What clients send is looked up here, but the chains are made of what is registered: no secret key. */
static uint32_t
entry_hash(HandlerKind kind, Slice nsp, Slice name)
{
	HashKey		key = {0, 0};

	return hash_bytes(key, hash_bytes(key, (uint64_t) kind, nsp), name);
}

static bool
is_pattern(const HandlerRule *rule)
{
	return rule->kind == HANDLER_JOIN && rule->name.data[rule->name.len - 1] == '*';
}

Rules *
rules_new(Slice encoded)
{
	Rules	   *r = xcalloc(1, sizeof(*r) + encoded.len);
	HandlerRules list;
	HandlerRule rule;

	write_bytes(r->bytes, encoded);
	if (handler_rules_open(slice(r->bytes, encoded.len), &list) != WIRE_OK)
	{
		free(r);
		return NULL;
	}
	r->entries = xcalloc(list.count > 0 ? list.count : 1, sizeof(*r->entries));
	r->patterns = xcalloc(list.count > 0 ? list.count : 1, sizeof(*r->patterns));
	while (handler_rules_next(&list, &rule))
	{
		Entry	   *e = &r->entries[r->count];

		e->rule = rule;
		if (is_pattern(&rule))
			r->patterns[r->pattern_count++] = r->count;
		else
			hash_insert(&r->table, &e->link, entry_hash(rule.kind, rule.nsp, rule.name));
		r->count++;
	}
	return r;
}

void
rules_free(Rules *r)
{
	if (r == NULL)
		return;
	hash_free(&r->table);
	free(r->entries);
	free(r->patterns);
	free(r);
}

static const HandlerRule *
find(const Rules *r, HandlerKind kind, Slice nsp, Slice name)
{
	uint32_t	hash;

	if (r == NULL)
		return NULL;
	hash = entry_hash(kind, nsp, name);
	for (HashLink *link = hash_chain(&r->table, hash); link != NULL; link = link->next)
	{
		const HandlerRule *rule = &((Entry *) link)->rule;

		if (link->hash == hash && rule->kind == kind && slice_equal(rule->name, name) && slice_equal(rule->nsp, nsp))
			return rule;
	}
	return NULL;
}

bool
rules_handle(const Rules *r, HandlerKind kind, Slice nsp, Slice name)
{
	return find(r, kind, nsp, name) != NULL;
}

bool
rules_join(const Rules *r, Slice nsp, Slice room, HandlerRule *rule)
{
	const HandlerRule *best = find(r, HANDLER_JOIN, nsp, room);
	size_t		best_rank = best != NULL ? SIZE_MAX : 0;

	for (uint32_t i = 0; r != NULL && i < r->pattern_count; i++)
	{
		const HandlerRule *p = &r->entries[r->patterns[i]].rule;
		size_t		rank = slice_equal(p->nsp, nsp) ? room_pattern_rank(p->name, room) : 0;

		if (rank > best_rank)
		{
			best = p;
			best_rank = rank;
		}
	}
	if (best == NULL)
		return false;
	*rule = *best;
	return true;
}

bool
rules_relay(const Rules *r, Slice nsp, Slice room, Slice event)
{
	HandlerRule rule;
	Slice		name;

	if (!rules_join(r, nsp, room, &rule))
		return false;
	while (envelope_next(&rule.relay, &name))
	{
		if (slice_equal(name, event))
			return true;
	}
	return false;
}

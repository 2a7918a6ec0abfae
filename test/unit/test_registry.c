/*
 * test_registry.c - who is in which room: random scripts against a naive
 * model, and what a model does not show.
 */
#include "unit.h"

#include "core/hash.h"
#include "registry_model.h"

static void
scripts(void)
{
	static uint8_t script[20000];
	unsigned	seed = 42;

	for (int i = 0; i < 40; i++)
	{
		size_t		len = sizeof(script) >> (i % 8);

		unit_case("random script %d, %d bytes, against the model", i, (int) len);
		for (size_t k = 0; k < len; k++)
			script[k] = (uint8_t) (rand_r(&seed) >> 8);
		CHECK(model_run(script, len));
	}
}

static void
count(void *ctx, Member *m)
{
	(void) m;
	(*(int *) ctx)++;
}

static EnvelopeList
one_room(uint8_t *buffer, Slice room, uint32_t times)
{
	uint8_t    *at = buffer;

	for (uint32_t i = 0; i < times; i++)
		at = write_string(at, room);
	return (EnvelopeList) {times, slice(buffer, (size_t) (at - buffer))};
}

static void
details(void)
{
	Registry   *r = registry_new((HashKey) {3, 4});
	Namespace  *n = registry_add_namespace(r, SLICE_LITERAL("/"));
	static Member members[1000];
	uint8_t		buffer[100];
	int			calls = 0;

	unit_case("a namespace added twice is one");
	CHECK(registry_add_namespace(r, SLICE_LITERAL("/")) == n && registry_namespaces(r) == 1);
	CHECK(slice_equal(namespace_name(n), SLICE_LITERAL("/")));
	CHECK(registry_find_namespace(r, SLICE_LITERAL("/x")) == NULL);

	unit_case("joining is idempotent; an empty room vanishes");
	registry_enter(n, &members[0]);
	registry_join(&members[0], SLICE_LITERAL("a"));
	registry_join(&members[0], SLICE_LITERAL("a"));
	CHECK(members[0].room_count == 1 && room_size(members[0].rooms[0].room) == 1);
	CHECK(slice_equal(room_name(members[0].rooms[0].room), SLICE_LITERAL("a")));
	CHECK(registry_rooms(r) == 1);
	registry_leave(&members[0], SLICE_LITERAL("a"));
	registry_leave(&members[0], SLICE_LITERAL("a"));
	CHECK(members[0].room_count == 0 && registry_rooms(r) == 0);
	registry_exit(&members[0]);
	registry_exit(&members[0]);
	CHECK(namespace_size(n) == 0);

	unit_case("a room named three times is walked once per member");
	for (int i = 0; i < 1000; i++)
	{
		registry_enter(n, &members[i]);
		registry_join(&members[i], SLICE_LITERAL("all"));
	}
	CHECK(registry_each(n, false, one_room(buffer, SLICE_LITERAL("all"), 3), (EnvelopeList) {0}, count, &calls) == 1000);
	CHECK(calls == 1000);
	for (int i = 0; i < 1000; i++)
		registry_exit(&members[i]);
	CHECK(registry_rooms(r) == 0);

	unit_case("no rooms: nobody");
	registry_enter(n, &members[0]);
	CHECK(registry_each(n, false, (EnvelopeList) {0}, (EnvelopeList) {0}, count, &calls) == 0);
	CHECK(registry_each(n, true, (EnvelopeList) {0}, (EnvelopeList) {0}, count, &calls) == 1);
	registry_exit(&members[0]);

	unit_case("one member in very many rooms leaves all of them");
	registry_enter(n, &members[0]);
	for (int i = 0; i < 20000; i++)
	{
		char		name[20];

		registry_join(&members[0], slice(name, (size_t) snprintf(name, sizeof(name), "room %d", i)));
	}
	CHECK(registry_rooms(r) == 20000 && members[0].room_count == 20000);
	CHECK(registry_is_in(&members[0], SLICE_LITERAL("room 12345")));
	registry_exit(&members[0]);
	CHECK(registry_rooms(r) == 0 && !registry_is_in(&members[0], SLICE_LITERAL("room 1")));

	registry_free(r);
}

static void
hashing(void)
{
	static const uint8_t bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	const HashKey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint32_t	hit[16] = {0};

	/* hash_bytes() folds the 64 bits of SipHash-1-3 in half. */
	unit_case("the hash is SipHash-1-3");
	CHECK(hash_bytes(key, 0, slice(bytes, 0)) == (0xabac0158u ^ 0x050fc4dcu));
	CHECK(hash_bytes(key, 0, slice(bytes, 1)) == (0xc9f49bf3u ^ 0x7d57ca93u));
	CHECK(hash_bytes(key, 0, slice(bytes, 8)) == (0x36909511u ^ 0x8d299a8eu));
	CHECK(hash_bytes(key, 0, slice(bytes, 15)) == (0xd320d86du ^ 0x2a519956u));

	unit_case("another key, another hash; another seed, another hash");
	CHECK(hash_bytes(key, 0, SLICE_LITERAL("x")) != hash_bytes((HashKey) {1, 2}, 0, SLICE_LITERAL("x")));
	CHECK(hash_bytes(key, 0, SLICE_LITERAL("x")) != hash_bytes(key, 1, SLICE_LITERAL("x")));

	unit_case("similar names spread evenly over the buckets");
	for (int i = 0; i < 16000; i++)
	{
		char		name[20];

		hit[hash_bytes(key, 0, slice(name, (size_t) snprintf(name, sizeof(name), "user:%d", i))) & 15]++;
	}
	for (int i = 0; i < 16; i++)
		CHECK(hit[i] > 850 && hit[i] < 1150);
}

int
main(void)
{
	scripts();
	details();
	hashing();
	return unit_done();
}

/*
 * test_room.c - which rooms are the server's own, and which pattern decides.
 */
#include "unit.h"

#include "wire/envelope.h"
#include "wire/room.h"

static bool
reserved(const char *room)
{
	Slice		s = unit_copy(room, strlen(room));
	bool		answer = room_is_reserved(s);

	UNIT_FREE(s);
	return answer;
}

static bool
valid(const char *pattern)
{
	Slice		s = unit_copy(pattern, strlen(pattern));
	bool		answer = room_pattern_valid(s);

	UNIT_FREE(s);
	return answer;
}

static size_t
rank(const char *pattern, const char *room)
{
	Slice		p = unit_copy(pattern, strlen(pattern));
	Slice		r = unit_copy(room, strlen(room));
	size_t		answer = room_pattern_rank(p, r);

	UNIT_FREE(p);
	UNIT_FREE(r);
	return answer;
}

int
main(void)
{
	char		name[ENVELOPE_MAX_NAME + 2];

	unit_case("rooms of users, tenants and sockets are the server's own");
	CHECK(reserved("user:1"));
	CHECK(reserved("user:"));
	CHECK(reserved("tenant:1"));
	CHECK(reserved("_AZaz09-_AZaz09-_AZa"));
	CHECK(room_is_sid(SLICE_LITERAL("_AZaz09-_AZaz09-_AZa")));

	unit_case("others are not");
	CHECK(!reserved(""));
	CHECK(!reserved("user"));
	CHECK(!reserved("User:1"));
	CHECK(!reserved("users:1"));
	CHECK(!reserved(" user:1"));
	CHECK(!reserved("ticket:user:1"));
	CHECK(!reserved("_AZaz09-_AZaz09-_AZ"));
	CHECK(!reserved("_AZaz09-_AZaz09-_AZaz"));
	CHECK(!reserved("aAZaz09-_AZaz09-_AZa"));
	CHECK(!reserved("_AZaz09-_AZaz09+_AZa"));
	CHECK(!room_is_sid(SLICE_LITERAL("user:1")));

	unit_case("a pattern is a name, or the beginning of names and a star");
	CHECK(valid("ticket:1"));
	CHECK(valid("ticket:*"));
	CHECK(valid("*"));
	CHECK(!valid(""));
	CHECK(!valid("**"));
	CHECK(!valid("*a"));
	CHECK(!valid("a*b"));
	CHECK(!valid("a**"));
	memset(name, 'a', sizeof(name));
	name[ENVELOPE_MAX_NAME] = '\0';
	CHECK(valid(name));
	name[ENVELOPE_MAX_NAME] = 'a';
	name[ENVELOPE_MAX_NAME + 1] = '\0';
	CHECK(!valid(name));

	unit_case("the name itself comes before the longest beginning");
	CHECK(rank("ticket:1", "ticket:1") > rank("ticket:1*", "ticket:1"));
	CHECK(rank("ticket:1*", "ticket:1") > rank("ticket:*", "ticket:1"));
	CHECK(rank("ticket:*", "ticket:1") > rank("*", "ticket:1"));
	CHECK(rank("*", "ticket:1") > 0);

	unit_case("what does not fit has no rank");
	CHECK(rank("ticket:1", "ticket:12") == 0);
	CHECK(rank("ticket:12", "ticket:1") == 0);
	CHECK(rank("ticket:*", "ticket") == 0);
	CHECK(rank("ticket:*", "Ticket:1") == 0);
	CHECK(rank("ticket:1", "ticket:*") == 0);

	unit_case("a star in a room's name is a character like others");
	CHECK(rank("ticket:*", "ticket:*") > 0);
	CHECK(rank("ticket:1*", "ticket:*") == 0);
	return unit_done();
}

/*
 * test_address.c - keys of addresses, lists of networks, and whose request
 * it is according to X-Forwarded-For.
 */
#include "unit.h"

#include "wire/address.h"

static bool
same_key(const char *a, const char *b)
{
	uint8_t		of_a[ADDRESS_KEY_MAX];
	uint8_t		of_b[ADDRESS_KEY_MAX];

	return slice_equal(address_key(slice_cstring(a), of_a), address_key(slice_cstring(b), of_b));
}

static bool
in(const char *list, const char *text)
{
	Slice		copy = unit_copy(text, strlen(text));
	bool		listed = address_in_list(list, copy);

	UNIT_FREE(copy);
	return listed;
}

static bool
valid(const char *list)
{
	Slice		bad;

	return address_list_valid(list, &bad);
}

/* Is it this client's?  NULL: no such field. */
static bool
is_of(const char *client, const char *trusted, const char *peer, const char *forwarded)
{
	char		out[ADDRESS_TEXT_MAX];
	Slice		copy = forwarded != NULL ? unit_copy(forwarded, strlen(forwarded)) : (Slice) {0};

	address_of_client(trusted, peer, copy, out);
	if (strcmp(out, client) != 0)
		printf("# got %s\n", out);
	if (forwarded != NULL)
		UNIT_FREE(copy);
	return strcmp(out, client) == 0;
}

static void
keys(void)
{
	unit_case("an IPv4 address counts for itself, in either form");
	CHECK(same_key("10.0.0.1", "10.0.0.1") && !same_key("10.0.0.1", "10.0.0.2"));
	CHECK(same_key("10.0.0.1", "::ffff:10.0.0.1"));

	unit_case("an IPv6 address counts with all of its /64");
	CHECK(same_key("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
	CHECK(!same_key("2001:db8:1:2::1", "2001:db8:1:3::1"));
	CHECK(!same_key("::1", "10.0.0.1") && !same_key("::", "0.0.0.0"));

	unit_case("what is no address counts for itself");
	CHECK(same_key("", "") && same_key("x", "x") && !same_key("x", "") && !same_key("x", "y"));
	CHECK(same_key("a text longer than any key 1", "a text longer than any key 2"));
}

static void
lists(void)
{
	unit_case("a list of addresses and networks");
	CHECK(in("10.0.0.1", "10.0.0.1") && !in("10.0.0.1", "10.0.0.2"));
	CHECK(in(" 192.0.2.1 ,\t10.0.0.0/8 , fd00::/8", "10.255.255.255") && !in("10.0.0.0/8", "11.0.0.0"));
	CHECK(in("10.0.0.0/9", "10.127.0.1") && !in("10.0.0.0/9", "10.128.0.1"));
	CHECK(in("10.1.2.3/31", "10.1.2.2") && !in("10.1.2.3/31", "10.1.2.4"));
	CHECK(in("0.0.0.0/0", "1.2.3.4") && !in("0.0.0.0/0", "::1"));
	CHECK(in("::1", "::1") && in("fd00::/8", "fdff::1") && !in("fd00::/8", "fe00::1"));
	CHECK(in("10.0.0.1", "::ffff:10.0.0.1") && in("::/0", "10.0.0.1"));
	CHECK(!in("", "10.0.0.1") && !in("10.0.0.0/8", "") && !in("10.0.0.0/8", "10.0.0.1 ") && !in("10.0.0.0/8", "10.1"));

	unit_case("what a list may hold");
	CHECK(valid("") && valid("  ") && valid("10.0.0.1") && valid("10.0.0.1, ::1/128,fd00::/8") && valid("0.0.0.0/0"));
	CHECK(!valid("localhost") && !valid("10.0.0.1,") && !valid(",") && !valid("10.0.0.0/33") && !valid("::1/129"));
	CHECK(!valid("10.0.0.0/") && !valid("10.0.0.0/-1") && !valid("10.0.0.0/0x8") && !valid("10.0.0.0/0008"));
	CHECK(!valid("10.0.0.1:80") && !valid("[::1]") && !valid("10.0.0") && !valid("*"));
}

static void
forwarded(void)
{
	const char *const proxies = "10.0.0.0/8, ::1";

	unit_case("an untrusted peer is the client, whatever it says");
	CHECK(is_of("192.0.2.9", proxies, "192.0.2.9", "198.51.100.1"));
	CHECK(is_of("192.0.2.9", "", "192.0.2.9", "198.51.100.1"));
	CHECK(is_of("192.0.2.9", proxies, "192.0.2.9", NULL));

	unit_case("a trusted peer tells who the client is");
	CHECK(is_of("198.51.100.1", proxies, "10.0.0.1", "198.51.100.1"));
	CHECK(is_of("198.51.100.1", proxies, "::1", " 198.51.100.1\t"));
	CHECK(is_of("2001:db8::7", proxies, "::ffff:10.0.0.1", "2001:DB8:0::7"));

	unit_case("what stands left of the client is its own invention");
	CHECK(is_of("198.51.100.1", proxies, "10.0.0.1", "127.0.0.1, 203.0.113.5, 198.51.100.1"));
	CHECK(is_of("198.51.100.1", proxies, "10.0.0.1", "10.0.0.9, 198.51.100.1"));

	unit_case("several proxies in a row");
	CHECK(is_of("198.51.100.1", proxies, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.3,10.0.0.2"));

	unit_case("when all are proxies the first of them asked for itself");
	CHECK(is_of("10.0.0.3", proxies, "10.0.0.1", "10.0.0.3, 10.0.0.2"));
	CHECK(is_of("10.0.0.1", proxies, "10.0.0.1", NULL));

	unit_case("what is no address: the proxy that passed it on");
	CHECK(is_of("10.0.0.1", proxies, "10.0.0.1", ""));
	CHECK(is_of("10.0.0.1", proxies, "10.0.0.1", "unknown"));
	CHECK(is_of("10.0.0.2", proxies, "10.0.0.1", "198.51.100.1, junk, 10.0.0.2"));
	CHECK(is_of("10.0.0.1", proxies, "10.0.0.1", "198.51.100.1,"));
	CHECK(is_of("10.0.0.1", proxies, "10.0.0.1", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22"));

	unit_case("ports are left out");
	CHECK(is_of("198.51.100.1", proxies, "10.0.0.1", "198.51.100.1:4711"));
	CHECK(is_of("2001:db8::7", proxies, "10.0.0.1", "[2001:db8::7]:4711") && is_of("2001:db8::7", proxies, "10.0.0.1", "[2001:db8::7]"));

	unit_case("a peer without an address is itself");
	CHECK(is_of("", proxies, "", "198.51.100.1"));
}

int
main(void)
{
	keys();
	lists();
	forwarded();
	return unit_done();
}

/*
 * address.c - parses addresses, networks, and X-Forwarded-For.
 *
 * Called by the gateway for each connection and handshake, and by the check
 * hook of pg_rooms.trusted_proxies.  Lists are short and read anew each time.
 * Nothing allocates.
 */
#include "wire/address.h"

#include <arpa/inet.h>
#include <stdio.h>

typedef struct Address
{
	uint8_t		bytes[16];		/* IPv4: behind the prefix below */
} Address;

#define IPV4_BITS 96			/* before an IPv4 address */
static const uint8_t ipv4_prefix[IPV4_BITS / 8] = {[10] = 0xff,[11] = 0xff};

static bool
is_ipv4(const Address *a)
{
	return memcmp(a->bytes, ipv4_prefix, sizeof(ipv4_prefix)) == 0;
}

static bool
parse(Slice text, Address *a)
{
	char		copy[ADDRESS_TEXT_MAX];

	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	memcpy(a->bytes, ipv4_prefix, sizeof(ipv4_prefix));
	return inet_pton(AF_INET, copy, a->bytes + sizeof(ipv4_prefix)) == 1 || inet_pton(AF_INET6, copy, a->bytes) == 1;
}

/* Some proxies add the port: "10.0.0.1:80", "[::1]:80", and so "[::1]". */
static bool
parse_with_port(Slice text, Address *a)
{
	const uint8_t *end = NULL;

	if (parse(text, a))
		return true;
	if (text.len > 0 && text.data[0] == '[')
	{
		text = slice(text.data + 1, text.len - 1);
		end = memchr(text.data, ']', text.len);
	}
	else if (text.len > 0)
		end = memchr(text.data, ':', text.len);
	return end != NULL && parse(slice(text.data, (size_t) (end - text.data)), a);
}

/* "address" or "address/bits" */
static bool
parse_network(Slice text, Address *a, unsigned *bits)
{
	const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
	const uint8_t *end = text.data + text.len;
	unsigned	most;

	if (!parse(slice(text.data, slash != NULL ? (size_t) (slash - text.data) : text.len), a))
		return false;
	most = is_ipv4(a) ? 32 : 128;
	*bits = most;
	if (slash != NULL)
	{
		if (slash + 1 == end || end - slash > 4)
			return false;
		*bits = 0;
		for (const uint8_t *c = slash + 1; c < end; c++)
		{
			if (*c < '0' || *c > '9')
				return false;
			*bits = *bits * 10 + (*c - '0');
		}
		if (*bits > most)
			return false;
	}
	*bits += 128 - most;
	return true;
}

static bool
is_within(const Address *a, const Address *network, unsigned bits)
{
	unsigned	whole = bits / 8;

	if (memcmp(a->bytes, network->bytes, whole) != 0)
		return false;
	return bits % 8 == 0 || (a->bytes[whole] ^ network->bytes[whole]) >> (8 - bits % 8) == 0;
}

/* The item that begins at *list, without blanks; *list is the next one, NULL after the last. */
static Slice
next_item(const char **list)
{
	const char *at = *list + strspn(*list, " \t");
	size_t		len = strcspn(at, ",");

	*list = at[len] == ',' ? at + len + 1 : NULL;
	while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
		len--;
	return slice(at, len);
}

static bool
is_listed(const char *list, const Address *a)
{
	Address		network;
	unsigned	bits;

	while (list != NULL)
	{
		if (parse_network(next_item(&list), &network, &bits) && is_within(a, &network, bits))
			return true;
	}
	return false;
}

bool
address_in_list(const char *list, Slice text)
{
	Address		a;

	return parse(text, &a) && is_listed(list, &a);
}

bool
address_list_valid(const char *list, Slice *bad)
{
	Address		network;
	unsigned	bits;

	if (list[strspn(list, " \t")] == '\0')
		return true;
	while (list != NULL)
	{
		*bad = next_item(&list);
		if (!parse_network(*bad, &network, &bits))
			return false;
	}
	return true;
}

Slice
address_key(Slice text, uint8_t out[ADDRESS_KEY_MAX])
{
	Address		a;
	size_t		len = 8;

	if (parse(text, &a))
	{
		if (is_ipv4(&a))
			len = sizeof(a.bytes);
		memcpy(out, a.bytes, len);
		return slice(out, len);
	}
	len = text.len < ADDRESS_KEY_MAX ? text.len : ADDRESS_KEY_MAX;
	write_bytes(out, slice(text.data, len));
	return slice(out, len);
}

/* The last of a comma-separated list, which ends before it then; false at the beginning. */
static bool
take_last(Slice *list, Slice *item)
{
	size_t		at = list->len;

	if (list->data == NULL)
		return false;
	while (at > 0 && list->data[at - 1] != ',')
		at--;
	*item = slice(list->data + at, list->len - at);
	*list = at > 0 ? slice(list->data, at - 1) : (Slice) {0};
	while (item->len > 0 && (item->data[0] == ' ' || item->data[0] == '\t'))
		*item = slice(item->data + 1, item->len - 1);
	while (item->len > 0 && (item->data[item->len - 1] == ' ' || item->data[item->len - 1] == '\t'))
		item->len--;
	return true;
}

void
address_of_client(const char *trusted, const char *peer, Slice forwarded, char out[ADDRESS_TEXT_MAX])
{
	Address		a;
	Address		next;
	Slice		item;

	if (!parse(slice_cstring(peer), &a))
	{
		snprintf(out, ADDRESS_TEXT_MAX, "%s", peer);
		return;
	}
	while (is_listed(trusted, &a) && take_last(&forwarded, &item) && parse_with_port(item, &next))
		a = next;
	if (is_ipv4(&a))
		inet_ntop(AF_INET, a.bytes + sizeof(ipv4_prefix), out, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, a.bytes, out, ADDRESS_TEXT_MAX);
}

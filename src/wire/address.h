/*
 * address.h - network addresses as text, and lists of them.
 *
 * The gateway counts its clients by address and reads X-Forwarded-For;
 * backends check pg_rooms.trusted_proxies.  Numeric IPv4 and IPv6 only; an IPv4
 * address in IPv6 form (::ffff:10.0.0.1) is that IPv4 address.
 */
#ifndef ROOMS_WIRE_ADDRESS_H
#define ROOMS_WIRE_ADDRESS_H

#include "wire/slice.h"

#define ADDRESS_TEXT_MAX	46		/* INET6_ADDRSTRLEN */
#define ADDRESS_KEY_MAX		16

/*
 * What an address is counted by: an IPv4 address, or the first 64 bits of an
 * IPv6 address, of which a single client has the other 64 to choose from.  A
 * text that is no address is its own key, as far as it fits.  Written to `out`.
 */
extern Slice address_key(Slice text, uint8_t out[ADDRESS_KEY_MAX]);

/*
 * Is it in a comma-separated list of addresses and networks (10.0.0.0/8,
 * fd00::/8)?  False for what is no address.
 */
extern bool address_in_list(const char *list, Slice text);

/* False: *bad is the item that is neither an address nor a network. */
extern bool address_list_valid(const char *list, Slice *bad) MUST_CHECK;

/*
 * Whose request it is that came from `peer` with these X-Forwarded-For
 * values, comma-separated.  Proxies append whom they heard it from, so the list
 * is read from its end, as long as it is a proxy in `trusted` that speaks: what
 * stands further left anybody may have written.  Without a trusted peer it is
 * the peer; where something stands that is no address, the proxy that passed it on.
 */
extern void address_of_client(const char *trusted, const char *peer, Slice forwarded, char out[ADDRESS_TEXT_MAX]);

#endif							/* ROOMS_WIRE_ADDRESS_H */

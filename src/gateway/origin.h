/*
 * origin.h - which web pages may connect (pg_rooms.allowed_origins).  Pure.
 */
#ifndef ROOMS_GATEWAY_ORIGIN_H
#define ROOMS_GATEWAY_ORIGIN_H

#include "wire/slice.h"

typedef enum OriginVerdict
{
	ORIGIN_SAME,				/* none, or that of the page's own host: no CORS headers needed */
	ORIGIN_LISTED,				/* allowed by name: echo it */
	ORIGIN_ANY,					/* allowed by '*' */
	ORIGIN_REFUSED
} OriginVerdict;

/* Bytes that a header field may have: no control characters but tab. */
extern bool origin_valid(Slice origin);

/*
 * `allowed` is the setting: "" allows the origin whose host and port are those
 * of the Host header, "*" any, else a comma-separated list of origins.  An
 * empty `origin` means that the client sent none and is no browser page of
 * another site: always allowed.
 */
extern OriginVerdict origin_check(const char *allowed, Slice origin, Slice host);

#endif							/* ROOMS_GATEWAY_ORIGIN_H */

/*
 * jwks.h - the keys of a JSON Web Key Set (RFC 7517).
 */
#ifndef ROOMS_GATEWAY_JWKS_H
#define ROOMS_GATEWAY_JWKS_H

#include "gateway/jwt_key.h"

#define JWKS_MAX_KEYS 100

/*
 * Reads the text of a set into keys[JWKS_MAX_KEYS], which are zeroed, and
 * counts them; fingerprints are left 0.  Gives NULL, or what is wrong with the
 * set: not one of its keys is to be used then, and *count is 0.
 *
 * Keys that are not for verifying tokens with an algorithm of ours are left
 * out (RFC 7517 5), and so are those that are too weak or too large, with
 * *warning set if it was NULL.  A set is bad that is malformed, has more than
 * JWKS_MAX_KEYS keys, two with the same kid, one whose alg is not for its
 * type, a private one, or none that can be used.
 *
 * Texts stay until the next call, and say nothing of what a key consists of.
 */
extern const char *jwks_read(const char *text, JwtKey *keys, size_t *count, const char **warning);

#endif							/* ROOMS_GATEWAY_JWKS_H */

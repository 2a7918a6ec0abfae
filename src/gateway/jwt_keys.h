/*
 * jwt_keys.h - the keys that tokens are verified with, and the arithmetic.
 *
 * auth.c is the only caller.  The algorithm belongs to the key: HS* to a
 * secret, RS* and PS* to an RSA key, ES* to an EC key on that algorithm's own
 * curve, EdDSA to an Ed25519 key; and if a key of a set names one, it alone.
 */
#ifndef ROOMS_GATEWAY_JWT_KEYS_H
#define ROOMS_GATEWAY_JWT_KEYS_H

#include "wire/slice.h"

typedef struct JwtKeys JwtKeys;

/*
 * Takes a shared secret, the PEM text of one public key or certificate, and a
 * JSON Web Key Set (see jwks.h); NULL or "" for none.  A secret that is not
 * fit for use is left out and *warning set.  NULL when the public key or the
 * set is unusable, *error says why.  Both texts stay until the next call.
 */
extern JwtKeys *jwt_keys_new(const char *secret, const char *public_key, const char *jwks,
							 const char **error, const char **warning);
extern void jwt_keys_free(JwtKeys *k);

/* True if there is no key at all. */
extern bool jwt_keys_empty(const JwtKeys *k);

/*
 * Checks the signature of a token.  `token` is its whole text, terminated; its
 * header names the algorithm `alg` and the key `kid`, or none (NULL);
 * `signature` is its last part, decoded.
 *
 * With a set, a kid stands for the key of the set that has it, and no other is
 * tried; without one it means nothing.  A token without kid is tried with the
 * first JWT_MAX_TRIES keys that its algorithm is for: the secret, the public
 * key, then the set in its order.
 *
 * Gives NULL, with *fingerprint set to a number other than 0 that stands for
 * the key, or the code of the refusal: unsupported_algorithm (it is for none
 * of the keys that may be used), unknown_key (no key has this kid),
 * bad_signature.
 */
#define JWT_MAX_TRIES 8
extern const char *jwt_keys_check(const JwtKeys *k, const char *alg, const char *kid, const char *token,
								  Slice signature, uint64_t *fingerprint) MUST_CHECK;

/* Is one of these keys the one that a fingerprint stands for, by whatever kid? */
extern bool jwt_keys_known(const JwtKeys *k, uint64_t fingerprint);

#endif							/* ROOMS_GATEWAY_JWT_KEYS_H */

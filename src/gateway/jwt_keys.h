/*
 * jwt_keys.h - the keys that tokens are verified with, and the arithmetic.
 *
 * auth.c is the only caller.  An algorithm is usable only with the key that
 * it belongs to: HS* with the secret, RS* and PS* with an RSA key, ES* with an
 * EC key on that algorithm's own curve.
 */
#ifndef ROOMS_GATEWAY_JWT_KEYS_H
#define ROOMS_GATEWAY_JWT_KEYS_H

#include "wire/slice.h"

/* RFC 7518 3.2: a key no shorter than the hash (of HS256). */
#define JWT_SECRET_MIN 32

typedef struct JwtKeys JwtKeys;
typedef struct JwtAlgorithm JwtAlgorithm;

/*
 * Takes a shared secret and the PEM text of one public key or certificate;
 * NULL or "" for none.  A secret that is not fit for use is left out and
 * *warning set.  NULL when the public key is unusable, *error says why; both
 * are static text.
 */
extern JwtKeys *jwt_keys_new(const char *secret, const char *public_key,
							 const char **error, const char **warning);
extern void jwt_keys_free(JwtKeys *k);

/* True if there is no key at all. */
extern bool jwt_keys_empty(const JwtKeys *k);

/* The algorithm with exactly this name, or NULL if none of our keys is for it. */
extern const JwtAlgorithm *jwt_keys_algorithm(const JwtKeys *k, const char *name);

/*
 * Checks the signature of a token.  `token` is its whole text, terminated, and
 * its header names `a`; `signature` is its last part, decoded.
 */
extern bool jwt_keys_verify(const JwtKeys *k, const JwtAlgorithm *a, const char *token,
							Slice signature) MUST_CHECK;

/* A number that stands for the key that an algorithm is used with; never 0. */
extern uint64_t jwt_keys_fingerprint(const JwtKeys *k, const JwtAlgorithm *a);

/* Is it that of one of these keys? */
extern bool jwt_keys_known(const JwtKeys *k, uint64_t fingerprint);

#endif							/* ROOMS_GATEWAY_JWT_KEYS_H */

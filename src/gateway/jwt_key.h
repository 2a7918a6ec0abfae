/*
 * jwt_key.h - one key that tokens are verified with.
 *
 * Between jwt_keys.c, which has the secret and the PEM file and chooses among
 * the keys, and jwks.c, which reads them out of a JSON Web Key Set.
 */
#ifndef ROOMS_GATEWAY_JWT_KEY_H
#define ROOMS_GATEWAY_JWT_KEY_H

#include <openssl/types.h>

#include "wire/slice.h"

/* RFC 7518 3.2: a key no shorter than the hash (of HS256). */
#define JWT_SECRET_MIN 32

/* RFC 7518 3.3; and what a token may cost. */
#define JWT_RSA_BITS_MIN 2048
#define JWT_RSA_BITS_MAX 8192

/* An algorithm is for one type of key, and a curve makes a type. */
typedef enum JwtKeyType
{
	JWT_KEY_SECRET,
	JWT_KEY_RSA,
	JWT_KEY_P256,
	JWT_KEY_P384,
	JWT_KEY_P521,
	JWT_KEY_ED25519
} JwtKeyType;

typedef struct JwtAlgorithm JwtAlgorithm;

/* Owns what it points to, but for `only`. */
typedef struct JwtKey
{
	JwtKeyType	type;
	const JwtAlgorithm *only;	/* the one algorithm it is for; NULL: all of its type */
	char	   *kid;			/* NULL: none */
	char	   *secret;			/* JWT_KEY_SECRET: at least JWT_SECRET_MIN bytes */
	size_t		secret_len;
	EVP_PKEY   *public_key;		/* the other types */
	uint64_t	fingerprint;	/* of the key itself, whatever its kid */
} JwtKey;

/* The algorithm with exactly this name, and the type of its keys; NULL if we have none such. */
extern const JwtAlgorithm *jwt_algorithm(const char *name, JwtKeyType *type);

/* Wipes and frees what the key owns. */
extern void jwt_key_clear(JwtKey *key);

#endif							/* ROOMS_GATEWAY_JWT_KEY_H */

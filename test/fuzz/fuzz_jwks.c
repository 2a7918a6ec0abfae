/* with: src/gateway/jwt_keys.c src/gateway/jwks.c */
/*
 * fuzz_jwks.c - a text as a JSON Web Key Set.
 *
 * Either it is bad and there are no keys, or there are some and each does what
 * jwt_key.h says of it.  No token passes without a signature.
 */
#include "gateway/jwks.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/jwt_keys.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_key(const JwtKey *key)
{
	bool		secret = key->type == JWT_KEY_SECRET;

	if ((key->secret != NULL) != secret || (key->public_key != NULL) == secret)
		abort();
	if (secret && key->secret_len < JWT_SECRET_MIN)
		abort();
	if (key->type == JWT_KEY_RSA &&
		(EVP_PKEY_get_bits(key->public_key) < JWT_RSA_BITS_MIN || EVP_PKEY_get_bits(key->public_key) > JWT_RSA_BITS_MAX))
		abort();
}

static void
check_token(const JwtKeys *keys, const char *alg, const char *kid)
{
	static const char token[] = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
	static const uint8_t signature[512];
	const size_t sizes[] = {0, 3, 64, 96, 132, 256, 512};
	uint64_t	fingerprint;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		/* an Ed25519 key of small order takes a signature of zeros */
		if (jwt_keys_check(keys, alg, kid, token, slice(signature, sizes[i]), &fingerprint) == NULL &&
			strncmp(alg, "Ed", 2) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	JwtKey		keys[JWKS_MAX_KEYS] = {0};
	size_t		count;
	char	   *text = malloc(size + 1);
	const char *error;
	const char *warning = NULL;
	JwtKeys    *all;

	memcpy(text, data, size);
	text[size] = '\0';
	error = jwks_read(text, keys, &count, &warning);
	if (error != NULL ? count != 0 : count == 0)
		abort();
	for (size_t i = 0; i < count; i++)
	{
		check_key(&keys[i]);
		jwt_key_clear(&keys[i]);
	}
	for (size_t i = 0; i < JWKS_MAX_KEYS; i++)
	{
		if (keys[i].secret != NULL || keys[i].public_key != NULL || keys[i].kid != NULL)
			abort();
	}
	ERR_clear_error();

	all = jwt_keys_new(NULL, NULL, text, &error, &warning);
	if (all != NULL && text[0] != '\0')
	{
		static const char *const algorithms[] = {"HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "none"};

		if (jwt_keys_empty(all))
			abort();
		for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		{
			check_token(all, algorithms[i], NULL);
			check_token(all, algorithms[i], "1");
		}
	}
	jwt_keys_free(all);
	if (ERR_peek_error() != 0)
		abort();
	free(text);
	return 0;
}

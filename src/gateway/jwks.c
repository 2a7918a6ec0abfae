/*
 * jwks.c - see jwks.h.
 *
 * Called by jwt_keys.c at each reload.  The set comes from a file of the
 * administrator's, who may have fetched it from an issuer: it is to be trusted
 * with who may sign, but not to be well-formed.
 *
 * OpenSSL may leave errors in its queue; the caller clears it.
 */
#include "gateway/jwks.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "wire/base64.h"

#define RSA_BYTES_MAX		(JWT_RSA_BITS_MAX / 8)
#define EXPONENT_BYTES_MAX	8	/* what OpenSSL takes with any modulus */
#define COORDINATE_MAX		66	/* of P-521 */
#define ED25519_BYTES		32

static const char *read_jwk(const json_t *jwk, JwtKey *key, const char **unfit);
static const char *make_key(const json_t *jwk, const char *kty, JwtKey *key, const char **unfit);
static const char *make_secret(const json_t *jwk, JwtKey *key, const char **unfit);
static const char *make_rsa(const json_t *jwk, JwtKey *key, const char **unfit);
static const char *make_ec(const json_t *jwk, JwtKey *key);
static const char *make_ed25519(const json_t *jwk, JwtKey *key);

/* Has an earlier key the kid of this one? */
static bool
kid_taken(const json_t *list, size_t n)
{
	const char *kid = json_string_value(json_object_get(json_array_get(list, n), "kid"));

	for (size_t i = 0; kid != NULL && i < n; i++)
	{
		const char *other = json_string_value(json_object_get(json_array_get(list, i), "kid"));

		if (other != NULL && strcmp(kid, other) == 0)
			return true;
	}
	return false;
}

/* Reads the member "keys" of a set. */
static const char *
read_list(const json_t *list, JwtKey *keys, size_t *count, const char **warning)
{
	static char error_text[200];
	static char warning_text[200];
	const char *first_unfit = NULL;

	if (!json_is_array(list))
		return "the JWKS file is no JSON object with an array \"keys\"";
	if (json_array_size(list) > JWKS_MAX_KEYS)
		return "the JWKS file holds more than 100 keys";
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		JwtKey	   *key = &keys[*count];
		const char *unfit = NULL;
		const char *error = read_jwk(json_array_get(list, i), key, &unfit);

		if (error == NULL && kid_taken(list, i))
			error = "has the kid of another one";
		if (error != NULL)
		{
			jwt_key_clear(key);
			snprintf(error_text, sizeof(error_text), "key %zu of the JWKS file %s", i + 1, error);
			return error_text;
		}
		if (key->secret != NULL || key->public_key != NULL)
			(*count)++;
		else if (unfit != NULL && first_unfit == NULL)
		{
			snprintf(warning_text, sizeof(warning_text), "key %zu of the JWKS file is not used: it %s", i + 1, unfit);
			first_unfit = warning_text;
		}
	}
	if (*count == 0)
		return first_unfit != NULL ? first_unfit : "the JWKS file holds no key that tokens can be verified with";
	if (*warning == NULL)
		*warning = first_unfit;
	return NULL;
}

const char *
jwks_read(const char *text, JwtKey *keys, size_t *count, const char **warning)
{
	json_t	   *set = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *error;

	*count = 0;
	error = set == NULL ? "the JWKS file is not valid JSON" :
		read_list(json_object_get(set, "keys"), keys, count, warning);
	json_decref(set);
	while (error != NULL && *count > 0)
		jwt_key_clear(&keys[--*count]);
	return error;
}

/* A member that is a string, or NULL if it is not there; false if it is something else. */
static bool
text_member(const json_t *jwk, const char *name, const char **text)
{
	const json_t *v = json_object_get(jwk, name);

	*text = json_string_value(v);
	return v == NULL || *text != NULL;
}

static bool
is_private(const json_t *jwk)
{
	/* RFC 7518 6.2.2 and 6.3.2, RFC 8037; priv is that of kty AKP, and not ours to use */
	static const char *const members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "priv"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		if (json_object_get(jwk, members[i]) != NULL)
			return true;
	}
	return false;
}

/* Does key_ops (RFC 7517 4.3) let us? */
static bool
may_verify(const json_t *operations)
{
	for (size_t i = 0; i < json_array_size(operations); i++)
	{
		const char *operation = json_string_value(json_array_get(operations, i));

		if (operation != NULL && strcmp(operation, "verify") == 0)
			return true;
	}
	return operations == NULL;
}

/*
 * Fills *key, or leaves it without a key if this one is not for us; *unfit is
 * set if the administrator might think that it is.  Gives what is wrong: "key
 * 1 of the JWKS file ...".
 */
static const char *
read_jwk(const json_t *jwk, JwtKey *key, const char **unfit)
{
	const json_t *operations = json_object_get(jwk, "key_ops");
	const JwtAlgorithm *only = NULL;
	JwtKeyType	type;
	const char *kty;
	const char *use;
	const char *alg;
	const char *kid;
	const char *error;

	if (!text_member(jwk, "kty", &kty) || kty == NULL)
		return "is no JSON object with a string \"kty\"";
	if (!text_member(jwk, "use", &use) || !text_member(jwk, "alg", &alg) || !text_member(jwk, "kid", &kid) ||
		(operations != NULL && !json_is_array(operations)))
		return "is malformed: use, alg and kid are strings, key_ops is an array";
	/* An oct key is a secret by nature; of all others the file needs the public half only. */
	if (strcmp(kty, "oct") != 0 && is_private(jwk))
		return "is a private key, which this file must not hold: take out its members d, p, q, dp, dq, qi, oth and priv";

	if ((use != NULL && strcmp(use, "sig") != 0) || !may_verify(operations))
		return NULL;
	if (alg != NULL && (only = jwt_algorithm(alg, &type)) == NULL)
		return NULL;
	error = make_key(jwk, kty, key, unfit);
	if (error != NULL || (key->secret == NULL && key->public_key == NULL))
		return error;
	if (only != NULL && type != key->type)
		return "has an alg that is not for its kty and crv";
	key->only = only;
	key->kid = kid != NULL ? xstrndup(kid, strlen(kid)) : NULL;
	return NULL;
}

static const char *
make_key(const json_t *jwk, const char *kty, JwtKey *key, const char **unfit)
{
	if (strcmp(kty, "oct") == 0)
		return make_secret(jwk, key, unfit);
	if (strcmp(kty, "RSA") == 0)
		return make_rsa(jwk, key, unfit);
	if (strcmp(kty, "EC") == 0)
		return make_ec(jwk, key);
	if (strcmp(kty, "OKP") == 0)
		return make_ed25519(jwk, key);
	return NULL;
}

/*
 * Decodes a member into out[max].  Gives its size, max + 1 if it is larger, or
 * -1 if it is not there or not in base64url.
 */
static long
bytes_member(const json_t *jwk, const char *name, uint8_t *out, size_t max)
{
	const json_t *v = json_object_get(jwk, name);
	Slice		text = slice(json_string_value(v), json_string_length(v));

	if (!json_is_string(v))
		return -1;
	if (text.len / 4 * 3 + text.len % 4 * 3 / 4 > max)
		return (long) max + 1;
	return base64url_decode(out, text);
}

static const char *
make_secret(const json_t *jwk, JwtKey *key, const char **unfit)
{
	size_t		max = json_string_length(json_object_get(jwk, "k"));
	uint8_t    *bytes = xmalloc(max + 1);
	long		len = bytes_member(jwk, "k", bytes, max);

	key->type = JWT_KEY_SECRET;
	key->secret = (char *) bytes;
	key->secret_len = max + 1;	/* for jwt_key_clear() */
	if (len < 0)
		return "is malformed: k of an oct key is in base64url, without padding";
	if (len < JWT_SECRET_MIN)
		*unfit = "is shorter than 32 bytes";
	else if (memmem(bytes, (size_t) len, "-----BEGIN ", 11) != NULL)
		*unfit = "is a PEM file, not a secret";	/* with a public key everybody could sign */
	else
	{
		key->secret_len = (size_t) len;
		return NULL;
	}
	jwt_key_clear(key);
	return NULL;
}

static EVP_PKEY *
key_from_params(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY   *key = NULL;

	if (ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *
rsa_from_numbers(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY   *key;

	if (build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	key = key_from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static const char *
make_rsa(const json_t *jwk, JwtKey *key, const char **unfit)
{
	static const char *const malformed =
		"is malformed: n and e of an RSA key are odd numbers in base64url, without padding";
	uint8_t		modulus[RSA_BYTES_MAX];
	uint8_t		exponent[EXPONENT_BYTES_MAX];
	long		modulus_len = bytes_member(jwk, "n", modulus, sizeof(modulus));
	long		exponent_len = bytes_member(jwk, "e", exponent, sizeof(exponent));
	BIGNUM	   *n;
	BIGNUM	   *e;
	const char *error = NULL;

	if (modulus_len < 0 || exponent_len < 0)
		return malformed;
	if (modulus_len > RSA_BYTES_MAX || exponent_len > EXPONENT_BYTES_MAX)
	{
		*unfit = "is an RSA key of more than 8192 bits, or with an exponent of more than 64";
		return NULL;
	}
	n = BN_bin2bn(modulus, (int) modulus_len, NULL);
	e = BN_bin2bn(exponent, (int) exponent_len, NULL);
	if (n == NULL || e == NULL)
		error = "could not be read: out of memory";
	else if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
		error = malformed;
	else if (BN_num_bits(n) < JWT_RSA_BITS_MIN)
		*unfit = "is an RSA key of less than 2048 bits";
	else
	{
		key->type = JWT_KEY_RSA;
		key->public_key = rsa_from_numbers(n, e);
		if (key->public_key == NULL)
			error = "is no RSA key that OpenSSL takes";
	}
	BN_free(n);
	BN_free(e);
	return error;
}

static const char *
make_ec(const json_t *jwk, JwtKey *key)
{
	static const struct
	{
		const char *crv;		/* RFC 7518 6.2.1.1, and a name that OpenSSL knows */
		JwtKeyType	type;
		long		coordinate;	/* bytes */
	}			curves[] = {
		{"P-256", JWT_KEY_P256, 32},
		{"P-384", JWT_KEY_P384, 48},
		{"P-521", JWT_KEY_P521, COORDINATE_MAX},
	};
	uint8_t		point[1 + 2 * COORDINATE_MAX] = {4};	/* SEC 1 2.3.3: x and y follow */
	const char *crv;

	if (!text_member(jwk, "crv", &crv) || crv == NULL)
		return "is an EC key without a string \"crv\"";
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
	{
		long		n = curves[i].coordinate;
		OSSL_PARAM	params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) curves[i].crv, 0),
			OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * (size_t) n),
			OSSL_PARAM_construct_end(),
		};

		if (strcmp(crv, curves[i].crv) != 0)
			continue;
		if (bytes_member(jwk, "x", point + 1, (size_t) n) != n ||
			bytes_member(jwk, "y", point + 1 + n, (size_t) n) != n)
			return "is malformed: x and y of an EC key are as long as its curve's field, in base64url without padding";
		key->type = curves[i].type;
		key->public_key = key_from_params("EC", params);
		return key->public_key != NULL ? NULL : "is no point of its curve";
	}
	return NULL;
}

/* RFC 8037; the other curves are not for signatures, or not for us. */
static const char *
make_ed25519(const json_t *jwk, JwtKey *key)
{
	uint8_t		bytes[ED25519_BYTES];
	const char *crv;

	if (!text_member(jwk, "crv", &crv) || crv == NULL)
		return "is an OKP key without a string \"crv\"";
	if (strcmp(crv, "Ed25519") != 0)
		return NULL;
	if (bytes_member(jwk, "x", bytes, sizeof(bytes)) != ED25519_BYTES)
		return "is malformed: x of an Ed25519 key is 32 bytes in base64url, without padding";
	key->type = JWT_KEY_ED25519;
	key->public_key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, bytes, sizeof(bytes));
	return key->public_key != NULL ? NULL : "is no Ed25519 key that OpenSSL takes";
}

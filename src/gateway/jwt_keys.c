/*
 * jwt_keys.c - see jwt_keys.h.
 *
 * HMAC goes through libjwt, all else through OpenSSL's EVP with the key parsed
 * once: libjwt 1.x parses the PEM again for every token, which costs ten times
 * the verification itself.
 *
 * Two habits of libjwt 1.x are why its callers must be careful, and why it is
 * called in one place only: it takes the algorithm from the token, and with an
 * empty key it returns any token as good.
 *
 * OpenSSL leaves its failures in a queue per thread that SSL_get_error() reads
 * later, for connections that have nothing to do with them; so every failure
 * here clears it.
 */
#include "gateway/jwt_keys.h"

#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "gateway/jwks.h"

#define ECDSA_DER_MAX	160		/* SEQUENCE of two INTEGERs of P-521: 141 */

typedef enum Family
{
	FAMILY_HS,
	FAMILY_RS,
	FAMILY_PS,
	FAMILY_ES,
	FAMILY_ED
} Family;

enum
{
	DIGEST_SHA256,
	DIGEST_SHA384,
	DIGEST_SHA512,
	DIGEST_COUNT,
	DIGEST_NONE = DIGEST_COUNT
};

struct JwtAlgorithm
{
	const char *name;
	Family		family;
	JwtKeyType	type;			/* of its keys */
	int			digest;			/* FAMILY_ED does without */
	size_t		coordinate;		/* FAMILY_ES: bytes of r and of s */
};

static const JwtAlgorithm algorithms[] = {
	{"HS256", FAMILY_HS, JWT_KEY_SECRET, DIGEST_SHA256, 0},
	{"HS384", FAMILY_HS, JWT_KEY_SECRET, DIGEST_SHA384, 0},
	{"HS512", FAMILY_HS, JWT_KEY_SECRET, DIGEST_SHA512, 0},
	{"RS256", FAMILY_RS, JWT_KEY_RSA, DIGEST_SHA256, 0},
	{"RS384", FAMILY_RS, JWT_KEY_RSA, DIGEST_SHA384, 0},
	{"RS512", FAMILY_RS, JWT_KEY_RSA, DIGEST_SHA512, 0},
	{"PS256", FAMILY_PS, JWT_KEY_RSA, DIGEST_SHA256, 0},
	{"PS384", FAMILY_PS, JWT_KEY_RSA, DIGEST_SHA384, 0},
	{"PS512", FAMILY_PS, JWT_KEY_RSA, DIGEST_SHA512, 0},
	{"ES256", FAMILY_ES, JWT_KEY_P256, DIGEST_SHA256, 32},
	{"ES384", FAMILY_ES, JWT_KEY_P384, DIGEST_SHA384, 48},
	{"ES512", FAMILY_ES, JWT_KEY_P521, DIGEST_SHA512, 66},
	{"EdDSA", FAMILY_ED, JWT_KEY_ED25519, DIGEST_NONE, 0},	/* RFC 8037 */
	{"Ed25519", FAMILY_ED, JWT_KEY_ED25519, DIGEST_NONE, 0},	/* ... as RFC 9864 names it */
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

struct JwtKeys
{
	JwtKey		keys[2 + JWKS_MAX_KEYS];	/* the secret, the public key, the set */
	size_t		count;
	bool		by_kid;			/* there is a set */
	EVP_MD	   *digests[DIGEST_COUNT];
};

static const char *add_keys(JwtKeys *k, const char *secret, const char *public_key, const char *jwks,
							const char **warning);
static void set_fingerprint(const JwtKeys *k, JwtKey *key);
static char *usable_secret(const char *secret, const char **warning);
static const char *load_public_key(JwtKey *key, const char *pem);
static bool verify(const JwtKeys *k, const JwtKey *key, const JwtAlgorithm *a, const char *token, Slice signature);

JwtKeys *
jwt_keys_new(const char *secret, const char *public_key, const char *jwks,
			 const char **error, const char **warning)
{
	static const char *const names[DIGEST_COUNT] = {"SHA256", "SHA384", "SHA512"};
	JwtKeys    *k = xcalloc(1, sizeof(*k));

	*error = NULL;
	*warning = NULL;
	/* fetched once: an implicit fetch for every token costs more than an HMAC */
	for (int i = 0; i < DIGEST_COUNT && *error == NULL; i++)
	{
		k->digests[i] = EVP_MD_fetch(NULL, names[i], NULL);
		if (k->digests[i] == NULL)
			*error = "OpenSSL does not offer SHA-2";
	}
	if (*error == NULL)
		*error = add_keys(k, secret, public_key, jwks, warning);
	ERR_clear_error();
	if (*error != NULL)
	{
		jwt_keys_free(k);
		return NULL;
	}
	for (size_t i = 0; i < k->count; i++)
		set_fingerprint(k, &k->keys[i]);
	return k;
}

void
jwt_keys_free(JwtKeys *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++)
		jwt_key_clear(&k->keys[i]);
	for (int i = 0; i < DIGEST_COUNT; i++)
		EVP_MD_free(k->digests[i]);
	free(k);
}

void
jwt_key_clear(JwtKey *key)
{
	if (key->secret != NULL)
		OPENSSL_cleanse(key->secret, key->secret_len);
	free(key->secret);
	free(key->kid);
	EVP_PKEY_free(key->public_key);
	memset(key, 0, sizeof(*key));
}

bool
jwt_keys_empty(const JwtKeys *k)
{
	return k->count == 0;
}

static const JwtAlgorithm *
find_algorithm(const char *name)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++)
	{
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	}
	return NULL;
}

const JwtAlgorithm *
jwt_algorithm(const char *name, JwtKeyType *type)
{
	const JwtAlgorithm *a = find_algorithm(name);

	if (a != NULL)
		*type = a->type;
	return a;
}

static bool
has_kid(const JwtKey *key, const char *kid)
{
	return key->kid != NULL && strcmp(key->kid, kid) == 0;
}

static bool
is_for(const JwtKey *key, const JwtAlgorithm *a)
{
	return key->type == a->type && (key->only == NULL || key->only == a);
}

const char *
jwt_keys_check(const JwtKeys *k, const char *alg, const char *kid, const char *token,
			   Slice signature, uint64_t *fingerprint)
{
	const JwtAlgorithm *a = find_algorithm(alg);
	bool		by_kid = k->by_kid && kid != NULL;
	bool		found = !by_kid;
	int			tries = 0;

	if (a == NULL)
		return "unsupported_algorithm";
	for (size_t i = 0; i < k->count && tries < JWT_MAX_TRIES; i++)
	{
		const JwtKey *key = &k->keys[i];

		if (by_kid && !has_kid(key, kid))
			continue;
		found = true;
		if (!is_for(key, a))
			continue;
		tries++;
		if (verify(k, key, a, token, signature))
		{
			*fingerprint = key->fingerprint;
			return NULL;
		}
	}
	return !found ? "unknown_key" : tries == 0 ? "unsupported_algorithm" : "bad_signature";
}

bool
jwt_keys_known(const JwtKeys *k, uint64_t fingerprint)
{
	for (size_t i = 0; i < k->count; i++)
	{
		if (k->keys[i].fingerprint == fingerprint)
			return true;
	}
	return false;
}

/* Fills k->keys; gives what is wrong, or NULL. */
static const char *
add_keys(JwtKeys *k, const char *secret, const char *public_key, const char *jwks, const char **warning)
{
	JwtKey	   *key = &k->keys[k->count];
	const char *error = NULL;
	size_t		n;

	key->secret = usable_secret(secret, warning);
	if (key->secret != NULL)
	{
		key->type = JWT_KEY_SECRET;
		key->secret_len = strlen(key->secret);
		key = &k->keys[++k->count];
	}
	if (public_key != NULL && public_key[0] != '\0')
	{
		k->count++;
		error = load_public_key(key, public_key);
	}
	if (error == NULL && jwks != NULL && jwks[0] != '\0')
	{
		k->by_kid = true;
		error = jwks_read(jwks, &k->keys[k->count], &n, warning);
		k->count += n;
	}
	return error;
}

/* The first 8 bytes of a SHA-256, which tell nothing of a secret this long. */
static void
set_fingerprint(const JwtKeys *k, JwtKey *key)
{
	uint8_t		hash[EVP_MAX_MD_SIZE] = {0};
	uint8_t    *der = NULL;
	int			der_len = key->public_key != NULL ? i2d_PUBKEY(key->public_key, &der) : 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good = ctx != NULL && EVP_DigestInit_ex2(ctx, k->digests[DIGEST_SHA256], NULL) == 1 &&
		EVP_DigestUpdate(ctx, key->secret != NULL ? "secret" : "public", 6) == 1 &&
		EVP_DigestUpdate(ctx, key->secret, key->secret_len) == 1 &&
		EVP_DigestUpdate(ctx, der, der_len > 0 ? (size_t) der_len : 0) == 1 && EVP_DigestFinal_ex(ctx, hash, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	memcpy(&key->fingerprint, hash, sizeof(key->fingerprint));
	if (!good || key->fingerprint == 0)
		key->fingerprint = 1;
}

/* A copy of the secret, or NULL with or (not set) without a warning. */
static char *
usable_secret(const char *secret, const char **warning)
{
	if (secret == NULL || secret[0] == '\0')
		return NULL;
	if (strlen(secret) < JWT_SECRET_MIN)
	{
		*warning = "the JWT secret is shorter than 32 bytes and is not used";
		return NULL;
	}
	/* a public key in the wrong setting would let everybody sign */
	if (strstr(secret, "-----BEGIN ") != NULL)
	{
		*warning = "the JWT secret is a PEM file, not a secret, and is not used";
		return NULL;
	}
	return xstrndup(secret, strlen(secret));
}

/* libjwt 1.x: the key must not be empty, and the algorithm is looked at again. */
static bool
verify_hmac(const JwtKey *key, const JwtAlgorithm *a, const char *token)
{
	jwt_t	   *jwt = NULL;
	bool		good;

	if (key->secret == NULL || key->secret_len < JWT_SECRET_MIN)
		return false;
	if (jwt_decode(&jwt, token, (const unsigned char *) key->secret, (int) key->secret_len) != 0)
		return false;
	good = jwt_get_alg(jwt) == jwt_str_alg(a->name);
	jwt_free(jwt);
	return good;
}

/*
 * JOSE writes an ECDSA signature as r || s of fixed width (RFC 7518 3.4),
 * OpenSSL wants DER.  Gives its size, or 0.
 */
static size_t
ecdsa_der(Slice signature, size_t coordinate, uint8_t *der)
{
	BIGNUM	   *r = BN_bin2bn(signature.data, (int) coordinate, NULL);
	BIGNUM	   *s = BN_bin2bn(signature.data + coordinate, (int) coordinate, NULL);
	ECDSA_SIG  *sig = ECDSA_SIG_new();
	int			len = 0;

	if (r != NULL && s != NULL && sig != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
	{
		r = s = NULL;			/* sig's now */
		if (i2d_ECDSA_SIG(sig, NULL) <= ECDSA_DER_MAX)
			len = i2d_ECDSA_SIG(sig, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t) len : 0;
}

/* PSS as RFC 7518 3.5 fixes it: MGF1 with the same hash (OpenSSL's default), salt as long as the hash. */
static bool
set_pss(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool
verify_evp(const JwtKeys *k, const JwtKey *key, const JwtAlgorithm *a, Slice text, Slice signature)
{
	const EVP_MD *digest = a->digest == DIGEST_NONE ? NULL : k->digests[a->digest];
	uint8_t		der[ECDSA_DER_MAX];
	EVP_PKEY_CTX *pkey_ctx;		/* owned by ctx */
	EVP_MD_CTX *ctx;
	bool		good;

	if (a->family == FAMILY_ES)
	{
		if (signature.len != 2 * a->coordinate)
			return false;
		signature = slice(der, ecdsa_der(signature, a->coordinate, der));
	}
	else if (signature.len != (size_t) EVP_PKEY_get_size(key->public_key))
		return false;

	ctx = EVP_MD_CTX_new();
	good = ctx != NULL &&
		EVP_DigestVerifyInit(ctx, &pkey_ctx, digest, NULL, key->public_key) == 1 &&
		(a->family != FAMILY_PS || set_pss(pkey_ctx)) &&
		EVP_DigestVerify(ctx, signature.data, signature.len, text.data, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

static bool
verify(const JwtKeys *k, const JwtKey *key, const JwtAlgorithm *a, const char *token, Slice signature)
{
	const char *dot = strrchr(token, '.');
	bool		good;

	if (dot == NULL)
		return false;
	if (a->family == FAMILY_HS)
		good = verify_hmac(key, a, token);
	else
		good = verify_evp(k, key, a, slice(token, (size_t) (dot - token)), signature);
	if (!good)
		ERR_clear_error();
	return good;
}

/*
 * The next public key of a PEM text, also out of a certificate; NULL if there
 * is none.  PEM_read_bio() and d2i never ask for a password, as
 * PEM_read_bio_PUBKEY() may, on the terminal.
 */
static EVP_PKEY *
read_public_key(BIO *bio)
{
	EVP_PKEY   *key = NULL;
	char	   *name = NULL;
	char	   *header = NULL;
	uint8_t    *bytes = NULL;
	const uint8_t *at;
	X509	   *certificate;
	long		len;

	if (PEM_read_bio(bio, &name, &header, &bytes, &len) != 1)
		return NULL;
	at = bytes;
	if (strcmp(name, PEM_STRING_PUBLIC) == 0)
		key = d2i_PUBKEY(NULL, &at, len);
	else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, len);
	else if (strcmp(name, PEM_STRING_X509) == 0 && (certificate = d2i_X509(NULL, &at, len)) != NULL)
	{
		key = X509_get_pubkey(certificate);
		X509_free(certificate);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(bytes);
	return key;
}

/* The type of a key on this curve; false if we know none. */
static bool
curve_type(const EVP_PKEY *key, JwtKeyType *type)
{
	static const struct
	{
		const char *name;		/* that OpenSSL gives */
		JwtKeyType	type;
	}			curves[] = {
		{"prime256v1", JWT_KEY_P256},
		{"secp384r1", JWT_KEY_P384},
		{"secp521r1", JWT_KEY_P521},
	};
	char		name[64];
	size_t		len;

	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), &len) != 1)
		return false;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
	{
		if (strcmp(curves[i].name, name) == 0)
		{
			*type = curves[i].type;
			return true;
		}
	}
	return false;
}

/* Sets key->public_key and key->type; gives what is wrong, or NULL. */
static const char *
load_public_key(JwtKey *key, const char *pem)
{
	BIO		   *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY   *second;

	if (bio == NULL)
		return "out of memory";
	key->public_key = read_public_key(bio);
	second = key->public_key != NULL ? read_public_key(bio) : NULL;
	BIO_free(bio);
	if (key->public_key == NULL)
		return "the JWT public key file does not begin with a PEM public key or certificate";
	if (second != NULL)
	{
		EVP_PKEY_free(second);
		return "the JWT public key file holds more than one key";
	}

	switch (EVP_PKEY_get_base_id(key->public_key))
	{
		case EVP_PKEY_RSA:
			key->type = JWT_KEY_RSA;
			if (EVP_PKEY_get_bits(key->public_key) < JWT_RSA_BITS_MIN)
				return "the JWT public key is an RSA key of less than 2048 bits";
			return NULL;
		case EVP_PKEY_EC:
			return curve_type(key->public_key, &key->type) ? NULL :
				"the JWT public key is on a curve other than P-256, P-384 and P-521";
		default:
			return "the JWT public key is neither an RSA nor an EC key";
	}
}

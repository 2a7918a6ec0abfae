/*
 * jwt_keys.c - see jwt_keys.h.
 *
 * HMAC goes through libjwt, RSA and ECDSA through OpenSSL's EVP with the key
 * parsed once: libjwt 1.x parses the PEM again for every token, which costs
 * ten times the verification itself.
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

#define RSA_BITS_MIN	2048	/* RFC 7518 3.3 */
#define ECDSA_DER_MAX	160		/* SEQUENCE of two INTEGERs of P-521: 141 */

typedef enum Family
{
	FAMILY_HS,
	FAMILY_RS,
	FAMILY_PS,
	FAMILY_ES
} Family;

enum
{
	DIGEST_SHA256,
	DIGEST_SHA384,
	DIGEST_SHA512,
	DIGEST_COUNT
};

struct JwtAlgorithm
{
	const char *name;
	Family		family;
	int			digest;
	jwt_alg_t	libjwt;			/* FAMILY_HS */
	const char *curve;			/* FAMILY_ES: OpenSSL's name of it */
	size_t		coordinate;		/* FAMILY_ES: bytes of r and of s */
};

static const JwtAlgorithm algorithms[] = {
	{"HS256", FAMILY_HS, DIGEST_SHA256, JWT_ALG_HS256, NULL, 0},
	{"HS384", FAMILY_HS, DIGEST_SHA384, JWT_ALG_HS384, NULL, 0},
	{"HS512", FAMILY_HS, DIGEST_SHA512, JWT_ALG_HS512, NULL, 0},
	{"RS256", FAMILY_RS, DIGEST_SHA256, JWT_ALG_NONE, NULL, 0},
	{"RS384", FAMILY_RS, DIGEST_SHA384, JWT_ALG_NONE, NULL, 0},
	{"RS512", FAMILY_RS, DIGEST_SHA512, JWT_ALG_NONE, NULL, 0},
	{"PS256", FAMILY_PS, DIGEST_SHA256, JWT_ALG_NONE, NULL, 0},
	{"PS384", FAMILY_PS, DIGEST_SHA384, JWT_ALG_NONE, NULL, 0},
	{"PS512", FAMILY_PS, DIGEST_SHA512, JWT_ALG_NONE, NULL, 0},
	{"ES256", FAMILY_ES, DIGEST_SHA256, JWT_ALG_NONE, "prime256v1", 32},
	{"ES384", FAMILY_ES, DIGEST_SHA384, JWT_ALG_NONE, "secp384r1", 48},
	{"ES512", FAMILY_ES, DIGEST_SHA512, JWT_ALG_NONE, "secp521r1", 66},
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

struct JwtKeys
{
	char	   *secret;			/* NULL: none; at least JWT_SECRET_MIN bytes */
	size_t		secret_len;
	EVP_PKEY   *public_key;		/* NULL: none; RSA, or EC on `curve` */
	const char *curve;			/* one of algorithms[].curve; NULL for RSA */
	EVP_MD	   *digests[DIGEST_COUNT];
	uint64_t	secret_print;	/* fingerprints; 0: there is no such key */
	uint64_t	public_print;
};

static char *usable_secret(const char *secret, const char **warning);
static uint64_t fingerprint(const JwtKeys *k, const char *prefix, const void *bytes, size_t len);
static uint64_t public_fingerprint(const JwtKeys *k);
static const char *load_public_key(JwtKeys *k, const char *pem);
static bool verify_hmac(const JwtKeys *k, const JwtAlgorithm *a, const char *token);
static bool verify_evp(const JwtKeys *k, const JwtAlgorithm *a, Slice text, Slice signature);

JwtKeys *
jwt_keys_new(const char *secret, const char *public_key, const char **error, const char **warning)
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
	if (*error == NULL && public_key != NULL && public_key[0] != '\0')
		*error = load_public_key(k, public_key);
	ERR_clear_error();
	if (*error != NULL)
	{
		jwt_keys_free(k);
		return NULL;
	}

	k->secret = usable_secret(secret, warning);
	k->secret_len = k->secret != NULL ? strlen(k->secret) : 0;
	k->secret_print = k->secret != NULL ? fingerprint(k, "secret", k->secret, k->secret_len) : 0;
	k->public_print = k->public_key != NULL ? public_fingerprint(k) : 0;
	return k;
}

void
jwt_keys_free(JwtKeys *k)
{
	if (k == NULL)
		return;
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	EVP_PKEY_free(k->public_key);
	for (int i = 0; i < DIGEST_COUNT; i++)
		EVP_MD_free(k->digests[i]);
	free(k);
}

bool
jwt_keys_empty(const JwtKeys *k)
{
	return k->secret == NULL && k->public_key == NULL;
}

const JwtAlgorithm *
jwt_keys_algorithm(const JwtKeys *k, const char *name)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++)
	{
		const JwtAlgorithm *a = &algorithms[i];

		if (strcmp(a->name, name) != 0)
			continue;
		if (a->family == FAMILY_HS)
			return k->secret != NULL ? a : NULL;
		/* both curves are pointers into the table, NULL for RSA */
		return k->public_key != NULL && k->curve == a->curve ? a : NULL;
	}
	return NULL;
}

bool
jwt_keys_verify(const JwtKeys *k, const JwtAlgorithm *a, const char *token, Slice signature)
{
	const char *dot = strrchr(token, '.');
	bool		good;

	if (dot == NULL)
		return false;
	if (a->family == FAMILY_HS)
		good = verify_hmac(k, a, token);
	else
		good = verify_evp(k, a, slice(token, (size_t) (dot - token)), signature);
	if (!good)
		ERR_clear_error();
	return good;
}

uint64_t
jwt_keys_fingerprint(const JwtKeys *k, const JwtAlgorithm *a)
{
	return a->family == FAMILY_HS ? k->secret_print : k->public_print;
}

bool
jwt_keys_known(const JwtKeys *k, uint64_t fingerprint)
{
	return fingerprint != 0 && (fingerprint == k->secret_print || fingerprint == k->public_print);
}

/* The first 8 bytes of a SHA-256, which tell nothing of a secret this long. */
static uint64_t
fingerprint(const JwtKeys *k, const char *prefix, const void *bytes, size_t len)
{
	uint8_t		hash[EVP_MAX_MD_SIZE] = {0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good = ctx != NULL && EVP_DigestInit_ex2(ctx, k->digests[DIGEST_SHA256], NULL) == 1 &&
		EVP_DigestUpdate(ctx, prefix, strlen(prefix)) == 1 &&
		EVP_DigestUpdate(ctx, bytes, len) == 1 && EVP_DigestFinal_ex(ctx, hash, NULL) == 1;
	uint64_t	print;

	EVP_MD_CTX_free(ctx);
	memcpy(&print, hash, sizeof(print));
	return good && print != 0 ? print : 1;
}

static uint64_t
public_fingerprint(const JwtKeys *k)
{
	uint8_t    *der = NULL;
	int			len = i2d_PUBKEY(k->public_key, &der);
	uint64_t	print = fingerprint(k, "public", der, len > 0 ? (size_t) len : 0);

	OPENSSL_free(der);
	return print;
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
verify_hmac(const JwtKeys *k, const JwtAlgorithm *a, const char *token)
{
	jwt_t	   *jwt = NULL;
	bool		good;

	if (k->secret == NULL || k->secret_len < JWT_SECRET_MIN)
		return false;
	if (jwt_decode(&jwt, token, (const unsigned char *) k->secret, (int) k->secret_len) != 0)
		return false;
	good = jwt_get_alg(jwt) == a->libjwt;
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
verify_evp(const JwtKeys *k, const JwtAlgorithm *a, Slice text, Slice signature)
{
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
	else if (signature.len != (size_t) EVP_PKEY_get_size(k->public_key))
		return false;

	ctx = EVP_MD_CTX_new();
	good = ctx != NULL &&
		EVP_DigestVerifyInit(ctx, &pkey_ctx, k->digests[a->digest], NULL, k->public_key) == 1 &&
		(a->family != FAMILY_PS || set_pss(pkey_ctx)) &&
		EVP_DigestVerify(ctx, signature.data, signature.len, text.data, text.len) == 1;
	EVP_MD_CTX_free(ctx);
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

/* The table's name of an EC key's curve, or NULL. */
static const char *
key_curve(const EVP_PKEY *key)
{
	char		name[64];
	size_t		len;

	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), &len) != 1)
		return NULL;
	for (size_t i = 0; i < ALGORITHM_COUNT; i++)
	{
		if (algorithms[i].curve != NULL && strcmp(algorithms[i].curve, name) == 0)
			return algorithms[i].curve;
	}
	return NULL;
}

/* Sets k->public_key and k->curve; gives what is wrong, or NULL. */
static const char *
load_public_key(JwtKeys *k, const char *pem)
{
	BIO		   *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY   *second;

	if (bio == NULL)
		return "out of memory";
	k->public_key = read_public_key(bio);
	second = k->public_key != NULL ? read_public_key(bio) : NULL;
	BIO_free(bio);
	if (k->public_key == NULL)
		return "the JWT public key file does not begin with a PEM public key or certificate";
	if (second != NULL)
	{
		EVP_PKEY_free(second);
		return "the JWT public key file holds more than one key";
	}

	switch (EVP_PKEY_get_base_id(k->public_key))
	{
		case EVP_PKEY_RSA:
			if (EVP_PKEY_get_bits(k->public_key) < RSA_BITS_MIN)
				return "the JWT public key is an RSA key of less than 2048 bits";
			return NULL;
		case EVP_PKEY_EC:
			k->curve = key_curve(k->public_key);
			if (k->curve == NULL)
				return "the JWT public key is on a curve other than P-256, P-384 and P-521";
			return NULL;
		default:
			return "the JWT public key is neither an RSA nor an EC key";
	}
}

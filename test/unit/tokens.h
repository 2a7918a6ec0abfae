/*
 * tokens.h - making tokens and asking a verifier about them, for unit tests.
 *
 * Tokens are signed with OpenSSL directly, so nothing of the code under test
 * takes part in making what it is tested with.
 */
#ifndef ROOMS_TEST_TOKENS_H
#define ROOMS_TEST_TOKENS_H

#include "gateway/auth.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define SECRET	"0123456789abcdef0123456789abcdef"
#define NOW		INT64_C(1700000000000)	/* ms */
#define HEADER(alg) "{\"alg\":\"" alg "\",\"typ\":\"JWT\"}"
#define CLAIMS	"{\"sub\":\"7\",\"tenant_id\":3}"

/* One case each. */
static void
is_true(bool good, const char *name)
{
	unit_case("%s", name);
	CHECK(good);
}

static void
is_string(const char *got, const char *want, const char *name)
{
	unit_case("%s", name);
	if (!CHECK(strcmp(got, want) == 0))
		printf("# got %s, want %s\n", got, want);
}

/* ---- making tokens ---- */

typedef enum Padding
{
	PKCS1,
	PSS
} Padding;

typedef struct Signer
{
	const char *secret;			/* HMAC */
	EVP_PKEY   *key;			/* RSA, EC or Ed25519 */
	Padding		padding;
	int			salt;			/* PSS */
	const EVP_MD *md;			/* NULL: Ed25519 */
	int			coordinate;		/* EC */
} Signer;

static char *
base64url(const void *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *b = bytes;
	char	   *out = malloc(n * 2 + 8);
	char	   *at = out;

	for (size_t i = 0; i < n; i += 3)
	{
		uint32_t	v = (uint32_t) b[i] << 16 | (i + 1 < n ? (uint32_t) b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);

		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		if (i + 1 < n)
			*at++ = digits[v >> 6 & 63];
		if (i + 2 < n)
			*at++ = digits[v & 63];
	}
	*at = '\0';
	return out;
}

static size_t
sign(const Signer *s, const char *text, uint8_t *out, size_t space)
{
	size_t		len = space;
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *pctx;

	if (s->secret != NULL)
	{
		unsigned int n;

		HMAC(s->md, s->secret, (int) strlen(s->secret), (const uint8_t *) text, strlen(text), out, &n);
		return n;
	}
	ctx = EVP_MD_CTX_new();
	EVP_DigestSignInit(ctx, &pctx, s->md, NULL, s->key);
	if (s->padding == PSS)
	{
		EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, s->salt);
	}
	if (EVP_DigestSign(ctx, out, &len, (const uint8_t *) text, strlen(text)) != 1)
	{
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	EVP_MD_CTX_free(ctx);
	if (s->coordinate > 0)
	{
		const uint8_t *der = out;
		ECDSA_SIG  *sig = d2i_ECDSA_SIG(NULL, &der, (long) len);

		BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, s->coordinate);
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + s->coordinate, s->coordinate);
		ECDSA_SIG_free(sig);
		len = 2 * (size_t) s->coordinate;
	}
	return len;
}

/* Tokens live until the test's end. */
static char *made[4096];
static int	made_count;

static void
forget_made(void)
{
	while (made_count > 0)
		free(made[--made_count]);
}

static char *
keep(char *s)
{
	if (made_count == (int) (sizeof(made) / sizeof(made[0])))
		abort();
	return made[made_count++] = s;
}

static char *
token_of_bytes(const char *header, size_t header_len, const char *payload, size_t payload_len, const Signer *s)
{
	char	   *h = base64url(header, header_len);
	char	   *p = base64url(payload, payload_len);
	uint8_t		signature[1024];
	size_t		size = strlen(h) + strlen(p) + 2048;
	char	   *out = malloc(size);
	char	   *sig;

	snprintf(out, size, "%s.%s", h, p);
	sig = base64url(signature, s != NULL ? sign(s, out, signature, sizeof(signature)) : 0);
	strcat(out, ".");
	strcat(out, sig);
	free(h);
	free(p);
	free(sig);
	return keep(out);
}

static char *
token(const char *header, const char *payload, const Signer *s)
{
	return token_of_bytes(header, strlen(header), payload, strlen(payload), s);
}

static char *
text(const char *format,...)
{
	char	   *out;
	va_list		args;

	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		abort();
	va_end(args);
	return keep(out);
}

static Signer
hs(const char *secret)
{
	return (Signer) {.secret = secret, .md = EVP_sha256()};
}

static char *
public_pem(EVP_PKEY *key)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *data;
	long		n;
	char	   *out;

	PEM_write_bio_PUBKEY(bio, key);
	n = BIO_get_mem_data(bio, &data);
	out = strndup(data, (size_t) n);
	BIO_free(bio);
	return keep(out);
}

/* ---- asking ---- */

static AuthSettings
defaults(void)
{
	return (AuthSettings) {
		.secret = SECRET,
		.leeway = 30000,
		.user_claim = "userId,user_id,sub",
		.tenant_claim = "tenantId, tenant_id",
		.role_claim = "role",
	};
}

static Auth *
verifier(const AuthSettings *s)
{
	const char *error;
	const char *warning;
	Auth	   *a = auth_new(s, &error, &warning);

	if (a == NULL)
	{
		fprintf(stderr, "auth_new: %s\n", error);
		exit(1);
	}
	return a;
}

static void
identity_free(Identity *id)
{
	free(id->user_id);
	free(id->tenant_id);
	free(id->role);
	free(id->claims);
}

/* The code of the refusal, "required" for no token, "ok"; with *id filled in that case. */
static const char *
ask_payload(const Auth *a, const char *payload, size_t len, const char *header, Identity *id)
{
	ConnectError err;
	bool		good = auth_connect(a, slice(payload, len), slice_cstring(header), NOW, id, &err);

	ERR_peek_error() == 0 || (fprintf(stderr, "OpenSSL's error queue is not empty\n"), abort(), 0);
	if (good)
		return "ok";
	if (id->user_id != NULL || id->tenant_id != NULL || id->role != NULL || id->claims != NULL)
		return "refused, but with an identity";
	if (strcmp(err.message, "Authentication required") == 0 && err.code == NULL)
		return "required";
	return strcmp(err.message, "Invalid token") == 0 ? err.code : "unknown message";
}

static const char *
ask(const Auth *a, const char *t)
{
	Identity	id;
	char	   *payload = text("{\"token\":\"%s\"}", t);
	const char *r = ask_payload(a, payload, strlen(payload), "", &id);

	identity_free(&id);
	return r;
}

#define EXPECT(a, t, want, name) is_string(ask(a, t), want, name)

#endif							/* ROOMS_TEST_TOKENS_H */

/* with: src/gateway/auth.c src/gateway/jwt_keys.c src/gateway/jwks.c */
/*
 * fuzz_auth.c - whatever a client may send as its CONNECT's payload or
 * Authorization header.
 *
 * The first byte says what the rest is: the payload, the header, a token, or
 * claims or a token's header, which are then signed with the secret, so that
 * what lies behind the signature is reached too.
 */
#include "gateway/auth.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW INT64_C(1700000000000)

static const char secret[] = "0123456789abcdef0123456789abcdef";

static const char rsa_pem[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsZNp00m2vkidxH0S+DpJ\n"
	"kDeqnZbqwMGusxaJEHixqCxhTEZxpgl//zrwwSmoxY/jeG4t31lPS48vGWXqS4YT\n"
	"Cg3me7WZgpwTHv7sqXKjJcXaVQ36wwn3hIw40v/idKdXbqc7rEeR8nJCt1PX4JHI\n"
	"RCfszIT4dGqiYQwX0TompIzRlCotk+qiwcLxToOzEu7Yrv7AZAd5GGzE9zqXaMYF\n"
	"OPrZZDEMc/MVnzXRlx75sNLGd/NDVnA3JOZ//m006MpgqgUEMe8iBX/60bKParxL\n"
	"/awuEBYIVe66voirr+vqT/NmvAf7dNA/DEdsOUY75cfGVIOOy/wCtFALIaDGB4Dn\n"
	"gwIDAQAB\n"
	"-----END PUBLIC KEY-----\n";

static const char ec_pem[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeTLu8lMCgpapE7tyQRvfieYDkJqD\n"
	"JUNmkMQCiUDYcbeAAB2gDFYarGhJEZVKpc5/WW0HbqsFYe1gBeX6HPQ7sg==\n"
	"-----END PUBLIC KEY-----\n";

static Auth *by_secret, *by_rsa, *by_ec;

static Auth *
verifier(const char *hmac, const char *pem)
{
	AuthSettings s = {
		.secret = hmac, .public_key = pem, .leeway = 30000,
		.user_claim = "userId,user_id,sub", .tenant_claim = "tenantId,tenant_id", .role_claim = "role",
	};
	const char *error;
	const char *warning;
	Auth	   *a = auth_new(&s, &error, &warning);

	if (a == NULL)
		abort();
	return a;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	by_secret = verifier(secret, NULL);
	by_rsa = verifier(NULL, rsa_pem);
	by_ec = verifier(secret, ec_pem);
	return 0;
}

/* Whatever was asked, the answer keeps auth.h's promises. */
static bool
connect_with(const Auth *a, Slice payload, Slice authorization)
{
	Identity	id;
	ConnectError err;
	bool		good = auth_connect(a, payload, authorization, NOW, &id, &err);

	if (good ? err.message != NULL : err.message == NULL)
		abort();
	if (!good && (id.user_id != NULL || id.tenant_id != NULL || id.role != NULL || id.claims != NULL))
		abort();
	if (good && (id.claims == NULL || id.valid_ms == 0 || id.key == 0 || (id.user_id != NULL && strlen(id.user_id) > 250)))
		abort();
	if (ERR_peek_error() != 0)
		abort();
	free(id.user_id);
	free(id.tenant_id);
	free(id.role);
	free(id.claims);
	return good;
}

static char *
base64url(char *out, const uint8_t *b, size_t n)
{
	int			len = EVP_EncodeBlock((uint8_t *) out, b, (int) n);

	while (len > 0 && out[len - 1] == '=')
		len--;
	for (int i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return out + len;
}

/* A bearer header with a token that is signed with the secret. */
static void
connect_signed(Slice header, Slice claims)
{
	char	   *text = malloc((header.len + claims.len) * 2 + 200);
	char	   *at = text + sprintf(text, "Bearer ");
	char	   *token = at;
	uint8_t		mac[EVP_MAX_MD_SIZE];
	unsigned int n;

	at = base64url(at, header.data, header.len);
	*at++ = '.';
	at = base64url(at, claims.data, claims.len);
	HMAC(EVP_sha256(), secret, (int) strlen(secret), (uint8_t *) token, (size_t) (at - token), mac, &n);
	*at++ = '.';
	at = base64url(at, mac, n);
	connect_with(by_secret, slice(text, 0), slice(text, (size_t) (at - text)));
	if (connect_with(by_rsa, slice(text, 0), slice(text, (size_t) (at - text))))
		abort();
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		rest;

	if (size == 0)
		return 0;
	rest = slice(data + 1, size - 1);
	switch (data[0])
	{
		case 'p':
			connect_with(by_secret, rest, slice(data, 0));
			break;
		case 'h':
			connect_with(by_secret, slice(data, 0), rest);
			break;
		case 't':
			{
				char	   *header = malloc(rest.len + 8);

				memcpy(header, "Bearer ", 7);
				memcpy(header + 7, rest.data, rest.len);
				connect_with(by_secret, slice(data, 0), slice(header, rest.len + 7));
				connect_with(by_rsa, slice(data, 0), slice(header, rest.len + 7));
				connect_with(by_ec, slice(data, 0), slice(header, rest.len + 7));
				free(header);
				break;
			}
		case 'c':
			connect_signed(SLICE_LITERAL("{\"alg\":\"HS256\"}"), rest);
			break;
		case 'a':
			connect_signed(rest, SLICE_LITERAL("{\"sub\":\"1\"}"));
			break;
	}
	return 0;
}

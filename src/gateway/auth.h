/*
 * auth.h - JSON Web Tokens: keys, verification, claims to identity.
 *
 * The only user of libjwt and of OpenSSL's verification.  The algorithm
 * belongs to the key, never to the token: a token whose `alg` differs from
 * its key's family is refused before any arithmetic.
 */
#ifndef ROOMS_GATEWAY_AUTH_H
#define ROOMS_GATEWAY_AUTH_H

#include "core/server.h"

typedef struct Auth Auth;

/* Values of the settings; strings may be NULL or "" for not set.  Copied. */
typedef struct AuthSettings
{
	const char *secret;			/* HS256/384/512 key; under 32 bytes: not used, a warning */
	const char *public_key;		/* PEM text, RSA or EC */
	const char *audience;		/* required in aud when set */
	const char *issuer;			/* required iss when set */
	uint32_t	leeway;			/* ms */
	bool		allow_anonymous;
	const char *user_claim;		/* comma-separated names; the first present wins */
	const char *tenant_claim;
	const char *role_claim;
} AuthSettings;

/*
 * Makes the verifier, or NULL with *error set to static text (bad PEM, an
 * unsupported key).  *warning is set to static text when there is no usable
 * key or the secret is too short, else NULL.
 */
extern Auth *auth_new(const AuthSettings *s, const char **error, const char **warning);
extern void auth_free(Auth *a);

/*
 * Decides on a CONNECT.  The token is `auth.token` of the CONNECT payload, or
 * a Bearer Authorization header.  `now` is Unix seconds.  On false `err` says
 * "Authentication required", or "Invalid token" with one of the codes
 * no_key, malformed, unsupported_algorithm, bad_signature, token_expired,
 * token_not_active, bad_audience, bad_issuer, bad_claim.
 */
extern bool auth_connect(const Auth *a, Slice payload, Slice authorization, int64_t now,
						 Identity *id, ConnectError *err);

#endif							/* ROOMS_GATEWAY_AUTH_H */

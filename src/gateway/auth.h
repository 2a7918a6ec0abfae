/*
 * auth.h - JSON Web Tokens: verification, claims to identity.
 *
 * The algorithm belongs to the key, never to the token: a token whose `alg`
 * is not for one of the configured keys, or not for the one that its `kid`
 * names, is refused before any arithmetic.
 * The keys, libjwt and OpenSSL's verification are behind jwt_keys.h.
 */
#ifndef ROOMS_GATEWAY_AUTH_H
#define ROOMS_GATEWAY_AUTH_H

#include "core/server.h"

#define AUTH_MAX_TOKEN	8192

/* A longer Authorization header's token is bad, and need not be kept beyond the first byte too many. */
#define AUTH_HEADER_MAX	((int) sizeof("Bearer ") - 1 + AUTH_MAX_TOKEN)

typedef struct Auth Auth;

/* Values of the settings; strings may be NULL or "" for not set.  Copied. */
typedef struct AuthSettings
{
	const char *secret;			/* HS256/384/512 key; under 32 bytes: not used, a warning */
	const char *public_key;		/* PEM text, RSA or EC */
	const char *jwks;			/* JSON Web Key Set */
	const char *audience;		/* required in aud when set */
	const char *issuer;			/* required iss when set */
	uint32_t	leeway;			/* ms */
	bool		allow_anonymous;
	const char *user_claim;		/* comma-separated names; the first present wins */
	const char *tenant_claim;
	const char *role_claim;
} AuthSettings;

/*
 * Makes the verifier, or NULL with *error set (bad PEM, an unsupported key, a
 * bad key set).  *warning is set when the secret or a key of the set is not
 * fit for use, or when there is no usable key and allow_anonymous is off, else
 * NULL.  Both texts stay until the next call.
 */
extern Auth *auth_new(const AuthSettings *s, const char **error, const char **warning);
extern void auth_free(Auth *a);

/*
 * Decides on a CONNECT.  The token is the payload's member "token" or, when
 * that is absent, null or "", a Bearer Authorization header.  `now` is Unix
 * time in ms.  On true *id is filled and the caller's to clear; on false it is
 * empty and `err` says "Authentication required", or "Invalid token" with one
 * of the codes no_key, malformed, unsupported_algorithm, unknown_key,
 * bad_signature, token_expired, token_not_active, bad_audience, bad_issuer, bad_claim.
 *
 * Claims: exp, nbf and iat are numbers.  Ids are non-empty strings without
 * control characters, or integers, and short enough for their rooms' names; a
 * claim that is null counts as absent.  A verified token need not name a user
 * or a tenant.  A role that is none (see Identity.role) is no reason to refuse.
 */
extern bool auth_connect(const Auth *a, Slice payload, Slice authorization, int64_t now,
						 Identity *id, ConnectError *err);

/* Is the key that Identity.key stands for still among ours?  For key 0: is no token needed? */
extern bool auth_still_good(const Auth *a, uint64_t key);

#endif							/* ROOMS_GATEWAY_AUTH_H */

/*
 * auth.c - see auth.h.
 *
 * Called by the core for every CONNECT, with bytes from anybody.  A token goes
 * through these steps, each of which may refuse it:
 *
 *   find it      in the payload or the Authorization header
 *   take apart   three parts in strict base64url, two JSON objects
 *   signature    jwt_keys.c, with a key that the header's alg and kid fit
 *   claims       exp, nbf, aud, iss; then who the client is
 *
 * Everything is bounded: tokens by AUTH_MAX_TOKEN, payloads by
 * AUTH_MAX_PAYLOAD, nesting by jansson (2048, far below what the stack takes).
 * A token's JSON is refused with duplicate members, invalid UTF-8, NUL
 * characters or integers beyond 64 bits, so no two readers of one token see
 * different things.  An Auth is not changed after auth_new().
 *
 * Memory: a decoded token lives in one struct Token on the stack; the Identity
 * is allocated at the very end, when nothing can be refused any more.
 */
#include "gateway/auth.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/alloc.h"
#include "gateway/jwt_keys.h"
#include "wire/base64.h"
#include "wire/json.h"

#define AUTH_MAX_PAYLOAD	65536	/* a CONNECT payload may hold more than the token */

#define USER_ROOM_PREFIX	(sizeof("user:") - 1)
#define TENANT_ROOM_PREFIX	(sizeof("tenant:") - 1)
#define ROLE_MAX			63	/* NAMEDATALEN - 1: no other role may come out by truncation */

#define SECONDS_MAX			(INT64_C(1) << 52)	/* dates are cut to +- this; in ms it still fits */

struct Auth
{
	JwtKeys    *keys;
	char	   *audience;		/* NULL: not checked */
	char	   *issuer;			/* NULL: not checked */
	int64_t		leeway;			/* ms */
	bool		allow_anonymous;
	char	   *user_claim;
	char	   *tenant_claim;
	char	   *role_claim;
};

/* A token on its way through the checks. */
typedef struct Token
{
	char		text[AUTH_MAX_TOKEN + 2];	/* a NUL, or the quotes it had in JSON */
	uint8_t		bytes[AUTH_MAX_TOKEN];	/* the decoded parts */
	Slice		payload;		/* in bytes */
	Slice		signature;		/* in bytes */
	json_t	   *header;
	json_t	   *claims;
} Token;

/* What find_token() found. */
typedef enum Found
{
	FOUND_NONE,
	FOUND_TOKEN,
	FOUND_BAD
} Found;

/* The identity, before anything is allocated for it. */
typedef struct Names
{
	char		user[ENVELOPE_MAX_NAME + 1];
	char		tenant[ENVELOPE_MAX_NAME + 1];
	char		role[ROLE_MAX + 1];
	bool		role_unusable;	/* there is a claim, but it can be no role's name */
} Names;

static char *copy_setting(const char *s);
static Found find_token(Slice payload, Slice authorization, Token *t);
static const char *check_token(const Auth *a, Token *t, int64_t now, Identity *id);
static const char *open_token(Token *t);
static const char *check_signature(const JwtKeys *keys, const Token *t, uint64_t *key);
static const char *check_dates(const Auth *a, const json_t *claims, int64_t now, uint64_t *valid_ms);
static const char *check_parties(const Auth *a, const json_t *claims);
static const char *read_names(const Auth *a, const json_t *claims, Names *n);

Auth *
auth_new(const AuthSettings *s, const char **error, const char **warning)
{
	JwtKeys    *keys;
	Auth	   *a;

	/* jansson's hash seed is drawn now, before a sandbox may keep it from the random device */
	json_object_seed(0);

	keys = jwt_keys_new(s->secret, s->public_key, s->jwks, error, warning);
	if (keys == NULL)
		return NULL;
	if (*warning == NULL && jwt_keys_empty(keys) && !s->allow_anonymous)
		*warning = "no key for tokens is set: every client is refused";

	a = xcalloc(1, sizeof(*a));
	a->keys = keys;
	a->audience = copy_setting(s->audience);
	a->issuer = copy_setting(s->issuer);
	a->leeway = s->leeway;
	a->allow_anonymous = s->allow_anonymous;
	a->user_claim = copy_setting(s->user_claim);
	a->tenant_claim = copy_setting(s->tenant_claim);
	a->role_claim = copy_setting(s->role_claim);
	return a;
}

void
auth_free(Auth *a)
{
	if (a == NULL)
		return;
	jwt_keys_free(a->keys);
	free(a->audience);
	free(a->issuer);
	free(a->user_claim);
	free(a->tenant_claim);
	free(a->role_claim);
	free(a);
}

bool
auth_connect(const Auth *a, Slice payload, Slice authorization, int64_t now,
			 Identity *id, ConnectError *err)
{
	Token		t;
	const char *code = NULL;

	memset(id, 0, sizeof(*id));
	id->valid_ms = UINT64_MAX;
	*err = (ConnectError) {NULL, NULL};
	t.header = t.claims = NULL;

	switch (find_token(payload, authorization, &t))
	{
		case FOUND_NONE:
			if (a->allow_anonymous)
				return true;
			err->message = "Authentication required";
			return false;
		case FOUND_BAD:
			code = jwt_keys_empty(a->keys) ? "no_key" : "malformed";
			break;
		case FOUND_TOKEN:
			code = jwt_keys_empty(a->keys) ? "no_key" : check_token(a, &t, now, id);
			json_decref(t.header);
			json_decref(t.claims);
			break;
	}
	if (code == NULL)
		return true;
	*err = (ConnectError) {"Invalid token", code};
	return false;
}

bool
auth_still_good(const Auth *a, uint64_t key)
{
	return key == 0 ? a->allow_anonymous : jwt_keys_known(a->keys, key);
}

static char *
copy_setting(const char *s)
{
	return s != NULL && s[0] != '\0' ? xstrndup(s, strlen(s)) : NULL;
}

static json_t *
parse_object(Slice text)
{
	json_t	   *v = json_loadb((const char *) text.data, text.len, JSON_REJECT_DUPLICATES, NULL);

	if (v != NULL && !json_is_object(v))
	{
		json_decref(v);
		return NULL;
	}
	return v;
}

/* Copies a token's text to t->text. */
static Found
take_token(Slice s, Token *t)
{
	if (s.len == 0)
		return FOUND_NONE;
	if (s.len > AUTH_MAX_TOKEN || memchr(s.data, '\0', s.len) != NULL)
		return FOUND_BAD;
	memmove(t->text, s.data, s.len);	/* may be there already */
	t->text[s.len] = '\0';
	return FOUND_TOKEN;
}

/* The credentials of an Authorization header of scheme Bearer (RFC 6750 2.1), or nothing. */
static Slice
bearer(Slice header)
{
	const char *s = (const char *) header.data;
	size_t		at = sizeof("Bearer ") - 1;

	if (header.len < at || strncasecmp(s, "Bearer ", at) != 0)
		return (Slice) {header.data, 0};
	/* Not in one that may have been cut: it must not come out as empty. */
	while (header.len <= AUTH_HEADER_MAX && at < header.len && s[at] == ' ')
		at++;
	return slice(s + at, header.len - at);
}

/*
 * The member "token" of a CONNECT payload; absent, null and "" are no token.
 * The walker spares the tree that jansson would build of the rest.
 */
static Found
payload_token(Slice payload, Token *t)
{
	Slice		key;
	Slice		value;
	Slice		token = {NULL, 0};
	JsonWalk	w;
	long		len;

	if (payload.len > AUTH_MAX_PAYLOAD || !json_valid(payload) || !json_enter(payload, &w) || !w.object)
		return FOUND_BAD;
	while (json_next(&w, &key, &value))
	{
		if (!slice_equal(key, SLICE_LITERAL("\"token\"")))
			continue;
		if (token.len > 0)
			return FOUND_BAD;
		token = value;
	}
	if (token.len == 0 || slice_equal(token, SLICE_LITERAL("null")))
		return FOUND_NONE;
	if (token.len > AUTH_MAX_TOKEN + 2)
		return FOUND_BAD;
	len = json_unquote(token, (uint8_t *) t->text);
	return len < 0 ? FOUND_BAD : take_token(slice(t->text, (size_t) len), t);
}

static Found
find_token(Slice payload, Slice authorization, Token *t)
{
	Found		found = payload.len > 0 ? payload_token(payload, t) : FOUND_NONE;

	return found == FOUND_NONE ? take_token(bearer(authorization), t) : found;
}

/* Gives the code of what is wrong, or NULL with *id filled. */
static const char *
check_token(const Auth *a, Token *t, int64_t now, Identity *id)
{
	Names		n;
	uint64_t	valid_ms;
	uint64_t	key;
	const char *code;

	if ((code = open_token(t)) != NULL ||
		(code = check_signature(a->keys, t, &key)) != NULL ||
		(code = check_dates(a, t->claims, now, &valid_ms)) != NULL ||
		(code = check_parties(a, t->claims)) != NULL ||
		(code = read_names(a, t->claims, &n)) != NULL)
		return code;

	id->user_id = copy_setting(n.user);
	id->tenant_id = copy_setting(n.tenant);
	id->role = n.role_unusable ? xstrndup("", 0) : copy_setting(n.role);
	/* as it was signed, not as it would be printed again */
	id->claims = xstrndup(t->payload.data, t->payload.len);
	id->valid_ms = valid_ms;
	id->key = key;
	return NULL;
}

/* Splits and decodes a token: sets header, claims, payload, signature. */
static const char *
open_token(Token *t)
{
	Slice		part[3];
	const char *at = t->text;
	uint8_t    *out = t->bytes;

	for (int i = 0; i < 3; i++)
	{
		const char *end = i < 2 ? strchr(at, '.') : at + strlen(at);
		long		n = end != NULL ? base64url_decode(out, slice(at, (size_t) (end - at))) : -1;

		if (n < 0)
			return "malformed";
		part[i] = slice(out, (size_t) n);
		out += n;
		at = end + 1;
	}
	t->payload = part[1];
	t->signature = part[2];
	t->header = parse_object(part[0]);
	t->claims = parse_object(part[1]);
	return t->header != NULL && t->claims != NULL ? NULL : "malformed";
}

/* *key is what it was verified by. */
static const char *
check_signature(const JwtKeys *keys, const Token *t, uint64_t *key)
{
	const json_t *alg = json_object_get(t->header, "alg");
	const json_t *kid = json_object_get(t->header, "kid");

	/* RFC 7515 4.1.11: whoever does not understand what is critical must refuse; we know none */
	if (!json_is_string(alg) || (kid != NULL && !json_is_string(kid)) || json_object_get(t->header, "crit") != NULL)
		return "malformed";
	return jwt_keys_check(keys, json_string_value(alg), json_string_value(kid), t->text, t->signature, key);
}

/* A NumericDate (RFC 7519 2: a number, perhaps with a fraction) in ms; false if it is none. */
static bool
numeric_date(const json_t *v, int64_t *ms)
{
	if (json_is_integer(v))
	{
		json_int_t	s = json_integer_value(v);

		s = s > SECONDS_MAX ? SECONDS_MAX : s < -SECONDS_MAX ? -SECONDS_MAX : s;
		*ms = s * 1000;
		return true;
	}
	if (json_is_real(v))
	{
		double		s = json_real_value(v);

		s = s > (double) SECONDS_MAX ? (double) SECONDS_MAX : s < (double) -SECONDS_MAX ? (double) -SECONDS_MAX : s;
		*ms = (int64_t) (s * 1000);
		return true;
	}
	return false;
}

/* *valid_ms is how long the token is good from now on, leeway included; UINT64_MAX without exp. */
static const char *
check_dates(const Auth *a, const json_t *claims, int64_t now, uint64_t *valid_ms)
{
	const json_t *exp = json_object_get(claims, "exp");
	const json_t *nbf = json_object_get(claims, "nbf");
	const json_t *iat = json_object_get(claims, "iat");
	int64_t		ms;

	*valid_ms = UINT64_MAX;
	if (exp != NULL)
	{
		if (!numeric_date(exp, &ms))
			return "bad_claim";
		if (now >= ms + a->leeway)
			return "token_expired";
		*valid_ms = (uint64_t) (ms + a->leeway - now);
	}
	if (nbf != NULL)
	{
		if (!numeric_date(nbf, &ms))
			return "bad_claim";
		if (now < ms - a->leeway)
			return "token_not_active";
	}
	/* when it was issued decides nothing (RFC 7519 4.1.6), but must be a date */
	if (iat != NULL && !numeric_date(iat, &ms))
		return "bad_claim";
	return NULL;
}

static bool
string_is(const json_t *v, const char *want)
{
	/* strings of jansson hold no NUL here: parse_object() refuses it */
	return json_is_string(v) && strcmp(json_string_value(v), want) == 0;
}

/* aud is a string or an array of strings (RFC 7519 4.1.3). */
static bool
audience_has(const json_t *aud, const char *want)
{
	if (!json_is_array(aud))
		return string_is(aud, want);
	for (size_t i = 0; i < json_array_size(aud); i++)
	{
		if (string_is(json_array_get(aud, i), want))
			return true;
	}
	return false;
}

/* Who made the token and for whom: compared only when the settings say with what. */
static const char *
check_parties(const Auth *a, const json_t *claims)
{
	if (a->audience != NULL && !audience_has(json_object_get(claims, "aud"), a->audience))
		return "bad_audience";
	if (a->issuer != NULL && !string_is(json_object_get(claims, "iss"), a->issuer))
		return "bad_issuer";
	return NULL;
}

/* The first claim of a comma-separated list of names that is there and not null. */
static const json_t *
first_claim(const json_t *claims, const char *names)
{
	while (names != NULL && *names != '\0')
	{
		char		name[256];
		size_t		len;
		const json_t *v;

		names += strspn(names, ", ");
		len = strcspn(names, ",");
		if (len > 0 && len < sizeof(name))
		{
			memcpy(name, names, len);
			name[len] = '\0';
			for (size_t n = len; n > 0 && name[n - 1] == ' '; n--)
				name[n - 1] = '\0';
			v = json_object_get(claims, name);
			if (v != NULL && !json_is_null(v))
				return v;
		}
		names += len;
	}
	return NULL;
}

/*
 * Copies a claim's text to `out`, "" if there is no claim.  False for one that
 * is longer than `max` bytes, empty, has control characters or is of another
 * type than a string or (if `integers`) an integer.
 */
static bool
claim_text(const json_t *v, bool integers, size_t max, char *out)
{
	const char *s;

	out[0] = '\0';
	if (v == NULL)
		return true;
	if (integers && json_is_integer(v))
	{
		snprintf(out, max + 1, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return true;
	}
	if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > max)
		return false;
	s = json_string_value(v);
	for (size_t i = 0; s[i] != '\0'; i++)
	{
		if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
			return false;
	}
	strcpy(out, s);
	return true;
}

static const char *
read_names(const Auth *a, const json_t *claims, Names *n)
{
	const json_t *user = first_claim(claims, a->user_claim);
	const json_t *tenant = first_claim(claims, a->tenant_claim);
	const json_t *role = first_claim(claims, a->role_claim);

	if (!claim_text(user, true, ENVELOPE_MAX_NAME - USER_ROOM_PREFIX, n->user) ||
		!claim_text(tenant, true, ENVELOPE_MAX_NAME - TENANT_ROOM_PREFIX, n->tenant))
		return "bad_claim";
	/* Who listens only needs no role: a bad one is refused when it comes to be used. */
	n->role_unusable = !claim_text(role, false, ROLE_MAX, n->role);
	return NULL;
}

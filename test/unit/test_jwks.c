/* with: src/gateway/auth.c src/gateway/jwt_keys.c src/gateway/jwks.c */
/*
 * test_jwks.c - JSON Web Key Sets: which keys are read, and which of them a
 * token may be verified with.
 *
 * Apart from the RFCs' own examples, keys are made here, and written as JWKs
 * from what OpenSSL says of them.
 */
#include "tokens.h"

#include <openssl/core_names.h>

#include "gateway/jwt_keys.h"
#include "wire/base64.h"

static EVP_PKEY *rsa, *other_rsa, *small_rsa, *p256, *p384, *p521, *k256, *ed25519, *other_ed25519, *x25519;

/* ---- writing JWKs ---- */

static char *
number_text(EVP_PKEY *key, const char *name, int size)
{
	BIGNUM	   *n = NULL;
	uint8_t		bytes[1024];

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
		abort();
	if (size == 0)
		size = BN_num_bytes(n);
	BN_bn2binpad(n, bytes, size);
	BN_free(n);
	return keep(base64url(bytes, (size_t) size));
}

/* A public key; `more` is "" or further members, which begin with a comma. */
static char *
jwk(EVP_PKEY *key, const char *more)
{
	char		curve[32];
	uint8_t		raw[32];
	size_t		n = sizeof(raw);
	int			size;

	switch (EVP_PKEY_get_base_id(key))
	{
		case EVP_PKEY_RSA:
			return text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}",
						number_text(key, "n", 0), number_text(key, "e", 0), more);
		case EVP_PKEY_EC:
			EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof(curve), &n);
			size = (EVP_PKEY_get_bits(key) + 7) / 8;
			return text("{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s}",
						strcmp(curve, "secp256k1") == 0 ? curve : text("P-%d", EVP_PKEY_get_bits(key)),
						number_text(key, "qx", size), number_text(key, "qy", size), more);
		default:
			EVP_PKEY_get_raw_public_key(key, raw, &n);
			return text("{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"%s}",
						EVP_PKEY_is_a(key, "X25519") ? "X25519" : "Ed25519", keep(base64url(raw, n)), more);
	}
}

static char *
oct(const char *secret, const char *more)
{
	return text("{\"kty\":\"oct\",\"k\":\"%s\"%s}", keep(base64url(secret, strlen(secret))), more);
}

static char *
set(const char *keys)
{
	return text("{\"keys\":[%s]}", keys);
}

static char *
repeat_text(char c, int n)
{
	char	   *out = text("%*s", n, "");

	memset(out, c, (size_t) n);
	return out;
}

/* So many secrets, each with its kid. */
static char *
keys_of_kids(int n)
{
	char	   *out = text("%s", "");

	for (int i = 0; i < n; i++)
		out = text("%s%s%s", out, i > 0 ? "," : "", oct(SECRET, text(",\"kid\":\"%d\"", i)));
	return out;
}

static Auth *
set_verifier(const char *keys)
{
	AuthSettings settings = defaults();

	settings.secret = NULL;
	settings.jwks = set(keys);
	return verifier(&settings);
}

/* ---- signing ---- */

/* How tokens of each algorithm are signed, with a key of its type. */
typedef struct Way
{
	const char *alg;
	Signer		signer;
} Way;

#define WAYS 15
static Way	ways[WAYS];

static void
make_ways(void)
{
	const Way	all[WAYS] = {
		{"HS256", {.secret = SECRET,.md = EVP_sha256()}},
		{"HS384", {.secret = SECRET,.md = EVP_sha384()}},
		{"HS512", {.secret = SECRET,.md = EVP_sha512()}},
		{"RS256", {.key = rsa,.md = EVP_sha256()}},
		{"RS384", {.key = rsa,.md = EVP_sha384()}},
		{"RS512", {.key = rsa,.md = EVP_sha512()}},
		{"PS256", {.key = rsa,.padding = PSS,.salt = RSA_PSS_SALTLEN_DIGEST,.md = EVP_sha256()}},
		{"PS384", {.key = rsa,.padding = PSS,.salt = RSA_PSS_SALTLEN_DIGEST,.md = EVP_sha384()}},
		{"PS512", {.key = rsa,.padding = PSS,.salt = RSA_PSS_SALTLEN_DIGEST,.md = EVP_sha512()}},
		{"ES256", {.key = p256,.md = EVP_sha256(),.coordinate = 32}},
		{"ES384", {.key = p384,.md = EVP_sha384(),.coordinate = 48}},
		{"ES512", {.key = p521,.md = EVP_sha512(),.coordinate = 66}},
		{"EdDSA", {.key = ed25519}},
		{"Ed25519", {.key = ed25519}},
		{"none", {.secret = SECRET,.md = EVP_sha256()}},
	};

	memcpy(ways, all, sizeof(all));
}

/* A token of this algorithm; kid "": none. */
static char *
made_by(const char *alg, const char *kid, const Signer *s)
{
	char	   *header = kid[0] == '\0' ? text("{\"alg\":\"%s\"}", alg) : text("{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, kid);

	return token(header, CLAIMS, s);
}

static char *
made_in_way(const char *alg, const char *kid)
{
	for (int i = 0; i < WAYS; i++)
	{
		if (strcmp(ways[i].alg, alg) == 0)
			return made_by(alg, kid, &ways[i].signer);
	}
	abort();
}

/* Does a key of this type verify tokens of this algorithm? */
static bool
fits(const char *type, const char *alg)
{
	return strstr(type, alg) != NULL && strcmp(alg, "none") != 0;
}

/* ---- the tests ---- */

/* Every type of key sees every algorithm, with its kid and without one. */
static void
test_types(void)
{
	const struct
	{
		const char *algs;
		const char *kid;
		char	   *jwk;
	}			types[] = {
		{"HS256 HS384 HS512", "hs", oct(SECRET, ",\"kid\":\"hs\"")},
		{"RS256 RS384 RS512 PS256 PS384 PS512", "rsa", jwk(rsa, ",\"kid\":\"rsa\"")},
		{"ES256", "p256", jwk(p256, ",\"kid\":\"p256\"")},
		{"ES384", "p384", jwk(p384, ",\"kid\":\"p384\"")},
		{"ES512", "p521", jwk(p521, ",\"kid\":\"p521\"")},
		{"EdDSA Ed25519", "ed", jwk(ed25519, ",\"kid\":\"ed\"")},
	};
	const size_t n = sizeof(types) / sizeof(types[0]);
	Auth	   *all = set_verifier(text("%s,%s,%s,%s,%s,%s", types[0].jwk, types[1].jwk, types[2].jwk, types[3].jwk,
										types[4].jwk, types[5].jwk));

	for (size_t t = 0; t < n; t++)
	{
		Auth	   *alone = set_verifier(types[t].jwk);

		for (int i = 0; i < WAYS; i++)
		{
			const char *alg = ways[i].alg;
			const char *want = fits(types[t].algs, alg) ? "ok" : "unsupported_algorithm";
			char	   *with = made_in_way(alg, types[t].kid);

			EXPECT(alone, made_in_way(alg, ""), want, text("%s with key %s alone", alg, types[t].kid));
			EXPECT(alone, with, want, text("  ... by its kid"));
			EXPECT(all, with, want, text("  ... by its kid among all"));
			EXPECT(alone, made_in_way(alg, "x"), strcmp(alg, "none") == 0 ? "unsupported_algorithm" : "unknown_key", "  ... by an unknown kid");
			if (strcmp(want, "ok") != 0)
				continue;
			/* the end of a signature may have a second spelling: not its last digit */
			with[strlen(with) - 9] ^= 1;
			is_true(strcmp(ask(all, with), "ok") != 0, "  ... with a changed signature");
		}
		auth_free(alone);
	}
	auth_free(all);
}

/* A key with an alg is for that one alone. */
static void
test_alg_of_key(void)
{
	static const char *const of_rsa[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"};

	for (int k = 0; k < 6; k++)
	{
		Auth	   *a = set_verifier(jwk(rsa, text(",\"kid\":\"k\",\"use\":\"sig\",\"alg\":\"%s\"", of_rsa[k])));

		for (int i = 0; i < 6; i++)
		{
			const char *want = i == k ? "ok" : "unsupported_algorithm";

			EXPECT(a, made_in_way(of_rsa[i], ""), want, text("%s with an RSA key for %s", of_rsa[i], of_rsa[k]));
			EXPECT(a, made_in_way(of_rsa[i], "k"), want, "  ... by its kid");
		}
		auth_free(a);
	}
}

static void
test_confusion(void)
{
	char	   *keys = text("%s,%s,%s", jwk(rsa, ",\"kid\":\"r\""), jwk(p256, ",\"kid\":\"e\""), oct(SECRET, ",\"kid\":\"h\""));
	char	   *rsa_alone = jwk(rsa, ",\"kid\":\"r\"");
	Auth	   *a = set_verifier(keys);
	Auth	   *alone = set_verifier(rsa_alone);
	const char *const misused[] = {public_pem(rsa), rsa_alone, set(rsa_alone), number_text(rsa, "n", 0), ""};
	Signer		by_secret = hs(SECRET);
	Signer		pss = {.key = rsa, .padding = PSS, .salt = RSA_PSS_SALTLEN_DIGEST, .md = EVP_sha256()};
	Signer		pkcs1 = {.key = rsa, .md = EVP_sha256()};
	Signer		es = {.key = p256, .md = EVP_sha256(), .coordinate = 32};
	Signer		es384 = {.key = p384, .md = EVP_sha384(), .coordinate = 48};

	for (size_t i = 0; i < sizeof(misused) / sizeof(misused[0]); i++)
	{
		Signer		s = hs(misused[i]);

		EXPECT(alone, made_by("HS256", "r", &s), "unsupported_algorithm", text("HS256 by a public RSA key's kid, secret %zu", i));
		EXPECT(alone, made_by("HS256", "", &s), "unsupported_algorithm", "  ... without kid");
		EXPECT(a, made_by("HS256", "r", &s), "unsupported_algorithm", "  ... where there is a secret, too");
		EXPECT(a, made_by("HS256", "", &s), "bad_signature", "  ... without kid");
	}
	EXPECT(a, made_by("HS256", "r", &by_secret), "unsupported_algorithm", "HS256 of the secret by the RSA key's kid");
	EXPECT(a, made_by("RS256", "h", &pkcs1), "unsupported_algorithm", "RS256 by the secret's kid");
	EXPECT(a, made_by("RS256", "e", &pkcs1), "unsupported_algorithm", "RS256 by the EC key's kid");
	EXPECT(a, made_by("ES256", "r", &es), "unsupported_algorithm", "ES256 by the RSA key's kid");
	EXPECT(a, made_by("ES384", "e", &es384), "unsupported_algorithm", "ES384 by the kid of a key on P-256");
	EXPECT(a, made_by("ES384", "e", &es), "unsupported_algorithm", "ES384 that is an ES256 signature");
	EXPECT(a, made_by("EdDSA", "e", &es), "unsupported_algorithm", "EdDSA that is an ES256 signature");
	EXPECT(a, made_by("RS256", "r", &pss), "bad_signature", "RS256 that is a PSS signature");
	EXPECT(a, made_by("PS256", "r", &pkcs1), "bad_signature", "PS256 that is a PKCS#1 signature");
	EXPECT(a, made_by("none", "r", NULL), "unsupported_algorithm", "none by a kid");
	EXPECT(a, made_by("none", "", NULL), "unsupported_algorithm", "none");
	EXPECT(a, made_by("RS256", "r", NULL), "bad_signature", "no signature");
	EXPECT(a, token("{\"alg\":\"RS256\",\"kid\":[\"r\"]}", CLAIMS, &pkcs1), "malformed", "kid is an array");
	EXPECT(a, token("{\"alg\":\"RS256\",\"kid\":null}", CLAIMS, &pkcs1), "malformed", "kid is null");
	EXPECT(a, token("{\"alg\":\"RS256\",\"kid\":\"x\",\"kid\":\"r\"}", CLAIMS, &pkcs1), "malformed", "kid twice");
	EXPECT(a, token(text("{\"alg\":\"RS256\",\"jwk\":%s}", jwk(other_rsa, "")), CLAIMS, &(Signer) {.key = other_rsa,.md = EVP_sha256()}),
		   "bad_signature", "the token brings its key along");
	auth_free(a);
	auth_free(alone);
}

/* Several keys of one type: kid chooses, and without it all of them are tried. */
static void
test_choice(void)
{
	Signer		first = {.key = rsa, .md = EVP_sha256()};
	Signer		second = {.key = other_rsa, .md = EVP_sha256()};
	Signer		ed = {.key = other_ed25519};
	AuthSettings settings = defaults();
	char	   *keys = text("%s,%s,%s,%s", jwk(rsa, ",\"kid\":\"1\""), jwk(other_rsa, ",\"kid\":\"2\""),
							jwk(ed25519, ""), jwk(other_ed25519, ",\"kid\":\"\""));
	Auth	   *a = set_verifier(keys);
	char	   *many = text("%s", "");

	EXPECT(a, made_by("RS256", "1", &first), "ok", "two RSA keys: the first by its kid");
	EXPECT(a, made_by("RS256", "2", &second), "ok", "  ... the second");
	EXPECT(a, made_by("RS256", "1", &second), "bad_signature", "  ... the second by the first one's kid");
	EXPECT(a, made_by("RS256", "3", &second), "unknown_key", "  ... by an unknown kid");
	EXPECT(a, made_by("RS256", "", &first), "ok", "  ... the first without kid");
	EXPECT(a, made_by("RS256", "", &second), "ok", "  ... the second without kid");
	EXPECT(a, made_by("EdDSA", "", &ed), "ok", "two Ed25519 keys: the second without kid");
	EXPECT(a, token("{\"alg\":\"EdDSA\",\"kid\":\"\"}", CLAIMS, &ed), "ok", "  ... by a kid that is empty");
	EXPECT(a, token("{\"alg\":\"EdDSA\",\"kid\":\"\"}", CLAIMS, &(Signer) {.key = ed25519}), "bad_signature", "  ... which is not the key without");
	auth_free(a);

	settings.public_key = public_pem(other_rsa);
	settings.jwks = set(jwk(rsa, ",\"kid\":\"1\""));
	a = verifier(&settings);
	EXPECT(a, made_in_way("HS256", ""), "ok", "secret, public key and set: by the secret without kid");
	EXPECT(a, made_by("RS256", "", &second), "ok", "  ... by the public key without kid");
	EXPECT(a, made_by("RS256", "", &first), "ok", "  ... by the set without kid");
	EXPECT(a, made_by("RS256", "1", &first), "ok", "  ... by kid");
	EXPECT(a, made_in_way("HS256", "1"), "unsupported_algorithm", "  ... by the secret with a kid of the set");
	EXPECT(a, made_by("RS256", "2", &second), "unknown_key", "  ... by the public key with an unknown kid");
	EXPECT(a, made_in_way("HS256", "2"), "unknown_key", "  ... by the secret with an unknown kid");
	auth_free(a);

	for (int i = 0; i < JWT_MAX_TRIES + 1; i++)
		many = text("%s%s%s", many, i > 0 ? "," : "", oct(text("secret number %d, which is long enough", i), text(",\"kid\":\"%d\"", i)));
	a = set_verifier(many);
	for (int i = 0; i < JWT_MAX_TRIES + 1; i++)
	{
		Signer		s = hs(text("secret number %d, which is long enough", i));

		EXPECT(a, made_by("HS256", "", &s), i < JWT_MAX_TRIES ? "ok" : "bad_signature", text("many keys: number %d without kid", i));
		EXPECT(a, made_by("HS256", text("%d", i), &s), "ok", "  ... by its kid");
	}
	auth_free(a);
}

/* Whose key stays is still good after a reload, however the key is called or given. */
static void
test_rotation(void)
{
	Auth	   *old = set_verifier(text("%s,%s,%s", jwk(rsa, ",\"kid\":\"1\""), jwk(p256, ",\"kid\":\"2\""), oct(SECRET, ",\"kid\":\"3\"")));
	Auth	   *rotated = set_verifier(text("%s,%s", jwk(p256, ",\"kid\":\"new\""), jwk(other_rsa, ",\"kid\":\"1\"")));
	AuthSettings settings = defaults();
	Auth	   *files;
	Identity	id[3];
	const char *const alg[3] = {"RS256", "ES256", "HS256"};

	settings.public_key = public_pem(rsa);
	files = verifier(&settings);
	for (int i = 0; i < 3; i++)
	{
		char	   *payload = text("{\"token\":\"%s\"}", made_in_way(alg[i], text("%d", i + 1)));

		is_string(ask_payload(old, payload, strlen(payload), "", &id[i]), "ok", text("%s", alg[i]));
		is_true(id[i].key != 0 && auth_still_good(old, id[i].key), "  ... is good with the same keys");
	}
	is_true(id[0].key != id[1].key && id[1].key != id[2].key, "  ... and each has its own");
	is_true(!auth_still_good(rotated, id[0].key), "a key is gone whose kid another one has");
	is_true(auth_still_good(rotated, id[1].key), "a key stays that has another kid");
	is_true(!auth_still_good(rotated, id[2].key), "a secret is gone");
	is_true(auth_still_good(files, id[0].key) && auth_still_good(files, id[2].key) && !auth_still_good(files, id[1].key),
			"keys stay that move to files of their own");
	is_true(!auth_still_good(rotated, 0), "tokens are required");
	for (int i = 0; i < 3; i++)
		identity_free(&id[i]);
	auth_free(old);
	auth_free(rotated);
	auth_free(files);
}

/* What is read, left out, or bad; and what is said of it. */
static void
test_sets(void)
{
	char	   *good = jwk(p256, ",\"kid\":\"g\"");
	char	   *zeros = repeat_text('A', 43);
	const struct
	{
		const char *name;
		const char *jwks;
		const char *error;		/* part of it; NULL: the set is taken */
		const char *warning;	/* part of it; NULL: none */
	}			cases[] = {
		{"a set of one key", set(good), NULL, NULL},
		{"members that nobody knows", text("{\"a\":[1],\"keys\":[%s]}", jwk(p256, ",\"x5c\":[\"AAAA\"],\"x5t\":\"AA\",\"z\":{}")), NULL, NULL},
		{"white space around", text("\n %s \n", set(good)), NULL, NULL},

		{"not JSON", "hello", "not valid JSON", NULL},
		{"white space alone", " \n", "not valid JSON", NULL},
		{"a PEM file", public_pem(rsa), "not valid JSON", NULL},
		{"a set that is cut", text("%.*s", (int) strlen(set(good)) - 3, set(good)), "not valid JSON", NULL},
		{"something after the set", text("%s{}", set(good)), "not valid JSON", NULL},
		{"a member twice", text("{\"keys\":[],\"keys\":[%s]}", good), "not valid JSON", NULL},
		{"a member of a key twice", set(jwk(p256, ",\"kty\":\"EC\"")), "not valid JSON", NULL},
		{"a single key", good, "array \"keys\"", NULL},
		{"an array", text("[%s]", good), "array \"keys\"", NULL},
		{"a string", "\"keys\"", "not valid JSON", NULL},
		{"keys is an object", text("{\"keys\":%s}", good), "array \"keys\"", NULL},
		{"no keys", set(""), "no key that", NULL},
		{"100 keys", set(keys_of_kids(100)), NULL, NULL},
		{"101 keys", set(keys_of_kids(101)), "more than 100", NULL},
		{"a kid twice", set(text("%s,%s", good, jwk(rsa, ",\"kid\":\"g\""))), "key 2 of the JWKS file has the kid", NULL},
		{"a kid twice, one of a key that is not used", set(text("%s,%s", jwk(rsa, ",\"kid\":\"g\",\"use\":\"enc\""), good)), "key 2 of the JWKS file has the kid", NULL},
		{"two keys without kid", set(text("%s,%s", jwk(rsa, ""), jwk(p256, ""))), NULL, NULL},
		{"a key twice", set(text("%s,%s", good, jwk(p256, ",\"kid\":\"h\""))), NULL, NULL},

		{"a key that is null", set(text("%s,null", good)), "key 2 of the JWKS file is no JSON object", NULL},
		{"a key without kty", set("{\"k\":\"AA\"}"), "kty", NULL},
		{"kty is a number", set("{\"kty\":1}"), "kty", NULL},
		{"kid is a number", set(jwk(p256, ",\"kid\":1")), "strings", NULL},
		{"alg is a number", set(jwk(p256, ",\"alg\":1")), "strings", NULL},
		{"use is a number", set(jwk(p256, ",\"use\":1")), "strings", NULL},
		{"key_ops is a string", set(jwk(p256, ",\"key_ops\":\"verify\"")), "key_ops", NULL},

		{"use is sig", set(jwk(p256, ",\"use\":\"sig\"")), NULL, NULL},
		{"use is enc", set(jwk(p256, ",\"use\":\"enc\"")), "no key that", NULL},
		{"use is enc, among others", set(text("%s,%s", jwk(rsa, ",\"use\":\"enc\""), good)), NULL, NULL},
		{"key_ops has verify", set(jwk(p256, ",\"key_ops\":[5,\"sign\",\"verify\"]")), NULL, NULL},
		{"key_ops is empty", set(jwk(p256, ",\"key_ops\":[]")), "no key that", NULL},
		{"key_ops has sign alone", set(oct(SECRET, ",\"key_ops\":[\"sign\"]")), "no key that", NULL},
		{"an alg for encryption", set(jwk(rsa, ",\"alg\":\"RSA-OAEP\"")), "no key that", NULL},
		{"alg none", set(jwk(rsa, ",\"alg\":\"none\"")), "no key that", NULL},
		{"RSA with alg HS256", set(jwk(rsa, ",\"alg\":\"HS256\"")), "alg that is not for its kty", NULL},
		{"oct with alg RS256", set(oct(SECRET, ",\"alg\":\"RS256\"")), "alg that is not for its kty", NULL},
		{"P-256 with alg ES384", set(jwk(p256, ",\"alg\":\"ES384\"")), "alg that is not for its kty", NULL},
		{"Ed25519 with alg ES256", set(jwk(ed25519, ",\"alg\":\"ES256\"")), "alg that is not for its kty", NULL},
		{"Ed25519 with alg EdDSA", set(jwk(ed25519, ",\"alg\":\"EdDSA\"")), NULL, NULL},

		{"an unknown kty", set(text("{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"},%s", good)), NULL, NULL},
		{"secp256k1", set(text("%s,%s", jwk(k256, ",\"alg\":\"ES256K\""), good)), NULL, NULL},
		{"secp256k1 alone", set(jwk(k256, "")), "no key that", NULL},
		{"X25519", set(text("%s,%s", jwk(x25519, ""), good)), NULL, NULL},

		{"a private RSA key", set(jwk(rsa, ",\"d\":\"AQAB\"")), "private", NULL},
		{"its primes alone", set(jwk(rsa, ",\"qi\":\"AQAB\"")), "private", NULL},
		{"a private EC key", set(jwk(p256, ",\"d\":\"AQAB\"")), "private", NULL},
		{"a private Ed25519 key", set(jwk(ed25519, ",\"d\":\"AQAB\"")), "private", NULL},
		{"a private key that is not used", set(text("%s,%s", good, jwk(rsa, ",\"use\":\"enc\",\"d\":\"AQAB\""))), "key 2 of the JWKS file is a private", NULL},
		{"a private key of an unknown kty", set(text("{\"kty\":\"AKP\",\"priv\":\"AA\"},%s", good)), "private", NULL},

		{"RSA without n", set("{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), "malformed", NULL},
		{"RSA without e", set(text("{\"kty\":\"RSA\",\"n\":\"%s\"}", number_text(rsa, "n", 0))), "malformed", NULL},
		{"RSA with e = 1", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQ\"}", number_text(rsa, "n", 0))), "malformed", NULL},
		{"RSA with an even e", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"Ag\"}", number_text(rsa, "n", 0))), "malformed", NULL},
		{"RSA with e = 0", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"\"}", number_text(rsa, "n", 0))), "malformed", NULL},
		{"RSA with e = 3", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"Aw\"}", number_text(rsa, "n", 0))), NULL, NULL},
		{"RSA with an e of 72 bits", set(text("%s,{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAAAAAAAAAB\"}", good, number_text(rsa, "n", 0))), NULL, "exponent"},
		{"RSA with padding", set(text("{\"kty\":\"RSA\",\"n\":\"%s==\",\"e\":\"AQAB\"}", number_text(rsa, "n", 0))), "malformed", NULL},
		{"RSA with n as a number", set("{\"kty\":\"RSA\",\"n\":5,\"e\":\"AQAB\"}"), "malformed", NULL},
		{"RSA with an even n", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", text("gA%s", repeat_text('A', 340)))), "malformed", NULL},
		{"RSA with a zero before n", set(text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", number_text(rsa, "n", 257))), NULL, NULL},
		{"RSA of 1024 bits", set(text("%s,%s", jwk(small_rsa, ""), good)), NULL, "key 1 of the JWKS file is not used: it is an RSA key of less than 2048"},
		{"RSA of 1024 bits alone", set(jwk(small_rsa, "")), "less than 2048", NULL},
		{"RSA of 8192 bits", set(text("{\"kty\":\"RSA\",\"n\":\"%sw\",\"e\":\"AQAB\"}", repeat_text('_', 1365))), NULL, NULL},
		{"RSA of 8200 bits", set(text("%s,{\"kty\":\"RSA\",\"n\":\"%s8\",\"e\":\"AQAB\"}", good, repeat_text('_', 1366))), NULL, "more than 8192"},

		{"EC without crv", set("{\"kty\":\"EC\",\"x\":\"AA\",\"y\":\"AA\"}"), "crv", NULL},
		{"EC off its curve", set(text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", zeros, zeros)), "no point", NULL},
		{"EC with another curve's crv", set(text("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"%s\",\"y\":\"%s\"}", number_text(p256, "qx", 48), number_text(p256, "qy", 48))), "no point", NULL},
		{"EC with short coordinates", set(text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"%s\"}", number_text(p256, "qy", 32))), "malformed", NULL},
		{"EC with long coordinates", set(text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", number_text(p256, "qx", 33), number_text(p256, "qy", 33))), "malformed", NULL},
		{"EC without y", set(text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\"}", number_text(p256, "qx", 32))), "malformed", NULL},
		{"OKP without crv", set("{\"kty\":\"OKP\",\"x\":\"AA\"}"), "crv", NULL},
		{"Ed25519 with 31 bytes", set(text("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", repeat_text('A', 42))), "malformed", NULL},
		{"Ed25519 with 33 bytes", set(text("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", repeat_text('A', 44))), "malformed", NULL},

		{"oct of 31 bytes", set(text("%s,%s", good, oct("0123456789abcdef0123456789abcde", ""))), NULL, "key 2 of the JWKS file is not used: it is shorter than 32 bytes"},
		{"oct of 31 bytes alone", set(oct("0123456789abcdef0123456789abcde", "")), "shorter than 32 bytes", NULL},
		{"oct of no bytes", set(oct("", "")), "shorter than 32 bytes", NULL},
		{"oct without k", set("{\"kty\":\"oct\"}"), "malformed", NULL},
		{"oct in base64 with padding", set(text("{\"kty\":\"oct\",\"k\":\"%s=\"}", repeat_text('A', 43))), "malformed", NULL},
		{"oct that is a PEM file", set(text("%s,%s", oct(public_pem(rsa), ""), good)), NULL, "PEM"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *error = "not set";
		const char *warning = "not set";
		AuthSettings settings = defaults();
		Auth	   *a;

		settings.jwks = cases[i].jwks;
		a = auth_new(&settings, &error, &warning);
		is_true((a == NULL) == (cases[i].error != NULL) &&
				(cases[i].error == NULL ? error == NULL : error != NULL && strstr(error, cases[i].error) != NULL),
				text("%s: error '%s'", cases[i].name, error != NULL ? error : ""));
		CHECK(ERR_peek_error() == 0);
		if (a == NULL)
			continue;
		is_true(cases[i].warning == NULL ? warning == NULL : warning != NULL && strstr(warning, cases[i].warning) != NULL,
				text("%s: warning '%s'", cases[i].name, warning != NULL ? warning : ""));
		auth_free(a);
	}
}

/* A key that is left out is no key: by its kid neither. */
static void
test_left_out(void)
{
	Auth	   *a = set_verifier(text("%s,%s,%s,%s", jwk(rsa, ",\"kid\":\"r\",\"use\":\"enc\""), oct("short", ",\"kid\":\"h\""),
									  jwk(small_rsa, ",\"kid\":\"s\""), jwk(p256, ",\"kid\":\"e\"")));
	Signer		small = {.key = small_rsa, .md = EVP_sha256()};
	Signer		short_secret = hs("short");

	EXPECT(a, made_in_way("RS256", "r"), "unknown_key", "a token by a key with use enc");
	EXPECT(a, made_in_way("RS256", ""), "unsupported_algorithm", "  ... without kid");
	EXPECT(a, made_by("RS256", "s", &small), "unknown_key", "a token by an RSA key of 1024 bits");
	EXPECT(a, made_by("HS256", "h", &short_secret), "unknown_key", "a token by a short secret");
	EXPECT(a, made_by("HS256", "", &short_secret), "unsupported_algorithm", "  ... without kid");
	EXPECT(a, made_in_way("ES256", "e"), "ok", "a token by the one that is left");
	auth_free(a);
}

/* The examples of RFC 7515 A.1 to A.3 and RFC 8037 A.4. */
static void
test_rfc(void)
{
	static const char rsa_n[] =
		"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
		"YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZl"
		"xvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
	static const char claims[] =
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	const struct
	{
		const char *name;
		const char *alg;
		const char *jwk;
		const char *text;
		const char *signature;
	}			cases[] = {
		{"RFC 7515 A.1", "HS256",
			"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
			text("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.%s", claims), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		{"RFC 7515 A.2", "RS256", text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", rsa_n),
			text("eyJhbGciOiJSUzI1NiJ9.%s", claims),
			"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
		"BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
		"hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
		{"RFC 7515 A.3", "ES256",
			"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
			text("eyJhbGciOiJFUzI1NiJ9.%s", claims), "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
		{"RFC 8037 A.4", "EdDSA", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
			"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *error;
		const char *warning;
		JwtKeys    *k = jwt_keys_new(NULL, NULL, set(cases[i].jwk), &error, &warning);
		uint8_t		signature[512];
		long		n = base64url_decode(signature, slice_cstring(cases[i].signature));
		char	   *whole = text("%s.%s", cases[i].text, cases[i].signature);
		uint64_t	print = 0;

		unit_case("%s", cases[i].name);
		CHECK(k != NULL && n > 0 && jwt_keys_check(k, cases[i].alg, NULL, whole, slice(signature, (size_t) n), &print) == NULL);
		CHECK(print != 0 && jwt_keys_known(k, print));
		jwt_keys_free(k);
	}
}

int
main(void)
{
	rsa = EVP_RSA_gen(2048);
	other_rsa = EVP_RSA_gen(2048);
	small_rsa = EVP_RSA_gen(1024);
	p256 = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	k256 = EVP_EC_gen("secp256k1");
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	other_ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	make_ways();

	test_types();
	test_alg_of_key();
	test_confusion();
	test_choice();
	test_rotation();
	test_sets();
	test_left_out();
	test_rfc();

	forget_made();
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other_rsa);
	EVP_PKEY_free(small_rsa);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(k256);
	EVP_PKEY_free(ed25519);
	EVP_PKEY_free(other_ed25519);
	EVP_PKEY_free(x25519);
	return unit_done();
}

/* with: src/gateway/auth.c src/gateway/jwt_keys.c src/gateway/jwks.c */
/*
 * test_auth.c - tokens, good and hostile, against auth_connect().
 *
 * Those of a key set are in test_jwks.c.
 */
#include "tokens.h"

static EVP_PKEY *rsa, *other_rsa, *small_rsa, *p256, *other_p256, *p384, *p521, *k256, *ed25519;

/* A token with these claims, signed as the default verifier wants it. */
static char *
claims(const char *payload)
{
	Signer		s = hs(SECRET);

	return token(HEADER("HS256"), payload, &s);
}

/* ---- the tests ---- */

static void
test_algorithms(void)
{
	const struct
	{
		const char *name;
		EVP_PKEY   *key;
		Padding		padding;
		const EVP_MD *md;
		int			coordinate;
	}			cases[] = {
		{"HS256", NULL, PKCS1, EVP_sha256(), 0},
		{"HS384", NULL, PKCS1, EVP_sha384(), 0},
		{"HS512", NULL, PKCS1, EVP_sha512(), 0},
		{"RS256", rsa, PKCS1, EVP_sha256(), 0},
		{"RS384", rsa, PKCS1, EVP_sha384(), 0},
		{"RS512", rsa, PKCS1, EVP_sha512(), 0},
		{"PS256", rsa, PSS, EVP_sha256(), 0},
		{"PS384", rsa, PSS, EVP_sha384(), 0},
		{"PS512", rsa, PSS, EVP_sha512(), 0},
		{"ES256", p256, PKCS1, EVP_sha256(), 32},
		{"ES384", p384, PKCS1, EVP_sha384(), 48},
		{"ES512", p521, PKCS1, EVP_sha512(), 66},
	};
	const size_t n = sizeof(cases) / sizeof(cases[0]);

	/* every verifier sees every token: only its own family and curve may pass */
	for (size_t v = 0; v < n; v++)
	{
		AuthSettings settings = defaults();
		Auth	   *a;

		if (cases[v].key != NULL)
		{
			settings.secret = NULL;
			settings.public_key = public_pem(cases[v].key);
		}
		a = verifier(&settings);
		for (size_t i = 0; i < n; i++)
		{
			Signer		s = {.secret = cases[i].key == NULL ? SECRET : NULL, .key = cases[i].key,
				.padding = cases[i].padding, .salt = RSA_PSS_SALTLEN_DIGEST, .md = cases[i].md, .coordinate = cases[i].coordinate};
			char	   *header = text("{\"alg\":\"%s\"}", cases[i].name);
			char	   *t = token(header, CLAIMS, &s);

			EXPECT(a, t, cases[i].key == cases[v].key ? "ok" : "unsupported_algorithm",
				   text("%s with the key of %s", cases[i].name, cases[v].name));
			if (cases[i].key != cases[v].key)
				continue;
			/* one flipped bit in the claims, and in the signature's middle */
			t = keep(strdup(t));
			strchr(t, '.')[2] ^= 1;
			is_true(strcmp(ask(a, t), "ok") != 0, text("%s with changed claims", cases[i].name));
			strchr(t, '.')[2] ^= 1;
			t[strlen(t) - 20] = t[strlen(t) - 20] == 'A' ? 'B' : 'A';
			EXPECT(a, t, "bad_signature", text("%s with a changed signature", cases[i].name));
		}
		auth_free(a);
	}
}

static void
test_both_keys(void)
{
	AuthSettings settings = defaults();
	Signer		by_rsa = {.key = rsa, .md = EVP_sha256()};
	Signer		by_other = {.key = other_rsa, .md = EVP_sha256()};
	Signer		by_secret = hs(SECRET);
	Auth	   *a;

	settings.public_key = public_pem(rsa);
	a = verifier(&settings);
	EXPECT(a, token(HEADER("HS256"), CLAIMS, &by_secret), "ok", "both keys: HS256");
	EXPECT(a, token(HEADER("RS256"), CLAIMS, &by_rsa), "ok", "both keys: RS256");
	EXPECT(a, token(HEADER("RS256"), CLAIMS, &by_other), "bad_signature", "both keys: RS256 by another key");
	EXPECT(a, token(HEADER("ES256"), CLAIMS, &by_rsa), "unsupported_algorithm", "both keys: ES256");
	auth_free(a);
}

static void
test_confusion(void)
{
	AuthSettings settings = defaults();
	char	   *pem = public_pem(rsa);
	Signer		by_pem = hs(pem);
	Signer		by_secret = hs(SECRET);
	Signer		by_empty = hs("");
	Signer		pkcs1 = {.key = rsa, .md = EVP_sha256()};
	Signer		pss = {.key = rsa, .padding = PSS, .salt = RSA_PSS_SALTLEN_DIGEST, .md = EVP_sha256()};
	Signer		short_salt = {.key = rsa, .padding = PSS, .salt = 8, .md = EVP_sha256()};
	Signer		sha512 = {.key = rsa, .md = EVP_sha512()};
	Auth	   *hmac = verifier(&settings);
	Auth	   *a;

	settings.secret = NULL;
	settings.public_key = pem;
	a = verifier(&settings);
	EXPECT(a, token(HEADER("HS256"), CLAIMS, &by_pem), "unsupported_algorithm", "HS256 with the public key's PEM as the secret");
	EXPECT(a, token(HEADER("HS256"), CLAIMS, &by_empty), "unsupported_algorithm", "HS256 with an empty secret, RSA key only");
	EXPECT(a, token(HEADER("RS256"), CLAIMS, &pss), "bad_signature", "RS256 that is a PSS signature");
	EXPECT(a, token(HEADER("PS256"), CLAIMS, &pkcs1), "bad_signature", "PS256 that is a PKCS#1 signature");
	EXPECT(a, token(HEADER("PS256"), CLAIMS, &short_salt), "bad_signature", "PS256 with a salt of 8 bytes");
	EXPECT(a, token(HEADER("RS256"), CLAIMS, &sha512), "bad_signature", "RS256 over SHA-512");
	auth_free(a);

	settings.secret = SECRET;
	a = verifier(&settings);
	EXPECT(a, token(HEADER("HS256"), CLAIMS, &by_pem), "bad_signature", "both keys: HS256 with the PEM as the secret");
	auth_free(a);

	EXPECT(hmac, token(HEADER("HS256"), CLAIMS, &by_empty), "bad_signature", "HS256 with an empty secret");
	EXPECT(hmac, token(HEADER("HS384"), CLAIMS, &by_secret), "bad_signature", "HS384 that is an HS256 signature");
	EXPECT(hmac, token(HEADER("HS256"), CLAIMS, NULL), "bad_signature", "HS256 without a signature");
	for (int i = 0; i < 5; i++)
	{
		static const char *const spelling[] = {"none", "None", "NONE", "nOnE", ""};
		char	   *header = text("{\"alg\":\"%s\"}", spelling[i]);

		EXPECT(hmac, token(header, CLAIMS, NULL), "unsupported_algorithm", text("alg '%s' without a signature", spelling[i]));
		EXPECT(hmac, token(header, CLAIMS, &by_secret), "unsupported_algorithm", text("alg '%s' with a signature", spelling[i]));
	}
	EXPECT(hmac, token("{\"alg\":\"hs256\"}", CLAIMS, &by_secret), "unsupported_algorithm", "alg in lower case");
	EXPECT(hmac, token("{\"alg\":\"HS256 \"}", CLAIMS, &by_secret), "unsupported_algorithm", "alg with a blank");
	EXPECT(hmac, token("{\"alg\":\"EdDSA\"}", CLAIMS, &by_secret), "unsupported_algorithm", "an algorithm we do not have");
	auth_free(hmac);
}

static void
test_ecdsa(void)
{
	AuthSettings settings = defaults();
	Signer		s = {.key = p256, .md = EVP_sha256(), .coordinate = 32};
	Signer		der = {.key = p256, .md = EVP_sha256()};
	Signer		other = {.key = other_p256, .md = EVP_sha256(), .coordinate = 32};
	char	   *good;
	char	   *zero;
	Auth	   *a;

	settings.secret = NULL;
	settings.public_key = public_pem(p256);
	a = verifier(&settings);
	good = token(HEADER("ES256"), CLAIMS, &s);
	EXPECT(a, good, "ok", "ES256");
	EXPECT(a, token(HEADER("ES256"), CLAIMS, &other), "bad_signature", "ES256 by another key");
	EXPECT(a, token(HEADER("ES256"), CLAIMS, &der), "bad_signature", "ES256 with a DER signature");
	EXPECT(a, token(HEADER("ES256"), CLAIMS, NULL), "bad_signature", "ES256 without a signature");
	EXPECT(a, text("%.*s", (int) strlen(good) - 2, good), "bad_signature", "ES256 with half an r || s too little");
	EXPECT(a, text("%sAA", good), "bad_signature", "ES256 with r || s of odd length");
	zero = text("%.*s%s", (int) strlen(good) - 86, good,
				"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	EXPECT(a, zero, "bad_signature", "ES256 with r = s = 0");
	EXPECT(a, token(HEADER("ES384"), CLAIMS, &s), "unsupported_algorithm", "ES384 with the key of P-256");
	auth_free(a);
}

static void
test_shape(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);
	Signer		s = hs(SECRET);
	char	   *good = claims(CLAIMS);
	char	   *big = malloc(9000);
	char	   *last;
	size_t		n;

	EXPECT(a, good, "ok", "a good token");
	EXPECT(a, text("%s.", good), "malformed", "a fourth part");
	EXPECT(a, text("%s.x.y", good), "malformed", "five parts");
	EXPECT(a, text("%s=", good), "malformed", "padding");
	EXPECT(a, text("%s ", good), "malformed", "a blank at the end");
	EXPECT(a, text(" %s", good), "malformed", "a blank at the beginning");
	EXPECT(a, text("%s\\n", good), "malformed", "a newline at the end");
	EXPECT(a, text("%s\\u0000", good), "malformed", "a NUL at the end");
	EXPECT(a, "x", "malformed", "no dot");
	EXPECT(a, ".", "malformed", "one dot");
	EXPECT(a, "..", "malformed", "two dots");
	EXPECT(a, text("%.*s", (int) (strrchr(good, '.') - good), good), "malformed", "two parts");
	EXPECT(a, text("%sAAAA", good), "bad_signature", "bytes after the signature");

	/* 32 bytes of signature end in a digit with two bits of which none may be set */
	last = keep(strdup(good));
	n = strlen(last) - 1;
	last[n] = last[n] == '9' ? '8' : last[n] + 1;
	EXPECT(a, last, "malformed", "a second spelling of the same signature");
	last = keep(strdup(good));
	last[3] = '+';
	EXPECT(a, last, "malformed", "'+' instead of '-'");

	EXPECT(a, token("[]", CLAIMS, &s), "malformed", "header is an array");
	EXPECT(a, token("{}", CLAIMS, &s), "malformed", "header without alg");
	EXPECT(a, token("{\"alg\":256}", CLAIMS, &s), "malformed", "alg is a number");
	EXPECT(a, token("{\"alg\":\"HS256\"", CLAIMS, &s), "malformed", "header is cut");
	EXPECT(a, token("{\"alg\":\"HS256\"}{}", CLAIMS, &s), "malformed", "something after the header");
	EXPECT(a, token("{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS, &s), "malformed", "alg twice");
	EXPECT(a, token("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", CLAIMS, &s), "malformed", "a critical extension");
	EXPECT(a, token("{\"alg\":\"HS256\",\"kid\":\"x\"}", CLAIMS, &s), "ok", "without a key set, kid is ignored");
	EXPECT(a, token("{\"alg\":\"HS256\",\"kid\":1}", CLAIMS, &s), "malformed", "kid is a number");
	EXPECT(a, token("{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", CLAIMS, &s), "bad_signature", "HS256 of another type: libjwt takes JWT alone");
	EXPECT(a, claims("\"x\""), "malformed", "claims are a string");
	EXPECT(a, claims("[1]"), "malformed", "claims are an array");
	EXPECT(a, claims("{\"sub\":\"1\",\"sub\":\"2\"}"), "malformed", "a claim twice");
	EXPECT(a, claims("{\"sub\":\"1\"} x"), "malformed", "something after the claims");
	EXPECT(a, claims("{\"sub\":\"\\u0000\"}"), "malformed", "a NUL in a claim");
	EXPECT(a, claims("{\"sub\":\"\\ud800\"}"), "malformed", "a lone surrogate");
	EXPECT(a, claims("{\"sub\":\"\xff\"}"), "malformed", "invalid UTF-8");
	EXPECT(a, claims("{\"x\":123456789012345678901234567890}"), "malformed", "an integer beyond 64 bits");
	EXPECT(a, claims("{\"x\":1e999}"), "malformed", "a number beyond a double");
	EXPECT(a, token_of_bytes(HEADER("HS256"), strlen(HEADER("HS256")), "{}\0", 3, &s), "malformed", "a NUL after the claims");

	memset(big, '[', 9000);
	big[5000] = '\0';
	EXPECT(a, claims(big), "malformed", "claims of 5000 brackets");
	memset(big, 'x', 9000);
	memcpy(big, "{\"sub\":\"1\",\"x\":\"", 16);
	strcpy(big + 5800, "\"}");
	EXPECT(a, claims(big), "ok", "a token of almost 8 kB");
	memset(big, 'x', 9000);
	memcpy(big, "{\"sub\":\"1\",\"x\":\"", 16);
	strcpy(big + 6200, "\"}");
	EXPECT(a, claims(big), "malformed", "a token of more than 8 kB");
	free(big);
	auth_free(a);
}

static void
test_dates(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);
	Auth	   *strict;
	static const struct
	{
		const char *claims;
		const char *want;
	}			cases[] = {
		{"{\"exp\":1700000001}", "ok"},
		{"{\"exp\":1699999971}", "ok"},	/* 30 s of leeway */
		{"{\"exp\":1699999970}", "token_expired"},
		{"{\"exp\":1699999970.5}", "ok"},
		{"{\"exp\":1699999970.0}", "token_expired"},
		{"{\"exp\":0}", "token_expired"},
		{"{\"exp\":-1}", "token_expired"},
		{"{\"exp\":-9223372036854775808}", "token_expired"},
		{"{\"exp\":9223372036854775807}", "ok"},
		{"{\"exp\":1e300}", "ok"},
		{"{\"exp\":-1e300}", "token_expired"},
		{"{\"exp\":\"1800000000\"}", "bad_claim"},
		{"{\"exp\":null}", "bad_claim"},
		{"{\"exp\":true}", "bad_claim"},
		{"{\"exp\":[1800000000]}", "bad_claim"},
		{"{\"nbf\":1700000030}", "ok"},
		{"{\"nbf\":1700000031}", "token_not_active"},
		{"{\"nbf\":1700000030.5}", "token_not_active"},
		{"{\"nbf\":9223372036854775807}", "token_not_active"},
		{"{\"nbf\":-9223372036854775808}", "ok"},
		{"{\"nbf\":\"0\"}", "bad_claim"},
		{"{\"iat\":1800000000}", "ok"},
		{"{\"iat\":\"now\"}", "bad_claim"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		EXPECT(a, claims(cases[i].claims), cases[i].want, cases[i].claims);
	auth_free(a);

	settings.leeway = 0;
	strict = verifier(&settings);
	EXPECT(strict, claims("{\"exp\":1700000000}"), "token_expired", "no leeway: exp is now");
	EXPECT(strict, claims("{\"exp\":1700000001,\"nbf\":1700000000}"), "ok", "no leeway: nbf is now");
	auth_free(strict);
}

static void
test_parties(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);

	EXPECT(a, claims("{\"aud\":\"x\",\"iss\":5}"), "ok", "aud and iss are not looked at unless set");
	auth_free(a);

	settings.audience = "rooms";
	settings.issuer = "https://issuer";
	a = verifier(&settings);
	EXPECT(a, claims("{\"aud\":\"rooms\",\"iss\":\"https://issuer\"}"), "ok", "aud is a string");
	EXPECT(a, claims("{\"aud\":[\"x\",\"rooms\"],\"iss\":\"https://issuer\"}"), "ok", "aud is an array");
	EXPECT(a, claims("{\"aud\":[],\"iss\":\"https://issuer\"}"), "bad_audience", "aud is an empty array");
	EXPECT(a, claims("{\"aud\":[[\"rooms\"]],\"iss\":\"https://issuer\"}"), "bad_audience", "aud is an array in an array");
	EXPECT(a, claims("{\"aud\":{\"rooms\":1},\"iss\":\"https://issuer\"}"), "bad_audience", "aud is an object");
	EXPECT(a, claims("{\"aud\":\"room\",\"iss\":\"https://issuer\"}"), "bad_audience", "aud is a prefix");
	EXPECT(a, claims("{\"aud\":\"rooms \",\"iss\":\"https://issuer\"}"), "bad_audience", "aud has a blank");
	EXPECT(a, claims("{\"iss\":\"https://issuer\"}"), "bad_audience", "aud is missing");
	EXPECT(a, claims("{\"aud\":\"rooms\",\"iss\":\"https://issuer/\"}"), "bad_issuer", "iss differs");
	EXPECT(a, claims("{\"aud\":\"rooms\",\"iss\":[\"https://issuer\"]}"), "bad_issuer", "iss is an array");
	EXPECT(a, claims("{\"aud\":\"rooms\"}"), "bad_issuer", "iss is missing");
	auth_free(a);
}

/*
 * The identity of a token with these claims, as "user/tenant/role/valid ms",
 * or the code; a role that can be none is shown as !.
 */
static const char *
identity(const Auth *a, const char *payload)
{
	Identity	id;
	char	   *auth = text("{\"token\":\"%s\"}", claims(payload));
	const char *r = ask_payload(a, auth, strlen(auth), "", &id);

	if (strcmp(r, "ok") == 0)
		r = text("%s/%s/%s/%s", id.user_id ? id.user_id : "", id.tenant_id ? id.tenant_id : "",
				 id.role == NULL ? "" : id.role[0] == '\0' ? "!" : id.role,
				 id.valid_ms == UINT64_MAX ? "never" : text("%llu", (unsigned long long) id.valid_ms));
	if (id.claims != NULL)
		is_string(id.claims, payload, "the claims are kept as signed");
	identity_free(&id);
	return r;
}

static char *
repeat(char c, int n)
{
	char	   *s = malloc((size_t) n + 1);

	memset(s, c, (size_t) n);
	s[n] = '\0';
	return keep(s);
}

static void
test_identity(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);
	char	   *role63 = repeat('r', 63);
	char	   *id250 = repeat('u', 250);
	char	   *id248 = repeat('t', 248);

	is_string(identity(a, "{\"sub\":\"7\"}"), "7///never", "sub");
	is_string(identity(a, "{\"sub\":\"7\",\"user_id\":8}"), "8///never", "user_id before sub");
	is_string(identity(a, "{\"userId\":\"9\",\"sub\":\"7\",\"user_id\":8}"), "9///never", "userId before both");
	is_string(identity(a, "{\"userId\":null,\"sub\":\"7\"}"), "7///never", "null counts as absent");
	is_string(identity(a, "{\"sub\":\"7\",\"tenantId\":\"a\",\"role\":\"web\",\"exp\":1800000000.9}"), "7/a/web/100000030900", "all of them");
	is_string(identity(a, "{\"tenant_id\":-5}"), "/-5//never", "a tenant alone, behind a blank in the list");
	is_string(identity(a, "{}"), "///never", "no names at all");
	is_string(identity(a, "{\"sub\":9223372036854775807}"), "9223372036854775807///never", "the largest integer");
	is_string(identity(a, "{\"sub\":-9223372036854775808}"), "-9223372036854775808///never", "the smallest integer");
	is_string(identity(a, "{\"sub\":9007199254740993}"), "9007199254740993///never", "an integer that is no double");
	is_string(identity(a, "{\"sub\":\"\xc3\xa4 b:c\"}"), "\xc3\xa4 b:c///never", "letters, blanks and colons");
	is_string(identity(a, text("{\"sub\":\"%s\"}", id250)), text("%s///never", id250), "the longest user id");
	is_string(identity(a, text("{\"sub\":\"%su\"}", id250)), "bad_claim", "a user id that is too long");
	is_string(identity(a, text("{\"tenantId\":\"%s\"}", id248)), text("/%s//never", id248), "the longest tenant id");
	is_string(identity(a, text("{\"tenantId\":\"%st\"}", id248)), "bad_claim", "a tenant id that is too long");
	is_string(identity(a, text("{\"role\":\"%s\"}", role63)), text("//%s/never", role63), "the longest role");
	is_string(identity(a, text("{\"role\":\"%sr\"}", role63)), "//!/never", "a role that would be truncated");
	is_string(identity(a, "{\"sub\":\"\"}"), "bad_claim", "an empty id");
	is_string(identity(a, "{\"sub\":1.5}"), "bad_claim", "a fraction");
	is_string(identity(a, "{\"sub\":1e3}"), "bad_claim", "an exponent");
	is_string(identity(a, "{\"sub\":true}"), "bad_claim", "a boolean");
	is_string(identity(a, "{\"sub\":[\"7\"]}"), "bad_claim", "an array");
	is_string(identity(a, "{\"sub\":{}}"), "bad_claim", "an object");
	is_string(identity(a, "{\"sub\":\"a\\nb\"}"), "bad_claim", "a newline");
	is_string(identity(a, "{\"sub\":\"a\\u007f\"}"), "bad_claim", "a DEL");
	is_string(identity(a, "{\"userId\":\"\",\"sub\":\"7\"}"), "bad_claim", "an empty id is not skipped");
	is_string(identity(a, "{\"role\":5}"), "//!/never", "a role that is a number");
	is_string(identity(a, "{\"role\":[\"web\"]}"), "//!/never", "a role that is an array");
	is_string(identity(a, "{\"role\":\"\"}"), "//!/never", "an empty role");
	is_string(identity(a, "{\"role\":\"a\\nb\"}"), "//!/never", "a role with a newline");
	is_string(identity(a, "{\"role\":null}"), "///never", "a role that is null counts as absent");
	is_string(identity(a, "{\"exp\":1699999970.001}"), "///1", "the last millisecond");
	is_string(identity(a, "{\"sub\":\"7\",\"tenant_id\":\"\"}"), "bad_claim", "a good user with a bad tenant");
	auth_free(a);

	settings.user_claim = NULL;
	settings.tenant_claim = " ,, org ,";
	settings.role_claim = "";
	a = verifier(&settings);
	is_string(identity(a, "{\"sub\":\"7\",\"org\":\"x\",\"role\":\"web\"}"), "/x//never", "lists with nothing in them");
	auth_free(a);
}

/* What a token was verified by tells whether a verifier of other keys would take it. */
static void
test_rotation(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);
	Auth	   *anonymous;
	Auth	   *other;
	Identity	by_secret;
	Identity	by_rsa;
	Identity	by_none;
	char	   *auth = text("{\"token\":\"%s\"}", claims(CLAIMS));
	char	   *auth_rsa = text("{\"token\":\"%s\"}", token(HEADER("RS256"), CLAIMS, &(Signer) {.key = rsa,.md = EVP_sha256()}));

	settings.public_key = public_pem(rsa);
	settings.allow_anonymous = true;
	anonymous = verifier(&settings);
	is_string(ask_payload(anonymous, auth, strlen(auth), "", &by_secret), "ok", "a token by the secret");
	is_string(ask_payload(anonymous, auth_rsa, strlen(auth_rsa), "", &by_rsa), "ok", "a token by the public key");
	is_string(ask_payload(anonymous, "", 0, "", &by_none), "ok", "no token");
	is_true(by_secret.key != by_rsa.key && by_secret.key != 0 && by_rsa.key != 0 && by_none.key == 0, "  ... have different keys");
	is_true(auth_still_good(anonymous, by_secret.key) && auth_still_good(anonymous, by_rsa.key) &&
			auth_still_good(anonymous, 0), "with the same keys all are good");
	is_true(auth_still_good(a, by_secret.key) && !auth_still_good(a, by_rsa.key) && !auth_still_good(a, 0),
			"without the public key and with tokens required only one is");
	settings.secret = "another secret that is long enough";
	settings.public_key = public_pem(other_rsa);
	other = verifier(&settings);
	is_true(!auth_still_good(other, by_secret.key) && !auth_still_good(other, by_rsa.key), "with other keys none is");
	identity_free(&by_secret);
	identity_free(&by_rsa);
	identity_free(&by_none);
	auth_free(a);
	auth_free(anonymous);
	auth_free(other);
}

static void
test_where(void)
{
	AuthSettings settings = defaults();
	Auth	   *a = verifier(&settings);
	char	   *good = claims("{\"sub\":\"7\"}");
	char	   *bearer = text("bearer  %s", good);
	char	   *large = malloc(70000);
	const struct
	{
		const char *name;
		const char *payload;
		const char *header;
		const char *want;
		const char *want_anonymous;
	}			cases[] = {
		{"nothing", "", "", "required", "ok"},
		{"an empty payload object", "{}", "", "required", "ok"},
		{"token is null", "{\"token\":null}", "", "required", "ok"},
		{"token is empty", "{\"token\":\"\"}", "", "required", "ok"},
		{"token is a number", "{\"token\":5}", "", "malformed", "malformed"},
		{"token is an object", "{\"token\":{}}", "", "malformed", "malformed"},
		{"token is bad", "{\"token\":\"x\"}", "", "malformed", "malformed"},
		{"token twice", text("{\"token\":\"x\",\"token\":\"%s\"}", good), "", "malformed", "malformed"},
		{"payload is an array", text("[\"%s\"]", good), "", "malformed", "malformed"},
		{"payload is cut", "{\"token\":\"", "", "malformed", "malformed"},
		{"payload with more in it", text("{\"a\":[1,{}],\"token\":\"%s\"}", good), "", "ok", "ok"},
		{"bearer header", "", bearer, "ok", "ok"},
		{"bearer header and an empty token", "{\"token\":\"\"}", bearer, "ok", "ok"},
		{"bad token beats a good header", "{\"token\":\"x\"}", bearer, "malformed", "malformed"},
		{"bearer without a token", "", "Bearer ", "required", "ok"},
		{"Bearer alone", "", "Bearer", "required", "ok"},
		{"bearer of spaces", "", "Bearer    ", "required", "ok"},
		{"bad bearer", "", "Bearer x y", "malformed", "malformed"},
		{"another scheme", "", "Basic YTpi", "required", "ok"},
		{"the token without a scheme", "", good, "required", "ok"},
	};
	const size_t n = sizeof(cases) / sizeof(cases[0]);
	Identity	id;

	for (int anonymous = 0; anonymous < 2; anonymous++)
	{
		Auth	   *b;

		settings.allow_anonymous = anonymous;
		b = verifier(&settings);
		for (size_t i = 0; i < n; i++)
		{
			const char *r = ask_payload(b, cases[i].payload, strlen(cases[i].payload), cases[i].header, &id);

			is_string(r, anonymous ? cases[i].want_anonymous : cases[i].want,
					  text("%s%s", cases[i].name, anonymous ? ", anonymous allowed" : ""));
			if (strcmp(r, "ok") == 0 && anonymous && strcmp(cases[i].want, "required") == 0)
				is_true(id.user_id == NULL && id.tenant_id == NULL && id.role == NULL && id.claims == NULL &&
						id.valid_ms == UINT64_MAX && id.key == 0, "  ... has no identity");
			identity_free(&id);
		}
		auth_free(b);
	}

	memset(large, ' ', 70000);
	memcpy(large, "{}", 2);
	is_string(ask_payload(a, large, 65536, "", &id), "required", "a payload of 64 kB");
	is_string(ask_payload(a, large, 65537, "", &id), "malformed", "a payload of more than 64 kB");
	memset(large, '[', 65536);
	is_string(ask_payload(a, large, 65536, "", &id), "malformed", "a payload of 64 k brackets");
	free(large);
	auth_free(a);
}

static void
test_settings(void)
{
	Signer		s = hs(SECRET);
	char	   *good = token(HEADER("HS256"), CLAIMS, &s);
	char	   *pem = public_pem(rsa);
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *private_pem;
	Identity	id;
	const struct
	{
		const char *name;
		const char *secret;
		const char *public_key;
		bool		allow_anonymous;
		const char *error;		/* a part of it; NULL: none */
		const char *warning;
		const char *want;		/* of the good token, without a public key */
	}			cases[] = {
		{"a good secret", SECRET, "", false, NULL, NULL, "ok"},
		{"no key", NULL, NULL, false, NULL, "no key", "no_key"},
		{"empty keys", "", "", false, NULL, "no key", "no_key"},
		{"no key, anonymous allowed", NULL, NULL, true, NULL, NULL, "no_key"},
		{"a secret of 31 bytes", "0123456789abcdef0123456789abcde", NULL, false, NULL, "32 bytes", "no_key"},
		{"a short secret, anonymous allowed", "short", NULL, true, NULL, "32 bytes", "no_key"},
		{"a short secret beside a key", "short", pem, false, NULL, "32 bytes", "unsupported_algorithm"},
		{"a PEM as the secret", pem, NULL, false, NULL, "PEM", "no_key"},
		{"a key that is no PEM", SECRET, "hello", false, "PEM", NULL, NULL},
		{"a PEM with garbage in it", SECRET, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", false, "PEM", NULL, NULL},
		{"two keys", SECRET, text("%s%s", pem, public_pem(p256)), false, "more than one", NULL, NULL},
		{"an RSA key of 1024 bits", SECRET, public_pem(small_rsa), false, "2048", NULL, NULL},
		{"a key on secp256k1", SECRET, public_pem(k256), false, "curve", NULL, NULL},
		{"an Ed25519 key", SECRET, public_pem(ed25519), false, "neither", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		AuthSettings settings = defaults();
		const char *error = "not set";
		const char *warning = "not set";
		Auth	   *a;

		settings.secret = cases[i].secret;
		settings.public_key = cases[i].public_key;
		settings.allow_anonymous = cases[i].allow_anonymous;
		a = auth_new(&settings, &error, &warning);
		is_true((a == NULL) == (cases[i].error != NULL) &&
				(cases[i].error == NULL ? error == NULL : strstr(error, cases[i].error) != NULL),
				text("%s: error '%s'", cases[i].name, error != NULL ? error : ""));
		if (a == NULL)
			continue;
		is_true(cases[i].warning == NULL ? warning == NULL : warning != NULL && strstr(warning, cases[i].warning) != NULL,
				text("%s: warning '%s'", cases[i].name, warning != NULL ? warning : ""));
		EXPECT(a, good, cases[i].want, text("%s: a token", cases[i].name));
		if (strcmp(cases[i].want, "no_key") == 0)
		{
			EXPECT(a, "x", "no_key", text("%s: a malformed token", cases[i].name));
			EXPECT(a, token("{\"alg\":\"none\"}", CLAIMS, NULL), "no_key", text("%s: alg none", cases[i].name));
			is_string(ask_payload(a, "", 0, "", &id), cases[i].allow_anonymous ? "ok" : "required",
					  text("%s: no token", cases[i].name));
		}
		auth_free(a);
	}

	/* a private key is not for this file, encrypted or not; nobody may be asked for a password */
	PEM_write_bio_PrivateKey(bio, rsa, EVP_aes_128_cbc(), (const uint8_t *) "secret", 6, NULL, NULL);
	PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL);
	private_pem = keep(calloc(1, 16384));
	BIO_read(bio, private_pem, 16383);
	BIO_free(bio);
	for (int i = 0; i < 2; i++)
	{
		AuthSettings settings = defaults();
		const char *error;
		const char *warning;

		settings.public_key = i == 0 ? private_pem : strstr(private_pem + 1, "-----BEGIN");
		is_true(auth_new(&settings, &error, &warning) == NULL, text("a private key%s", i == 0 ? ", encrypted" : ""));
	}
	auth_free(NULL);
}

static void
test_certificate(void)
{
	AuthSettings settings = defaults();
	Signer		s = {.key = rsa, .md = EVP_sha256()};
	X509	   *x = X509_new();
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *pem = keep(calloc(1, 8192));
	Auth	   *a;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 1000);
	X509_set_pubkey(x, rsa);
	X509_sign(x, rsa, EVP_sha256());
	PEM_write_bio_X509(bio, x);
	BIO_read(bio, pem, 8191);
	BIO_free(bio);
	X509_free(x);

	settings.secret = NULL;
	settings.public_key = pem;
	a = verifier(&settings);
	EXPECT(a, token(HEADER("RS256"), CLAIMS, &s), "ok", "the key of a certificate");
	auth_free(a);
}

int
main(void)
{
	rsa = EVP_RSA_gen(2048);
	other_rsa = EVP_RSA_gen(2048);
	small_rsa = EVP_RSA_gen(1024);
	p256 = EVP_EC_gen("P-256");
	other_p256 = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	k256 = EVP_EC_gen("secp256k1");
	ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	test_algorithms();
	test_both_keys();
	test_confusion();
	test_ecdsa();
	test_shape();
	test_dates();
	test_parties();
	test_identity();
	test_rotation();
	test_where();
	test_settings();
	test_certificate();

	forget_made();
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other_rsa);
	EVP_PKEY_free(small_rsa);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(other_p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(k256);
	EVP_PKEY_free(ed25519);
	return unit_done();
}

/*
 * token.c - rooms.sign_token(): a JWT (RFC 7519) signed with HS256.
 *
 * For applications that let their users log in through SQL, and for tests.
 * Called in the user's transaction; memory is the caller's, the copy of the
 * secret is wiped after use.  Errors: no usable secret, bad arguments.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "backend/compat.h"
#include "backend/guc.h"
#include "backend/outbox.h"
#include "backend/packet.h"

#define MIN_SECRET		32		/* bytes, the digest's size: RFC 7518 section 3.2 */
#define MAX_TOKEN		8192	/* characters; the gateway takes no longer one (auth.c) */

PG_FUNCTION_INFO_V1(rooms_sign_token);

static Jsonb *claims_argument(FunctionCallInfo fcinfo);
static Interval *lifetime_argument(FunctionCallInfo fcinfo);
static Jsonb *with_times(Jsonb *claims, Interval *lifetime);
static void check_payload(Slice payload);
static int64 unix_seconds(TimestampTz t);
pg_noreturn static void lifetime_error(void);
static void append_signature(StringInfo token);
static char *usable_secret(void);
static void hmac_sha256(const char *key, const char *data, int len, uint8 *digest);
static void append_base64url(StringInfo out, Slice bytes);

/* sign_token(claims, expires_in) */
PGDLLEXPORT Datum
rooms_sign_token(PG_FUNCTION_ARGS)
{
	Jsonb	   *claims;
	Slice		payload;
	StringInfoData token;

	outbox_check_served();
	claims = with_times(claims_argument(fcinfo), lifetime_argument(fcinfo));
	payload = packet_utf8(slice_cstring(JsonbToCString(NULL, &claims->root, VARSIZE(claims))));
	check_payload(payload);

	initStringInfo(&token);
	append_base64url(&token, SLICE_LITERAL("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
	appendStringInfoChar(&token, '.');
	append_base64url(&token, payload);
	append_signature(&token);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(token.data, token.len));
}

static Jsonb *
claims_argument(FunctionCallInfo fcinfo)
{
	Jsonb	   *claims;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("claims must not be NULL"),
				 errhint("Pass a JSON object, such as {\"userId\": 1}.")));
	claims = PG_GETARG_JSONB_P(0);
	if (!JB_ROOT_IS_OBJECT(claims))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("claims must be a JSON object"),
				 errhint("Pass a JSON object, such as {\"userId\": 1}.")));
	return claims;
}

static Interval *
lifetime_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("expires_in must not be NULL"),
				 errhint("A token always ends: pass an interval such as '1 hour'.")));
	return PG_GETARG_INTERVAL_P(1);
}

/* The claims with iat and exp, which replace what the caller may have put there. */
static Jsonb *
with_times(Jsonb *claims, Interval *lifetime)
{
	TimestampTz now = GetCurrentTimestamp();
	Interval	year = {.month = MONTHS_PER_YEAR};
	TimestampTz expires;
	char	   *times;

	/* Far out of range: the exact sum below might overflow. */
	if (lifetime->month < -100 || lifetime->month > 100 ||
		lifetime->day < -1000 || lifetime->day > 1000 ||
		lifetime->time < -1000 * USECS_PER_DAY || lifetime->time > 1000 * USECS_PER_DAY)
		lifetime_error();
	expires = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													  TimestampTzGetDatum(now),
													  IntervalPGetDatum(lifetime)));
	if (expires < now + USECS_PER_SEC ||
		expires > DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														  TimestampTzGetDatum(now),
														  IntervalPGetDatum(&year))))
		lifetime_error();

	times = psprintf("{\"iat\": " INT64_FORMAT ", \"exp\": " INT64_FORMAT "}",
					 unix_seconds(now), unix_seconds(expires));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(claims),
											  DirectFunctionCall1(jsonb_in, CStringGetDatum(times))));
}

/* The claims make three parts with the header (36 characters) and the signature (43). */
static void
check_payload(Slice payload)
{
	if (36 + 1 + (payload.len * 4 + 2) / 3 + 1 + 43 > MAX_TOKEN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the claims are too long for a token"),
				 errdetail("They have %zu bytes, and the token may have %d.", payload.len, MAX_TOKEN),
				 errhint("A token tells who somebody is: keep the rest in tables.")));
}

static int64
unix_seconds(TimestampTz t)
{
	return t / USECS_PER_SEC +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

static void
lifetime_error(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("expires_in must be between 1 second and 1 year"),
			 errhint("Keep tokens short-lived and sign a new one: a signed token cannot be called back.")));
}

/* Signs what is there so far and appends the third part. */
static void
append_signature(StringInfo token)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *secret = usable_secret();

	hmac_sha256(secret, token->data, token->len, digest);
	explicit_bzero(secret, strlen(secret));
	pfree(secret);
	appendStringInfoChar(token, '.');
	append_base64url(token, slice(digest, sizeof(digest)));
}

static char *
usable_secret(void)
{
	char	   *secret = guc_jwt_secret();

	if (secret == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no secret to sign with"),
				 errhint("Set pg_rooms.jwt_secret_file or pg_rooms.jwt_secret in postgresql.conf and reload.")));
	if (strlen(secret) < MIN_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the secret is too short to sign with"),
				 errdetail("HS256 needs at least %d bytes.", MIN_SECRET),
				 errhint("Set a longer one in pg_rooms.jwt_secret_file or pg_rooms.jwt_secret, for example made by \"openssl rand -hex 32\", and reload.")));
	return secret;
}

static void
hmac_sha256(const char *key, const char *data, int len, uint8 *digest)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

	if (pg_hmac_init(hmac, (const uint8 *) key, strlen(key)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) data, len) < 0 ||
		pg_hmac_final(hmac, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not sign the token: %s", pg_hmac_error(hmac))));
	pg_hmac_free(hmac);
}

/* Base64 of RFC 4648 section 5, without padding. */
static void
append_base64url(StringInfo out, Slice bytes)
{
	int			size = pg_b64_enc_len(bytes.len);
	char	   *at;
	int			len;

	enlargeStringInfo(out, size);
	at = out->data + out->len;
	len = pg_b64_encode(bytes.data, bytes.len, at, size);
	Assert(len >= 0);
	while (len > 0 && at[len - 1] == '=')
		len--;
	for (int i = 0; i < len; i++)
	{
		if (at[i] == '+')
			at[i] = '-';
		else if (at[i] == '/')
			at[i] = '_';
	}
	out->len += len;
	out->data[out->len] = '\0';
}

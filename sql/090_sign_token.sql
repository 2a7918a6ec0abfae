-- sign_token, checked with pgcrypto's HMAC.
\set SHOW_CONTEXT never
CREATE FUNCTION test.base64url(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT decode(rpad(translate(t, '-_', '+/'), (length(t) + 3) / 4 * 4, '='), 'base64')
$$;
CREATE FUNCTION test.token(token text, OUT header jsonb, OUT claims jsonb, OUT signed boolean) LANGUAGE sql AS $$
	SELECT convert_from(test.base64url(split_part(token, '.', 1)), 'UTF8')::jsonb,
		convert_from(test.base64url(split_part(token, '.', 2)), 'UTF8')::jsonb,
		token ~ '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$' AND
		test.base64url(split_part(token, '.', 3)) = test.hmac(
			split_part(token, '.', 1) || '.' || split_part(token, '.', 2),
			'a-secret-for-tests-only-0123456789abcdef', 'sha256')
$$;

SELECT header, claims - 'iat' - 'exp' AS claims, signed,
	(claims->>'exp')::bigint - (claims->>'iat')::bigint AS seconds,
	(claims->>'iat')::bigint - floor(extract(epoch FROM now())) IN (0, 1) AS issued_now
FROM test.token(rooms.sign_token('{"userId": 42, "tenantId": "t1", "role": "app", "list": [1, "?>~\"", null]}', '1 hour'));

-- exp and iat of the caller are replaced; other times stay
SELECT claims - 'iat' - 'exp' AS claims, (claims->>'exp')::bigint - (claims->>'iat')::bigint AS seconds, signed
FROM test.token(rooms.sign_token('{"exp": 1, "iat": "x", "nbf": 3, "sub": "s"}', '2 days'));

-- bounds; payloads of every length modulo 3
SELECT e, (claims->>'exp')::bigint - (claims->>'iat')::bigint > 0 AS later, signed
FROM unnest(ARRAY['1 second', '90 minutes', '365 days', '1 year', '12 months']::interval[]) e, test.token(rooms.sign_token('{}', e));
SELECT bool_and(signed AND claims->>'p' = repeat('x', i)) FROM generate_series(0, 300) i,
	test.token(rooms.sign_token(jsonb_build_object('p', repeat('x', i)), '1 hour'));

-- the longest token that the gateway takes
SELECT length(rooms.sign_token(jsonb_build_object('x', repeat('x', 6036)), '1 hour'));

\x on
\pset format unaligned
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.sign_token(NULL, '1 hour')$$,
	$$SELECT rooms.sign_token('{}', NULL)$$,
	$$SELECT rooms.sign_token('[]', '1 hour')$$,
	$$SELECT rooms.sign_token('"x"', '1 hour')$$,
	$$SELECT rooms.sign_token('null', '1 hour')$$,
	$$SELECT rooms.sign_token('{}', '0')$$,
	$$SELECT rooms.sign_token('{}', '999 ms')$$,
	$$SELECT rooms.sign_token('{}', '-1 hour')$$,
	$$SELECT rooms.sign_token('{}', '1 year 1 second')$$,
	$$SELECT rooms.sign_token('{}', '367 days')$$,
	$$SELECT rooms.sign_token('{}', '178000000 years')$$,
	$$SELECT rooms.sign_token('{}', '-178000000 years')$$,
	$$SELECT rooms.sign_token('{}', interval '2147483647 months 2147483647 days')$$,
	$$SELECT rooms.sign_token('{}', '2562047788 hours')$$,
	$$SELECT rooms.sign_token(jsonb_build_object('x', repeat('x', 6037)), '1 hour')$$
]) statement;
\x off
\pset format aligned

-- pg_rooms.emit has nothing to do with it; a granted role may sign, and still not see the secret
CREATE ROLE regress_rooms_signer;
GRANT EXECUTE ON FUNCTION rooms.sign_token(jsonb, interval) TO regress_rooms_signer;
SET ROLE regress_rooms_signer;
SET pg_rooms.emit = off;
SELECT length(rooms.sign_token('{"userId": 1}', '1 hour')) > 100 AS signed;
SELECT setting, boot_val, reset_val FROM pg_settings WHERE name = 'pg_rooms.jwt_secret';
RESET pg_rooms.emit;
RESET ROLE;
SHOW pg_rooms.jwt_secret;
DROP OWNED BY regress_rooms_signer;
DROP ROLE regress_rooms_signer;

-- a secret that is missing or too short
ALTER SYSTEM SET pg_rooms.jwt_secret = '';
SELECT pg_reload_conf() \gset
\c
SELECT rooms.sign_token('{}', '1 hour');
ALTER SYSTEM SET pg_rooms.jwt_secret = '0123456789012345678901234567890';
SELECT pg_reload_conf() \gset
\c
SELECT rooms.sign_token('{}', '1 hour');
ALTER SYSTEM SET pg_rooms.jwt_secret = '01234567890123456789012345678901';
SELECT pg_reload_conf() \gset
\c
SELECT length(rooms.sign_token('{}', '1 hour')) > 100 AS signed;
ALTER SYSTEM RESET pg_rooms.jwt_secret;
SELECT pg_reload_conf() \gset

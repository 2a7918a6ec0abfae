-- What the gateway calls: conversion of arguments, replies, identity, what is left behind.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA h;
CREATE ROLE regress_rooms_gateway LOGIN;
CREATE ROLE regress_rooms_user;
CREATE ROLE regress_rooms_other;
GRANT regress_rooms_user TO regress_rooms_gateway;
GRANT USAGE ON SCHEMA h TO regress_rooms_gateway, regress_rooms_user;
GRANT EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset TO regress_rooms_gateway;
SET search_path = h, public;

-- A call as the gateway makes it, and its reply: the arguments, then the attachments.
CREATE FUNCTION ask(name text, args text, attachments bytea[] DEFAULT '{}', kind "char" DEFAULT 'e', role text DEFAULT NULL,
	claims text DEFAULT '{"sub": "ada", "n": 1}', OUT reply text, OUT binaries bytea[])
LANGUAGE plpgsql AS $$
DECLARE
	packed bytea := int4send(cardinality(attachments));
	answer bytea;
	at int := 4;
	len int;
BEGIN
	packed := substr(packed, 4, 1) || '\x000000';
	FOR i IN 1 .. cardinality(attachments) LOOP
		packed := packed || substr(int4send(length(attachments[i])), 4, 1) || substr(int4send(length(attachments[i])), 3, 1)
			|| '\x0000' || attachments[i];
	END LOOP;
	answer := rooms.handle(kind, '/', name, convert_to(args, 'UTF8'), packed, '_0123456789012345678', 'ada', 't1', role, claims,
		'{"host": "example.com"}', '{"auth": {}, "address": "127.0.0.1"}', '\x00112233445566778899aabbccddeeff', '0/0');
	len := get_byte(answer, 0) + 256 * get_byte(answer, 1) + 65536 * get_byte(answer, 2);
	reply := convert_from(substr(answer, 5, len), 'UTF8');
	at := 5 + len;
	len := get_byte(answer, at - 1);
	at := at + 4;
	FOR i IN 1 .. len LOOP
		len := get_byte(answer, at - 1) + 256 * get_byte(answer, at) + 65536 * get_byte(answer, at + 1);
		binaries := binaries || substr(answer, at + 4, len);
		at := at + 4 + len;
	END LOOP;
END $$;

-- parameters by position
CREATE TYPE pair AS (a int, b text);
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION scalars(t text, n numeric, b boolean, u uuid, z timestamptz) RETURNS text LANGUAGE sql AS
	$$SELECT concat_ws('|', t, n, b, u, z AT TIME ZONE 'UTC')$$;
CREATE FUNCTION jsons(a json, b jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_build_array(a, b)$$;
CREATE FUNCTION arrays(a int[], b text[], c pair, d pair[]) RETURNS text LANGUAGE sql AS
	$$SELECT concat_ws('|', a, b, c, d)$$;
CREATE FUNCTION special(a color, b positive, c int4range) RETURNS text LANGUAGE sql AS $$SELECT concat_ws('|', a, b, c)$$;
CREATE FUNCTION defaults(a int, b int DEFAULT 10, c text DEFAULT 'x' || 'y') RETURNS text LANGUAGE sql AS $$SELECT concat_ws('|', a, b, c)$$;
CREATE FUNCTION many(first text, VARIADIC rest int[]) RETURNS text LANGUAGE sql AS $$SELECT first || rest::text$$;
CREATE FUNCTION many_bytes(VARIADIC parts bytea[]) RETURNS text LANGUAGE sql AS $$SELECT parts::text$$;
CREATE FUNCTION bytes(a bytea) RETURNS int LANGUAGE sql AS $$SELECT length(a)$$;
CREATE FUNCTION nested_bytes(a bytea[], b jsonb) RETURNS text LANGUAGE sql AS $$SELECT a::text || b$$;
CREATE FUNCTION strict(a int, b int) RETURNS int STRICT LANGUAGE sql AS $$SELECT a + b$$;
SELECT rooms.on_event(p, p) FROM unnest('{scalars,jsons,arrays,special,defaults,many,many_bytes,bytes,nested_bytes,strict}'::text[]) p;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway, regress_rooms_user;

SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('scalars', '["q\"''\u00e9", 1.50, true, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "2026-01-02T03:04:05Z"]');
SELECT * FROM ask('scalars', '[1, "2", "f", null, null]');
SELECT * FROM ask('jsons', '[{"a": [1e3, "x"]}, "text"]');
SELECT * FROM ask('jsons', '[null, null]');
SELECT * FROM ask('arrays', '[[1, null, 3], ["a", "b,c"], {"a": 1, "b": "x"}, [{"a": 2}, null]]');
SELECT * FROM ask('special', '["green", 5, "[1,5)"]');
SELECT * FROM ask('defaults', '[1]');
SELECT * FROM ask('defaults', '[1, 2]');
SELECT * FROM ask('defaults', '[1, 2, null]');
SELECT * FROM ask('many', '["a"]');
SELECT * FROM ask('many', '["a", 1, 2, 3]');
SELECT * FROM ask('many_bytes', '[]');
SELECT * FROM ask('many_bytes', '[{"_placeholder": true, "num": 1}, {"_placeholder": true, "num": 0}]', '{"\\x01","\\x0203"}');
SELECT * FROM ask('bytes', '[{"_placeholder": true, "num": 0}]', '{"\\x000102"}');
SELECT * FROM ask('nested_bytes', '[[{"_placeholder": true, "num": 0}], {"k": {"_placeholder": true, "num": 0}}]', '{"\\x000102"}');
SELECT * FROM ask('strict', '[1, 2]');
SELECT * FROM ask('strict', '[1, null]');

-- the client's faults
\set VERBOSITY sqlstate
SELECT * FROM ask('scalars', '[]');
\set VERBOSITY terse
SELECT * FROM ask('scalars', '[]');
SELECT * FROM ask('defaults', '[1, 2, "c", 4]');
SELECT * FROM ask('defaults', '["one"]');
SELECT * FROM ask('defaults', '[1, 99999999999]');
SELECT * FROM ask('special', '["blue", 1, null]');
SELECT * FROM ask('special', '["red", -1, null]');
SELECT * FROM ask('arrays', '[{"a": 1}, null, null, null]');
SELECT * FROM ask('scalars', '["\u0000", 1, true, null, null]');
SELECT * FROM ask('scalars', '["\ud800", 1, true, null, null]');
SELECT * FROM ask('scalars', '["a", 1e400000, true, null, null]');
SELECT * FROM ask('jsons', '[{"a": "\u0000"}, {"a": "\u0000"}]');
SELECT * FROM ask('bytes', '["abc"]');
SELECT * FROM ask('nowhere', '[]');
RESET SESSION AUTHORIZATION;

-- the whole event
CREATE FUNCTION whole(e rooms.event) RETURNS jsonb LANGUAGE sql AS $$SELECT to_jsonb(e)$$;
CREATE FUNCTION echo(e rooms.event) RETURNS rooms.reply LANGUAGE sql AS $$SELECT (e.args, e.attachments)::rooms.reply$$;
SELECT rooms.on_event(p, p) FROM unnest('{whole,echo}'::text[]) p;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('whole', '["a", {"_placeholder": true, "num": 0}]', '{"\\xff"}');
SELECT * FROM ask('echo', '["a", {"_placeholder": true, "num": 1}, {"_placeholder": true, "num": 0}]', '{"\\xff","\\x00"}');
SELECT * FROM ask('echo', '["\u0000"]');
SELECT length(reply) FROM ask('echo', '[1e400]');
RESET SESSION AUTHORIZATION;

-- results
CREATE FUNCTION r_void() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION r_big() RETURNS bigint LANGUAGE sql AS 'SELECT 9007199254740993';
CREATE FUNCTION r_null() RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION r_row() RETURNS pair LANGUAGE sql AS $$SELECT 1, 'x'$$;
CREATE FUNCTION r_out(OUT a int, OUT b text) LANGUAGE sql AS $$SELECT 1, 'x'$$;
CREATE FUNCTION r_set() RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, 3)';
CREATE FUNCTION r_set_pl() RETURNS SETOF text LANGUAGE plpgsql AS $$BEGIN RETURN NEXT 'a'; RETURN NEXT NULL; END$$;
CREATE FUNCTION r_rows() RETURNS SETOF pair LANGUAGE sql AS $$VALUES (1, 'x'), (2, NULL)$$;
CREATE FUNCTION r_rows_pl() RETURNS SETOF pair LANGUAGE plpgsql AS $$BEGIN RETURN QUERY VALUES (1, 'x'), (2, NULL); END$$;
CREATE FUNCTION r_table() RETURNS TABLE (n int, t text) LANGUAGE plpgsql AS $$BEGIN RETURN QUERY VALUES (1, 'x'); END$$;
CREATE FUNCTION r_none() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1 WHERE false';
CREATE FUNCTION r_bytea() RETURNS bytea LANGUAGE sql AS $$SELECT '\x0102'::bytea$$;
CREATE FUNCTION r_byteas(n int) RETURNS SETOF bytea LANGUAGE sql AS $$SELECT '\x01'::bytea FROM generate_series(1, n)$$;
CREATE FUNCTION r_no_reply() RETURNS rooms.reply LANGUAGE sql AS 'SELECT NULL::rooms.reply';
CREATE FUNCTION r_bad_reply() RETURNS rooms.reply LANGUAGE sql AS $$SELECT ('{}', NULL)::rooms.reply$$;
CREATE FUNCTION r_lone_placeholder() RETURNS rooms.reply LANGUAGE sql AS $$SELECT ('[{"_placeholder": true, "num": 0}]', NULL)::rooms.reply$$;
CREATE FUNCTION r_long() RETURNS text LANGUAGE sql AS $$SELECT repeat('x', 2000000)$$;
SELECT rooms.on_event(proname, proname) FROM pg_proc WHERE pronamespace = 'h'::regnamespace AND proname LIKE 'r\_%';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('r_void', '[]');
SELECT * FROM ask('r_big', '[]');
SELECT * FROM ask('r_null', '[]');
SELECT * FROM ask('r_row', '[]');
SELECT * FROM ask('r_out', '[]');
SELECT * FROM ask('r_set', '[]');
SELECT * FROM ask('r_set_pl', '[]');
SELECT * FROM ask('r_rows', '[]');
SELECT * FROM ask('r_rows_pl', '[]');
SELECT * FROM ask('r_table', '[]');
SELECT * FROM ask('r_none', '[]');
SELECT * FROM ask('r_bytea', '[]');
SELECT * FROM ask('r_byteas', '[2]');
SELECT * FROM ask('r_byteas', '[11]');
SELECT * FROM ask('r_no_reply', '[]');
SELECT * FROM ask('r_bad_reply', '[]');
SELECT * FROM ask('r_lone_placeholder', '[]');
SELECT * FROM ask('r_long', '[]');
RESET SESSION AUTHORIZATION;

-- joins, connects, disconnects
CREATE FUNCTION may(room text) RETURNS boolean LANGUAGE sql AS $$SELECT CASE room WHEN 'ticket:1' THEN true WHEN 'ticket:2' THEN false END$$;
CREATE FUNCTION arrive() RETURNS text[] LANGUAGE sql AS $$SELECT '{"team:1","a\"b"}'::text[]$$;
CREATE FUNCTION arrive_set(e rooms.event) RETURNS SETOF text LANGUAGE sql AS $$VALUES ('team:1'), (e.user_id)$$;
CREATE FUNCTION arrive_bad() RETURNS text[] LANGUAGE sql AS $$SELECT '{""}'::text[]$$;
CREATE FUNCTION depart(reason text) RETURNS text LANGUAGE sql AS 'SELECT reason';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SELECT rooms.on_join('ticket:*', 'may'), rooms.on_connect('arrive'), rooms.on_disconnect('depart');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('ticket:1', '["ticket:1"]', kind => 'j');
SELECT * FROM ask('ticket:2', '["ticket:2"]', kind => 'j');
SELECT * FROM ask('ticket:3', '["ticket:3"]', kind => 'j');
SELECT * FROM ask('other', '["other"]', kind => 'j');
SELECT * FROM ask('', '[]', kind => 'c');
SELECT * FROM ask('', '["transport close"]', kind => 'd');
RESET SESSION AUTHORIZATION;
CREATE FUNCTION named(e rooms.event) RETURNS boolean LANGUAGE sql AS $$SELECT e.name = 'room:join' AND e.args = '["w:1"]'$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SELECT rooms.on_join('w:*', 'named');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('w:1', '["w:1"]', kind => 'j');
RESET SESSION AUTHORIZATION;
SELECT rooms.on_connect('arrive_set');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('', '[]', kind => 'c');
RESET SESSION AUTHORIZATION;
SELECT rooms.on_connect('arrive_bad');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT * FROM ask('', '[]', kind => 'c');
RESET SESSION AUTHORIZATION;

-- identity
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('|', current_user, current_setting('request.jwt.claims'), current_setting('request.jwt.claim.sub'),
		current_setting('request.jwt.claim.role'), current_setting('request.headers'),
		rooms.current_sid(), rooms.current_user_id(), rooms.current_tenant_id(), rooms.claims()) $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway, regress_rooms_user;
SELECT rooms.on_event('who', 'who');
SELECT ask('who', '[]');		-- a superuser's session
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('who', '[]');
SELECT reply FROM ask('who', '[]', role => 'regress_rooms_user');
SELECT reply FROM ask('who', '[]', role => 'regress_rooms_user', claims => ' {"sub": "ada"}');
SELECT reply FROM ask('who', '[]', claims => NULL);
SELECT reply FROM ask('who', '[]', claims => '{"sub": 7}');
SELECT current_user, rooms.current_sid(), rooms.claims(), current_setting('request.jwt.claims', true) = '' AS no_claims;
\set VERBOSITY default
SELECT reply FROM ask('who', '[]', role => 'regress_rooms_other');
\set VERBOSITY terse
SELECT reply FROM ask('who', '[]', role => '');
SELECT reply FROM ask('who', '[]', role => 'none');
SELECT reply FROM ask('who', '[]', role => 'pg_monitor');
SELECT reply FROM ask('who', '[]', role => 'nobody-here');
SELECT reply FROM ask('who', '[]', role => repeat('x', 100));
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION who() FROM PUBLIC, regress_rooms_user;
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('who', '[]', role => 'regress_rooms_user');
SELECT ask('who', '[]'), ask('who', '[]');		-- once in a transaction
RESET SESSION AUTHORIZATION;

-- a handler that is dropped, changed, and there again
DROP FUNCTION who();
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('who', '[]');
RESET SESSION AUTHORIZATION;
CREATE PROCEDURE who() LANGUAGE sql AS 'SELECT 1';
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('who', '[]');
RESET SESSION AUTHORIZATION;
DROP PROCEDURE who();
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$SELECT 'again'$$;
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT reply FROM ask('who', '[]');
RESET SESSION AUTHORIZATION;

-- what is left behind
CREATE FUNCTION litter() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET ROLE regress_rooms_user;
	PERFORM set_config('search_path', 'nowhere', false), set_config('my.setting', 'x', false),
		set_config('statement_timeout', '0', false), set_config('pg_rooms.emit', 'off', false);
	LISTEN something;
	PERFORM pg_advisory_lock(4711);
	EXECUTE 'PREPARE left_prepared AS SELECT 1';
	EXECUTE 'DECLARE left_held CURSOR WITH HOLD FOR SELECT 1';
END $$;
CREATE FUNCTION litter_temp() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE left_table (a int);
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SELECT rooms.on_event('litter', 'litter'), rooms.on_event('litter_temp', 'litter_temp');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT ask('litter_temp', '[]');
SELECT ask('litter', '[]');
RESET SESSION AUTHORIZATION;
CREATE VIEW h.remains AS
	SELECT current_user::text AS "user", current_setting('role') AS role,
		current_setting('search_path') AS path, coalesce(current_setting('my.setting', true), '') AS setting,
		current_setting('pg_rooms.emit') AS emit,
		(SELECT count(*) FROM pg_listening_channels()) AS channels,
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
		(SELECT count(*) FROM pg_prepared_statements WHERE from_sql) AS prepared,
		(SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
		(SELECT count(*) FROM pg_class WHERE relname = 'left_table') AS tables;
SELECT role, path, setting, emit, channels, locks, prepared, cursors, tables FROM h.remains;
SELECT rooms.handler_reset();
SELECT role, path, setting, emit, channels, locks, prepared, cursors, tables FROM h.remains;
SET search_path = h, public;

-- the marker: only if something was emitted
CREATE FUNCTION emits() RETURNS void SECURITY DEFINER LANGUAGE sql AS $$SELECT rooms.emit('r', 'e')$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA h TO regress_rooms_gateway;
SELECT rooms.on_event('emits', 'emits');
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT ask('emits', '[]');
SELECT rooms.handler_reset();
SELECT rooms.handler_reset();
SET SESSION AUTHORIZATION regress_rooms_gateway;
SELECT h.ask('r_void', '[]');
SELECT rooms.handler_reset();

SET client_min_messages = warning;
DELETE FROM rooms.handlers;
DROP SCHEMA h CASCADE;
REVOKE EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset FROM regress_rooms_gateway;
DROP ROLE regress_rooms_gateway, regress_rooms_user, regress_rooms_other;

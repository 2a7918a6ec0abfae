-- What leaves the server is UTF-8, whatever the database's encoding is.
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/sql/020_helpers.sql'
SELECT current_database() AS served \gset
CREATE DATABASE regress_rooms_utf8 TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_rooms_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_rooms_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';

ALTER SYSTEM SET pg_rooms.database = 'regress_rooms_utf8';
SELECT pg_reload_conf() \gset
\c regress_rooms_utf8
SET client_encoding = 'UTF8';
\set ECHO none
\i :helpers
\set ECHO all
CREATE EXTENSION pg_rooms;
CREATE TABLE t ("größe" text);
CREATE TRIGGER emit AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('r:{größe}', 'ä');
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('zürich 🚪', 'größe', to_jsonb(chr(8232) || chr(128)), '"\u20ac\ud83d\udeaa"');
SELECT rooms.emit(repeat('ü', 127), 'e');
SELECT rooms.emit_to('{ü}', 'e', except_rooms => '{é}', namespace => '/ß');
INSERT INTO t VALUES ('ö');
COMMIT;
SELECT rooms.emit(repeat('ü', 128), 'e');
SELECT rooms.emit_to('{a}', 'e', namespace => '/' || repeat('ü', 128));
SELECT nsp, rooms, except_rooms, packet FROM test.emitted(:'mark');
SELECT convert_from(decode(rpad(p, (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8') LIKE '%"sub": "ü"%' AS claims_ok
FROM translate(split_part(rooms.sign_token('{"sub": "ü"}', '1 hour'), '.', 2), '-_', '+/') p;

-- one byte becomes two
ALTER SYSTEM SET pg_rooms.database = 'regress_rooms_latin1';
SELECT pg_reload_conf() \gset
\c regress_rooms_latin1
SET client_encoding = 'UTF8';
\set ECHO none
\i :helpers
\set ECHO all
CREATE EXTENSION pg_rooms;
CREATE TABLE t ("größe" text);
CREATE TRIGGER emit AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('r:{größe}', 'ä');
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('zürich', 'größe', '"é"');
SELECT rooms.emit(repeat('ü', 127), 'e');
SELECT rooms.emit_to('{ü}', 'e', except_rooms => '{é}', namespace => '/ß');
INSERT INTO t VALUES ('ö');
COMMIT;
SELECT rooms.emit(repeat('ü', 128), 'e');
SET pg_rooms.max_message_size = '1kB';
SELECT rooms.emit('r', repeat('ü', 600));
RESET pg_rooms.max_message_size;
SELECT nsp, rooms, except_rooms, packet FROM test.emitted(:'mark');
SELECT convert_from(decode(rpad(p, (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8') LIKE '%"sub": "ü"%' AS claims_ok
FROM translate(split_part(rooms.sign_token('{"sub": "ü"}', '1 hour'), '.', 2), '-_', '+/') p;

-- SQL_ASCII does not know: what is UTF-8 passes, what is not is an error
ALTER SYSTEM SET pg_rooms.database = 'regress_rooms_ascii';
SELECT pg_reload_conf() \gset
\c regress_rooms_ascii
\set ECHO none
\i :helpers
\set ECHO all
CREATE EXTENSION pg_rooms;
SELECT test.mark() AS mark \gset
SELECT rooms.emit('zürich', 'größe', '"é"');
SELECT rooms.emit(E'\xfc', 'e');
SELECT rooms.emit('r', E'\xfc');
SELECT rooms.emit('r', 'e', to_jsonb(E'\xfc'::text));
SELECT rooms.emit_to('{a}', 'e', namespace => E'/\xfc');
SELECT rooms.sign_token(jsonb_build_object('sub', E'\xfc'), '1 hour');
SELECT rooms, packet FROM test.emitted(:'mark');

ALTER SYSTEM RESET pg_rooms.database;
SELECT pg_reload_conf() \gset
\c :served
DROP DATABASE regress_rooms_utf8;
DROP DATABASE regress_rooms_latin1;
DROP DATABASE regress_rooms_ascii;

-- emit_row: a table as a source of events.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'SQL, DMY';

-- created, updated (new row), deleted (old row)
CREATE TABLE ticket (id int PRIMARY KEY, tenant_id int, title text);
CREATE TRIGGER emit AFTER INSERT OR UPDATE OR DELETE ON ticket
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO ticket VALUES (1, 10, 'one'), (2, 20, NULL);
UPDATE ticket SET title = title || '!';
DELETE FROM ticket WHERE id = 1;
COMMIT;
SELECT nsp, rooms, options, packet FROM test.emitted(:'mark');

-- from one room to another: deleted there as it was, created here as it is
SELECT test.mark() AS mark \gset
BEGIN;
UPDATE ticket SET tenant_id = 30, title = 'moved' WHERE id = 2;
-- a NULL is no room
UPDATE ticket SET tenant_id = NULL WHERE id = 2;
UPDATE ticket SET title = 'unheard' WHERE id = 2;
UPDATE ticket SET tenant_id = 40 WHERE id = 2;
INSERT INTO ticket VALUES (3, NULL, 'unheard');
DELETE FROM ticket WHERE id = 3;
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');

-- without a column list every UPDATE sends, as it fires every other trigger
SELECT test.mark() AS mark \gset
UPDATE ticket SET id = id WHERE id = 2;
SELECT rooms, packet FROM test.emitted(:'mark');

-- ON CONFLICT, COPY, MERGE, a cascade, WHEN
CREATE TABLE note (id int, ticket_id int REFERENCES ticket ON DELETE CASCADE, body text);
CREATE TRIGGER emit AFTER INSERT OR DELETE ON note
	FOR EACH ROW WHEN (pg_trigger_depth() < 10) EXECUTE FUNCTION rooms.emit_row('ticket:{ticket_id}', 'note');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO ticket VALUES (2, 40, 'again') ON CONFLICT (id) DO UPDATE SET title = excluded.title;
COPY note FROM stdin;
1	2	copied
\.
MERGE INTO ticket USING (VALUES (2), (4)) v (id) ON ticket.id = v.id
	WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, 'merged');
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');
DROP TABLE note;

-- a column list says what is sent, and an UPDATE of other columns is not heard of
CREATE TABLE listed (id int, tenant_id int, "Due Date" date, secret text, big text);
CREATE TRIGGER emit AFTER INSERT OR UPDATE OR DELETE ON listed
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'listed', 'ID, "Due Date",big');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO listed VALUES (1, 10, '2024-02-29', 'pw', repeat('x', 40));
UPDATE listed SET secret = 'other';
UPDATE listed SET id = 1, big = repeat('x', 40), secret = 'third';
UPDATE listed SET id = 2;
UPDATE listed SET "Due Date" = NULL;
UPDATE listed SET "Due Date" = NULL;
-- but a row that moves is sent, whatever changed
UPDATE listed SET tenant_id = 11;
DELETE FROM listed;
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');
-- toasted values compare by what they hold
ALTER TABLE listed ALTER big SET STORAGE EXTERNAL;
INSERT INTO listed VALUES (3, 10, NULL, 'pw', repeat('y', 10000));
SELECT test.mark() AS mark \gset
BEGIN;
UPDATE listed SET secret = 'other';
UPDATE listed SET big = repeat('y', 10000);
UPDATE listed SET big = repeat('z', 10000);
COMMIT;
SELECT left(packet, 50) AS packet, length(packet) FROM test.emitted(:'mark');
DROP TABLE listed;

-- templates: several placeholders, quoted names, none at all
CREATE TABLE named ("Tenant Id" int, "a""b" text, "x}y" text, lower_case uuid);
CREATE TRIGGER emit AFTER INSERT ON named
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('t:{"Tenant Id"}:{ "a""b" }/{"x}y"}{LOWER_case}.', 'n', 'lower_case');
CREATE TRIGGER fixed AFTER INSERT ON named
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('everything', 'n', '"Tenant Id"');
SELECT test.mark() AS mark \gset
INSERT INTO named VALUES (1, 'one', 'two', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11');
INSERT INTO named VALUES (2, 'one', NULL, NULL);
SELECT tx, rooms, packet FROM test.emitted(:'mark');
DROP TABLE named;

-- values: as to_json() writes them, but for numbers that JavaScript cannot hold
CREATE TYPE test.mood AS ENUM ('sad', 'happy "so"');
CREATE TYPE test.pair AS (a int, b bigint);
CREATE DOMAIN test.positive AS bigint CHECK (value > 0);
SET client_min_messages = warning;
CREATE TYPE test.special;
CREATE FUNCTION test.special_in(cstring) RETURNS test.special IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION test.special_out(test.special) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE TYPE test.special (INPUT = test.special_in, OUTPUT = test.special_out, LIKE = text);
RESET client_min_messages;
CREATE FUNCTION test.special_json(test.special) RETURNS json IMMUTABLE LANGUAGE sql AS $$SELECT json_build_object('special', $1::text)$$;
CREATE CAST (test.special AS json) WITH FUNCTION test.special_json(test.special);
CREATE TABLE kinds (
	b bool, i2 int2, i4 int4, i8 int8, n numeric, f4 float4, f8 float8, t text, v varchar(10), c char(3), nm name,
	d date, ts timestamp, tz timestamptz, tm time, iv interval, u uuid, by bytea, js json, jb jsonb, ip inet, o oid,
	mood test.mood, pair test.pair, pos test.positive, arr int[], arr8 bigint[], arrf float8[], arrj json[], arrp test.pair[], r int4range, sp test.special,
	gen text GENERATED ALWAYS AS (i4::text || '!') STORED
);
CREATE TRIGGER emit AFTER INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'kinds');
SELECT test.mark() AS mark \gset
INSERT INTO kinds VALUES (true, -32768, 2147483647, 9007199254740991, 1.50, 1.5, 0.1, E'q"\\\n', 'v', 'c', 'nm',
	'2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56+02', '12:34', '1 day 2 h', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\x00ff',
	' {"a" : 1,  "a": 2 } ', '{"a" : 1,  "a": 2 }', '10.0.0.1', 4294967295,
	'happy "so"', '(1,2)', 3, '{1,NULL,3}', '{1,2}', '{0.5,1e300}', ARRAY['{"x": [1, "a"]}']::json[], '{"(1,2)",NULL}', '[1,5)', 'sp');
SELECT packet FROM test.emitted(:'mark');
-- the same as core's
SELECT (substr(packet, length('2["kinds:created",') + 1, length(packet) - length('2["kinds:created",') - 1))::jsonb = to_jsonb(k) AS same
FROM test.emitted(:'mark'), kinds k;
TRUNCATE kinds;
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO kinds (b) VALUES (NULL);
INSERT INTO kinds (f4, f8, n, d, ts, tz) VALUES ('NaN', '-Infinity', 'NaN', 'infinity', '-infinity', '4000-01-01 BC');
INSERT INTO kinds (f8, n, arrf) VALUES (1e300, 'Infinity', '{1e20,0.30000000000000004,NaN}');
INSERT INTO kinds (arrj) VALUES (ARRAY['"\u0000"', '{"id": 9007199254740993}']::json[]);
-- what json may hold and jsonb may not
INSERT INTO kinds (js, sp) VALUES (E'["\\u0000 \\\\\\" 9007199254740993", "\\ud800", -1.5e400, 12345678901234567.89, [0, -9007199254740993]]', 'x 9007199254740993');
INSERT INTO kinds (i8, n, pos, f8, arr8, pair, arrp, js, jb) VALUES (9007199254740992, -12345678901234567.89, 9223372036854775807, 12345678901234567890,
	'{9007199254740993,1}', '(1,9007199254740993)', '{"(1,9007199254740993)"}', '9007199254740993', '{"x": [9007199254740993]}');
COMMIT;
SELECT regexp_replace(packet, '"[a-z0-9]+":null,?', '', 'g') AS packet FROM test.emitted(:'mark');
DROP TABLE kinds;

-- a dropped column is gone, an added one is there, with its default for old rows; a renamed one is missed
CREATE TABLE altered (gone int, id int, room int);
INSERT INTO altered VALUES (1, 1, 1);
CREATE TRIGGER emit AFTER INSERT OR UPDATE ON altered FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room:{room}', 'altered');
ALTER TABLE altered DROP gone;
ALTER TABLE altered ADD added text DEFAULT 'default';
SELECT test.mark() AS mark \gset
UPDATE altered SET id = 2;
ALTER TABLE altered ALTER id TYPE text;
UPDATE altered SET id = 3;
SELECT rooms, packet FROM test.emitted(:'mark');
ALTER TABLE altered RENAME room TO chamber;
UPDATE altered SET id = 4;
DROP TABLE altered;

-- partitions whose columns stand in another order; a row that moves between them
CREATE TABLE parent (id int, tenant_id int, title text) PARTITION BY LIST (id);
CREATE TABLE child1 PARTITION OF parent FOR VALUES IN (1);
CREATE TABLE child2 (title text, x int, tenant_id int, id int);
ALTER TABLE child2 DROP x;
ALTER TABLE parent ATTACH PARTITION child2 FOR VALUES IN (2);
CREATE TRIGGER emit AFTER INSERT OR UPDATE OR DELETE ON parent
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'part', 'title,id');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO parent VALUES (1, 10, 'one'), (2, 20, 'two'), (1, 11, 'one more');
UPDATE parent SET tenant_id = tenant_id + 1;
UPDATE parent SET id = 2 WHERE title = 'one';
DELETE FROM child2;
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');
DROP TABLE parent;

-- a word that is reserved as an event's whole name is none as its first part
CREATE TABLE connection (id int);
CREATE TRIGGER emit AFTER INSERT ON connection FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'connect');
SELECT test.mark() AS mark \gset
INSERT INTO connection VALUES (1);
SELECT packet FROM test.emitted(:'mark');
DROP TABLE connection;

-- misuse, and arguments that make no sense
CREATE TABLE misused (id int, title text);
CREATE FUNCTION test.misuse(timing text, arguments text, statement text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER emit %s EXECUTE FUNCTION rooms.emit_row(%s)', timing, arguments);
	RETURN QUERY SELECT * FROM test.error(statement);
	EXECUTE 'DROP TRIGGER IF EXISTS emit ON misused';
END $$;
\pset format unaligned
\x on
SELECT e.*, a.timing, a.arguments FROM (VALUES
	('BEFORE INSERT ON misused FOR EACH ROW', $$'room', 'event'$$),
	('AFTER INSERT ON misused FOR EACH STATEMENT', $$'room', 'event'$$),
	('BEFORE INSERT ON misused FOR EACH STATEMENT', $$'room', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', ''),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', 'event', 'id', 'title'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', ''$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:id}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{id,title}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{{id}}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{"id}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{missing}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{"ID"}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room:{ctid}', 'event'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', 'event', ''$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', 'event', 'id,'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', 'event', 'id,missing'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'room', 'event', 'id,title,ID'$$),
	('AFTER INSERT ON misused FOR EACH ROW', $$'{title}', 'event'$$)
) a (timing, arguments), test.misuse(a.timing, a.arguments, $$INSERT INTO misused VALUES (1, E'new\nline')$$)
	e (code text, message text, detail text, hint text);
SELECT e.* FROM test.misuse('AFTER TRUNCATE ON misused', $$'room', 'event'$$, 'TRUNCATE misused')
	e (code text, message text, detail text, hint text);
CREATE VIEW misused_view AS SELECT * FROM misused;
CREATE TRIGGER emit INSTEAD OF INSERT ON misused_view FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'event');
SELECT * FROM test.error('INSERT INTO misused_view VALUES (1)');
-- a row that is too large takes its statement with it
CREATE TRIGGER emit AFTER INSERT ON misused FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'event');
SET pg_rooms.max_message_size = '1kB';
SELECT * FROM test.error($$INSERT INTO misused VALUES (1, repeat('x', 1000))$$);
RESET pg_rooms.max_message_size;
\x off
\pset format aligned
SELECT count(*) FROM misused;
DROP TABLE misused CASCADE;
DROP TABLE ticket;

-- What notify_user, notify_tenant, emit and emit_all put on the wire.

-- the id of a user or a tenant: text, bigint or uuid
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.notify_user('u1', '{"title": "Hello", "n": 1}');
SELECT rooms.notify_user(42, '{}');
SELECT rooms.notify_user(-9223372036854775808, '{}');
SELECT rooms.notify_user(42::smallint, '{}');
SELECT rooms.notify_user('u1'::varchar, '{}');
SELECT rooms.notify_user('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{}');
SELECT rooms.notify_tenant('t1', '["x"]');
SELECT rooms.notify_tenant(7, '"text"');
SELECT rooms.notify_tenant('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'null');
-- NULL is JSON null
SELECT rooms.notify_user(42, NULL);
SELECT rooms.notify_tenant(event => NULL, tenant_id => 7);
COMMIT;
SELECT rooms, options, packet FROM test.emitted(:'mark');

-- any number of arguments
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', 'event');
SELECT rooms.emit('room', 'event', '1');
SELECT rooms.emit('room', 'event', '1', '"two"', '[3]', '{"four": 4}', 'true', 'false', 'null');
SELECT rooms.emit('room', 'event', NULL);
SELECT rooms.emit('room', 'event', NULL, '1', NULL);
SELECT rooms.emit('room', 'event', VARIADIC '{}');
SELECT rooms.emit('room', 'event', VARIADIC ARRAY['1', '2']::jsonb[]);
SELECT rooms.emit('room', 'event', VARIADIC '[5:6]={1,2}'::jsonb[]);
SELECT rooms.emit_all('event');
SELECT rooms.emit_all('event', '1', '2');
COMMIT;
SELECT nsp, rooms, options, packet FROM test.emitted(:'mark');

-- names: whatever is no control character, up to 255 bytes; JSON is escaped where it must be
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit(' room, with "everything" \', E'say "hi" \\ \n\t\x01');
SELECT rooms.emit(repeat('r', 255), 'e');
SELECT rooms.emit('connect', 'Connect');
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');

-- JSON without spaces, nested, with all escapes
SELECT test.mark() AS mark \gset
SELECT rooms.emit('r', 'e', '{"b": [1, [], {}, [[]], {"x": {"y": [null]}}], "a": "q\"\\\/\b\f\n\r\t\u0001\u007f", "": ""}', '[[1, 2], [3]]');
SELECT packet FROM test.emitted(:'mark');

-- numbers that a double cannot hold go as strings, at any depth
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('r', 'e', '9007199254740991', '-9007199254740991', '9007199254740992', '-9007199254740993');
SELECT rooms.emit('r', 'e', '{"id": 1234567890123456789, "ids": [1, 99999999999999999999]}');
SELECT rooms.emit('r', 'e', '0.1', '-1.50', '0.30000000000000004', '123456789.123456', '12345678901234567.89', '0.12345678901234567890123');
SELECT rooms.emit('r', 'e', '1e15', '1e20', '1e400', '1e-7', '1.7976931348623157e308', '5e-324');
COMMIT;
SELECT regexp_replace(packet, '0{50,}', '0..0', 'g') AS packet FROM test.emitted(:'mark');

-- large: detoasted, whole
CREATE TABLE large (doc jsonb);
INSERT INTO large SELECT jsonb_build_object('text', string_agg(md5(i::text), '')) FROM generate_series(1, 10000) i;
SELECT test.mark() AS mark \gset
SELECT rooms.emit('r', 'e', doc) FROM large;
SELECT length(packet), packet = (SELECT '2["e",' || replace(doc::text, ': ', ':') || ']' FROM large) AS same
FROM test.emitted(:'mark');
DROP TABLE large;

-- one record for a transaction, in the order of the calls
SELECT test.mark() AS mark \gset
DO $$ BEGIN PERFORM rooms.emit('room', 'event', to_jsonb(i)) FROM generate_series(1, 1000) i; END $$;
SELECT tx, count(*), bool_and(packet = '2["event",' || n || ']') AS in_order
FROM test.emitted(:'mark') WITH ORDINALITY e (tx, nsp, rooms, except_rooms, options, packet, attachments, n) GROUP BY tx;

-- Every refusal: code, message, detail and hint; and that nothing was sent.
\x on
\pset format unaligned
\pset null '(null)'
SELECT test.mark() AS mark \gset

-- NULL or nothing where a name must be
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.notify_user(NULL::text, '{}')$$,
	$$SELECT rooms.notify_user('', '{}')$$,
	$$SELECT rooms.notify_user(NULL::bigint, '{}')$$,
	$$SELECT rooms.notify_user(NULL::uuid, '{}')$$,
	$$SELECT rooms.notify_tenant(NULL::text, '{}')$$,
	$$SELECT rooms.notify_tenant('', '{}')$$,
	$$SELECT rooms.notify_tenant(NULL::bigint, '{}')$$,
	$$SELECT rooms.notify_tenant(NULL::uuid, '{}')$$,
	$$SELECT rooms.emit(NULL, 'event')$$,
	$$SELECT rooms.emit('', 'event')$$,
	$$SELECT rooms.emit('room', NULL)$$,
	$$SELECT rooms.emit('room', '')$$,
	$$SELECT rooms.emit('room', 'event', VARIADIC NULL)$$,
	$$SELECT rooms.emit_all(NULL)$$,
	$$SELECT rooms.emit_all('')$$,
	$$SELECT rooms.emit_all('event', VARIADIC NULL)$$,
	$$SELECT rooms.emit_to(NULL, 'event')$$,
	$$SELECT rooms.emit_to('{a,NULL}', 'event')$$,
	$$SELECT rooms.emit_to('{a,""}', 'event')$$,
	$$SELECT rooms.emit_to('{a}', NULL)$$,
	$$SELECT rooms.emit_to('{a}', '')$$,
	$$SELECT rooms.emit_to('{a}', 'event', NULL)$$,
	$$SELECT rooms.emit_to('{a}', 'event', except_rooms => NULL)$$,
	$$SELECT rooms.emit_to('{a}', 'event', except_rooms => '{""}')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => NULL)$$,
	$$SELECT rooms.emit_to('{a}', 'event', volatile => NULL)$$,
	$$SELECT rooms.emit_to('{a}', 'event', attachments => NULL)$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 0}]', attachments => '{NULL}')$$,
	$$SELECT rooms.emit_all_to(NULL)$$,
	$$SELECT rooms.emit_all_to('event', NULL)$$,
	$$SELECT rooms.emit_all_to('event', except_rooms => NULL)$$,
	$$SELECT rooms.emit_all_to('event', namespace => NULL)$$,
	$$SELECT rooms.emit_all_to('event', volatile => NULL)$$,
	$$SELECT rooms.emit_all_to('event', attachments => NULL)$$
]) statement;

-- names that cannot be
SELECT (test.error(statement)).*, left(statement, 100) AS statement FROM unnest(ARRAY[
	$$SELECT rooms.emit('room', 'connect')$$,
	$$SELECT rooms.emit('room', 'connect_error')$$,
	$$SELECT rooms.emit('room', 'disconnect')$$,
	$$SELECT rooms.emit('room', 'disconnecting')$$,
	$$SELECT rooms.emit('room', 'newListener')$$,
	$$SELECT rooms.emit('room', 'removeListener')$$,
	$$SELECT rooms.emit_all('connect')$$,
	$$SELECT rooms.emit_to('{a}', 'connect')$$,
	$$SELECT rooms.emit_to('{}', 'connect')$$,
	$$SELECT rooms.emit_all_to('connect')$$,
	$$SELECT rooms.emit(repeat('r', 256), 'event')$$,
	$$SELECT rooms.emit(E'a\nb', 'event')$$,
	$$SELECT rooms.emit(E'\x7f', 'event')$$,
	$$SELECT rooms.notify_user(repeat('1', 251), '{}')$$,
	$$SELECT rooms.notify_user(E'\t', '{}')$$,
	$$SELECT rooms.emit_to(ARRAY['a', repeat('r', 256)], 'event')$$,
	$$SELECT rooms.emit_to('{a}', 'event', except_rooms => ARRAY[E'\x01'])$$,
	$$SELECT rooms.emit_to('{{a,b},{c,d}}', 'event')$$,
	$$SELECT rooms.emit('room', 'event', VARIADIC '{{1,2},{3,4}}')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => '')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => 'chat')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => '/a,b')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => '/a?b')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => '/a b')$$,
	$$SELECT rooms.emit_to('{a}', 'event', namespace => E'/a\nb')$$,
	$$SELECT rooms.emit_all_to('event', namespace => '/' || repeat('n', 255))$$
]) statement;

-- options
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.emit_to('{a}', 'event', '{}')$$,
	$$SELECT rooms.emit_to('{a}', 'event', '1')$$,
	$$SELECT rooms.emit_all_to('event', 'null')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '0')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '999 us')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '-1 s')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '1 day 1 us')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '1 month')$$,
	$$SELECT rooms.emit_to('{a}', 'event', throttle => '1 month -30 days')$$
]) statement;

-- attachments and placeholders that do not match
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.emit_to('{a}', 'event', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 0}]')$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 0}]', attachments => ARRAY['x', 'y']::bytea[])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 1}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": -1}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 0.5}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": "0"}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 4294967296}]', attachments => ARRAY['x'::bytea])$$,
	$$SELECT rooms.emit_to('{a}', 'event', attachments => array_fill('x'::bytea, ARRAY[11]))$$,
	$$SELECT rooms.emit_to('{}', 'event', attachments => ARRAY['x'::bytea])$$
]) statement;

-- size: of a message, of its list of rooms, of all messages of a transaction
SET pg_rooms.max_message_size = '1kB';
SET pg_rooms.max_pending = '64kB';
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.emit('room', 'event', to_jsonb(repeat('x', 1011)))$$,
	$$SELECT rooms.emit('room', 'event', to_jsonb(repeat('x', 1012)))$$,
	$$SELECT rooms.emit('room', 'event', to_jsonb(repeat('"', 600)))$$,
	$$SELECT rooms.emit('room', 'event', to_jsonb(array_fill(1, ARRAY[600])))$$,
	$$SELECT rooms.emit('room', repeat('e', 2000))$$,
	$$SELECT rooms.emit('room', 'event', VARIADIC array_fill('1'::jsonb, ARRAY[600]))$$,
	$$SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": true, "num": 0}]', attachments => ARRAY[convert_to(repeat('x', 1000), 'UTF8')])$$,
	$$SELECT rooms.emit_to(array_fill('room'::text, ARRAY[128]), 'event')$$,
	$$SELECT rooms.emit_to(array_fill('room'::text, ARRAY[129]), 'event')$$,
	$$SELECT rooms.emit_to('{a}', 'event', except_rooms => array_fill('room'::text, ARRAY[129]))$$,
	$$SELECT rooms.emit('room', 'event', to_jsonb(repeat('x', 900))) FROM generate_series(1, 100)$$
]) statement;
RESET pg_rooms.max_message_size;
RESET pg_rooms.max_pending;

-- not called by a trigger
SELECT (test.error(statement)).*, statement FROM unnest(ARRAY[
	$$SELECT rooms.emit_row()$$
]) statement;

-- what was in order above, and nothing else
SELECT count(*), sum(length(packet)) FROM test.emitted(:'mark');

-- a savepoint is enough to go on after an error
\x off
\pset format aligned
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', 'before');
SAVEPOINT s;
SELECT rooms.emit('room', 'lost');
SELECT rooms.emit('room', 'connect');
SELECT rooms.emit('room', 'refused');
ROLLBACK TO s;
SELECT rooms.emit('room', 'after');
COMMIT;
SELECT tx, packet FROM test.emitted(:'mark');

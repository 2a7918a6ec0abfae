-- emit_to and emit_all_to: every option.

SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit_to('{a,b}', 'event');
SELECT rooms.emit_to('{a}', 'event', '[1, "two", null]');
SELECT rooms.emit_to(rooms => '{a}', event => 'event', args => '[[1, 2]]', except_rooms => '{x,y}');
-- doubles are harmless: a socket hears of it once
SELECT rooms.emit_to('{a,a,b}', 'event', except_rooms => '{c,c}');
-- NULL excepts nobody
SELECT rooms.emit_to('{a}', 'event', except_rooms => '{NULL}');
SELECT rooms.emit_to('{a}', 'event', except_rooms => '{NULL,x,NULL}');
SELECT rooms.emit_to('{a}', 'event', namespace => '/chat', volatile => true, throttle => '250 ms');
SELECT rooms.emit_to('{a}', 'event', throttle => '1 ms');
SELECT rooms.emit_to('{a}', 'event', throttle => '1 day');
SELECT rooms.emit_to('{a}', 'event', throttle => '1.5 s');
SELECT rooms.emit_to('{a}', 'event', throttle => NULL);
SELECT rooms.emit_to('[7:8]={a,b}', 'event');
SELECT rooms.emit_all_to('event');
SELECT rooms.emit_all_to('event', '[1]', '{x}', '/admin', '1 s', true);
SELECT rooms.emit_all_to('event', args => '[{}]', namespace => '/a/b');
COMMIT;
SELECT * FROM test.emitted(:'mark');

-- an empty list of rooms reaches nobody, and is not everybody
SELECT test.mark() AS mark \gset
SELECT rooms.emit_to('{}', 'event');
SELECT rooms.emit_to(ARRAY[]::text[], 'event', '[1]', '{x}', '/chat');
SELECT count(*) FROM test.emitted(:'mark');

-- attachments, wherever in args their placeholders stand, once or more
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit_to('{a}', 'file', '[{"_placeholder": true, "num": 0}]', attachments => ARRAY['\x00ff01'::bytea]);
SELECT rooms.emit_to('{a}', 'file', '["x", {"list": [{"num": 1, "_placeholder": true}, [{"_placeholder": true, "num": 0}]]}, {"_placeholder": true, "num": 1}]',
	namespace => '/files', attachments => ARRAY['\x01', '']::bytea[]);
SELECT rooms.emit_all_to('file', (SELECT jsonb_agg(jsonb_build_object('_placeholder', true, 'num', i)) FROM generate_series(0, 9) i),
	attachments => (SELECT array_agg(int4send(i)) FROM generate_series(0, 9) i));
-- no placeholder, for the stock parser neither
SELECT rooms.emit_to('{a}', 'event', '[{"_placeholder": false, "num": 7}, {"_placeholder": "true"}, {"x": "_placeholder"}]');
-- functions without attachments send what looks like one as it is
SELECT rooms.emit('a', 'event', '{"_placeholder": true, "num": 0}');
COMMIT;
SELECT nsp, packet, attachments FROM test.emitted(:'mark');

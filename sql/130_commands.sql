-- Commands to the sockets: what goes into the WAL, what is refused, and when they count.
SET client_min_messages = warning;
\set ON_ERROR_STOP off

SELECT pg_current_wal_insert_lsn() AS mark \gset
SELECT rooms.sockets_join('user:7', ARRAY['a', 'b']);
SELECT rooms.sockets_leave('user:7', ARRAY['a'], '/admin');
SELECT rooms.disconnect_sockets('user:7'), rooms.disconnect_sockets('user:7', true);
BEGIN; SELECT rooms.sockets_leave('user:7', ARRAY['never']); ROLLBACK;
SELECT * FROM test.emitted(:'mark');

-- a right that is taken away is taken away, also in a bulk load
SET pg_rooms.emit = off;
SELECT pg_current_wal_insert_lsn() AS mark \gset
SELECT rooms.sockets_leave('user:7', ARRAY['a']);
SELECT count(*) FROM test.emitted(:'mark');
RESET pg_rooms.emit;

-- names
SELECT rooms.sockets_join(NULL, ARRAY['a']);
SELECT rooms.sockets_join('', ARRAY['a']);
SELECT rooms.sockets_join('user:7', NULL);
SELECT rooms.sockets_join('user:7', ARRAY[NULL]);
SELECT rooms.sockets_join('user:7', ARRAY[E'a\n']);
SELECT rooms.sockets_leave(repeat('x', 256), ARRAY['a']);
SELECT rooms.sockets_leave('user:7', ARRAY['a'], 'admin');
SELECT rooms.disconnect_sockets(NULL);
SELECT rooms.disconnect_sockets('user:7', NULL);

-- an order to this server: intervals that are none, and no part of the transaction
SELECT rooms.drain('-1 second');
SELECT rooms.drain('1 day 1 second');
SELECT rooms.drain('1 month');
BEGIN READ ONLY; SELECT rooms.drain(within => '1 day'); ROLLBACK;
SELECT rooms.drain(NULL);

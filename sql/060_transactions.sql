-- Messages belong to their transaction.
\set SHOW_CONTEXT never

-- a rollback takes all with it
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', 'lost');
ROLLBACK;
SELECT rooms.emit('room', 'lost'), 1 / 0;
SELECT count(*) FROM test.emitted(:'mark');

-- a savepoint takes its own, however deep
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', '1');
SAVEPOINT a;
SELECT rooms.emit('room', 'lost');
SAVEPOINT b;
SELECT rooms.emit('room', 'lost');
RELEASE b;
ROLLBACK TO a;
SELECT rooms.emit('room', '2');
SAVEPOINT c;
SELECT rooms.emit('room', '3');
RELEASE a;
SELECT rooms.emit('room', '4');
COMMIT;
SELECT tx, packet FROM test.emitted(:'mark');

-- so do exception blocks
SELECT test.mark() AS mark \gset
DO $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		BEGIN
			PERFORM rooms.emit('room', 'event', to_jsonb(i));
			IF i = 2 THEN
				RAISE EXCEPTION 'no';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			PERFORM rooms.emit('room', 'caught');
		END;
	END LOOP;
END $$;
SELECT tx, packet FROM test.emitted(:'mark');

-- a procedure that commits sends in pieces
CREATE PROCEDURE test.pieces() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.emit('room', '1');
	COMMIT;
	PERFORM rooms.emit('room', 'lost');
	ROLLBACK;
	PERFORM rooms.emit('room', '2');
END $$;
SELECT test.mark() AS mark \gset
CALL test.pieces();
SELECT tx, packet FROM test.emitted(:'mark');

-- deferred triggers run before the messages are written
CREATE TABLE deferred (id int);
CREATE CONSTRAINT TRIGGER emit AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room:{id}', 'deferred');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO deferred VALUES (1);
SELECT rooms.emit('room', 'before');
COMMIT;
SELECT tx, rooms, packet FROM test.emitted(:'mark');
DROP TABLE deferred;

-- a read-only transaction may emit, as it may NOTIFY
SELECT test.mark() AS mark \gset
BEGIN READ ONLY;
SELECT rooms.emit('room', 'event');
COMMIT;
SELECT packet FROM test.emitted(:'mark');

-- two-phase commit: written at PREPARE
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', 'prepared');
PREPARE TRANSACTION 'regress_rooms';
SELECT packet FROM test.emitted(:'mark');
COMMIT PREPARED 'regress_rooms';

-- a parallel worker has no transaction of its own; a wrong label is found out
CREATE FUNCTION test.mislabelled() RETURNS void PARALLEL SAFE LANGUAGE sql AS $$SELECT rooms.emit('room', 'event')$$;
-- (force_parallel_mode until 15)
SELECT name AS parallel FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode') \gset
SET :parallel = on;
SELECT test.mislabelled();
\echo :LAST_ERROR_SQLSTATE
RESET :parallel;

-- pg_rooms.emit = off: nothing is sent, and nothing is checked
CREATE ROLE regress_rooms_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rooms TO regress_rooms_user;
GRANT CREATE ON SCHEMA test TO regress_rooms_user;
GRANT USAGE ON SCHEMA test TO regress_rooms_user;
SELECT test.mark() AS mark \gset
SET ROLE regress_rooms_user;
SET pg_rooms.emit = off;
SELECT rooms.emit('room', 'event'), rooms.emit_all('event'), rooms.emit_to('{a}', 'event'), rooms.emit_all_to('event'),
	rooms.notify_user(1, '{}'), rooms.notify_tenant(1, '{}');
SELECT rooms.emit(NULL, 'connect'), rooms.emit_all(NULL), rooms.emit_to(NULL, NULL, NULL), rooms.emit_all_to('connect', '1'),
	rooms.notify_user(''::text, '{}'), rooms.notify_tenant(NULL::uuid, '{}');
-- a trigger neither, not even one that is wrong; and the rows are written all the same
CREATE TABLE test.silent (id int);
CREATE TRIGGER good AFTER INSERT OR UPDATE OR DELETE ON test.silent FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room:{id}', 'silent');
CREATE TRIGGER bad BEFORE INSERT OR UPDATE OR DELETE ON test.silent FOR EACH ROW EXECUTE FUNCTION rooms.emit_row();
CREATE TRIGGER bad2 BEFORE INSERT OR TRUNCATE ON test.silent EXECUTE FUNCTION rooms.emit_row('{');
INSERT INTO test.silent VALUES (1), (2);
UPDATE test.silent SET id = id + 10;
DELETE FROM test.silent WHERE id = 11;
SELECT * FROM test.silent;
TRUNCATE test.silent;
DROP TABLE test.silent;
-- it can be left out for a part of a transaction
BEGIN;
SET LOCAL pg_rooms.emit = on;
SELECT rooms.emit('room', 'sent');
COMMIT;
SELECT rooms.emit('room', 'not sent');
RESET pg_rooms.emit;
RESET ROLE;
SELECT packet FROM test.emitted(:'mark');
DROP OWNED BY regress_rooms_user;
DROP ROLE regress_rooms_user;

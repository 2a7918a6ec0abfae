-- DROP EXTENSION: what depends on it holds it back, what was its own goes.
\set SHOW_CONTEXT never
CREATE TABLE dependent (id int);
CREATE TRIGGER emit AFTER INSERT ON dependent FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'dependent');
DROP EXTENSION pg_rooms;
DROP TABLE dependent;

-- messages of the transaction that drops it are sent
SELECT test.mark() AS mark \gset
BEGIN;
SELECT rooms.emit('room', 'last');
DROP EXTENSION pg_rooms;
COMMIT;
SELECT packet FROM test.emitted(:'mark');
SELECT to_regnamespace('rooms') IS NULL AS gone;
SELECT count(*) FROM pg_init_privs p WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = objoid)
	AND NOT EXISTS (SELECT FROM pg_proc WHERE oid = objoid) AND NOT EXISTS (SELECT FROM pg_namespace WHERE oid = objoid)
	AND classoid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass);

-- and it can be made again
CREATE EXTENSION pg_rooms;
SELECT test.mark() AS mark \gset
SELECT rooms.emit('room', 'again');
SELECT packet FROM test.emitted(:'mark');
DROP EXTENSION pg_rooms;
SET client_min_messages = warning;
DROP SCHEMA test CASCADE;
DROP EXTENSION pg_walinspect;

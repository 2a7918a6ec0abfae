-- rooms.position(): only where there is one snapshot.
\set SHOW_CONTEXT never
SELECT rooms.position();
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT rooms.position();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SELECT rooms.position() ~ '^s1(\.[0-9a-f]+){3}' AS token;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT rooms.position() ~ '^s1(\.[0-9a-f]+){3}' AS token;
ROLLBACK;

-- a prepared transaction runs
CREATE TABLE test.prepared (id int);
BEGIN;
INSERT INTO test.prepared VALUES (1);
SELECT pg_current_xact_id()::text AS xid \gset
PREPARE TRANSACTION 'position';
SELECT pg_current_xact_id() IS NOT NULL AS later;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM (
	SELECT to_hex(('x' || lpad(p[4], 16, '0'))::bit(64)::bigint - ('x' || lpad(p[5], 16, '0'))::bit(64)::bigint) AS oldest
	FROM string_to_array(substr(rooms.position(), 2), '.') p) t
WHERE oldest = to_hex(:'xid'::bigint);
COMMIT;
COMMIT PREPARED 'position';
DROP TABLE test.prepared;

-- emit_row and virtual generated columns, which PostgreSQL 18 brought.
\set SHOW_CONTEXT never
SELECT current_setting('server_version_num')::int < 180000 AS older \gset
\if :older
\quit
\endif

-- they are left out, wherever they stand
CREATE TABLE virtual (id int, doubled int GENERATED ALWAYS AS (id * 2) VIRTUAL, title text,
	stored int GENERATED ALWAYS AS (id * 3) STORED, loud text GENERATED ALWAYS AS (title || '!'));
CREATE TRIGGER emit AFTER INSERT OR UPDATE OR DELETE ON virtual
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room:{stored}', 'virtual');
SELECT test.mark() AS mark \gset
BEGIN;
INSERT INTO virtual VALUES (1, DEFAULT, 'one');
UPDATE virtual SET title = 'two';
UPDATE virtual SET id = 2;
DELETE FROM virtual;
COMMIT;
SELECT rooms, packet FROM test.emitted(:'mark');

-- to ask for one is an error
\pset format unaligned
\x on
CREATE OR REPLACE TRIGGER emit AFTER INSERT ON virtual
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room:{doubled}', 'virtual');
SELECT * FROM test.error('INSERT INTO virtual VALUES (1)');
CREATE OR REPLACE TRIGGER emit AFTER INSERT ON virtual
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('room', 'virtual', 'id,loud');
SELECT * FROM test.error('INSERT INTO virtual VALUES (1)');
\x off
\pset format aligned
DROP TABLE virtual;

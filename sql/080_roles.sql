-- An application's role, which is no superuser, in both ways that the README names.
\set SHOW_CONTEXT never
CREATE ROLE regress_rooms_app;
CREATE ROLE regress_rooms_owner;
CREATE ROLE regress_rooms_monitor IN ROLE pg_monitor;

-- without a grant: nothing
SET ROLE regress_rooms_app;
SELECT rooms.notify_user(1, '{}');
SELECT rooms.notify_user('1'::text, '{}');
SELECT rooms.notify_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{}');
SELECT rooms.notify_tenant(1, '{}');
SELECT rooms.notify_tenant('1'::text, '{}');
SELECT rooms.notify_tenant('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{}');
SELECT rooms.emit('room', 'event');
SELECT rooms.emit_all('event');
SELECT rooms.emit_to('{a}', 'event');
SELECT rooms.emit_all_to('event');
SELECT rooms.sign_token('{}', '1 hour');
SELECT rooms.drain(NULL);
SELECT rooms.position();
CREATE TEMP TABLE mine (id int);
CREATE TRIGGER emit AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('user:1', 'event');
SELECT * FROM rooms.stats;
SELECT * FROM rooms.processes;
SELECT * FROM rooms.stats();
SELECT * FROM rooms.processes();
SELECT * FROM rooms.sockets;
SELECT * FROM rooms.sockets();
SELECT * FROM rooms.rooms;
SELECT * FROM rooms.rooms();
SET pg_rooms.max_message_size = 1024;
CREATE FUNCTION rooms.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
RESET ROLE;

-- by GRANT
GRANT EXECUTE ON FUNCTION rooms.notify_user(bigint, jsonb) TO regress_rooms_app;
SELECT test.mark() AS mark \gset
SET ROLE regress_rooms_app;
SELECT rooms.notify_user(1, '{}');
RESET ROLE;
SELECT packet FROM test.emitted(:'mark');

-- by a trigger that the table's owner made: the writing role needs no right to emit
GRANT EXECUTE ON FUNCTION rooms.emit_row(), rooms.notify_tenant(bigint, jsonb) TO regress_rooms_owner;
GRANT USAGE, CREATE ON SCHEMA test TO regress_rooms_owner;
SET ROLE regress_rooms_owner;
CREATE TABLE test.app_ticket (id int, tenant_id bigint, title text);
CREATE TRIGGER emit AFTER INSERT OR UPDATE OR DELETE ON test.app_ticket
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket');
GRANT SELECT, INSERT, UPDATE, DELETE ON test.app_ticket TO regress_rooms_app;
-- by a SECURITY DEFINER trigger function with pinned search_path
CREATE FUNCTION test.ticket_notify() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rooms.notify_tenant(NEW.tenant_id, jsonb_build_object('id', NEW.id, 'by', current_user));
	RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION test.ticket_notify() FROM PUBLIC;
CREATE TRIGGER notify AFTER INSERT ON test.app_ticket FOR EACH ROW EXECUTE FUNCTION test.ticket_notify();
RESET ROLE;
GRANT USAGE ON SCHEMA test TO regress_rooms_app;
SELECT test.mark() AS mark \gset
SET ROLE regress_rooms_app;
BEGIN;
INSERT INTO test.app_ticket VALUES (1, 7, 'hello');
UPDATE test.app_ticket SET title = 'hello again';
DELETE FROM test.app_ticket;
COMMIT;
SELECT rooms.notify_tenant(7, '{}');
RESET ROLE;
SELECT rooms, packet FROM test.emitted(:'mark');

-- pg_monitor reads the views and may do nothing else
SET ROLE regress_rooms_monitor;
SELECT count(*) > 0 AS any, count(DISTINCT name) = count(*) AS names_differ, bool_and(value >= 0) AS values_are_counts FROM rooms.stats;
SELECT count(*) BETWEEN 0 AND 2 AS ok FROM rooms.processes WHERE role IN ('worker', 'gateway') AND pid > 0;
SELECT count(*) FROM rooms.sockets;
SELECT count(*) FROM rooms.rooms;
SELECT rooms.emit('room', 'event');
RESET ROLE;

DROP OWNED BY regress_rooms_owner, regress_rooms_app;
DROP ROLE regress_rooms_app, regress_rooms_owner, regress_rooms_monitor;

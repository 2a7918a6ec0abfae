-- Registering handlers: the table, what is refused, who may, and pg_dump's view of it.
SET client_min_messages = warning;
\set ON_ERROR_STOP off
CREATE SCHEMA reg;
SET search_path = reg, public;
CREATE FUNCTION one(a int) RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION two(a int) RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION two(a text) RETURNS text LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION whole(e rooms.event) RETURNS rooms.reply LANGUAGE sql AS 'SELECT (e.args, e.attachments)::rooms.reply';
CREATE FUNCTION may(room text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION arrive(e rooms.event) RETURNS SETOF text LANGUAGE sql AS $$SELECT 'x'$$;
CREATE FUNCTION depart(e rooms.event) RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE proc(a int) LANGUAGE sql AS 'SELECT 1';

SELECT rooms.on_event('one', 'one'), rooms.on_event('two', 'two(text)'), rooms.on_event('whole', 'reg.whole', '/admin');
SELECT rooms.on_join('ticket:*', 'may', relay => ARRAY['cursor', 'typing']), rooms.on_join('lobby', 'may');
SELECT rooms.on_connect('arrive'), rooms.on_disconnect('depart', '/admin');
SELECT * FROM rooms.handlers ORDER BY kind, namespace, name;
-- registering again replaces
SELECT rooms.on_event('one', 'two(integer)');
SELECT handler FROM rooms.handlers WHERE name = 'one';
SELECT rooms.off_event('one'), rooms.off_event('one'), rooms.off_join('lobby'), rooms.off_connect(), rooms.off_disconnect();

-- what is no handler
SELECT rooms.on_event('e', 'two');
SELECT rooms.on_event('e', 'nowhere');
SELECT rooms.on_event('e', 'proc');
SELECT rooms.on_event('connect', 'one');
SELECT rooms.on_event('', 'one');
SELECT rooms.on_event(NULL, 'one');
SELECT rooms.on_event('e', NULL);
SELECT rooms.on_event('e', 'one', 'admin');
SELECT rooms.on_join('a*b', 'may');
SELECT rooms.on_join('user:*', 'may');
SELECT rooms.on_join('x', 'may', relay => ARRAY['error']);
SELECT rooms.on_join('x', 'may', relay => ARRAY['disconnect']);
SELECT rooms.on_join('x', 'one');

-- nobody else may
CREATE ROLE regress_rooms_nobody;
SET ROLE regress_rooms_nobody;
SELECT rooms.on_event('one', 'one');
SELECT * FROM rooms.handlers;
SELECT rooms.handler_rules();
RESET ROLE;
DROP ROLE regress_rooms_nobody;

SELECT length(rooms.handler_rules()) > 4;
DELETE FROM rooms.handlers;
SELECT rooms.handler_rules();
RESET search_path;
DROP SCHEMA reg CASCADE;

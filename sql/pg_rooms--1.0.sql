/* sql/pg_rooms--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_rooms" to load this file. \quit

/*
 * Rights: whatever PUBLIC may call, PostgREST and its like expose to the
 * world, so every function is revoked from PUBLIC right where it is made.
 * An application gets EXECUTE by GRANT, or calls from a trigger function.
 *
 * No emitting function is STRICT: NULL must be an error, not silence.  None
 * is parallel safe: a parallel worker has no transaction of its own to commit
 * the message with.
 */

-- Made here and not by the control file: so it goes with the extension, and one
-- that is there already, whose owner could shadow our objects, is an error.
CREATE SCHEMA rooms;
GRANT USAGE ON SCHEMA rooms TO PUBLIC;
COMMENT ON SCHEMA rooms IS 'pg_rooms: real-time messages to browsers, sent when the transaction commits';


/* Notifications: the two events every application needs. */

CREATE FUNCTION rooms.notify_user(user_id text, notification jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_user_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_user(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_user(text, jsonb) IS
	'sends notification:new to every connection of one user';

CREATE FUNCTION rooms.notify_user(user_id bigint, notification jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_user_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_user(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_user(bigint, jsonb) IS
	'sends notification:new to every connection of one user';

CREATE FUNCTION rooms.notify_user(user_id uuid, notification jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_user_uuid'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_user(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_user(uuid, jsonb) IS
	'sends notification:new to every connection of one user';

CREATE FUNCTION rooms.notify_tenant(tenant_id text, event jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_tenant_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_tenant(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_tenant(text, jsonb) IS
	'sends tenant:event to every connection of one tenant';

CREATE FUNCTION rooms.notify_tenant(tenant_id bigint, event jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_tenant_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_tenant(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_tenant(bigint, jsonb) IS
	'sends tenant:event to every connection of one tenant';

CREATE FUNCTION rooms.notify_tenant(tenant_id uuid, event jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_notify_tenant_uuid'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.notify_tenant(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION rooms.notify_tenant(uuid, jsonb) IS
	'sends tenant:event to every connection of one tenant';


/* Any event to any room. */

CREATE FUNCTION rooms.emit(room text, event text, VARIADIC args jsonb[] DEFAULT '{}') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_emit_room'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.emit(text, text, jsonb[]) FROM PUBLIC;
COMMENT ON FUNCTION rooms.emit(text, text, jsonb[]) IS
	'sends an event with any number of arguments to one room';

CREATE FUNCTION rooms.emit_all(event text, VARIADIC args jsonb[] DEFAULT '{}') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_emit_all'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.emit_all(text, jsonb[]) FROM PUBLIC;
COMMENT ON FUNCTION rooms.emit_all(text, jsonb[]) IS
	'sends an event with any number of arguments to everybody in namespace /';

CREATE FUNCTION rooms.emit_to(
	rooms text[],
	event text,
	args jsonb DEFAULT '[]',
	except_rooms text[] DEFAULT '{}',
	namespace text DEFAULT '/',
	throttle interval DEFAULT NULL,
	volatile boolean DEFAULT false,
	attachments bytea[] DEFAULT '{}'
) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_emit_to'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.emit_to(text[], text, jsonb, text[], text, interval, boolean, bytea[]) FROM PUBLIC;
COMMENT ON FUNCTION rooms.emit_to(text[], text, jsonb, text[], text, interval, boolean, bytea[]) IS
	'sends an event to several rooms, once to each socket, with every option';

CREATE FUNCTION rooms.emit_all_to(
	event text,
	args jsonb DEFAULT '[]',
	except_rooms text[] DEFAULT '{}',
	namespace text DEFAULT '/',
	throttle interval DEFAULT NULL,
	volatile boolean DEFAULT false,
	attachments bytea[] DEFAULT '{}'
) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_emit_all_to'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.emit_all_to(text, jsonb, text[], text, interval, boolean, bytea[]) FROM PUBLIC;
COMMENT ON FUNCTION rooms.emit_all_to(text, jsonb, text[], text, interval, boolean, bytea[]) IS
	'sends an event to everybody in a namespace, with every option';


/*
 * A table as a source of events.  Security invoker: the role that writes the
 * table needs no right to this function, only the one that creates the trigger.
 */

CREATE FUNCTION rooms.emit_row() RETURNS trigger
AS 'MODULE_PATHNAME', 'rooms_emit_row'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.emit_row() FROM PUBLIC;
COMMENT ON FUNCTION rooms.emit_row() IS
	'AFTER ... FOR EACH ROW trigger: emit_row(''room:{column}'', ''name'' [, ''column,...'']) sends name:created, name:updated or name:deleted with the row';


/*
 * Commands to the sockets.  Like messages they take effect at COMMIT, in their
 * order; other than those they heed no pg_rooms.emit = off, for a right that
 * is taken away must not live on in a room.
 */

CREATE FUNCTION rooms.sockets_join(in_room text, rooms text[], namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_sockets_join'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.sockets_join(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.sockets_join(text, text[], text) IS
	'puts the sockets that are in one room into others';

CREATE FUNCTION rooms.sockets_leave(in_room text, rooms text[], namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_sockets_leave'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.sockets_leave(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.sockets_leave(text, text[], text) IS
	'takes the sockets that are in one room out of others';

CREATE FUNCTION rooms.disconnect_sockets(in_room text, close boolean DEFAULT false, namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_disconnect_sockets'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.disconnect_sockets(text, boolean, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.disconnect_sockets(text, boolean, text) IS
	'disconnects the sockets that are in a room from their namespace, or closes their connections';


/*
 * Handlers: what happens in the database when a client sends something.
 *
 * The signatures in rooms.handlers are text, so that a function may be dropped
 * and made again, and that dumps and upgrades keep them.  Who may write the
 * table decides what clients can call: there are only the functions for it.
 */

CREATE TYPE rooms.event AS (
	name text,
	args jsonb,
	attachments bytea[],
	sid text,
	user_id text,
	tenant_id text,
	namespace text,
	handshake jsonb
);
COMMENT ON TYPE rooms.event IS 'all that a handler can be told of an event of a client';
COMMENT ON COLUMN rooms.event.name IS 'name of the event; room:join, connect or disconnect in handlers of these';
COMMENT ON COLUMN rooms.event.args IS 'JSON array of its arguments, with placeholders for binary ones';
COMMENT ON COLUMN rooms.event.attachments IS 'the binary arguments';
COMMENT ON COLUMN rooms.event.sid IS 'id of the socket';
COMMENT ON COLUMN rooms.event.user_id IS 'verified user id, or NULL';
COMMENT ON COLUMN rooms.event.tenant_id IS 'verified tenant id, or NULL';
COMMENT ON COLUMN rooms.event.namespace IS 'namespace of the socket';
COMMENT ON COLUMN rooms.event.handshake IS 'how the socket connected: auth, headers, query, address, time, issued, recovered';

CREATE TYPE rooms.reply AS (
	args jsonb,
	attachments bytea[]
);
COMMENT ON TYPE rooms.reply IS 'an acknowledgement, for handlers that return it';
COMMENT ON COLUMN rooms.reply.args IS 'JSON array of its arguments, with placeholders for binary ones';
COMMENT ON COLUMN rooms.reply.attachments IS 'the binary arguments';

CREATE TABLE rooms.handlers (
	kind "char" NOT NULL CHECK (kind IN ('e', 'j', 'c', 'd')),
	namespace text COLLATE "C" NOT NULL,
	name text COLLATE "C" NOT NULL,
	handler text COLLATE "C" NOT NULL,
	relay text[] COLLATE "C" NOT NULL,
	PRIMARY KEY (kind, namespace, name)
);
REVOKE ALL ON rooms.handlers FROM PUBLIC;
COMMENT ON TABLE rooms.handlers IS 'the registered handlers';
COMMENT ON COLUMN rooms.handlers.kind IS 'e: event, j: join, c: connect, d: disconnect';
COMMENT ON COLUMN rooms.handlers.namespace IS 'the namespace it is for';
COMMENT ON COLUMN rooms.handlers.name IS 'name of the event or pattern of the rooms; empty for connect and disconnect';
COMMENT ON COLUMN rooms.handlers.handler IS 'signature of the function';
COMMENT ON COLUMN rooms.handlers.relay IS 'join: events that members of the room may send each other';
SELECT pg_catalog.pg_extension_config_dump('rooms.handlers', '');

CREATE FUNCTION rooms.handlers_changed() RETURNS trigger
AS 'MODULE_PATHNAME', 'rooms_handlers_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.handlers_changed() FROM PUBLIC;
COMMENT ON FUNCTION rooms.handlers_changed() IS
	'trigger of rooms.handlers: tells the gateways at COMMIT';

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rooms.handlers
	FOR EACH STATEMENT EXECUTE FUNCTION rooms.handlers_changed();
COMMENT ON TRIGGER changed ON rooms.handlers IS 'makes a registration take effect at COMMIT';

CREATE FUNCTION rooms.on_event(event text, handler text, namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_on_event'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.on_event(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.on_event(text, text, text) IS
	'registers the function that handles an event of clients';

CREATE FUNCTION rooms.on_join(pattern text, handler text, relay text[] DEFAULT '{}', namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_on_join'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.on_join(text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.on_join(text, text, text[], text) IS
	'registers the function that decides who may join rooms, and the events that members may send each other';

CREATE FUNCTION rooms.on_connect(handler text, namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_on_connect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.on_connect(text, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.on_connect(text, text) IS
	'registers the function that decides who may connect to a namespace';

CREATE FUNCTION rooms.on_disconnect(handler text, namespace text DEFAULT '/') RETURNS void
AS 'MODULE_PATHNAME', 'rooms_on_disconnect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.on_disconnect(text, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.on_disconnect(text, text) IS
	'registers the function that hears when a socket has left a namespace';

CREATE FUNCTION rooms.off_event(event text, namespace text DEFAULT '/') RETURNS boolean
AS 'MODULE_PATHNAME', 'rooms_off_event'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.off_event(text, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.off_event(text, text) IS
	'removes the handler of an event; false if there is none';

CREATE FUNCTION rooms.off_join(pattern text, namespace text DEFAULT '/') RETURNS boolean
AS 'MODULE_PATHNAME', 'rooms_off_join'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.off_join(text, text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.off_join(text, text) IS
	'removes the rule of a pattern; false if there is none';

CREATE FUNCTION rooms.off_connect(namespace text DEFAULT '/') RETURNS boolean
AS 'MODULE_PATHNAME', 'rooms_off_connect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.off_connect(text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.off_connect(text) IS
	'removes the handler of connects; false if there is none';

CREATE FUNCTION rooms.off_disconnect(namespace text DEFAULT '/') RETURNS boolean
AS 'MODULE_PATHNAME', 'rooms_off_disconnect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.off_disconnect(text) FROM PUBLIC;
COMMENT ON FUNCTION rooms.off_disconnect(text) IS
	'removes the handler of disconnects; false if there is none';


/* Inside a handler: whose event it is.  NULL elsewhere, so everybody may ask. */

CREATE FUNCTION rooms.current_sid() RETURNS text
AS 'MODULE_PATHNAME', 'rooms_current_sid'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rooms.current_sid() IS
	'inside a handler: the socket whose event it is';

CREATE FUNCTION rooms.current_user_id() RETURNS text
AS 'MODULE_PATHNAME', 'rooms_current_user_id'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rooms.current_user_id() IS
	'inside a handler: the verified user id of the socket';

CREATE FUNCTION rooms.current_tenant_id() RETURNS text
AS 'MODULE_PATHNAME', 'rooms_current_tenant_id'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rooms.current_tenant_id() IS
	'inside a handler: the verified tenant id of the socket';

CREATE FUNCTION rooms.claims() RETURNS jsonb
AS 'MODULE_PATHNAME', 'rooms_claims'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rooms.claims() IS
	'inside a handler: the claims of the socket''s token';


/* What the gateway calls.  Its login role needs EXECUTE. */

CREATE FUNCTION rooms.handle(
	kind "char",
	namespace text,
	name text,
	args bytea,
	attachments bytea,
	sid text,
	user_id text,
	tenant_id text,
	role text,
	claims text,
	headers text,
	handshake text,
	marker bytea,
	after pg_lsn
) RETURNS bytea
AS 'MODULE_PATHNAME', 'rooms_handle'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.handle("char", text, text, bytea, bytea, text, text, text, text, text, text, text, bytea, pg_lsn) FROM PUBLIC;
COMMENT ON FUNCTION rooms.handle("char", text, text, bytea, bytea, text, text, text, text, text, text, text, bytea, pg_lsn) IS
	'runs the handler of one event, for the gateway';

CREATE FUNCTION rooms.handler_reset() RETURNS boolean
AS 'MODULE_PATHNAME', 'rooms_handler_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.handler_reset() FROM PUBLIC;
COMMENT ON FUNCTION rooms.handler_reset() IS
	'takes away what a handler left in its session, for the gateway; true if it emitted';

CREATE FUNCTION rooms.handler_rules() RETURNS bytea
AS 'MODULE_PATHNAME', 'rooms_handler_rules'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.handler_rules() FROM PUBLIC;
COMMENT ON FUNCTION rooms.handler_rules() IS
	'all registered handlers, for the gateway';


/* Tokens. */

CREATE FUNCTION rooms.sign_token(claims jsonb, expires_in interval) RETURNS text
AS 'MODULE_PATHNAME', 'rooms_sign_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.sign_token(jsonb, interval) FROM PUBLIC;
COMMENT ON FUNCTION rooms.sign_token(jsonb, interval) IS
	'makes a JWT of these claims, signed (HS256) with the configured secret';


/* Maintenance of this server. */

CREATE FUNCTION rooms.drain(within interval) RETURNS void
AS 'MODULE_PATHNAME', 'rooms_drain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.drain(interval) FROM PUBLIC;
COMMENT ON FUNCTION rooms.drain(interval) IS
	'at once, on this server only: takes no new clients and closes the others one by one; NULL ends it';


/* Snapshots that a client goes on from: room:join(room, {since: position}). */

CREATE FUNCTION rooms.position() RETURNS text
AS 'MODULE_PATHNAME', 'rooms_position'
LANGUAGE C STABLE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION rooms.position() FROM PUBLIC;
COMMENT ON FUNCTION rooms.position() IS
	'in a REPEATABLE READ transaction: where its snapshot stands among the messages, for room:join''s since';


/*
 * What is running and what it has done.  A view checks the right to call a
 * function for its caller, not its owner, hence both grants.
 */

CREATE FUNCTION rooms.processes(OUT pid integer, OUT role text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rooms_processes'
LANGUAGE C VOLATILE PARALLEL SAFE;
REVOKE ALL ON FUNCTION rooms.processes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rooms.processes() TO pg_monitor;
COMMENT ON FUNCTION rooms.processes() IS 'the rows of the view rooms.processes';

CREATE VIEW rooms.processes AS
	SELECT pid, role FROM rooms.processes();
REVOKE ALL ON rooms.processes FROM PUBLIC;
GRANT SELECT ON rooms.processes TO pg_monitor;
COMMENT ON VIEW rooms.processes IS 'the worker and its gateway, as far as they run';
COMMENT ON COLUMN rooms.processes.pid IS 'process id';
COMMENT ON COLUMN rooms.processes.role IS 'worker or gateway';

CREATE FUNCTION rooms.stats(OUT name text, OUT value bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rooms_stats'
LANGUAGE C VOLATILE PARALLEL SAFE;
REVOKE ALL ON FUNCTION rooms.stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rooms.stats() TO pg_monitor;
COMMENT ON FUNCTION rooms.stats() IS 'the rows of the view rooms.stats';

CREATE VIEW rooms.stats AS
	SELECT name, value FROM rooms.stats();
REVOKE ALL ON rooms.stats FROM PUBLIC;
GRANT SELECT ON rooms.stats TO pg_monitor;
COMMENT ON VIEW rooms.stats IS 'counters of the worker and the gateway';
COMMENT ON COLUMN rooms.stats.name IS 'name of the counter';
COMMENT ON COLUMN rooms.stats.value IS 'its value: a total since the start, or the present number';

CREATE FUNCTION rooms.sockets(OUT sid text, OUT user_id text, OUT tenant_id text, OUT namespace text, OUT transport text,
	OUT address text, OUT connected_at timestamptz, OUT last_seen timestamptz, OUT queued_bytes bigint, OUT messages_in bigint,
	OUT messages_out bigint, OUT bytes_in bigint, OUT bytes_out bigint, OUT rooms text[]) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rooms_sockets'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION rooms.sockets() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rooms.sockets() TO pg_monitor;
COMMENT ON FUNCTION rooms.sockets() IS 'the rows of the view rooms.sockets';

CREATE VIEW rooms.sockets AS
	SELECT sid, user_id, tenant_id, namespace, transport, address, connected_at, last_seen, queued_bytes, messages_in,
		messages_out, bytes_in, bytes_out, rooms FROM rooms.sockets();
REVOKE ALL ON rooms.sockets FROM PUBLIC;
GRANT SELECT ON rooms.sockets TO pg_monitor;
COMMENT ON VIEW rooms.sockets IS 'the sockets that are connected to this server';
COMMENT ON COLUMN rooms.sockets.sid IS 'the client''s socket.id, and its own room';
COMMENT ON COLUMN rooms.sockets.user_id IS 'of its token; NULL: none';
COMMENT ON COLUMN rooms.sockets.tenant_id IS 'of its token; NULL: none';
COMMENT ON COLUMN rooms.sockets.namespace IS 'where it is; a connection may have a socket in each namespace';
COMMENT ON COLUMN rooms.sockets.transport IS 'websocket or polling';
COMMENT ON COLUMN rooms.sockets.address IS 'the client''s, see trusted_proxies';
COMMENT ON COLUMN rooms.sockets.connected_at IS 'when its connection began';
COMMENT ON COLUMN rooms.sockets.last_seen IS 'when its connection last sent something';
COMMENT ON COLUMN rooms.sockets.queued_bytes IS 'that wait for its connection';
COMMENT ON COLUMN rooms.sockets.messages_in IS 'from its connection, without heartbeats';
COMMENT ON COLUMN rooms.sockets.messages_out IS 'to its connection, those that wait included';
COMMENT ON COLUMN rooms.sockets.bytes_in IS 'from its connection';
COMMENT ON COLUMN rooms.sockets.bytes_out IS 'to its connection, those that wait included';
COMMENT ON COLUMN rooms.sockets.rooms IS 'it is in, its own included';

CREATE FUNCTION rooms.rooms(OUT namespace text, OUT room text, OUT sockets integer) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rooms_rooms'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION rooms.rooms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rooms.rooms() TO pg_monitor;
COMMENT ON FUNCTION rooms.rooms() IS 'the rows of the view rooms.rooms';

CREATE VIEW rooms.rooms AS
	SELECT namespace, room, sockets FROM rooms.rooms();
REVOKE ALL ON rooms.rooms FROM PUBLIC;
GRANT SELECT ON rooms.rooms TO pg_monitor;
COMMENT ON VIEW rooms.rooms IS 'the rooms that somebody is in';
COMMENT ON COLUMN rooms.rooms.namespace IS 'namespace of the room';
COMMENT ON COLUMN rooms.rooms.room IS 'name of the room';
COMMENT ON COLUMN rooms.rooms.sockets IS 'how many sockets are in it';


/* One database is served: say so where the functions will not work. */

DO $$
DECLARE
	served text := pg_catalog.current_setting('pg_rooms.database', true);
BEGIN
	IF served <> pg_catalog.current_database()::text THEN
		RAISE WARNING 'pg_rooms serves the database "%", not this one', served
			USING HINT = 'Emitting from here will fail: set pg_rooms.database, or create the extension there.';
	END IF;
END
$$;

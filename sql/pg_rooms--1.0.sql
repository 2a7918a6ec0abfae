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


/* Tokens. */

CREATE FUNCTION rooms.sign_token(claims jsonb, expires_in interval) RETURNS text
AS 'MODULE_PATHNAME', 'rooms_sign_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION rooms.sign_token(jsonb, interval) FROM PUBLIC;
COMMENT ON FUNCTION rooms.sign_token(jsonb, interval) IS
	'makes a JWT of these claims, signed (HS256) with the configured secret';


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

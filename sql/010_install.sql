-- What CREATE EXTENSION makes, and who may use it.
\set SHOW_CONTEXT never
SELECT current_database() AS served \gset

-- a schema of that name that somebody else owns is not trusted
CREATE ROLE regress_rooms_squatter;
CREATE SCHEMA rooms AUTHORIZATION regress_rooms_squatter;
CREATE EXTENSION pg_rooms;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA rooms;
DROP ROLE regress_rooms_squatter;

CREATE EXTENSION pg_rooms;
SELECT extversion, extrelocatable, extnamespace::regnamespace
FROM pg_extension WHERE extname = 'pg_rooms';

-- every member has a comment
SELECT o.type, o.identity, obj_description(d.objid, d.classid::regclass::name) IS NOT NULL AS commented
FROM pg_depend d CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_rooms')
  AND o.type NOT IN ('type', 'rule')
ORDER BY o.type, o.identity COLLATE "C";

-- no emitting function is strict, none may run in a parallel worker or as its owner
SELECT proname, pg_get_function_arguments(oid) AS arguments, provolatile, proparallel, proisstrict, prosecdef
FROM pg_proc WHERE pronamespace = 'rooms'::regnamespace
ORDER BY proname COLLATE "C", pg_get_function_arguments(oid) COLLATE "C";

-- the rights of all others than the owner, on every object
SELECT object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee, privilege_type
FROM (
	SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner))
	FROM pg_namespace WHERE nspname = 'rooms'
	UNION ALL
	SELECT CASE relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || relname, relowner, coalesce(relacl, acldefault('r', relowner))
	FROM pg_class WHERE relnamespace = 'rooms'::regnamespace AND relkind IN ('r', 'v')
	UNION ALL
	SELECT 'type ' || t.oid::regtype, typowner, coalesce(typacl, acldefault('T', typowner))
	FROM pg_type t JOIN pg_class c ON c.oid = typrelid WHERE typnamespace = 'rooms'::regnamespace AND relkind = 'c'
	UNION ALL
	SELECT 'column ' || attrelid::regclass || '.' || attname, relowner, attacl
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'rooms'::regnamespace AND attacl IS NOT NULL
	UNION ALL
	SELECT 'function ' || oid::regprocedure, proowner, coalesce(proacl, acldefault('f', proowner))
	FROM pg_proc WHERE pronamespace = 'rooms'::regnamespace
) o (object, owner, acl), aclexplode(acl)
WHERE grantee <> owner
ORDER BY object COLLATE "C", grantee, privilege_type;

-- in a database that is not served: a warning here, and later an error
CREATE DATABASE regress_rooms_other;
\c regress_rooms_other
\set VERBOSITY terse
CREATE EXTENSION pg_rooms;
\set VERBOSITY sqlstate
SELECT rooms.emit('room', 'event');
SELECT rooms.emit_to('{}', 'event');
SELECT rooms.sign_token('{}', '1 hour');
\set VERBOSITY default
SET pg_rooms.emit = off;
SELECT rooms.emit('room', 'event');
\c :served
DROP DATABASE regress_rooms_other;

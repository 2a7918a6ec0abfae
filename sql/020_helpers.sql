-- Helpers of the tests that follow: they read back from the WAL what was
-- emitted, which is where the worker reads it.
--
--   SELECT test.mark() AS mark \gset
--   ... emit and commit ...
--   SELECT * FROM test.emitted(:'mark');
SET client_min_messages = warning;
CREATE SCHEMA test;
CREATE EXTENSION pg_walinspect;
CREATE EXTENSION pgcrypto SCHEMA test;

-- A position with at least one record behind it.
CREATE FUNCTION test.mark() RETURNS pg_lsn LANGUAGE plpgsql AS $$
DECLARE
	here pg_lsn := pg_current_wal_insert_lsn();
BEGIN
	PERFORM pg_logical_emit_message(true, 'mark', '');
	RETURN here;
END $$;

CREATE FUNCTION test.u32(b bytea, at int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT get_byte(b, at) + (get_byte(b, at + 1) << 8) + (get_byte(b, at + 2) << 16) + (get_byte(b, at + 3) << 24)
$$;

-- u32 length | bytes
CREATE FUNCTION test.string(b bytea, INOUT at int, OUT s bytea) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	s := substr(b, at + 5, test.u32(b, at));
	at := at + 4 + length(s);
END $$;

-- u32 count | count x string
CREATE FUNCTION test.list(b bytea, INOUT at int, OUT l bytea[]) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	s bytea;
	count int := test.u32(b, at);
BEGIN
	l := '{}';
	at := at + 4;
	FOR i IN 1 .. count LOOP
		SELECT x.at, x.s INTO at, s FROM test.string(b, at) x;
		l := l || s;
	END LOOP;
END $$;

CREATE FUNCTION test.utf8(l bytea[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(array_agg(convert_from(s, 'UTF8') ORDER BY n), '{}') FROM unnest(l) WITH ORDINALITY u (s, n)
$$;

-- The messages of all transactions committed since a mark; tx numbers those from 1.
CREATE FUNCTION test.emitted(since pg_lsn, OUT tx int, OUT nsp text, OUT rooms text[], OUT except_rooms text[],
	OUT options text, OUT packet text, OUT attachments bytea[]) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	record bytea;
	envelope bytea;
	s bytea;
	l bytea[];
	at int;
	inner_at int;
	flags int;
	throttle int;
BEGIN
	tx := 0;
	FOR record IN
		SELECT decode(replace(split_part(description, 'bytes): ', 2), ' ', ''), 'hex')
		FROM pg_get_wal_records_info(since, pg_current_wal_flush_lsn())
		WHERE resource_manager = 'LogicalMessage' AND description LIKE 'transactional, prefix "pg_rooms"%'
	LOOP
		tx := tx + 1;
		IF substr(record, 1, 8) <> '\x5047524d01000000' OR
			test.u32(record, 8) <> (SELECT oid::int FROM pg_database WHERE datname = current_database()) THEN
			RAISE EXCEPTION 'bad record header %', substr(record, 1, 16);
		END IF;
		at := 16;
		FOR i IN 1 .. test.u32(record, 12) LOOP
			SELECT x.at, x.s INTO at, envelope FROM test.string(record, at) x;
			flags := get_byte(envelope, 1);
			throttle := test.u32(envelope, 4);
			inner_at := 8;
			options := concat_ws(' ', CASE get_byte(envelope, 0) WHEN 1 THEN 'emit' ELSE 'other' END,
				CASE WHEN flags & 1 <> 0 THEN 'volatile' END,
				CASE WHEN flags & 2 <> 0 THEN 'all' END,
				CASE WHEN flags & ~3 <> 0 THEN 'unknown flag' END,
				CASE WHEN throttle <> 0 THEN 'throttle=' || throttle END);
			SELECT x.at, convert_from(x.s, 'UTF8') INTO inner_at, nsp FROM test.string(envelope, inner_at) x;
			SELECT x.at, test.utf8(x.l) INTO inner_at, rooms FROM test.list(envelope, inner_at) x;
			SELECT x.at, test.utf8(x.l) INTO inner_at, except_rooms FROM test.list(envelope, inner_at) x;
			SELECT x.at, convert_from(x.s, 'UTF8') INTO inner_at, packet FROM test.string(envelope, inner_at) x;
			SELECT x.at, x.l INTO inner_at, attachments FROM test.list(envelope, inner_at) x;
			IF inner_at <> length(envelope) THEN
				RAISE EXCEPTION 'bytes left over in envelope %', envelope;
			END IF;
			RETURN NEXT;
		END LOOP;
		IF at <> length(record) THEN
			RAISE EXCEPTION 'bytes left over in record';
		END IF;
	END LOOP;
END $$;

-- Runs a statement that must fail and shows all that its user hears.
CREATE FUNCTION test.error(statement text, OUT code text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	message := 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;

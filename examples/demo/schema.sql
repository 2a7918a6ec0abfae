-- A small ticket application.  The database `demo` is served by pg_rooms; the
-- application writes as role `app`, which is no superuser and has no right to
-- call a function of schema rooms.
CREATE EXTENSION pg_rooms;

CREATE ROLE app LOGIN;

CREATE TABLE tenant (
	id   int PRIMARY KEY,
	name text NOT NULL
);

CREATE TABLE app_user (
	id        text PRIMARY KEY,
	tenant_id int NOT NULL REFERENCES tenant,
	name      text NOT NULL
);

CREATE TABLE ticket (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  int NOT NULL DEFAULT 1 REFERENCES tenant,
	title      text NOT NULL,
	status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'doing', 'done')),
	assignee   text REFERENCES app_user,
	created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON tenant, app_user TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ticket TO app;

INSERT INTO tenant VALUES (1, 'Acme'), (2, 'Globex');
INSERT INTO app_user VALUES ('ada', 1, 'Ada'), ('ben', 1, 'Ben'), ('cleo', 2, 'Cleo');

-- Everybody of a tenant sees its tickets change: ticket:created, :updated and
-- :deleted, each with the row.  The writing role needs no right for this.
CREATE TRIGGER ticket_live
	AFTER INSERT OR UPDATE OR DELETE ON ticket
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket');

-- Whoever is given a ticket is told so.  SECURITY DEFINER lets `app` cause
-- this notification without a right to send any other.
CREATE FUNCTION notify_assignee() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rooms.notify_user(NEW.assignee,
		jsonb_build_object('ticket', NEW.id, 'message', format('%s is yours now', NEW.title)));
	RETURN NULL;
END $$;
-- Or `app` could put it on a table of its own.
REVOKE EXECUTE ON FUNCTION notify_assignee() FROM PUBLIC;

CREATE TRIGGER ticket_created AFTER INSERT ON ticket
	FOR EACH ROW WHEN (NEW.assignee IS NOT NULL) EXECUTE FUNCTION notify_assignee();
CREATE TRIGGER ticket_assigned AFTER UPDATE OF assignee ON ticket
	FOR EACH ROW WHEN (NEW.assignee IS NOT NULL AND NEW.assignee IS DISTINCT FROM OLD.assignee)
	EXECUTE FUNCTION notify_assignee();

-- Tables, roles and rights.  Nothing here knows of sockets: live.sql does.
--
-- tickets_web    logs in for the web application; may call login() and become tickets_user
-- tickets_user   what a signed-in person may do: in API routes and in handlers of events alike
-- tickets_api    owns the functions that do more than a person may
--
-- Whose request it is, stands in request.jwt.claims, as with PostgREST: the web
-- application sets it in each transaction, pg_rooms for each event.
CREATE EXTENSION pg_rooms;
CREATE EXTENSION pgcrypto;

CREATE ROLE tickets_user;
CREATE ROLE tickets_web LOGIN NOINHERIT;
GRANT tickets_user TO tickets_web;
CREATE ROLE tickets_api;

CREATE TABLE tenant (
	id   int PRIMARY KEY,
	name text NOT NULL
);

CREATE TABLE app_user (
	id        text PRIMARY KEY,
	tenant_id int NOT NULL REFERENCES tenant,
	name      text NOT NULL,
	password  text NOT NULL,	-- crypt()
	blocked   boolean NOT NULL DEFAULT false
);

-- Who asks.  NULL without claims, so that no policy lets anybody through.
CREATE FUNCTION me() RETURNS text STABLE LANGUAGE sql
	RETURN nullif(current_setting('request.jwt.claims', true), '')::json->>'sub';
CREATE FUNCTION my_tenant() RETURNS int STABLE LANGUAGE sql
	RETURN (nullif(current_setting('request.jwt.claims', true), '')::json->>'tenant_id')::int;

CREATE TABLE ticket (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  int NOT NULL DEFAULT my_tenant() REFERENCES tenant,
	title      text NOT NULL CHECK (title <> ''),
	body       text NOT NULL DEFAULT '',
	status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'doing', 'done')),
	assignee   text REFERENCES app_user,
	created_by text DEFAULT me() REFERENCES app_user,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON ticket (tenant_id, id);

CREATE TABLE comment (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	ticket_id  bigint NOT NULL REFERENCES ticket ON DELETE CASCADE,
	author     text NOT NULL DEFAULT me() REFERENCES app_user,
	body       text NOT NULL CHECK (body <> ''),
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON comment (ticket_id, id);

CREATE TABLE notification (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	user_id    text NOT NULL REFERENCES app_user,
	ticket_id  bigint REFERENCES ticket ON DELETE CASCADE,
	title      text NOT NULL,
	message    text NOT NULL,
	read       boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON notification (user_id, id);

CREATE TABLE document (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  int NOT NULL DEFAULT my_tenant() REFERENCES tenant,
	title      text NOT NULL CHECK (title <> ''),
	body       text NOT NULL DEFAULT '',
	version    int NOT NULL DEFAULT 1,
	updated_by text REFERENCES app_user,
	updated_at timestamptz NOT NULL DEFAULT now()
);

-- One sample after the other, as a monitoring agent writes them.
CREATE TABLE metric (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  int NOT NULL DEFAULT my_tenant() REFERENCES tenant,
	requests   int NOT NULL,	-- per second
	latency_ms int NOT NULL,
	at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON metric (tenant_id, id);

-- ---- Rights ----
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE app_user ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
ALTER TABLE comment ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification ENABLE ROW LEVEL SECURITY;
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE metric ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON tenant TO tickets_user USING (id = my_tenant());
CREATE POLICY own ON app_user TO tickets_user USING (tenant_id = my_tenant());
CREATE POLICY own ON ticket TO tickets_user USING (tenant_id = my_tenant());
CREATE POLICY own ON comment TO tickets_user
	USING (EXISTS (SELECT FROM ticket t WHERE t.id = ticket_id))	-- of those that one may see
	WITH CHECK (author = me() AND EXISTS (SELECT FROM ticket t WHERE t.id = ticket_id));
CREATE POLICY own ON notification TO tickets_user USING (user_id = me());
CREATE POLICY own ON document TO tickets_user USING (tenant_id = my_tenant());
CREATE POLICY own ON metric TO tickets_user USING (tenant_id = my_tenant());

GRANT SELECT ON tenant, ticket, comment, notification, document, metric TO tickets_user;
GRANT SELECT (id, tenant_id, name, blocked) ON app_user TO tickets_user;
GRANT INSERT (title, body, assignee), UPDATE (title, body, status, assignee) ON ticket TO tickets_user;
GRANT INSERT (ticket_id, body) ON comment TO tickets_user;
GRANT UPDATE (read) ON notification TO tickets_user;
GRANT INSERT (title, body), UPDATE (title, body) ON document TO tickets_user;
GRANT INSERT (requests, latency_ms) ON metric TO tickets_user;

-- The claims of whoever knows the password; no row for anybody else.
CREATE FUNCTION login(name text, secret text) RETURNS TABLE (sub text, tenant_id int)
	SECURITY DEFINER SET search_path = public, pg_temp STABLE LANGUAGE sql AS $$
	SELECT u.id, u.tenant_id FROM app_user u
	WHERE u.id = lower(trim(login.name)) AND u.password = crypt(login.secret, u.password) AND NOT u.blocked
$$;
REVOKE EXECUTE ON FUNCTION login FROM PUBLIC;
GRANT EXECUTE ON FUNCTION login TO tickets_web;

-- What changes by itself.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.updated_at := now();
	RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON ticket FOR EACH ROW EXECUTE FUNCTION touch();

CREATE FUNCTION next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.version := OLD.version + 1;
	NEW.updated_by := me();
	NEW.updated_at := now();
	RETURN NEW;
END $$;
CREATE TRIGGER next_version BEFORE UPDATE ON document FOR EACH ROW EXECUTE FUNCTION next_version();

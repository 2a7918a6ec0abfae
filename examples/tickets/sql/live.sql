-- What makes it live: who hears of which change, and what clients may send.
--
-- Triggers that emit belong to tickets_api, the one role that may; so whoever
-- writes a row, an API route, a handler or psql, the browsers hear of it.
GRANT USAGE, CREATE ON SCHEMA public TO tickets_api;
GRANT SELECT ON app_user TO tickets_api;
GRANT INSERT ON notification TO tickets_api;
CREATE POLICY api ON app_user FOR SELECT TO tickets_api USING (true);
CREATE POLICY api ON notification FOR INSERT TO tickets_api WITH CHECK (true);
GRANT EXECUTE ON FUNCTION rooms.emit_to, rooms.notify_user(text, jsonb), rooms.notify_tenant(bigint, jsonb),
	rooms.sockets_leave, rooms.disconnect_sockets TO tickets_api;

-- ---- Tickets: the tenant hears of every change ----
CREATE TRIGGER live AFTER INSERT OR UPDATE OR DELETE ON ticket
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('tenant:{tenant_id}', 'ticket');
CREATE TRIGGER live AFTER INSERT ON comment
	FOR EACH ROW EXECUTE FUNCTION rooms.emit_row('ticket:{ticket_id}', 'comment');

SET ROLE tickets_api;

-- The new assignee is notified, unless it is who assigns: a row for later, and `notification:new` for now.
CREATE FUNCTION assigned() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.assignee <> coalesce(me(), '') THEN
		INSERT INTO notification (user_id, ticket_id, title, message)
		VALUES (NEW.assignee, NEW.id, 'A ticket for you', format('#%s %s', NEW.id, NEW.title));
	END IF;
	RETURN NULL;
END $$;

CREATE FUNCTION notified() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM rooms.notify_user(NEW.user_id, jsonb_build_object('id', NEW.id, 'title', NEW.title, 'message', NEW.message,
			'read', NEW.read, 'createdAt', NEW.created_at, 'ticketId', NEW.ticket_id));
	ELSE
		-- To the other devices: in a handler, the one that asked knows from its acknowledgement.  Elsewhere current_sid() is NULL, and all hear of it.
		PERFORM rooms.emit_to(ARRAY['user:' || NEW.user_id], 'notification:updated',
			jsonb_build_array(jsonb_build_object('id', NEW.id, 'read', NEW.read)),
			except_rooms => ARRAY[rooms.current_sid()]);
	END IF;
	RETURN NULL;
END $$;

CREATE FUNCTION solved() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.notify_tenant(NEW.tenant_id,
		jsonb_build_object('type', 'ticket:done', 'ticketId', NEW.id, 'title', NEW.title, 'by', me(), 'at', now()));
	RETURN NULL;
END $$;

-- A ticket that moves to another tenant leaves those behind who look at it.
CREATE FUNCTION moved() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.sockets_leave('tenant:' || OLD.tenant_id, ARRAY['ticket:' || OLD.id]);
	RETURN NULL;
END $$;

-- Blocked people are out at that commit, and arrive() keeps them out.
CREATE FUNCTION blocked() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.disconnect_sockets('user:' || NEW.id);
	RETURN NULL;
END $$;

-- Dashboards hear once a second at most, and of the last sample in any case.
CREATE FUNCTION measured() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.emit_to(ARRAY['dashboard:' || NEW.tenant_id], 'metrics:update',
		jsonb_build_array(to_jsonb(NEW)), throttle => '1 second');
	RETURN NULL;
END $$;

CREATE FUNCTION edited() RETURNS trigger
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rooms.emit_to(ARRAY['document:' || NEW.id], 'document:updated',
		jsonb_build_array(to_jsonb(NEW)), except_rooms => ARRAY[rooms.current_sid()]);
	RETURN NULL;
END $$;

-- ---- Who connects, and who has left ----
CREATE FUNCTION arrive(e rooms.event) RETURNS void
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM app_user u WHERE u.id = e.user_id AND u.tenant_id::text = e.tenant_id AND NOT u.blocked) THEN
		RAISE EXCEPTION 'Your account is blocked';
	END IF;
END $$;

CREATE FUNCTION leave(e rooms.event) RETURNS void
	SECURITY DEFINER SET search_path = public, pg_temp LANGUAGE plpgsql AS $$
BEGIN
	-- Whoever shows a cursor of this socket takes it away.
	PERFORM rooms.emit_to(ARRAY['tenant:' || e.tenant_id], 'user:left',
		jsonb_build_array(jsonb_build_object('userId', e.user_id, 'sid', e.sid)));
END $$;

RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM tickets_api;
-- Or anybody could put the trigger functions on a table of their own.
REVOKE EXECUTE ON FUNCTION assigned, notified, solved, moved, blocked, measured, edited, arrive, leave FROM PUBLIC;
GRANT EXECUTE ON FUNCTION arrive, leave TO tickets_user;

CREATE TRIGGER assigned_new AFTER INSERT ON ticket
	FOR EACH ROW WHEN (NEW.assignee IS NOT NULL) EXECUTE FUNCTION assigned();
CREATE TRIGGER assigned AFTER UPDATE OF assignee ON ticket
	FOR EACH ROW WHEN (NEW.assignee IS DISTINCT FROM OLD.assignee) EXECUTE FUNCTION assigned();
CREATE TRIGGER solved AFTER UPDATE OF status ON ticket
	FOR EACH ROW WHEN (NEW.status = 'done' AND OLD.status <> 'done') EXECUTE FUNCTION solved();
CREATE TRIGGER moved AFTER UPDATE OF tenant_id ON ticket
	FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION moved();
CREATE TRIGGER deleted AFTER DELETE ON ticket FOR EACH ROW EXECUTE FUNCTION moved();
CREATE TRIGGER notified AFTER INSERT ON notification FOR EACH ROW EXECUTE FUNCTION notified();
CREATE TRIGGER notified_read AFTER UPDATE OF read ON notification
	FOR EACH ROW WHEN (NEW.read <> OLD.read) EXECUTE FUNCTION notified();
CREATE TRIGGER blocked AFTER UPDATE OF blocked ON app_user
	FOR EACH ROW WHEN (NEW.blocked AND NOT OLD.blocked) EXECUTE FUNCTION blocked();
CREATE TRIGGER measured AFTER INSERT ON metric FOR EACH ROW EXECUTE FUNCTION measured();
CREATE TRIGGER edited AFTER UPDATE ON document FOR EACH ROW EXECUTE FUNCTION edited();

SELECT rooms.on_connect('arrive'), rooms.on_disconnect('leave');

-- ---- What clients send: functions that run with their rights ----
CREATE FUNCTION ticket_create(input jsonb) RETURNS ticket LANGUAGE plpgsql AS $$
DECLARE
	made ticket;
BEGIN
	IF coalesce(trim(input->>'title'), '') = '' THEN
		RAISE EXCEPTION 'A ticket needs a title' USING ERRCODE = 'PT400';
	END IF;
	IF input->>'assignee' IS NOT NULL AND NOT EXISTS (SELECT id FROM app_user u WHERE u.id = input->>'assignee') THEN
		RAISE EXCEPTION 'Nobody here is called %', input->>'assignee' USING ERRCODE = 'PT400';
	END IF;
	INSERT INTO ticket (title, body, assignee)
	VALUES (trim(input->>'title'), coalesce(input->>'body', ''), input->>'assignee')
	RETURNING * INTO made;
	RETURN made;
END $$;

CREATE FUNCTION notification_read(which bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	UPDATE notification SET read = true WHERE id = which;	-- one's own: see the policy
	IF NOT FOUND THEN
		RAISE EXCEPTION 'No such notification' USING ERRCODE = 'PT404';
	END IF;
	RETURN true;
END $$;

-- Saves an edit of version `base`, and gives the new version's number.
CREATE FUNCTION document_edit(which bigint, base int, content text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	saved int;
BEGIN
	UPDATE document SET body = content WHERE id = which AND version = base RETURNING version INTO saved;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Somebody else has edited this document' USING ERRCODE = 'PT409';
	END IF;
	RETURN saved;
END $$;

SELECT rooms.on_event('ticket:create', 'ticket_create'),
	rooms.on_event('notification:read', 'notification_read'),
	rooms.on_event('document:edit', 'document_edit');

-- ---- Rooms that clients ask for: those of what they may read ----
CREATE FUNCTION join_ticket(room text) RETURNS boolean LANGUAGE sql
	RETURN EXISTS (SELECT FROM ticket t WHERE room = 'ticket:' || t.id);
CREATE FUNCTION join_document(room text) RETURNS boolean LANGUAGE sql
	RETURN EXISTS (SELECT FROM document d WHERE room = 'document:' || d.id);
CREATE FUNCTION join_dashboard(room text) RETURNS boolean LANGUAGE sql
	RETURN room = 'dashboard:' || my_tenant();

SELECT rooms.on_join('ticket:*', 'join_ticket', relay => ARRAY['typing']),
	rooms.on_join('document:*', 'join_document', relay => ARRAY['cursor', 'typing']),
	rooms.on_join('dashboard:*', 'join_dashboard');

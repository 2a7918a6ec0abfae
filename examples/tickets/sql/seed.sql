-- Two companies to play with.  Everybody's password is "rooms".
INSERT INTO tenant VALUES (1, 'Acme'), (2, 'Globex');
INSERT INTO app_user (id, tenant_id, name, password)
	SELECT id, tenant_id, name, crypt('rooms', gen_salt('bf', 6))
	FROM (VALUES ('ada', 1, 'Ada Lindqvist'), ('ben', 1, 'Ben Okafor'), ('mia', 1, 'Mia Conti'),
		('cleo', 2, 'Cleo Tanaka')) AS u (id, tenant_id, name);
INSERT INTO ticket (tenant_id, title, body, status, assignee, created_by, created_at, updated_at)
	SELECT t.*, now() - interval '20 minutes' FROM (VALUES
	(1, 'Printer on the third floor is jammed', 'It has been blinking since Monday.', 'open', NULL, 'mia', now() - interval '3 days'),
	(1, 'Invoices of May are in the wrong currency', 'EUR became USD after the import.', 'doing', 'ben', 'ada', now() - interval '2 days'),
	(1, 'New laptop for Mia', '', 'done', 'mia', 'ada', now() - interval '1 day'),
	(1, 'Login page is slow on Mondays', 'Takes 8 seconds around nine.', 'open', 'ada', 'ben', now() - interval '5 hours'),
	(2, 'Move the lab to the east wing', '', 'open', 'cleo', 'cleo', now() - interval '1 hour')) AS t;
INSERT INTO comment (ticket_id, author, body) VALUES
	(4, 'ada', 'Could it be the nightly report that is still running?'), (4, 'ben', 'It starts at eight, so yes.');
INSERT INTO document (tenant_id, title, body) VALUES
	(1, 'Release notes', E'Release notes\n\n- Tickets arrive without a reload.\n- Notifications are read on all devices at once.\n\nTo do: a paragraph about the dashboard.\n'),
	(2, 'Lab rules', E'No coffee near the laser.\n');
INSERT INTO metric (tenant_id, requests, latency_ms, at)
	SELECT 1, 120 + (60 * sin(i / 6.0))::int + i % 7, 35 + (12 * cos(i / 5.0))::int, now() - (60 - i) * interval '1 second'
	FROM generate_series(1, 60) i;

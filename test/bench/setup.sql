-- Objects that the scenarios use: a table to update, and what an application
-- with a LISTEN bridge would call.
CREATE TABLE IF NOT EXISTS bench_accts (id int PRIMARY KEY, bal bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO bench_accts SELECT g, 0 FROM generate_series(1, 100000) g ON CONFLICT DO NOTHING;
VACUUM ANALYZE bench_accts;

CREATE OR REPLACE FUNCTION bench_notify(room text, ev text, d json) RETURNS void LANGUAGE sql AS
$$ SELECT pg_notify('rooms', json_build_object('r', room, 'e', ev, 'd', d)::text) $$;

-- s6: what a client's event does.
CREATE OR REPLACE FUNCTION bench_work(which int) RETURNS bigint LANGUAGE plpgsql STABLE AS
$$ BEGIN RETURN (SELECT bal FROM bench_accts WHERE id = which); END $$;
CREATE ROLE bench_gateway LOGIN;
GRANT SELECT ON bench_accts TO bench_gateway;
GRANT EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset, rooms.handler_rules TO bench_gateway;
DO $$ BEGIN PERFORM rooms.on_event('work', 'bench_work'); END $$;

-- The role that pg_rooms logs in with to run handlers (pg_rooms.handler_conninfo).
CREATE ROLE tickets_gateway LOGIN NOINHERIT;
GRANT tickets_user TO tickets_gateway;
GRANT EXECUTE ON FUNCTION rooms.handle, rooms.handler_reset, rooms.handler_rules TO tickets_gateway;

/* with: src/gateway/config.c */
/*
 * test_config.c - CONFIG payloads, good, incomplete and malformed.
 */
#include "gateway/config.h"

#include "unit.h"

typedef struct Pair
{
	const char *name;
	const char *value;
} Pair;

/* Everything that must be there. */
static const Pair complete[] = {
	{"ping_interval", "25000"}, {"ping_timeout", "20000"}, {"connect_timeout", "45000"}, {"request_timeout", "10000"},
	{"upgrade_timeout", "10000"}, {"max_payload", "1000000"}, {"max_connections", "10000"},
	{"max_queued", "4194304"}, {"recovery_window", "0"}, {"history_size", "67108864"}, {"jwt_leeway", "30000"},
	{"max_connections_per_user", "100"}, {"max_connections_per_ip", "1000"}, {"max_handshakes_per_second", "100"},
	{"max_pending_handshakes", "1000"}, {"max_events_per_second", "100"}, {"max_bytes_per_second", "4194304"},
	{"max_rooms_per_socket", "100"}, {"max_namespaces_per_connection", "20"},
	{"log_connections", "off"},
	{"handler_connections", "4"}, {"max_handler_calls_per_second", "0"}, {"handler_timeout", "10000"}, {"cors_credentials", "on"},
	{"allow_anonymous", "off"}, {"sandbox", "on"}, {"path", "/socket.io/"}, {"jwt_secret", "s3cret"},
};

#define COMPLETE (sizeof(complete) / sizeof(complete[0]))

static uint8_t payload[4096];

/* `complete` without number `skip`, and with `extra` at the end. */
static Slice
make(size_t skip, const Pair *extra)
{
	uint8_t    *at = write_u32(payload, 0);
	uint32_t	count = 0;

	for (size_t i = 0; i <= COMPLETE; i++)
	{
		const Pair *p = i < COMPLETE ? &complete[i] : extra;

		if (i == skip || !p)
			continue;
		at = write_string(at, slice_cstring(p->name));
		at = write_string(at, slice_cstring(p->value));
		count++;
	}
	write_u32(payload, count);
	return slice(payload, (size_t) (at - payload));
}

static bool
parses(Slice s, Config *c, const char **error)
{
	*error = "";
	return config_parse(c, s, error);
}

static void
refused(const char *name, const char *value, const char *why)
{
	Pair		extra = {name, value};
	Config		c;
	const char *error;

	unit_case("%s = '%s' is refused", name, value);
	CHECK(!parses(make(COMPLETE + 1, &extra), &c, &error));
	if (!CHECK(strstr(error, why) != NULL))
		printf("# said: %s\n", error);
	config_clear(&c);
}

int
main(void)
{
	Config		c;
	const char *error;
	Slice		s;

	unit_case("values arrive in their fields");
	CHECK(parses(make(COMPLETE + 1, NULL), &c, &error));
	CHECK(c.server.ping_interval == 25000 && c.server.max_payload == 1000000);
	CHECK(c.server.max_queued == 4194304 && c.cors_credentials && !c.auth.allow_anonymous);
	CHECK(strcmp(c.path, "/socket.io/") == 0 && strcmp(c.auth.secret, "s3cret") == 0);
	CHECK(c.handlers.connections == 4 && c.handlers.timeout == 10000 && strcmp(c.handlers.conninfo, "") == 0);
	CHECK(strcmp(c.document_root, "") == 0 && strcmp(c.auth.public_key, "") == 0);
	config_clear(&c);

	for (size_t i = 0; i < COMPLETE - 2; i++)
	{
		unit_case("without %s it is incomplete", complete[i].name);
		CHECK(!parses(make(i, NULL), &c, &error));
		CHECK(strstr(error, complete[i].name) != NULL);
		config_clear(&c);
	}

	refused("colour", "red", "unknown setting \"colour\"");
	refused("max_payload", "", "max_payload");
	refused("max_payload", "-1", "max_payload");
	refused("max_payload", "12kB", "max_payload");
	refused("max_payload", "4294967296", "max_payload");
	refused("max_queued", "99999999999999999999", "max_queued");
	refused("allow_anonymous", "true", "allow_anonymous");
	refused("path", "", "path");
	refused("path", "socket.io/", "path");
	refused("path", "/socket.io", "path");

	unit_case("max_queued may be larger than 32 bits");
	CHECK(parses(make(COMPLETE + 1, &(Pair) {"max_queued", "8589934592"}), &c, &error));
	CHECK(c.server.max_queued == (size_t) 8589934592);
	config_clear(&c);

	unit_case("every cut is refused");
	s = make(COMPLETE + 1, NULL);
	for (size_t n = 0; n < s.len; n++)
	{
		CHECK(!parses(slice(s.data, n), &c, &error));
		config_clear(&c);
	}
	unit_case("a byte too many is refused");
	CHECK(!parses(slice(s.data, s.len + 1), &c, &error));
	config_clear(&c);

	unit_case("a zero byte in a value is refused");
	s = make(COMPLETE + 1, &(Pair) {"namespaces", "/a"});
	payload[s.len - 1] = 0;
	CHECK(!parses(s, &c, &error));
	config_clear(&c);
	return unit_done();
}

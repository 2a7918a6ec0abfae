/*
 * guc.c - the settings, pg_rooms.*.
 *
 * One table for each type; a row says everything about a setting, also whether
 * the gateway hears of it.  guc_init() defines them when the library is
 * loaded; the worker sends the gateway's share with guc_config_payload().
 *
 * All reload on SIGHUP, pg_rooms.database too: nothing in shared memory
 * depends on it, and the worker is bound to no database.  Three can be set in a
 * session: emit by anybody, max_message_size and max_pending by superusers (a
 * bulk load may need more; the gateway takes any size up to their bounds).
 *
 * jwt_secret, handler_conninfo and metrics_token never show.  A show hook alone would not do:
 * pg_settings.reset_val and the log line about a changed parameter print the
 * variable itself.  So their variables always hold asterisks, and the check
 * hook (guc_check.c) moves the secret into the hook's "extra".
 *
 * Memory is guc.c's own, except for what the public functions say.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/compat.h"
#include "backend/guc.h"
#include "backend/guc_check.h"
#include "wire/slice.h"

#define KEY_FILE_MAX (64 * 1024)
#define DAY_MS (24 * 60 * 60 * 1000)

bool		rooms_emit = true;
char	   *rooms_database;
char	   *rooms_listen_addresses;
int			rooms_port;
char	   *rooms_tls_cert_file;
char	   *rooms_tls_key_file;
char	   *rooms_path;
char	   *rooms_namespaces;
char	   *rooms_document_root;
char	   *rooms_allowed_origins;
bool		rooms_cors_credentials;
bool		rooms_sandbox;
bool		rooms_log_connections;
int			rooms_stats_interval;
char	   *rooms_jwt_secret_file;
char	   *rooms_jwt_public_key_file;
char	   *rooms_jwt_jwks_file;
char	   *rooms_jwt_audience;
char	   *rooms_jwt_issuer;
int			rooms_jwt_leeway;
bool		rooms_allow_anonymous;
char	   *rooms_user_claim;
char	   *rooms_tenant_claim;
char	   *rooms_role_claim;
int			rooms_ping_interval;
int			rooms_ping_timeout;
int			rooms_request_timeout;
int			rooms_connect_timeout;
int			rooms_upgrade_timeout;
int			rooms_max_payload;
int			rooms_max_connections;
int			rooms_max_connections_per_user;
int			rooms_max_connections_per_ip;
int			rooms_max_handshakes_per_second;
int			rooms_max_pending_handshakes;
int			rooms_max_events_per_second;
int			rooms_max_bytes_per_second;
int			rooms_max_rooms_per_socket;
int			rooms_max_namespaces_per_connection;
char	   *rooms_trusted_proxies;
int			rooms_max_queued;
int			rooms_recovery_window;
int			rooms_history_size;
int			rooms_max_message_size;
int			rooms_max_pending;
int			rooms_handler_connections;
int			rooms_max_handler_calls_per_second;
int			rooms_handler_timeout;
char	   *rooms_default_role;

/* The variables of the secrets, always GUC_MASK, and what they stand for; NULL if unset. */
static char *masked_jwt_secret;
static char *masked_handler_conninfo;
static const char *jwt_secret;
static char *masked_metrics_token;
static const char *metrics_token;
static const char *handler_conninfo;

typedef struct BoolSetting
{
	const char *name;
	const char *short_text;
	const char *long_text;
	bool	   *variable;
	bool		initial;
	bool		gateway;		/* sent in CONFIG */
} BoolSetting;

typedef struct IntSetting
{
	const char *name;
	const char *short_text;
	const char *long_text;
	int		   *variable;
	int			initial;
	int			min;
	int			max;
	GucContext	context;
	int			flags;
	int			gateway;		/* factor to the base unit in CONFIG; 0: not sent */
} IntSetting;

typedef struct StringSetting
{
	const char *name;
	const char *short_text;
	const char *long_text;
	char	  **variable;
	const char *initial;
	int			flags;
	GucStringCheckHook check;
	GucStringAssignHook assign;
	GucShowHook show;
	bool		gateway;		/* sent in CONFIG */
} StringSetting;

static void append_pair(StringInfo out, const char *name, Slice value);
static void append_key_file(StringInfo out, const char *name, const char *setting, const char *path, bool secret);
static void append_tls_files(StringInfo out);
static void append_u32(StringInfo out, uint32 value);
static char *read_key_file(const char *setting, const char *path, bool secret);
static bool is_closed_to_others(const struct stat *st);
pg_noreturn static void refuse_key_file(const char *setting, const char *path, const char *why);
static void assign_jwt_secret(const char *value, void *extra);
static void assign_handler_conninfo(const char *value, void *extra);
static void assign_metrics_token(const char *value, void *extra);
static const char *show_jwt_secret(void);
static const char *show_metrics_token(void);
static const char *show_handler_conninfo(void);

static const BoolSetting bool_settings[] = {
	{"pg_rooms.cors_credentials",
		"Lets browsers send cookies and Authorization headers across origins.",
		"Adds Access-Control-Allow-Credentials to answers for allowed origins.",
		&rooms_cors_credentials, false, true},
	{"pg_rooms.allow_anonymous",
		"Accepts clients that present no token.",
		"A bad token is refused all the same.",
		&rooms_allow_anonymous, false, true},
	{"pg_rooms.log_connections",
		"Logs each connect and disconnect of a socket.",
		"At most 1000 lines in a second.",
		&rooms_log_connections, false, true},
	{"pg_rooms.sandbox",
		"Keeps the gateway from files, programs and system calls that it does not need.",
		"Uses the kernel's landlock and seccomp. Changing it replaces the gateway.",
		&rooms_sandbox, true, true},
};

static const IntSetting int_settings[] = {
	{"pg_rooms.port",
		"TCP port that clients connect to.",
		NULL,
		&rooms_port, 8080, 1, 65535, PGC_SIGHUP, 0, 0},
	{"pg_rooms.jwt_leeway",
		"Clock difference that is forgiven when a token's times are checked.",
		NULL,
		&rooms_jwt_leeway, 30 * 1000, 0, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.ping_interval",
		"Time between two pings to a client.",
		"Engine.IO's pingInterval.",
		&rooms_ping_interval, 25 * 1000, 10, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.ping_timeout",
		"Time a client has to answer a ping before its connection is closed.",
		"Engine.IO's pingTimeout.",
		&rooms_ping_timeout, 20 * 1000, 10, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.request_timeout",
		"Time a connection has for its TLS handshake and the head of a request.",
		"The body may take as long again, and the time that 16 kB a second need.",
		&rooms_request_timeout, 10 * 1000, 10, 60 * 1000, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.connect_timeout",
		"Time a new connection has to join a namespace before it is closed.",
		"Socket.IO's connectTimeout.",
		&rooms_connect_timeout, 45 * 1000, 10, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.upgrade_timeout",
		"Time an upgrade from polling to WebSocket may take.",
		"Engine.IO's upgradeTimeout.",
		&rooms_upgrade_timeout, 10 * 1000, 10, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.max_payload",
		"Largest WebSocket message or polling body taken from a client.",
		"Engine.IO's maxPayload, which clients are told of.",
		&rooms_max_payload, 1000000, 1000, 100 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE, 1},
	{"pg_rooms.max_connections",
		"Number of clients that may be connected at a time.",
		NULL,
		&rooms_max_connections, 10000, 1, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_connections_per_user",
		"Number of connections that one user may have at a time.",
		"Zero: no limit.",
		&rooms_max_connections_per_user, 100, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_connections_per_ip",
		"Number of connections that one address may have at a time.",
		"An IPv6 client counts with its /64. Zero: no limit.",
		&rooms_max_connections_per_ip, 1000, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_handshakes_per_second",
		"Number of connections that one address may begin in a second.",
		"Zero: no limit.",
		&rooms_max_handshakes_per_second, 100, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_pending_handshakes",
		"Number of connections that have not sent a whole request yet.",
		"Zero: no limit.",
		&rooms_max_pending_handshakes, 1000, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_events_per_second",
		"Number of events taken from one connection in a second.",
		"Zero: no limit.",
		&rooms_max_events_per_second, 100, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_bytes_per_second",
		"Bytes of events taken from one connection in a second.",
		"Zero: no limit.",
		&rooms_max_bytes_per_second, 4 * 1024 * 1024, 0, 1024 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE, 1},
	{"pg_rooms.max_rooms_per_socket",
		"Number of rooms that a client may be in to join one more.",
		"Zero: no limit.",
		&rooms_max_rooms_per_socket, 100, 0, 1000000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_namespaces_per_connection",
		"Number of namespaces that a client may join over one connection.",
		"Zero: no limit.",
		&rooms_max_namespaces_per_connection, 20, 0, 1000, PGC_SIGHUP, 0, 1},
	{"pg_rooms.max_queued",
		"Bytes that may wait for a slow client.",
		"A client over it for 10 seconds, or over four times it at once, is disconnected.",
		&rooms_max_queued, 4096, 16, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB, 1024},
	{"pg_rooms.recovery_window",
		"Time in which a client that has lost its connection may come back and miss nothing.",
		"0 turns recovery off. Otherwise every event has one more argument, the offset.",
		&rooms_recovery_window, 0, 0, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.history_size",
		"Bytes of sent messages that are kept for clients that come back.",
		NULL,
		&rooms_history_size, 64 * 1024, 64, 16 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB, 1024},
	{"pg_rooms.max_message_size",
		"Largest message that can be emitted.",
		NULL,
		&rooms_max_message_size, 1024 * 1024, 1024, 128 * 1024 * 1024, PGC_SUSET, GUC_UNIT_BYTE, 0},
	{"pg_rooms.max_pending",
		"Largest sum of the messages of one transaction.",
		"They are kept in memory until it commits.",
		&rooms_max_pending, 64 * 1024, 64, ROOMS_MAX_PENDING_LIMIT, PGC_SUSET, GUC_UNIT_KB, 0},
	{"pg_rooms.stats_interval",
		"Time between two lines with statistics in the log.",
		"Only while clients are connected or something has changed. Zero: none.",
		&rooms_stats_interval, 60 * 1000, 0, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 0},
	{"pg_rooms.handler_connections",
		"Number of database connections for handlers of clients' events.",
		"They are opened on demand and closed when idle.",
		&rooms_handler_connections, 4, 1, 100, PGC_SIGHUP, 0, 1},
	{"pg_rooms.handler_timeout",
		"Time a handler may take.",
		"Also how long an event waits for a connection.",
		&rooms_handler_timeout, 10 * 1000, 10, DAY_MS, PGC_SIGHUP, GUC_UNIT_MS, 1},
	{"pg_rooms.max_handler_calls_per_second",
		"Most handlers that begin to run in a second.",
		"What on_connect and rules of joins ask counts too; 0 is no limit.",
		&rooms_max_handler_calls_per_second, 0, 0, 1000000, PGC_SIGHUP, 0, 1},
};

static const StringSetting string_settings[] = {
	{"pg_rooms.database",
		"Name of the database whose sessions may emit.",
		NULL,
		&rooms_database, "postgres", 0, guc_check_database, NULL, NULL, true},
	{"pg_rooms.listen_addresses",
		"Host names or addresses to listen on for clients.",
		"A list; * stands for all addresses.",
		&rooms_listen_addresses, "localhost", GUC_LIST_INPUT, guc_check_text, NULL, NULL, false},
	{"pg_rooms.tls_cert_file",
		"PEM file with the server's certificate for TLS, and those that lead to its root.",
		"Empty: no TLS.",
		&rooms_tls_cert_file, "", 0, guc_check_text, NULL, NULL, false},
	{"pg_rooms.tls_key_file",
		"PEM file with the private key of tls_cert_file's certificate.",
		"Not encrypted, and closed to others.",
		&rooms_tls_key_file, "", 0, guc_check_text, NULL, NULL, false},
	{"pg_rooms.path",
		"Path of the URL that Socket.IO clients use.",
		"Begins and ends with a slash.",
		&rooms_path, "/socket.io/", 0, guc_check_path, NULL, NULL, true},
	{"pg_rooms.namespaces",
		"Namespaces that clients may connect to.",
		"A list; each begins with a slash.",
		&rooms_namespaces, "/", GUC_LIST_INPUT, guc_check_namespaces, NULL, NULL, true},
	{"pg_rooms.document_root",
		"Directory whose files are served over HTTP.",
		"Empty: no files are served.",
		&rooms_document_root, "", 0, guc_check_document_root, NULL, NULL, true},
	{"pg_rooms.allowed_origins",
		"Origins whose pages may connect.",
		"A list such as https://example.com; * allows any; empty allows only the gateway's own host.",
		&rooms_allowed_origins, "", GUC_LIST_INPUT, guc_check_origins, NULL, NULL, true},
	{"pg_rooms.trusted_proxies",
		"Proxies whose X-Forwarded-For tells a client's address.",
		"A list of addresses and networks such as 10.0.0.0/8; empty: none.",
		&rooms_trusted_proxies, "", GUC_LIST_INPUT, guc_check_proxies, NULL, NULL, true},
	{"pg_rooms.jwt_secret",
		"Secret that tokens are signed with by HS256, HS384 or HS512.",
		"At least 32 bytes. jwt_secret_file, if set, takes precedence.",
		&masked_jwt_secret, GUC_MASK, GUC_NOT_IN_SAMPLE, guc_check_secret, assign_jwt_secret, show_jwt_secret, false},
	{"pg_rooms.jwt_secret_file",
		"File with the secret that tokens are signed with.",
		"A newline at its end does not count.",
		&rooms_jwt_secret_file, "", 0, guc_check_text, NULL, NULL, false},
	{"pg_rooms.jwt_public_key_file",
		"PEM file with the public key that tokens are verified with.",
		"RSA for RS256 to PS512, EC for ES256 to ES512.",
		&rooms_jwt_public_key_file, "", 0, guc_check_text, NULL, NULL, false},
	{"pg_rooms.jwt_jwks_file",
		"JSON Web Key Set with the keys that tokens are verified with.",
		"RSA, EC, Ed25519 and oct keys; a token's \"kid\" chooses among them.",
		&rooms_jwt_jwks_file, "", 0, guc_check_text, NULL, NULL, false},
	{"pg_rooms.jwt_audience",
		"Audience that tokens must name in \"aud\".",
		"Empty: not checked.",
		&rooms_jwt_audience, "", 0, guc_check_text, NULL, NULL, true},
	{"pg_rooms.jwt_issuer",
		"Issuer that tokens must name in \"iss\".",
		"Empty: not checked.",
		&rooms_jwt_issuer, "", 0, guc_check_text, NULL, NULL, true},
	{"pg_rooms.user_claim",
		"Claims that may hold the user's id; the first present wins.",
		NULL,
		&rooms_user_claim, "userId,user_id,sub", GUC_LIST_INPUT, guc_check_claims, NULL, NULL, true},
	{"pg_rooms.tenant_claim",
		"Claims that may hold the tenant's id; the first present wins.",
		NULL,
		&rooms_tenant_claim, "tenantId,tenant_id", GUC_LIST_INPUT, guc_check_claims, NULL, NULL, true},
	{"pg_rooms.role_claim",
		"Claims that may hold the user's role; the first present wins.",
		NULL,
		&rooms_role_claim, "role", GUC_LIST_INPUT, guc_check_claims, NULL, NULL, true},
	{"pg_rooms.handler_conninfo",
		"Connection string for running handlers of clients' events.",
		"Empty: clients' events are ignored.",
		&masked_handler_conninfo, GUC_MASK, GUC_NOT_IN_SAMPLE, guc_check_secret, assign_handler_conninfo,
		show_handler_conninfo, false},
	{"pg_rooms.metrics_token",
		"Bearer token that lets Prometheus read /metrics.",
		"At least 16 characters. Empty: there is no /metrics.",
		&masked_metrics_token, GUC_MASK, GUC_NOT_IN_SAMPLE, guc_check_secret, assign_metrics_token, show_metrics_token, false},
	{"pg_rooms.default_role",
		"Role that handlers run as for a token that names none.",
		"Empty: the user of handler_conninfo.",
		&rooms_default_role, "", 0, guc_check_role, NULL, NULL, false},
};

void
guc_init(bool preloaded)
{
	DefineCustomBoolVariable("pg_rooms.emit",
							 "Makes the emitting functions work.",
							 "Off: they do nothing, for bulk loads, restores and emergencies.",
							 &rooms_emit, true, PGC_USERSET, 0, NULL, NULL, NULL);
	if (!preloaded)
		return;

	for (size_t i = 0; i < lengthof(bool_settings); i++)
	{
		const BoolSetting *s = &bool_settings[i];

		DefineCustomBoolVariable(s->name, s->short_text, s->long_text, s->variable,
								 s->initial, PGC_SIGHUP, 0, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->short_text, s->long_text, s->variable,
								s->initial, s->min, s->max, s->context, s->flags, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->short_text, s->long_text, s->variable,
								   s->initial, PGC_SIGHUP, s->flags, s->check, s->assign, s->show);
	}
	MarkGUCPrefixReserved("pg_rooms");
}

char *
guc_jwt_secret(void)
{
	char	   *text;
	size_t		length;

	if (rooms_jwt_secret_file[0] == '\0')
		return jwt_secret ? pstrdup(jwt_secret) : NULL;

	text = read_key_file("pg_rooms.jwt_secret_file", rooms_jwt_secret_file, false);
	length = strlen(text);
	if (text[length - 1] == '\n')
		text[--length] = '\0';
	if (text[length - 1] == '\r')
		text[--length] = '\0';
	return text;
}

void
guc_config_payload(StringInfo out)
{
	int			start = out->len;
	uint32		count = 7;		/* those that no table has */
	char	   *key = guc_jwt_secret();

	append_u32(out, 0);			/* the count, known at the end */
	append_pair(out, "pg_rooms.handler_conninfo", slice_cstring(handler_conninfo ? handler_conninfo : ""));
	append_pair(out, "pg_rooms.metrics_token", slice_cstring(metrics_token ? metrics_token : ""));
	append_pair(out, "pg_rooms.jwt_secret", slice_cstring(key ? key : ""));
	append_key_file(out, "pg_rooms.jwt_public_key", "pg_rooms.jwt_public_key_file", rooms_jwt_public_key_file, false);
	append_key_file(out, "pg_rooms.jwt_jwks", "pg_rooms.jwt_jwks_file", rooms_jwt_jwks_file, false);
	append_tls_files(out);

	for (size_t i = 0; i < lengthof(bool_settings); i++)
	{
		if (!bool_settings[i].gateway)
			continue;
		append_pair(out, bool_settings[i].name, slice_cstring(*bool_settings[i].variable ? "on" : "off"));
		count++;
	}
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		char		text[24];

		if (int_settings[i].gateway == 0)
			continue;
		snprintf(text, sizeof(text), INT64_FORMAT,
				 (int64) *int_settings[i].variable * int_settings[i].gateway);
		append_pair(out, int_settings[i].name, slice_cstring(text));
		count++;
	}
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		if (!string_settings[i].gateway)
			continue;
		append_pair(out, string_settings[i].name, slice_cstring(*string_settings[i].variable));
		count++;
	}
	write_u32((uint8 *) out->data + start, count);
}

static void
append_pair(StringInfo out, const char *name, Slice value)
{
	Slice		n = slice_cstring(name + strlen("pg_rooms."));

	append_u32(out, (uint32) n.len);
	appendBinaryStringInfo(out, (const char *) n.data, n.len);
	append_u32(out, (uint32) value.len);
	appendBinaryStringInfo(out, (const char *) value.data, value.len);
}

/* The contents of a file of keys, as the pair `name`. */
static void
append_key_file(StringInfo out, const char *name, const char *setting, const char *path, bool secret)
{
	append_pair(out, name, slice_cstring(path[0] != '\0' ? read_key_file(setting, path, secret) : ""));
}

static void
append_tls_files(StringInfo out)
{
	if ((rooms_tls_cert_file[0] == '\0') != (rooms_tls_key_file[0] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("%s is set, but %s is not",
						rooms_tls_cert_file[0] != '\0' ? "pg_rooms.tls_cert_file" : "pg_rooms.tls_key_file",
						rooms_tls_cert_file[0] != '\0' ? "pg_rooms.tls_key_file" : "pg_rooms.tls_cert_file"),
				 errhint("Set both, or neither for no TLS.")));
	append_key_file(out, "pg_rooms.tls_cert", "pg_rooms.tls_cert_file", rooms_tls_cert_file, false);
	append_key_file(out, "pg_rooms.tls_key", "pg_rooms.tls_key_file", rooms_tls_key_file, true);
}

static void
append_u32(StringInfo out, uint32 value)
{
	uint8		bytes[sizeof(uint32)];

	write_u32(bytes, value);
	appendBinaryStringInfo(out, (const char *) bytes, sizeof(bytes));
}

/* The contents of a small regular file, as a string that is not blank; one that is `secret` must be closed to others. */
static char *
read_key_file(const char *setting, const char *path, bool secret)
{
	char	   *text = palloc(KEY_FILE_MAX + 1);
	ssize_t		length;
	struct stat st;
	int			fd;

	/* Not to hang on a FIFO: open without blocking, then look. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errhint("Correct %s; the server's operating-system user must be able to read the file.", setting)));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
	{
		close(fd);
		refuse_key_file(setting, path, "It is not a regular file.");
	}
	if (secret && !is_closed_to_others(&st))
	{
		close(fd);
		refuse_key_file(setting, path, "It must belong to the server's operating-system user, with mode 0600 or less, "
						"or to root, with mode 0640 or less.");
	}
	/* One read gives all of a small regular file; one byte more than allowed tells of a large one. */
	length = read(fd, text, KEY_FILE_MAX + 1);
	close(fd);
	if (length < 0)
		refuse_key_file(setting, path, "It cannot be read.");
	if (length > KEY_FILE_MAX)
		refuse_key_file(setting, path, "It is larger than 64 kB.");
	if (memchr(text, '\0', length) != NULL)
		refuse_key_file(setting, path, "It is not a text file.");
	text[length] = '\0';
	/* One that is being written must not look like a setting that was taken away. */
	if (text[strspn(text, " \t\r\n")] == '\0')
		refuse_key_file(setting, path, "It is empty.");
	return text;
}

/* The rule for ssl_key_file (be-secure-common.c). */
static bool
is_closed_to_others(const struct stat *st)
{
	if (st->st_uid == geteuid())
		return (st->st_mode & (S_IRWXG | S_IRWXO)) == 0;
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
}

static void
refuse_key_file(const char *setting, const char *path, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("file \"%s\" cannot be used", path),
			 errdetail_internal("%s", why),
			 errhint("Correct %s.", setting)));
}

static void
assign_jwt_secret(const char *value pg_attribute_unused(), void *extra)
{
	jwt_secret = extra;
}

uint32
rooms_history_window(void)
{
	return rooms_recovery_window > 0 ? (uint32) rooms_recovery_window + rooms_ping_interval + rooms_ping_timeout : 0;
}

static void
assign_handler_conninfo(const char *value pg_attribute_unused(), void *extra)
{
	handler_conninfo = extra;
}

static void
assign_metrics_token(const char *value pg_attribute_unused(), void *extra)
{
	metrics_token = extra;
}

static const char *
show_metrics_token(void)
{
	return metrics_token ? GUC_MASK : "";
}

static const char *
show_jwt_secret(void)
{
	return jwt_secret ? GUC_MASK : "";
}

static const char *
show_handler_conninfo(void)
{
	return handler_conninfo ? GUC_MASK : "";
}

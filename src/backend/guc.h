/*
 * guc.h - the settings, pg_rooms.*; one table in guc.c, meaning in README.
 *
 * Times are in ms, sizes in bytes unless the name says otherwise.
 */
#ifndef ROOMS_BACKEND_GUC_H
#define ROOMS_BACKEND_GUC_H

#include "postgres.h"
#include "lib/stringinfo.h"

extern bool rooms_emit;			/* the only one that exists without preloading */
extern char *rooms_database;
extern char *rooms_listen_addresses;
extern int	rooms_port;
extern char *rooms_tls_cert_file;
extern char *rooms_tls_key_file;
extern char *rooms_path;
extern char *rooms_namespaces;
extern char *rooms_document_root;
extern char *rooms_allowed_origins;
extern bool rooms_cors_credentials;
extern bool rooms_sandbox;
extern bool rooms_log_connections;
extern int	rooms_stats_interval;	/* ms; 0: off */
extern char *rooms_jwt_secret_file; /* jwt_secret itself: guc_jwt_secret() */
extern char *rooms_jwt_public_key_file;
extern char *rooms_jwt_jwks_file;
extern char *rooms_jwt_audience;
extern char *rooms_jwt_issuer;
extern int	rooms_jwt_leeway;
extern bool rooms_allow_anonymous;
extern char *rooms_user_claim;
extern char *rooms_tenant_claim;
extern char *rooms_role_claim;
extern int	rooms_ping_interval;
extern int	rooms_ping_timeout;
extern int	rooms_request_timeout;
extern int	rooms_connect_timeout;
extern int	rooms_upgrade_timeout;
extern int	rooms_max_payload;
extern int	rooms_max_connections;
extern int	rooms_max_connections_per_user; /* 0: no limit, and so the next ones */
extern int	rooms_max_connections_per_ip;
extern int	rooms_max_handshakes_per_second;
extern int	rooms_max_pending_handshakes;
extern int	rooms_max_events_per_second;
extern int	rooms_max_bytes_per_second;
extern int	rooms_max_rooms_per_socket;
extern int	rooms_max_namespaces_per_connection;
extern char *rooms_trusted_proxies;
extern int	rooms_max_queued;	/* kB, as GUC_UNIT_KB */
extern int	rooms_recovery_window;	/* ms; 0: off */
extern int	rooms_history_size; /* kB */
extern int	rooms_max_message_size; /* bytes, GUC_UNIT_BYTE */
extern int	rooms_max_pending;	/* kB, GUC_UNIT_KB */
extern int	rooms_handler_connections;
extern int	rooms_max_handler_calls_per_second;
extern int	rooms_handler_timeout;
extern char *rooms_default_role;	/* "": the session user */

/* Upper bound of max_pending in kB: WAL records near 1 GB can break recovery. */
#define ROOMS_MAX_PENDING_LIMIT (256 * 1024)

/* Defines them all, or only pg_rooms.emit when the library is not preloaded. */
extern void guc_init(bool preloaded);

/*
 * The secret for HS256: the contents of jwt_secret_file if set (trailing
 * newline removed), else jwt_secret; NULL if that is unset or empty.  palloc'ed.
 * ERROR when the file cannot be read or is empty.  Its length is the user's to check.
 */
extern char *guc_jwt_secret(void);

/*
 * Appends the LINK_CONFIG payload for the gateway: every setting it needs, by
 * name without the prefix, in ms, bytes, on or off.  Key files are read here
 * (ERROR if one cannot be) and their contents sent as jwt_secret,
 * jwt_public_key, jwt_jwks, tls_cert and tls_key, so the payload is a secret.
 */
extern void guc_config_payload(StringInfo out);

/*
 * So many ms back clients may need what was committed: recovery_window, and
 * before it the time in which the loss of a connection is not noticed yet, as
 * the gateway keeps it (core/recovery.c).  0: recovery is off.
 */
extern uint32 rooms_history_window(void);

#endif							/* ROOMS_BACKEND_GUC_H */

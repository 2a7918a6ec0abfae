/*
 * config.h - what the worker's CONFIG frame said.
 *
 * Names are the GUCs' without the prefix; values are texts in base units (ms,
 * bytes, on/off).  The contents of key files come as jwt_secret,
 * jwt_public_key, jwt_jwks, tls_cert and tls_key: the gateway opens no such
 * file itself.
 */
#ifndef ROOMS_GATEWAY_CONFIG_H
#define ROOMS_GATEWAY_CONFIG_H

#include "core/server.h"
#include "gateway/auth.h"
#include "gateway/handlers.h"

typedef struct Config
{
	char	   *storage;		/* every string below points in here, or to "" */
	size_t		storage_len;
	const char *path;			/* of the Engine.IO endpoint: starts and ends with '/' */
	const char *namespaces;		/* comma-separated */
	const char *document_root;	/* "" : serve no files */
	const char *tls_cert;		/* PEM; "": no TLS */
	const char *tls_key;		/* PEM */
	const char *allowed_origins;	/* "", "*", or a comma-separated list */
	bool		cors_credentials;
	const char *trusted_proxies;	/* "" or a comma-separated list */
	uint32_t	max_pending_handshakes; /* 0: no limit */
	uint32_t	request_timeout; /* ms */
	const char *metrics_token;	/* "": no /metrics */
	bool		sandbox;
	ServerOptions server;
	AuthSettings auth;
	HandlerSettings handlers;
} Config;

/*
 * Parses a CONFIG payload.  Texts that are not sent are ""; numbers and
 * switches must be there.  False: malformed, or a name or value that this
 * build does not know; *error is static text or points into c->storage.
 * Either way config_clear() frees.
 */
extern bool config_parse(Config *c, Slice payload, const char **error);

/* Wipes the strings (there are secrets among them) and frees them. */
extern void config_clear(Config *c);

#endif							/* ROOMS_GATEWAY_CONFIG_H */

/*
 * tls.h - what the gateway shows to clients in a TLS handshake.
 */
#ifndef ROOMS_GATEWAY_TLS_H
#define ROOMS_GATEWAY_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "wire/slice.h"

/* A certificate, its chain and its private key, found fit for use. */
typedef struct TlsIdentity TlsIdentity;

/*
 * Reads PEM texts: `certificates` is the server's own, then those that lead to
 * its root; `key` is not encrypted.  NULL: they are malformed, do not belong
 * together or are too weak for OpenSSL's security level; *error, which stays
 * until the next call, says so and nothing of the key.  Keeps no part of the
 * texts.
 */
extern TlsIdentity *tls_identity_new(const char *certificates, const char *key, const char **error);

/* NULL does nothing.  Connections that were shown it keep it alive. */
extern void tls_identity_free(TlsIdentity *id);

/*
 * Settles what a server's context speaks: TLS 1.2 and 1.3, no renegotiation,
 * only ciphers with forward secrecy.  Each handshake shows what *shown is then,
 * and fails while that is NULL.
 */
extern bool tls_context_setup(SSL_CTX *context, TlsIdentity *const *shown) MUST_CHECK;

/* After a change of *shown: nobody comes back by a ticket without seeing it. */
extern void tls_context_forget(SSL_CTX *context);

#endif							/* ROOMS_GATEWAY_TLS_H */

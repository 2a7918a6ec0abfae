/*
 * tls.c - see tls.h.
 *
 * Called by listener.c, which has the SSL_CTX from libwebsockets.  The SSL_CTX
 * itself holds no certificate: one is given to each connection during its
 * handshake (SSL_CTX_set_cert_cb(3)), so a reload is a change of one pointer,
 * and the type of the key may change with it.
 *
 * Memory: an identity owns OpenSSL's objects, which count their references.
 */
#include "gateway/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"

#define TICKET_KEYS		80		/* bytes, see SSL_CTX_set_tlsext_ticket_keys() */
#define CHAIN_MAX		20

struct TlsIdentity
{
	X509	   *certificate;
	STACK_OF(X509) *chain;
	EVP_PKEY   *key;
};

static const char *read_certificates(TlsIdentity *id, const char *text);
static const char *read_key(TlsIdentity *id, const char *text);
static const char *try_out(TlsIdentity *id);
static int	no_password(char *buf, int size, int rwflag, void *asked);
static int	show_identity(SSL *ssl, void *arg);

TlsIdentity *
tls_identity_new(const char *certificates, const char *key, const char **error)
{
	TlsIdentity *id = xcalloc(1, sizeof(*id));

	*error = read_certificates(id, certificates);
	if (!*error)
		*error = read_key(id, key);
	if (!*error)
		*error = try_out(id);
	ERR_clear_error();
	if (!*error)
		return id;
	tls_identity_free(id);
	return NULL;
}

void
tls_identity_free(TlsIdentity *id)
{
	if (!id)
		return;
	X509_free(id->certificate);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	free(id);
}

bool
tls_context_setup(SSL_CTX *context, TlsIdentity *const *shown)
{
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* Sessions are resumed by tickets, which clients keep; a cache would keep them here. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_cb(context, show_identity, (void *) shown);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

void
tls_context_forget(SSL_CTX *context)
{
	uint8_t		keys[TICKET_KEYS];

	if (RAND_bytes(keys, sizeof(keys)) != 1 ||
		SSL_CTX_set_tlsext_ticket_keys(context, keys, sizeof(keys)) != 1)
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	OPENSSL_cleanse(keys, sizeof(keys));
}

/* For OpenSSL: 1 goes on, 0 ends the handshake with an alert. */
static int
show_identity(SSL *ssl, void *arg)
{
	const TlsIdentity *id = *(TlsIdentity *const *) arg;

	return id && SSL_use_cert_and_key(ssl, id->certificate, id->key, id->chain, 1) == 1;
}

/* ---- reading; each gives what is wrong, or NULL ---- */

static const char *
read_certificates(TlsIdentity *id, const char *text)
{
	BIO		   *bio = BIO_new_mem_buf(text, -1);
	X509	   *next;
	bool		at_end;

	id->chain = sk_X509_new_null();
	if (!bio || !id->chain)
		return "out of memory";
	ERR_clear_error();
	while ((next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
	{
		if (!id->certificate)
			id->certificate = next;
		else if (sk_X509_num(id->chain) < CHAIN_MAX && sk_X509_push(id->chain, next) > 0)
			continue;
		else
		{
			X509_free(next);
			BIO_free(bio);
			return "the certificate file holds too many certificates";
		}
	}
	at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	BIO_free(bio);
	if (!id->certificate)
		return "the certificate file holds no PEM certificate";
	return at_end ? NULL : "the certificate file is malformed";
}

static const char *
read_key(TlsIdentity *id, const char *text)
{
	BIO		   *bio = BIO_new_mem_buf(text, -1);
	bool		encrypted = false;

	if (!bio)
		return "out of memory";
	id->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
	BIO_free(bio);
	if (id->key)
		return NULL;
	return encrypted ? "the private key is encrypted" : "the key file holds no PEM private key";
}

/* In place of OpenSSL's own, which asks on the terminal. */
static int
no_password(char *buf, int size, int rwflag, void *asked)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	if (asked)
		*(bool *) asked = true;
	return -1;
}

/* As a handshake will use it: what OpenSSL does not like shows here, and not at the first client. */
static const char *
try_out(TlsIdentity *id)
{
	static char text[200];
	TlsIdentity *shown = id;
	SSL_CTX    *context = SSL_CTX_new(TLS_server_method());
	SSL		   *ssl = NULL;
	const char *reason;
	bool		good;

	ERR_clear_error();
	if (context && tls_context_setup(context, &shown))
		ssl = SSL_new(context);
	good = ssl && show_identity(ssl, &shown) == 1;
	reason = good ? NULL : ERR_reason_error_string(ERR_peek_last_error());
	SSL_free(ssl);
	SSL_CTX_free(context);
	if (good)
		return NULL;
	if (X509_check_private_key(id->certificate, id->key) != 1)
		return "the private key does not belong to the certificate";
	snprintf(text, sizeof(text), "OpenSSL: %s", reason ? reason : "unknown error");
	return text;
}

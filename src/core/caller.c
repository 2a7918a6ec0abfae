/*
 * caller.c - who a socket is to the handlers, and what it is answered.
 *
 * Made with the socket, kept as long as one of its calls is.  The packets that
 * go back to the client, acknowledgements and errors, are put together here.
 */
#include "core/call.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "core/alloc.h"
#include "core/session_state.h"
#include "wire/json.h"

#define AUTH_EXPONENT_MAX 10000

/* ---- peers ---- */

static uint8_t *
keep(uint8_t *at, Slice *s)
{
	uint8_t    *end = write_bytes(at, *s);

	s->data = at;
	return end;
}

Peer *
peer_new(const SessionPeer *known)
{
	Peer		sized = {.refs = 1,.known = *known};
	Peer	   *peer = xmalloc(peer_size(&sized));
	uint8_t    *at = (uint8_t *) peer->text;

	*peer = sized;
	at = keep(at, &peer->known.address);
	at = keep(at, &peer->known.authorization);
	at = keep(at, &peer->known.headers);
	keep(at, &peer->known.query);
	return peer;
}

size_t
peer_size(const Peer *peer)
{
	const SessionPeer *known = &peer->known;

	return sizeof(*peer) + known->address.len + known->authorization.len + known->headers.len + known->query.len;
}

void
peer_unref(Peer *peer)
{
	if (--peer->refs == 0)
		free(peer);
}

/* ---- callers ---- */

/* Whatever escapes it is written with. */
static bool
is_secret(Slice raw_key)
{
	uint8_t		name[2 + 5 * 6];	/* each letter escaped */
	long		len = raw_key.len <= sizeof(name) ? json_unquote(raw_key, name) : -1;

	return len >= 0 && (slice_equal(slice(name, (size_t) len), SLICE_LITERAL("token")) ||
						slice_equal(slice(name, (size_t) len), SLICE_LITERAL("pid")));
}

/* The members of the CONNECT's payload but the token and the pid. */
static void
add_auth(Text *t, Slice auth)
{
	JsonWalk	walk;
	Slice		key,
				value;
	bool		any = false;

	text_add_string(t, "{");
	if (auth.len > 0 && json_enter(auth, &walk) && walk.object)
	{
		while (json_next(&walk, &key, &value))
		{
			if (is_secret(key))
				continue;
			text_add_string(t, any ? "," : "");
			text_add(t, key);
			text_add_string(t, ":");
			text_add(t, value);
			any = true;
		}
	}
	text_add_string(t, "}");
}

/* As Socket.IO's handshake.time: what `new Date() + ""` gives in UTC. */
static void
add_time(Text *t, int64_t ms)
{
	time_t		seconds = (time_t) (ms / 1000);
	struct tm	tm;
	char		text[80];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "\"%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)\"", &tm);
	text_add_string(t, text);
}

static Slice
or_empty_object(Slice json)
{
	return json.len > 0 ? json : SLICE_LITERAL("{}");
}

Slice
caller_headers(const Caller *caller)
{
	return or_empty_object(caller->peer->known.headers);
}

void
caller_handshake(const Caller *caller, Text *t)
{
	const SessionPeer *known = &caller->peer->known;

	text_add_string(t, "{\"auth\":");
	text_add_string(t, caller->auth != NULL ? caller->auth : "{}");
	text_add_string(t, ",\"headers\":");
	text_add(t, or_empty_object(known->headers));
	text_add_string(t, ",\"query\":");
	text_add(t, or_empty_object(known->query));
	text_add_string(t, ",\"address\":");
	text_add_json(t, known->address);
	text_add_string(t, ",\"time\":");
	add_time(t, known->issued);
	text_add_string(t, ",\"issued\":");
	text_add_number(t, (uint64_t) known->issued);
	text_add_string(t, caller->recovered ? ",\"recovered\":true}" : ",\"recovered\":false}");
}

/* Most clients send nothing but the token. */
static char *
auth_without_token(Slice auth)
{
	Text		t = {0};
	char	   *result = NULL;

	add_auth(&t, auth);
	if (t.len > strlen("{}"))
		result = xstrndup(t.bytes, t.len);
	text_free(&t);
	return result;
}

bool
caller_auth_fits(Slice auth)
{
	Text		t = {0};
	bool		fits;

	if (auth.len <= AUTH_KEPT_MAX)
		return true;
	add_auth(&t, auth);
	fits = t.len <= AUTH_KEPT_MAX;
	text_free(&t);
	return fits;
}

/* Exponents as jsonb takes them, with as many digits before them as are kept. */
static bool
is_moderate(Slice number)
{
	long		exponent = 0;
	size_t		i = 0;

	while (i < number.len && number.data[i] != 'e' && number.data[i] != 'E')
		i++;
	while (++i < number.len)
	{
		if (number.data[i] >= '0' && number.data[i] <= '9')
			exponent = exponent * 10 + number.data[i] - '0';
		if (exponent > AUTH_EXPONENT_MAX)
			return false;
	}
	return true;
}

static bool
is_sql_text(Slice raw)
{
	uint8_t    *text = xmalloc(raw.len);
	long		len = json_unquote(raw, text);
	bool		good = len >= 0 && memchr(text, '\0', (size_t) len) == NULL;

	free(text);
	return good;
}

bool
caller_auth_storable(Slice auth)
{
	Text		t = {0};
	JsonScan	scan;
	JsonToken	token = JSON_SCAN_END;
	Slice		raw;
	bool		good = true;

	add_auth(&t, auth);
	json_scan(&scan, text_slice(&t));
	while (good && (token = json_scan_next(&scan, &raw)) > JSON_SCAN_END)
	{
		if (token == JSON_SCAN_STRING || token == JSON_SCAN_KEY)
			good = is_sql_text(raw);
		else if (token == JSON_SCAN_NUMBER)
			good = is_moderate(raw);
	}
	text_free(&t);
	return good;
}

void
caller_set_identity(Caller *caller, Identity *identity)
{
	uint64_t	now = caller->server->now;

	identity_clear(&caller->identity);
	caller->identity = *identity;
	*identity = (Identity) {0};
	caller->expires_at = caller->identity.valid_ms < UINT64_MAX - now ? now + caller->identity.valid_ms : UINT64_MAX;
}

Caller *
caller_new(Socket *socket, Slice nsp, Identity *identity, Slice auth, bool recovered)
{
	Caller	   *caller = xcalloc(1, sizeof(*caller));
	Session    *session = socket->session;

	caller->server = session->server;
	caller->refs = 1;
	caller->socket = socket;
	caller_set_identity(caller, identity);
	random_sid(session->server, caller->sid);
	caller->sid[0] = '_';
	caller->nsp = xstrndup(nsp.data, nsp.len);
	caller->peer = session->state->peer;
	caller->peer->refs++;
	caller->recovered = recovered;
	if (session->server->use_handlers)
		caller->auth = auth_without_token(auth);
	return caller;
}

Caller *
caller_restore(Server *s, Slice sid, Slice nsp, Identity *identity, const SessionPeer *peer, Slice auth)
{
	Caller	   *caller = xcalloc(1, sizeof(*caller));

	caller->server = s;
	caller->refs = 1;
	caller_set_identity(caller, identity);
	assert(sid.len == SID_LENGTH);
	memcpy(caller->sid, sid.data, SID_LENGTH);
	caller->nsp = xstrndup(nsp.data, nsp.len);
	caller->peer = peer_new(peer);
	caller->auth = auth.len > 0 ? xstrndup(auth.data, auth.len) : NULL;
	return caller;
}

void
caller_unref(Caller *caller)
{
	if (--caller->refs > 0)
		return;
	assert(caller->first == NULL);
	if (caller->follower != NULL)
		caller_unref(caller->follower);
	identity_clear(&caller->identity);
	free(caller->nsp);
	free(caller->auth);
	peer_unref(caller->peer);
	free(caller);
}

/* ---- answers ---- */

void
call_packet(Text *t, const Caller *caller, SioType type, uint32_t attachments)
{
	text_add_number(t, (uint64_t) type);
	if (attachments > 0)
	{
		text_add_number(t, attachments);
		text_add_string(t, "-");
	}
	if (strcmp(caller->nsp, "/") != 0)
	{
		text_add_string(t, caller->nsp);
		text_add_string(t, ",");
	}
}

void
call_acknowledge(const Call *c, Slice args, EnvelopeList attachments)
{
	Text		t = {0};

	if (!c->has_ack || c->caller->socket == NULL)
		return;
	call_packet(&t, c->caller, attachments.count > 0 ? SIO_BINARY_ACK : SIO_ACK, attachments.count);
	text_add_number(&t, c->ack);
	text_add(&t, args);
	socket_send(c->caller->socket, text_slice(&t), attachments);
	text_free(&t);
}

void
call_accept(const Call *c)
{
	call_acknowledge(c, SLICE_LITERAL("[]"), (EnvelopeList) {0});
}

static void
add_error(Text *t, Slice message, Slice code, Slice error_id)
{
	text_add_string(t, "\"message\":");
	text_add_json(t, message);
	text_add_string(t, ",\"code\":");
	text_add_json(t, code);
	if (error_id.len > 0)
	{
		text_add_string(t, ",\"id\":");
		text_add_json(t, error_id);
	}
}

/* Every event ends in one, for a client that may be recovered. */
static void
add_offset(Text *t, const Caller *caller)
{
	char		text[POSITION_TEXT_MAX];

	if (caller->socket->stay == NULL)
		return;
	text_add_string(t, ",\"");
	text_add(t, recovery_offset(caller->server, text));
	text_add_string(t, "\"");
}

void
call_refuse(const Call *c, Slice message, Slice code, Slice error_id)
{
	Text		t = {0};

	if (c->caller->socket == NULL)
		return;
	call_packet(&t, c->caller, SIO_EVENT, 0);
	text_add_string(&t, "[\"error\",{\"event\":");
	text_add(&t, c->event);
	text_add_string(&t, ",");
	add_error(&t, message, code, error_id);
	text_add_string(&t, "}");
	add_offset(&t, c->caller);
	text_add_string(&t, "]");
	socket_send(c->caller->socket, text_slice(&t), (EnvelopeList) {0});

	t.len = 0;
	text_add_string(&t, "[{\"error\":{");
	add_error(&t, message, code, error_id);
	text_add_string(&t, "}}]");
	call_acknowledge(c, text_slice(&t), (EnvelopeList) {0});
	text_free(&t);
}


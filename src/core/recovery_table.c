/*
 * recovery_table.c - what outlives a gateway: stays in the worker's session
 * table, and the history that the worker reads from the WAL.
 *
 * Called by recovery.c whenever a stay changes, and by the gateway at its
 * start with what the worker has.  Values are written and read here alone; the
 * worker does not look into them:
 *
 *   value    u8 version | u8 departs | string sid | string namespace |
 *            text user | text tenant | text role | text claims |
 *            string auth | string address | string headers | string query | u64 issued |
 *            position since | position replayed | position log_from | position known |
 *            list rooms (u8 by_rule | name) | string log
 *   text     u8 0, or u8 1 | string
 *
 * What only handlers ask for (claims to query) is there with handlers only.  A value that is too large, or malformed, is as none: its
 * client gets a new socket.
 */
#include "core/recovery.h"

#include <stdlib.h>

#include "core/alloc.h"
#include "core/follow.h"
#include "core/session_state.h"

#define VERSION 1

/* ---- positions ---- */

uint8_t *
recovery_write_position(uint8_t *at, Position p)
{
	at = write_u64(at, p.lsn);
	at = write_u32(at, p.timeline);
	at = write_u32(at, p.index);
	return write_u32(at, p.late);
}

Position
recovery_read_position(Reader *r)
{
	Position	p;

	p.lsn = read_u64(r);
	p.timeline = read_u32(r);
	p.index = read_u32(r);
	p.late = read_u32(r);
	return p;
}

/* ---- to the worker ---- */

static void
add_u8(Text *t, uint8_t v)
{
	text_add(t, slice(&v, 1));
}

static void
add_text(Text *t, const char *s)
{
	add_u8(t, s != NULL);
	if (s != NULL)
		text_add_item(t, slice_cstring(s));
}

static void
add_string(Text *t, const char *s)
{
	text_add_item(t, s != NULL ? slice_cstring(s) : (Slice) {0});
}

static void
add_position(Text *t, Position p)
{
	uint8_t		bytes[POSITION_BYTES];

	recovery_write_position(bytes, p);
	text_add(t, slice(bytes, sizeof(bytes)));
}

static void
encode(Text *t, const Stay *stay)
{
	bool		live = stay->rooms.nsp == NULL;
	const Member *m = live ? &stay->socket->member : &stay->rooms;
	const Caller *c = live ? stay->socket->caller : stay->caller;
	bool		all = stay->server->use_handlers;

	add_u8(t, VERSION);
	add_u8(t, live || stay->departs);
	add_string(t, c->sid);
	add_string(t, c->nsp);
	add_text(t, c->identity.user_id);
	add_text(t, c->identity.tenant_id);
	add_text(t, c->identity.role);
	add_text(t, all ? c->identity.claims : NULL);
	add_string(t, all ? c->auth : NULL);
	text_add_item(t, all ? c->peer->known.address : (Slice) {0});
	text_add_item(t, all ? c->peer->known.headers : (Slice) {0});
	text_add_item(t, all ? c->peer->known.query : (Slice) {0});
	text_add_u64(t, (uint64_t) c->peer->known.issued);
	add_position(t, stay->since);
	add_position(t, stay->replayed);
	add_position(t, stay->log_from);
	add_position(t, stay->server->recovery.newest);
	text_add_u32(t, m->room_count);
	for (uint32_t i = 0; i < m->room_count; i++)
	{
		Slice		name = room_name(m->rooms[i].room);

		text_add_u32(t, (uint32_t) name.len + 1);
		add_u8(t, m->rooms[i].by_rule);
		text_add(t, name);
	}
	text_add_item(t, text_slice(&stay->log));
}

static bool
put(Stay *stay, Slice value)
{
	Server	   *s = stay->server;

	if (s->recovery.over || s->hooks.session_table == NULL)
		return true;
	return s->hooks.session_table(s->hooks.ctx, slice(stay->key, STAY_KEY), value);
}

void
recovery_tell(Stay *stay)
{
	Text		t = {0};

	if (!recovery_keeps(stay->server))
		return;
	encode(&t, stay);
	if (t.len > LINK_MAX_SESSION_VALUE || (stay->socket != NULL && follow_pending(stay->socket)))
		t.len = 0;
	stay->told = put(stay, text_slice(&t));
	stay->server->recovery.behind |= !stay->told;
	text_free(&t);
}

/* If it does not get there, the worker has a session that nobody comes for; it forgets it in time. */
void
recovery_tell_end(Stay *stay)
{
	(void) put(stay, (Slice) {0});
}

void
recovery_tell_rest(Server *s)
{
	HashTable  *stays = &s->recovery.stays;

	if (!s->recovery.behind)
		return;
	s->recovery.behind = false;
	for (uint32_t i = 0; i < stays->size && !s->recovery.behind; i++)
	{
		for (HashLink *l = stays->buckets[i]; l != NULL && !s->recovery.behind; l = l->next)
		{
			Stay	   *stay = (Stay *) l;

			if (!stay->told && (stay->socket == NULL || stay->rooms.nsp != NULL || stay->socket->connected))
				recovery_tell(stay);
		}
	}
}

/* ---- from the worker ---- */

void
server_set_timelines(Server *s, LinkTimelines list)
{
	Recovery   *r = &s->recovery;
	uint32_t	n = 0;

	free(r->timelines);
	r->timelines = xmalloc((list.count > 0 ? list.count : 1) * sizeof(*r->timelines));
	r->timeline_count = list.count;
	while (link_timelines_next(&list, &r->timelines[n]))
		n++;
	server_each_session(s, follow_timelines);
}

static Position
before(const LinkPosition *p)
{
	return (Position) {.lsn = p->lsn,.timeline = p->timeline};
}

static void
advance_to(Server *s, Position at)
{
	if (position_compare(&at, &s->recovery.newest) > 0)
		s->recovery.newest = at;
}

void
server_position(Server *s, const LinkPosition *p)
{
	advance_to(s, before(p));
	s->recovery.filling = false;
}

void
server_covered(Server *s, const LinkPosition *p, uint64_t now)
{
	s->now = now;
	history_restart(s->recovery.history, before(p));
	call_revoked(s, p->lsn);
	if (recovery_keeps(s))
		server_hang_up(s);
	advance_to(s, before(p));
}

WireResult
server_history(Server *s, uint32_t age, const LinkMessage *m, uint64_t now)
{
	Envelope	e;

	s->now = now;
	if (envelope_decode(m->envelope, &e) != WIRE_OK)
		return WIRE_BAD;
	recovery_advance(s, m);
	s->recovery.filling = recovery_keeps(s);
	s->recovery.age = age;
	if (e.kind == ENVELOPE_EMIT && e.throttle_ms > 0)
		server_throttle(s, &e, m->envelope, true);
	else if (e.kind == ENVELOPE_EMIT)
		server_emit(s, &e, true);
	else if (e.kind != ENVELOPE_MARKER && e.kind != ENVELOPE_RULES)
		recovery_command(s, &e);
	s->recovery.age = 0;
	return WIRE_OK;
}

static Slice
read_text(Reader *r, bool *there)
{
	uint8_t		v = read_u8(r);

	*there = v == 1;
	r->bad |= v > 1;
	return *there ? read_string(r) : (Slice) {0};
}

static char *
read_copy(Reader *r)
{
	bool		there;
	Slice		text = read_text(r, &there);

	return there ? xstrndup(text.data, text.len) : NULL;
}

/* Is it a sequence of whole entries? */
static bool
log_valid(Slice log)
{
	Reader		r = reader(log);

	while (!r.bad && reader_left(&r) > 0)
	{
		read_bytes(&r, POSITION_BYTES);
		if (read_u8(&r) > 1 || !envelope_name_valid(read_string(&r)))
			return false;
	}
	return !r.bad && log.len <= STAY_LOG_MAX;
}

static void
join_rooms(Stay *stay, EnvelopeList rooms)
{
	Slice		room;

	while (envelope_next(&rooms, &room))
	{
		Slice		name = slice(room.data + 1, room.len - 1);

		registry_join(&stay->rooms, name);
		registry_entry(&stay->rooms, name)->by_rule = room.data[0] != 0;
	}
}

/* Each has a flag and a name. */
static bool
rooms_valid(EnvelopeList rooms)
{
	Slice		room;

	while (envelope_next(&rooms, &room))
	{
		if (room.len < 2 || room.data[0] > 1 || !envelope_name_valid(slice(room.data + 1, room.len - 1)))
			return false;
	}
	return true;
}

WireResult
server_session(Server *s, Slice key, Slice value, uint64_t now)
{
	Reader		r = reader(value);
	uint8_t		version = read_u8(&r);
	uint8_t		departs = read_u8(&r);
	Slice		sid = read_string(&r);
	Slice		nsp = read_string(&r);
	Identity	identity = {.valid_ms = UINT64_MAX};
	SessionPeer peer = {0};
	Slice		auth,
				log;
	Position	since,
				replayed,
				log_from,
				known;
	EnvelopeList rooms;
	Stay	   *stay;

	s->now = now;
	identity.user_id = read_copy(&r);
	identity.tenant_id = read_copy(&r);
	identity.role = read_copy(&r);
	identity.claims = read_copy(&r);
	auth = read_string(&r);
	peer.address = read_string(&r);
	peer.headers = read_string(&r);
	peer.query = read_string(&r);
	peer.issued = (int64_t) read_u64(&r);
	since = recovery_read_position(&r);
	replayed = recovery_read_position(&r);
	log_from = recovery_read_position(&r);
	known = recovery_read_position(&r);
	rooms = envelope_read_list(&r);
	log = read_string(&r);
	if (r.bad || reader_left(&r) > 0 || version != VERSION || departs > 1 || key.len != STAY_KEY ||
		sid.len != SID_LENGTH || !rooms_valid(rooms) || !log_valid(log))
	{
		identity_clear(&identity);
		return WIRE_BAD;
	}
	if (!recovery_keeps(s) || registry_find_namespace(s->registry, nsp) == NULL || recovery_find(s, key.data) != NULL)
	{
		identity_clear(&identity);
		return WIRE_OK;
	}
	stay = recovery_new(s, key.data);
	stay->caller = caller_restore(s, sid, nsp, &identity, &peer, auth);
	stay->departs = departs;
	stay->since = since;
	stay->replayed = replayed;
	stay->log_from = log_from;
	stay->known = known;
	stay->told = true;
	text_add(&stay->log, log);
	registry_enter(registry_add_namespace(s->recovery.absent, nsp), &stay->rooms);
	join_rooms(stay, rooms);
	recovery_absent(stay);
	return WIRE_OK;
}

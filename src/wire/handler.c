/*
 * handler.c - opens what rooms.handle() and rooms.handler_rules() answered.
 *
 * Called by the gateway's core.  The database is ours, but not everything in
 * an answer is: names and arguments come from SQL of the application, and the
 * functions may be of another version than the gateway.  So nothing is
 * trusted, nothing is allocated, and all slices lie in the input.
 */
#include "wire/handler.h"
#include "wire/json.h"

static bool read_rule(Reader *r, HandlerRule *rule);
static bool rule_valid(const HandlerRule *rule);

WireResult
handler_reply_decode(Slice bytes, HandlerReply *reply)
{
	Reader		r = reader(bytes);
	JsonWalk	walk;

	reply->args = read_string(&r);
	reply->attachments = envelope_read_list(&r);
	if (r.bad || reader_left(&r) > 0 || reply->attachments.count > ENVELOPE_MAX_ATTACHMENTS)
		return WIRE_BAD;
	if (!json_valid(reply->args) || !json_enter(reply->args, &walk) || walk.object)
		return WIRE_BAD;
	return WIRE_OK;
}

WireResult
handler_rules_open(Slice bytes, HandlerRules *rules)
{
	Reader		r = reader(bytes);
	HandlerRule rule;

	rules->count = read_u32(&r);
	rules->bytes = slice(r.at, reader_left(&r));
	for (uint32_t i = 0; i < rules->count; i++)
		if (!read_rule(&r, &rule) || !rule_valid(&rule))
			return WIRE_BAD;
	return r.bad || reader_left(&r) > 0 ? WIRE_BAD : WIRE_OK;
}

bool
handler_rules_next(HandlerRules *rules, HandlerRule *rule)
{
	Reader		r = reader(rules->bytes);

	if (rules->count == 0)
		return false;
	rules->count--;
	if (!read_rule(&r, rule))
		return false;
	rules->bytes = slice(r.at, reader_left(&r));
	return true;
}

static bool
read_rule(Reader *r, HandlerRule *rule)
{
	rule->kind = (HandlerKind) read_u8(r);
	rule->nsp = read_string(r);
	rule->name = read_string(r);
	rule->relay = envelope_read_list(r);
	return !r->bad;
}

static bool
rule_valid(const HandlerRule *rule)
{
	if (!envelope_name_valid(rule->nsp) || rule->nsp.data[0] != '/')
		return false;
	switch (rule->kind)
	{
		case HANDLER_JOIN:
			return envelope_name_valid(rule->name) && envelope_names_valid(rule->relay);
		case HANDLER_EVENT:
			return envelope_name_valid(rule->name) && rule->relay.count == 0;
		case HANDLER_CONNECT:
		case HANDLER_DISCONNECT:
			return rule->name.len == 0 && rule->relay.count == 0;
	}
	return false;
}

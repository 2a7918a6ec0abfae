/*
 * calls.h - the database's part: fetches calls and answers them.
 */
#ifndef ROOMS_TEST_CALLS_H
#define ROOMS_TEST_CALLS_H

#include "unit.h"

#include "rig.h"

#include "core/text.h"

static inline bool
is(Slice s, const char *text)
{
	return slice_equal(s, slice_cstring(text));
}

/* The next call: of this kind, name and arguments?  Gives it; without one the test cannot go on. */
static inline Call *
next(HandlerKind kind, const char *name, const char *args)
{
	Call	   *c = server_call_next(rig.server);

	if (c != NULL && !(c->kind == kind && is(c->name, name) && is(c->args, args)))
		printf("# call %c %.*s %.*s\n", c->kind, (int) c->name.len, (const char *) c->name.data,
			   (int) c->args.len, (const char *) c->args.data);
	CHECK(c != NULL && c->kind == kind && is(c->name, name) && is(c->args, args));
	if (c == NULL)
		exit(unit_done());
	return c;
}

static inline void
answer_with(Call *c, const char *args, bool marked)
{
	Text		t = {0};
	CallResult	r = {.outcome = CALL_OK,.marked = marked};
	uint8_t		none[4] = {0};

	text_add_item(&t, slice_cstring(args));
	text_add(&t, slice(none, 4));
	r.reply = text_slice(&t);
	server_call_done(rig.server, c, &r, rig.now);
	text_free(&t);
	server_flush(rig.server);
}

static inline void
answer(Call *c, const char *args)
{
	answer_with(c, args, false);
}

/* ... of a handler that emitted. */
static inline void
answer_marked(Call *c, const char *args)
{
	answer_with(c, args, true);
}

static inline void
fail_with(Call *c, CallOutcome outcome, const char *message, const char *code)
{
	const CallResult r = {.outcome = outcome,.message = slice_cstring(message),.code = slice_cstring(code)};

	server_call_done(rig.server, c, &r, rig.now);
	server_flush(rig.server);
}

#endif							/* ROOMS_TEST_CALLS_H */

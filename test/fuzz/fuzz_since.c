/*
 * fuzz_since.c - the `since` of room:join: what decodes is written as it was
 * read, and asks for what the definition says.
 */
#include <assert.h>
#include <stdlib.h>

#include "wire/since.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Asks about messages at the edges. */
static void
check_wants(const Since *s)
{
	Position	at = s->low;

	assert(!since_wants(s, &at, 0));
	at.late++;
	if (s->low.late == UINT32_MAX)
		return;
	assert(since_wants(s, &at, 0));
	at = (Position) {.lsn = s->high,.index = 1};
	if (s->high == 0 || position_compare(&at, &s->low) <= 0)
		return;
	assert(since_wants(s, &at, 1));
	at = (Position) {.lsn = s->high - 1,.index = 1};
	if (position_compare(&at, &s->low) <= 0)
		return;
	assert(since_wants(s, &at, s->xmax));
	for (uint32_t i = 0; i < s->running_count; i++)
	{
		uint64_t	next = i > 0 ? s->running[i - 1] : s->xmax;

		assert(since_wants(s, &at, s->running[i]));
		if (s->running[i] + 1 < next)
			assert(!since_wants(s, &at, s->running[i] + 1));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Slice		text = slice(data, size);
	uint64_t   *running = malloc((since_space(text) + 1) * sizeof(*running));
	Since		s;
	char	   *back;

	if (since_decode(text, &s, running) == WIRE_OK)
	{
		assert(s.running_count <= since_space(text) && s.running_count <= SINCE_MAX_RUNNING);
		back = malloc(POSITION_TEXT_MAX + SINCE_TEXT_MAX(s.running_count));
		assert((s.high == 0 ? position_encode(back, &s.low) : since_encode(back, &s)) == size);
		assert(memcmp(back, data, size) == 0);
		free(back);
		check_wants(&s);
	}
	free(running);
	return 0;
}

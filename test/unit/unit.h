/*
 * unit.h - the whole test harness: cases, checks, TAP.
 *
 *     unit_case("what is tested");		begins a case, ending the one before
 *     CHECK(condition);				a failure is shown and fails the case
 *     return unit_done();				at the end of main()
 *
 * Each case is one line "ok N - name" for prove.  unit_copy() gives a heap
 * copy of exactly the bytes, so that AddressSanitizer sees a codec that reads
 * one too many; UNIT_FREE() gives it back.
 */
#ifndef ROOMS_TEST_UNIT_H
#define ROOMS_TEST_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/slice.h"

#define UNUSED_OK __attribute__((unused))

static struct
{
	char		name[200];
	bool		open;
	bool		good;
	int			count;
	int			failed;
}			unit;

#define CHECK(condition) unit_check((condition), #condition, __FILE__, __LINE__)

static bool UNUSED_OK
unit_check(bool good, const char *condition, const char *file, int line)
{
	if (!good)
	{
		printf("# %s: %s:%d: %s\n", unit.name, file, line, condition);
		unit.good = false;
	}
	return good;
}

static void
unit_end(void)
{
	if (!unit.open)
		return;
	unit.open = false;
	unit.count++;
	if (!unit.good)
		unit.failed++;
	printf("%s %d - %s\n", unit.good ? "ok" : "not ok", unit.count, unit.name);
	fflush(stdout);				/* a crash in the next case must not eat this line */
}

static void __attribute__((format(printf, 1, 2))) UNUSED_OK
unit_case(const char *format, ...)
{
	va_list		args;

	unit_end();
	va_start(args, format);
	vsnprintf(unit.name, sizeof(unit.name), format, args);
	va_end(args);
	/* One line, without what TAP would read. */
	for (char *c = unit.name; *c; c++)
		if ((unsigned char) *c < 0x20 || *c == '#')
			*c = '?';
	unit.open = unit.good = true;
}

static int UNUSED_OK
unit_done(void)
{
	unit_end();
	printf("1..%d\n", unit.count);
	return unit.failed > 0 || unit.count == 0;
}

static Slice UNUSED_OK
unit_copy(const void *bytes, size_t len)
{
	uint8_t    *copy = malloc(len);

	if (len > 0)
		memcpy(copy, bytes, len);
	return slice(copy, len);
}

#define UNIT_FREE(s) free((void *) (s).data)

/* Does the inner slice lie within the outer one?  Empty ones lie anywhere. */
static bool UNUSED_OK
unit_inside(Slice inner, Slice outer)
{
	return inner.len == 0 || (inner.data >= outer.data && inner.data + inner.len <= outer.data + outer.len);
}

#endif							/* ROOMS_TEST_UNIT_H */

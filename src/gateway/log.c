/*
 * log.c - log lines, cleaned and passed on.
 *
 * Everybody in gateway/ calls log_message(); worker_link.c is the sink while
 * the link is up.  Texts may hold what a client sent (an Origin, a path), so
 * they are cut and cleaned here, once: the PostgreSQL log must stay one line
 * per message and valid in its encoding.  Nothing allocates, nothing fails.
 */
#include "gateway/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/eio.h"

static LogSink log_sink;
static void *log_sink_ctx;

void
log_set_sink(LogSink sink, void *ctx)
{
	log_sink = sink;
	log_sink_ctx = ctx;
}

/* Control characters become spaces; text that is not UTF-8 loses its high bytes. */
static void
log_clean(char *text)
{
	size_t		len = strlen(text);
	bool		utf8;

	/* The cut may have split a character: drop what is left of it. */
	if (len == LINK_MAX_LOG)
	{
		while (len > LINK_MAX_LOG - 4 && (text[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > 0 && (text[len - 1] & 0xc0) == 0xc0)
			len--;
		text[len] = '\0';
	}
	utf8 = eio_utf8_valid(slice(text, len));
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c < 0x20 || c == 0x7f)
			text[i] = ' ';
		else if (c >= 0x80 && !utf8)
			text[i] = '?';
	}
}

void
log_message(LinkLogLevel level, const char *hint, const char *format,...)
{
	char		message[LINK_MAX_LOG + 1];
	char		hint_text[LINK_MAX_LOG + 1];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_clean(message);
	snprintf(hint_text, sizeof(hint_text), "%s", hint ? hint : "");
	log_clean(hint_text);

	if (log_sink && log_sink(log_sink_ctx, level, message, hint_text))
		return;
	fprintf(stderr, "pg_rooms gateway: %s%s%s\n", message, hint_text[0] ? " HINT: " : "", hint_text);
}

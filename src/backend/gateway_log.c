/*
 * gateway_log.c - the gateway's log lines in the server's log.
 *
 * Called by gateway_process.c.  A gateway that has been taken over must not be
 * able to forge lines of its neighbours, to break the log's encoding or to
 * fill the disk with it: texts are made printable and cut, and lines are
 * rationed.  Only lack of memory is an ERROR.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "backend/gateway_log.h"
#include "backend/guc.h"
#include "wire/link.h"

#define LINES_MAX	20			/* a second */
#define CONNECTION_LINES_MAX 1000	/* a second, besides: log_connections was asked for */
#define REPEAT_AFTER 60000		/* ms: the same complaint again */

static Size last_words_length;	/* those of the last gateway that said why it exits */
static char last_words_text[LINK_MAX_LOG];
static int64 last_words_said = 0;

static bool may_log(LinkLogLevel level, int64 now);
static bool is_repeated(Slice message, int64 now);

bool
gateway_log_frame(Slice payload, int64 now)
{
	static const int elevels[] = {
		[LINK_LOG_DEBUG] = DEBUG1,
		[LINK_LOG_INFO] = LOG,
		[LINK_LOG_WARNING] = WARNING,
		[LINK_LOG_FATAL] = WARNING,
		[LINK_LOG_CONNECTION] = LOG
	};
	Reader		r = reader(payload);
	uint8_t		level = read_u8(&r);
	Slice		message = read_string(&r);
	Slice		hint = read_string(&r);

	if (r.bad || reader_left(&r) != 0 || level >= lengthof(elevels))
		return false;
	if (may_log((LinkLogLevel) level, now))
		ereport(level == LINK_LOG_FATAL && is_repeated(message, now) ? DEBUG1 : elevels[level],
				(errmsg("pg_rooms gateway: %s", gateway_printable(message)),
				 hint.len > 0 ? errhint("%s", gateway_printable(hint)) : 0));
	return true;
}

void
gateway_log_reload(void)
{
	last_words_said = 0;
}

bool
gateway_log_due(int64 *said, int64 now)
{
	if (*said != 0 && now - *said < REPEAT_AFTER)
		return false;
	*said = now;
	return true;
}

/* One gateway after the other exits for the same reason. */
static bool
is_repeated(Slice message, int64 now)
{
	Size		length = Min(message.len, sizeof(last_words_text));

	if (length != last_words_length || memcmp(message.data, last_words_text, length) != 0)
		last_words_said = 0;
	memcpy(last_words_text, message.data, length);
	last_words_length = length;
	return !gateway_log_due(&last_words_said, now);
}

static bool
may_log(LinkLogLevel level, int64 now)
{
	static int64 since = 0;
	static int	lines = 0;
	static int	connections = 0;
	static int	last_words = 0;

	if (now - since >= 1000)
	{
		int			left_out = Max(lines - LINES_MAX, 0) + Max(connections - CONNECTION_LINES_MAX, 0);

		if (left_out > 0)
			ereport(LOG,
					(errmsg("pg_rooms gateway: %d more log lines within a second were left out", left_out)));
		since = now;
		lines = connections = last_words = 0;
	}
	if (level == LINK_LOG_CONNECTION)
		return rooms_log_connections && ++connections <= CONNECTION_LINES_MAX;
	lines++;

	/* Why it exits is of interest also after many lines; it says so once. */
	return lines <= LINES_MAX || (level == LINK_LOG_FATAL && last_words++ == 0);
}

/*
 * Not pg_any_to_server(): it raises on what it does not like, and this
 * process, without a database, has no encoding to convert to.
 */
char *
gateway_printable(Slice text)
{
	size_t		len = Min(text.len, LINK_MAX_LOG);
	const char *from = (const char *) text.data;
	char	   *copy = palloc(len + 1);
	char	   *to = copy;

	while (len > 0)
	{
		int			n = pg_encoding_verifymbchar(PG_UTF8, from, (int) len);

		if (n <= 0 || (n == 1 && ((unsigned char) *from < ' ' || *from == 0x7f)))
		{
			*to++ = '?';
			n = 1;
		}
		else
		{
			memcpy(to, from, n);
			to += n;
		}
		from += n;
		len -= n;
	}
	*to = '\0';
	return copy;
}

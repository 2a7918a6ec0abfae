/*
 * wal_search.c - where in the past to begin reading.
 *
 * Called by refill.c, and by bus.c at its start.  Goes back segment by
 * segment; of each only the beginning is read, up to what decides: the first
 * commit's time, and then, to be sure of every open transaction, a record that
 * names those that run (the background writer writes one every 15 s when
 * there is something to write, and so does each checkpoint; with wal_level =
 * minimal there is none but those of starts and shutdowns).
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xlog.h"

#include "backend/wal_reader.h"
#include "backend/wal_search.h"

typedef struct Probe
{
	bool		old;			/* it begins with a commit that is too old */
	bool		running;		/* what runs is told before the first commit that is not */
	bool		gap;			/* it cannot be read */
} Probe;

static Probe probe(XLogRecPtr start, XLogRecPtr stop, TimestampTz since, bool old);

XLogRecPtr
wal_search(XLogRecPtr stop, TimestampTz since)
{
	XLogRecPtr	oldest = wal_oldest();
	XLogRecPtr	at = stop;
	bool		old = false;

	for (;;)
	{
		XLogRecPtr	start = at - 1 - XLogSegmentOffset(at - 1, wal_segment_size);
		Probe		p;

		if (start < oldest || start < (XLogRecPtr) wal_segment_size)
			return Min(at, Max(oldest, (XLogRecPtr) wal_segment_size));
		p = probe(start, at, since, old);
		old = old || p.old;
		if (p.gap)
			return at;
		if (old && p.running)
			return start;
		at = start;
	}
}

/* Reads a segment; old: a later one was old already. */
static Probe
probe(XLogRecPtr start, XLogRecPtr stop, TimestampTz since, bool old)
{
	WalReader  *r = wal_reader_new(start);
	Probe		p = {.old = old};
	bool		decided = false;

	while (!decided)
	{
		WalEvent	e;

		switch (wal_reader_next(r, stop, &e))
		{
			case WAL_COMMIT:
			case WAL_ABORT:
				if (e.time < since)
					p.old = true;
				else
					decided = true;
				break;
			case WAL_RUNNING:
			case WAL_NONE_RUNNING:
				p.running = true;
				decided = p.old;
				break;
			case WAL_MESSAGES:
			case WAL_PREPARE:
				break;
			case WAL_GAP:
				p.gap = decided = true;
				break;
			case WAL_MORE:
			case WAL_END:
				decided = true;
				break;
		}
	}
	wal_reader_free(r);
	return p;
}

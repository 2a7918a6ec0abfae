/*
 * delivery.c - hands out one committed transaction message by message.
 *
 * Called by bus.c and refill.c.  The messages are where pending.c has kept
 * them, or, for a prepared transaction, in the spool.  Memory: a context that
 * is reset with each transaction.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "backend/delivery.h"
#include "backend/payload.h"
#include "backend/spool.h"
#include "backend/wal_reader.h"
#include "wire/envelope.h"

struct Delivery
{
	MemoryContext context;
	BusTransaction *transaction;	/* NULL: nothing is being handed out */
	PayloadCursor cursor;
	Payload		spooled;		/* what the spool had; in `context` */
	TimeLineID	timeline;		/* of the commit record */
	uint32		next_index;
	bool		lost;
};

/* From PostgreSQL's epoch to Unix time. */
#define UNIX_US ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static bool open_spool(Delivery *d);
static void report_lost(Delivery *d);

Delivery *
delivery_new(void)
{
	Delivery   *d = MemoryContextAllocZero(TopMemoryContext, sizeof(Delivery));

	d->context = AllocSetContextCreate(TopMemoryContext, "pg_rooms delivery", ALLOCSET_DEFAULT_SIZES);
	return d;
}

void
delivery_free(Delivery *d)
{
	Assert(d->transaction == NULL);
	MemoryContextDelete(d->context);
	pfree(d);
}

void
delivery_begin(Delivery *d, BusTransaction *t)
{
	Assert(d->transaction == NULL);
	d->transaction = t;
	d->timeline = wal_timeline_of(t->commit);
	d->next_index = 0;
	d->lost = false;
	d->cursor = (PayloadCursor) {.payload = &t->record, .at = ENVELOPE_RECORD_HEADER};
	if (!t->kept && !(t->prepared && open_spool(d)))
		report_lost(d);
}

BusTransaction *
delivery_current(const Delivery *d)
{
	return d->transaction;
}

bool
delivery_lost(const Delivery *d)
{
	return d->lost;
}

uint32
delivery_count(const Delivery *d)
{
	return d->next_index;
}

/* A message of another history (a base backup copies the folder) is none: true, and empty. */
static bool
open_spool(Delivery *d)
{
	MemoryContext caller = MemoryContextSwitchTo(d->context);
	SpoolRecord r;
	uint32_t	database;
	EnvelopeList list = {0};
	bool		found;

	found = spool_read(d->transaction->xid, &r);
	if (found && wal_timeline_of(r.lsn) == r.timeline)
		found = envelope_record_open(slice(r.data, r.length), &database, &list) == WIRE_OK;
	MemoryContextSwitchTo(caller);

	d->spooled = (Payload) {.size = list.bytes.len, .memory = (uint8 *) list.bytes.data};
	d->cursor = (PayloadCursor) {.payload = &d->spooled};
	return found;
}

/* What remains of the transaction cannot be had: full disk, damaged file. */
static void
report_lost(Delivery *d)
{
	d->lost = true;
	ereport(WARNING,
			(errmsg("pg_rooms has lost messages of transaction %u, which committed at %X/%X",
					XidFromFullTransactionId(d->transaction->xid), LSN_FORMAT_ARGS(d->transaction->commit))));
	d->spooled = (Payload) {0};
	d->cursor = (PayloadCursor) {.payload = &d->spooled};
}

bool
delivery_next(Delivery *d, LinkMessage *m)
{
	MemoryContext caller;
	Slice		length,
				envelope = {0};
	bool		got;

	if (payload_left(&d->cursor) == 0)
		return false;

	caller = MemoryContextSwitchTo(d->context);
	got = payload_next(&d->cursor, sizeof(uint32), &length);
	if (got)
	{
		Reader		r = reader(length);

		got = payload_next(&d->cursor, read_u32(&r), &envelope);
	}
	MemoryContextSwitchTo(caller);
	if (!got)
	{
		report_lost(d);
		return false;
	}

	*m = (LinkMessage) {
		.timeline = d->timeline,
		.lsn = d->transaction->commit,
		.index = d->next_index++,
		.xid = U64FromFullTransactionId(d->transaction->xid),
		.envelope = envelope,
		.committed = d->transaction->commit_time + UNIX_US
	};
	return true;
}

BusTransaction *
delivery_end(Delivery *d)
{
	BusTransaction *t = d->transaction;

	d->transaction = NULL;
	MemoryContextReset(d->context);
	return t;
}

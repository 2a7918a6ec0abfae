/*
 * pending.c - transactions with messages whose end has not been read yet.
 *
 * A hash table by xid, filled and emptied by bus.c, and another one by
 * refill.c.  It holds no more entries than there are open and prepared
 * transactions: what a crash left behind goes with the next record that tells
 * which transactions run.  The owner's also keeps shared->held_prepared, which
 * makes COMMIT PREPARED wake the worker, and the spool.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "backend/pending.h"
#include "backend/shared.h"
#include "backend/spool.h"
#include "backend/wal_reader.h"
#include "backend/worker.h"

typedef struct PendingEntry
{
	TransactionId xid;			/* key */
	BusTransaction *transaction;
} PendingEntry;

struct Pending
{
	MemoryContext context;
	HTAB	   *table;
	bool		owner;
};

static void spool_transaction(const BusTransaction *t);

Pending *
pending_new(bool owner)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_rooms transactions",
												  ALLOCSET_DEFAULT_SIZES);
	Pending    *p = MemoryContextAlloc(context, sizeof(Pending));
	HASHCTL		control = {
		.keysize = sizeof(TransactionId),
		.entrysize = sizeof(PendingEntry),
		.hcxt = context,
	};

	p->context = context;
	p->table = hash_create("pg_rooms pending transactions", 64, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	p->owner = owner;
	if (owner)
		pg_atomic_write_u32(&rooms_shared->held_prepared, 0);
	return p;
}

void
pending_free(Pending *p)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	Assert(!p->owner);
	hash_seq_init(&scan, p->table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		payload_free(&entry->transaction->record);
	MemoryContextDelete(p->context);
}

BusTransaction *
pending_find(Pending *p, TransactionId xid)
{
	PendingEntry *entry;

	if (hash_get_num_entries(p->table) == 0)
		return NULL;
	entry = hash_search(p->table, &xid, HASH_FIND, NULL);
	return entry ? entry->transaction : NULL;
}

BusTransaction *
pending_add(Pending *p, FullTransactionId xid)
{
	BusTransaction *t = MemoryContextAllocZero(p->context, sizeof(BusTransaction));
	TransactionId key = XidFromFullTransactionId(xid);
	PendingEntry *entry = hash_search(p->table, &key, HASH_ENTER, NULL);

	t->xid = xid;
	entry->transaction = t;
	return t;
}

BusTransaction *
pending_add_silent(Pending *p, FullTransactionId xid)
{
	BusTransaction *t = pending_add(p, xid);

	t->kept = true;
	return t;
}

/* One that is here already came from the spool, or was left by a crash of the primary. */
void
pending_add_messages(Pending *p, BusTransaction *t, FullTransactionId xid, const WalEvent *e)
{
	if (t == NULL)
		t = pending_add(p, xid);
	payload_free(&t->record);
	t->xid = xid;
	t->record_start = e->lsn;
	t->record_end = e->end;
	t->kept = payload_keep(&t->record, e->record);
}

BusTransaction *
pending_hole(Pending *p, XLogRecPtr lsn)
{
	BusTransaction *t = MemoryContextAllocZero(p->context, sizeof(BusTransaction));

	t->hole = true;
	t->commit = lsn;
	return t;
}

bool
pending_is_silent(const BusTransaction *t)
{
	return t->kept && t->record.size == 0;
}

BusTransaction *
pending_take(Pending *p, TransactionId xid)
{
	BusTransaction *t = pending_find(p, xid);

	if (t != NULL)
		hash_search(p->table, &xid, HASH_REMOVE, NULL);
	return t;
}

void
pending_set_prepared(Pending *p, BusTransaction *t, bool prepared)
{
	if (t->prepared == prepared)
		return;
	t->prepared = prepared;
	if (!p->owner)
		return;
	if (prepared)
		pg_atomic_fetch_add_u32(&rooms_shared->held_prepared, 1);
	else
		pg_atomic_fetch_sub_u32(&rooms_shared->held_prepared, 1);
}

void
pending_spool_prepared(Pending *p)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	hash_seq_init(&scan, p->table);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		BusTransaction *t = entry->transaction;

		if (t->prepared && t->kept && !pending_is_silent(t))
			spool_transaction(t);
	}
}

/* A full disk must not end the worker, which still has the messages. */
static void
spool_transaction(const BusTransaction *t)
{
	MemoryContext caller = CurrentMemoryContext;
	PayloadCursor cursor = {.payload = &t->record};
	Slice		record;

	PG_TRY();
	{
		if (payload_next(&cursor, t->record.size, &record))
		{
			SpoolRecord r = {
				.xid = t->xid,
				.timeline = wal_timeline_of(t->record_end),
				.lsn = t->record_end,
				.length = record.len,
				.data = (uint8 *) record.data,
			};

			spool_write(&r);
		}
	}
	PG_CATCH();
	{
		worker_report_caught(caller);
	}
	PG_END_TRY();
	if (cursor.window != NULL)
		pfree(cursor.window);
}

void
pending_forget(Pending *p, BusTransaction *t)
{
	if (t->prepared && p->owner && !RecoveryInProgress())
		spool_done(t->xid);
	pending_set_prepared(p, t, false);
	payload_free(&t->record);
	pfree(t);
}

void
pending_purge_before(Pending *p, TransactionId oldest)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	if (hash_get_num_entries(p->table) == 0)
		return;
	hash_seq_init(&scan, p->table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (TransactionIdPrecedes(entry->xid, oldest))
			pending_forget(p, pending_take(p, entry->xid));
}

void
pending_purge_unprepared(Pending *p)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	hash_seq_init(&scan, p->table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (!entry->transaction->prepared)
			pending_forget(p, pending_take(p, entry->xid));
}

/*
 * pending.c - transactions with messages whose end has not been read yet.
 *
 * A hash table by xid, filled and emptied by bus.c.  It holds no more entries
 * than there are open and prepared transactions: what a crash left behind goes
 * with the next record that tells which transactions run.  It also keeps
 * shared->held_prepared, which makes COMMIT PREPARED wake the worker.
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

static MemoryContext pending_context;
static HTAB *pending;

static void spool_transaction(const BusTransaction *t);

void
pending_init(void)
{
	HASHCTL		control = {
		.keysize = sizeof(TransactionId),
		.entrysize = sizeof(PendingEntry),
	};

	pending_context = AllocSetContextCreate(TopMemoryContext, "pg_rooms transactions",
											ALLOCSET_DEFAULT_SIZES);
	control.hcxt = pending_context;
	pending = hash_create("pg_rooms pending transactions", 64, &control,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	pg_atomic_write_u32(&rooms_shared->held_prepared, 0);
}

BusTransaction *
pending_find(TransactionId xid)
{
	PendingEntry *entry;

	if (hash_get_num_entries(pending) == 0)
		return NULL;
	entry = hash_search(pending, &xid, HASH_FIND, NULL);
	return entry ? entry->transaction : NULL;
}

BusTransaction *
pending_add(FullTransactionId xid)
{
	BusTransaction *t = MemoryContextAllocZero(pending_context, sizeof(BusTransaction));
	TransactionId key = XidFromFullTransactionId(xid);
	PendingEntry *entry = hash_search(pending, &key, HASH_ENTER, NULL);

	t->xid = xid;
	entry->transaction = t;
	return t;
}

BusTransaction *
pending_add_silent(FullTransactionId xid)
{
	BusTransaction *t = pending_add(xid);

	t->kept = true;
	return t;
}

bool
pending_is_silent(const BusTransaction *t)
{
	return t->kept && t->record.size == 0;
}

BusTransaction *
pending_take(TransactionId xid)
{
	BusTransaction *t = pending_find(xid);

	if (t != NULL)
		hash_search(pending, &xid, HASH_REMOVE, NULL);
	return t;
}

void
pending_set_prepared(BusTransaction *t, bool prepared)
{
	if (t->prepared == prepared)
		return;
	t->prepared = prepared;
	if (prepared)
		pg_atomic_fetch_add_u32(&rooms_shared->held_prepared, 1);
	else
		pg_atomic_fetch_sub_u32(&rooms_shared->held_prepared, 1);
}

void
pending_spool_prepared(void)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	hash_seq_init(&scan, pending);
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
pending_forget(BusTransaction *t)
{
	if (t->prepared && !RecoveryInProgress())
		spool_remove(t->xid);
	pending_set_prepared(t, false);
	payload_free(&t->record);
	pfree(t);
}

void
pending_purge_before(TransactionId oldest)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	if (hash_get_num_entries(pending) == 0)
		return;
	hash_seq_init(&scan, pending);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (TransactionIdPrecedes(entry->xid, oldest))
			pending_forget(pending_take(entry->xid));
}

void
pending_purge_unprepared(void)
{
	HASH_SEQ_STATUS scan;
	PendingEntry *entry;

	hash_seq_init(&scan, pending);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (!entry->transaction->prepared)
			pending_forget(pending_take(entry->xid));
}

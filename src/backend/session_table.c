/*
 * session_table.c - the gateway's sessions, kept by the worker for the next one.
 *
 * Called by worker.c (start, hand-over) and gateway_process.c (changes).  In
 * memory the entries are in an array, with a hash table by key beside it; on
 * disk each is a record of wire/session_file.h.
 *
 * The file, pg_rooms/pgsql_tmp_sessions, is written with plain pwrite() and
 * never fsynced: what was written survives the death of any process at any
 * moment; a crash of the machine may cost entries, whose clients are then not
 * recovered.  A changed entry is written to a free place first, then its old
 * place is overwritten with zeros, so there is always one whole record of it.
 *
 * Whose file is it?  Every record carries the system identifier and the random
 * id of this node.  The id is in pg_rooms/pgsql_tmp_node, with the number of
 * that file's own inode, so a copy of the data directory is another node.
 * Base backups leave both files out, as they do with everything that is called
 * pgsql_tmp (basebackup.c, sendDir()).
 *
 * Bounds: ENTRIES_MAX entries and FILE_UNITS of file, which also bounds the
 * memory; what does not fit is not kept, and a LOG line says so once.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/file_perm.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "backend/guc.h"
#include "backend/session_table.h"
#include "backend/spool.h"
#include "backend/worker.h"
#include "wire/session_file.h"

#define SESSION_FILE	SPOOL_DIRECTORY "/" PG_TEMP_FILE_PREFIX "_sessions"
#define NODE_FILE		SPOOL_DIRECTORY "/" PG_TEMP_FILE_PREFIX "_node"
#define ENTRIES_MAX		200000
#define FILE_UNITS		(64 * 1024 * 1024 / SESSION_FILE_UNIT)
#define COMPLAIN_MS		60000

typedef struct SessionKey
{
	uint8		length;
	uint8		bytes[LINK_MAX_SESSION_KEY];	/* zeros behind `length` */
} SessionKey;

typedef struct Entry
{
	SessionKey	key;
	uint8	   *value;			/* NULL: free, and `next_free` is valid */
	uint32		length;
	uint32		unit;			/* in the file */
	uint32		units;
	uint64		sequence;
	uint32		next_free;
} Entry;

typedef struct HashEntry
{
	SessionKey	key;
	uint32		index;			/* in `entries` */
} HashEntry;

static MemoryContext context = NULL;	/* NULL: there is no table */
static HTAB *table;
static Entry *entries;
static uint32 entries_used;		/* of the array, free ones included */
static uint32 entries_size;
static uint32 first_free;		/* UINT32_MAX: none */

static File file = -1;			/* -1: in memory only */
static uint8 node[SESSION_NODE_ID];
static uint64 sequence;
static bool *used_units;		/* FILE_UNITS of them */
static uint32 search_from;		/* next fit */

static void table_open(void);
static void table_close(void);
static void open_file(void);
static void load(void);
static void load_record(uint32 unit, const SessionRecord *r);
static bool read_node(void);
static void make_node(void);

static Entry *find(const SessionKey *key);
static Entry *add(const SessionKey *key);
static void forget(Entry *entry);
static bool set_value(Entry *entry, Slice value);
static SessionKey key_of(Slice bytes);

static bool find_units(uint32 count, uint32 *unit);
static void mark_units(uint32 unit, uint32 count, bool used);
static bool write_record(const SessionRecord *r, uint32 unit, uint32 units);
static void clear_record(uint32 unit, uint32 units);
static bool write_units(const uint8 *bytes, uint32 unit, uint32 units);
static void complain(int level, const char *what);

/* ---- The worker's calls ---- */

void
session_table_start(void)
{
	if (rooms_recovery_window > 0)
		table_open();
	else if (unlink(SESSION_FILE) != 0 && errno != ENOENT)
		complain(WARNING, "could not remove");
}

void
session_table_reload(void)
{
	if (rooms_recovery_window > 0 && context == NULL)
		table_open();
	else if (rooms_recovery_window == 0 && context != NULL)
		table_close();
}

void
session_table_change(const LinkSession *s)
{
	SessionKey	key = key_of(s->key);
	SessionRecord r = {.key = s->key, .value = s->value};
	Entry	   *entry;
	uint32		old_unit,
				old_units;

	if (context == NULL)
		return;
	entry = find(&key);
	if (!s->set)
	{
		if (entry != NULL)
			forget(entry);
		return;
	}
	if (entry == NULL)
		entry = add(&key);
	if (entry == NULL)
		return;

	old_unit = entry->unit;
	old_units = entry->units;
	r.sequence = ++sequence;
	entry->units = session_record_units(&r);
	if (!find_units(entry->units, &entry->unit) || !set_value(entry, s->value))
	{
		entry->unit = old_unit;
		entry->units = old_units;
		forget(entry);
		return;
	}
	entry->sequence = r.sequence;
	mark_units(entry->unit, entry->units, true);
	(void) write_record(&r, entry->unit, entry->units);
	clear_record(old_unit, old_units);
}

bool
session_table_next(uint32 *at, LinkSession *s)
{
	if (context == NULL)
		return false;
	while (*at < entries_used)
	{
		const Entry *entry = &entries[(*at)++];

		if (entry->value == NULL)
			continue;
		*s = (LinkSession) {
			.set = true,
			.key = slice(entry->key.bytes, entry->key.length),
			.value = slice(entry->value, entry->length)
		};
		return true;
	}
	return false;
}

/* ---- Beginning and end ---- */

static void
table_open(void)
{
	MemoryContext caller = CurrentMemoryContext;
	HASHCTL		control = {.keysize = sizeof(SessionKey), .entrysize = sizeof(HashEntry)};

	context = AllocSetContextCreate(TopMemoryContext, "pg_rooms sessions", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = context;
	table = hash_create("pg_rooms sessions", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	entries_size = 1024;
	entries = MemoryContextAlloc(context, entries_size * sizeof(Entry));
	entries_used = 0;
	first_free = UINT32_MAX;
	used_units = MemoryContextAllocZero(context, FILE_UNITS * sizeof(bool));
	search_from = 0;
	sequence = 0;

	PG_TRY();
	{
		open_file();
		load();
	}
	PG_CATCH();
	{
		worker_report_caught(caller);
		if (file >= 0)
			FileClose(file);
		file = -1;
	}
	PG_END_TRY();
}

static void
table_close(void)
{
	if (file >= 0)
		FileClose(file);
	file = -1;
	MemoryContextDelete(context);
	context = NULL;
	if (unlink(SESSION_FILE) != 0 && errno != ENOENT)
		complain(WARNING, "could not remove");
}

/* ERROR if it cannot be. */
static void
open_file(void)
{
	if (MakePGDirectory(SPOOL_DIRECTORY) != 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", SPOOL_DIRECTORY)));
	if (!read_node())
		make_node();
	file = PathNameOpenFilePerm(SESSION_FILE, O_RDWR | O_CREAT | PG_BINARY, S_IRUSR | S_IWUSR);
	if (file < 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not open file \"%s\": %m", SESSION_FILE)));
}

/* Takes up the intact records and clears the rest. */
static void
load(void)
{
	off_t		size = FileSize(file);
	Size		length = Min(Max(size, 0), (off_t) FILE_UNITS * SESSION_FILE_UNIT);
	uint8	   *bytes = MemoryContextAllocHuge(context, Max(length, 1));
	int			got = FileRead(file, (char *) bytes, length, 0, WAIT_EVENT_BUFFILE_READ);
	SessionRecord r;
	uint32		end = 0;

	if (size < 0 || got < 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not read file \"%s\": %m", SESSION_FILE)));

	for (uint32 unit = 0; session_file_next(slice(bytes, got), node, &unit, &r);
		 unit += session_record_units(&r))
		load_record(unit, &r);
	pfree(bytes);

	/* Nothing of before is to look like a record of later. */
	for (uint32 unit = 0; unit < FILE_UNITS; unit++)
		if (used_units[unit])
			end = unit + 1;
	if (FileTruncate(file, (off_t) end * SESSION_FILE_UNIT, WAIT_EVENT_BUFFILE_TRUNCATE) != 0)
		complain(WARNING, "could not truncate");
	for (uint32 unit = 0; unit < end; unit++)
		if (!used_units[unit])
			clear_record(unit, 1);
}

static void
load_record(uint32 unit, const SessionRecord *r)
{
	SessionKey	key = key_of(r->key);
	Entry	   *entry = find(&key);

	sequence = Max(sequence, r->sequence);
	if (entry != NULL && entry->sequence > r->sequence)
		return;
	if (entry == NULL)
		entry = add(&key);
	if (entry == NULL)
		return;
	mark_units(entry->unit, entry->units, false);
	entry->unit = unit;
	entry->units = session_record_units(r);
	entry->sequence = r->sequence;
	mark_units(unit, entry->units, true);
	if (!set_value(entry, r->value))
		forget(entry);
}

/* NODE_FILE: id | u64 inode | u32 CRC.  False: there is none that is of this node. */
static bool
read_node(void)
{
	uint8		bytes[SESSION_NODE_ID + 8 + 4];
	int			fd = OpenTransientFile(NODE_FILE, O_RDONLY | PG_BINARY);
	Reader		r = reader(slice(bytes, sizeof(bytes)));
	struct stat st;
	bool		good;

	if (fd < 0)
		return false;
	good = fstat(fd, &st) == 0 && read(fd, bytes, sizeof(bytes)) == (ssize_t) sizeof(bytes);
	CloseTransientFile(fd);
	if (!good)
		return false;
	memcpy(node, read_bytes(&r, SESSION_NODE_ID).data, SESSION_NODE_ID);
	good = read_u64(&r) == (uint64) st.st_ino;
	return good && read_u32(&r) == session_crc(slice(bytes, SESSION_NODE_ID + 8)) &&
		memcmp(node, &(uint64) {GetSystemIdentifier()}, sizeof(uint64)) == 0;
}

/* A new one; it need not survive a crash of the machine. */
static void
make_node(void)
{
	uint8		bytes[SESSION_NODE_ID + 8 + 4];
	uint64		system = GetSystemIdentifier();
	struct stat st;
	int			fd;
	bool		good;

	memcpy(node, &system, sizeof(system));
	if (!pg_strong_random(node + sizeof(system), SESSION_NODE_ID - sizeof(system)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random node id")));
	/* Not written over: it may be a hard link of another node's. */
	if (unlink(NODE_FILE) != 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", NODE_FILE)));
	fd = OpenTransientFilePerm(NODE_FILE, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY, S_IRUSR | S_IWUSR);
	good = fd >= 0 && fstat(fd, &st) == 0;
	if (good)
	{
		uint8	   *at = write_bytes(bytes, slice(node, SESSION_NODE_ID));

		at = write_u64(at, st.st_ino);
		write_u32(at, session_crc(slice(bytes, at - bytes)));
		good = write(fd, bytes, sizeof(bytes)) == (ssize_t) sizeof(bytes);
	}
	if (!good)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not write file \"%s\": %m", NODE_FILE)));
	CloseTransientFile(fd);
}

/* ---- Entries ---- */

static Entry *
find(const SessionKey *key)
{
	HashEntry  *found = hash_search(table, key, HASH_FIND, NULL);

	return found ? &entries[found->index] : NULL;
}

/* One without a value and without a place in the file; NULL: there are too many. */
static Entry *
add(const SessionKey *key)
{
	uint32		index = first_free;
	HashEntry  *hash_entry;

	if (index != UINT32_MAX)
		first_free = entries[index].next_free;
	else if (entries_used == ENTRIES_MAX)
	{
		complain(LOG, "has no room for more sessions in");
		return NULL;
	}
	else
	{
		if (entries_used == entries_size)
			entries = repalloc_huge(entries, (entries_size *= 2) * sizeof(Entry));
		index = entries_used++;
	}
	entries[index] = (Entry) {.key = *key};
	hash_entry = hash_search(table, key, HASH_ENTER, NULL);
	hash_entry->index = index;
	return &entries[index];
}

static void
forget(Entry *entry)
{
	clear_record(entry->unit, entry->units);
	hash_search(table, &entry->key, HASH_REMOVE, NULL);
	if (entry->value != NULL)
		pfree(entry->value);
	*entry = (Entry) {.next_free = first_free};
	first_free = entry - entries;
}

static bool
set_value(Entry *entry, Slice value)
{
	uint8	   *copy = MemoryContextAllocExtended(context, Max(value.len, 1), MCXT_ALLOC_NO_OOM);

	if (copy == NULL)
		return false;
	write_bytes(copy, value);
	if (entry->value != NULL)
		pfree(entry->value);
	entry->value = copy;
	entry->length = value.len;
	return true;
}

static SessionKey
key_of(Slice bytes)
{
	SessionKey	key;

	memset(&key, 0, sizeof(key));
	key.length = bytes.len;
	memcpy(key.bytes, bytes.data, bytes.len);
	return key;
}

/* ---- The file ---- */

static bool
find_units(uint32 count, uint32 *unit)
{
	uint32		run = 0;

	for (uint32 i = 0, at = search_from; i < FILE_UNITS + count; i++, at++)
	{
		if (at == FILE_UNITS)
			at = run = 0;
		run = used_units[at] ? 0 : run + 1;
		if (run == count)
		{
			*unit = at + 1 - count;
			search_from = *unit;
			return true;
		}
	}
	complain(LOG, "has no room for more sessions in");
	return false;
}

static void
mark_units(uint32 unit, uint32 count, bool used)
{
	memset(used_units + unit, used, count);
	if (!used)
		search_from = Min(search_from, unit);
}

static bool
write_record(const SessionRecord *r, uint32 unit, uint32 units)
{
	static uint8 bytes[SESSION_RECORD_MAX_UNITS * SESSION_FILE_UNIT];

	session_record_encode(bytes, node, r);
	return write_units(bytes, unit, units);
}

static void
clear_record(uint32 unit, uint32 units)
{
	static const uint8 zeros[SESSION_RECORD_MAX_UNITS * SESSION_FILE_UNIT];

	if (units == 0)
		return;
	mark_units(unit, units, false);
	(void) write_units(zeros, unit, units);
}

static bool
write_units(const uint8 *bytes, uint32 unit, uint32 units)
{
	int			size = units * SESSION_FILE_UNIT;

	if (file < 0)
		return false;
	errno = 0;
	if (FileWrite(file, (char *) bytes, size, (off_t) unit * SESSION_FILE_UNIT, WAIT_EVENT_BUFFILE_WRITE) == size)
		return true;
	if (errno == 0)
		errno = ENOSPC;
	complain(WARNING, "could not write");
	return false;
}

/* At most once a minute: there may be thousands of them. */
static void
complain(int level, const char *what)
{
	static int64 last = 0;
	int64		now = worker_clock();

	if (last != 0 && now < last + COMPLAIN_MS)
		return;
	last = now;
	if (level == LOG)
		ereport(LOG,
				(errmsg("pg_rooms %s its table", what),
				 errdetail("Clients that are not in it are not recovered after a crash of the gateway or the server.")));
	else
		ereport(level,
				(errcode_for_file_access(),
				 errmsg("pg_rooms %s file \"%s\": %m", what, SESSION_FILE),
				 errdetail("Clients may not be recovered after a restart of the server.")));
}

/*
 * payload.c - bytes kept until they are delivered: memory to a cap, then files.
 *
 * Called by bus.c in the worker.  What does not fit in PAYLOAD_MEMORY is
 * appended to a temporary file in base/pgsql_tmp, which core removes at exit
 * and after a crash.  Nothing is ever overwritten: a file that has
 * PAYLOAD_FILE_SIZE is followed by a new one, and a file of which nothing is
 * kept any more is closed.  So one payload that stays for long holds on to one
 * file, not to all that came after it.
 *
 * A full disk, or temp_file_limit, must not end the worker, which would lose
 * the messages of everybody: the caller is told and loses those of one
 * transaction.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "backend/payload.h"
#include "backend/shared.h"
#include "backend/worker.h"

#define PAYLOAD_MEMORY		((Size) 64 * 1024 * 1024)
#define PAYLOAD_FILE_SIZE	((off_t) 64 * 1024 * 1024)
#define PAYLOAD_WINDOW		((Size) 64 * 1024)	/* read at once when messages are small */
#define PAYLOAD_WRITE		((Size) 1024 * 1024)	/* in one system call */

struct PayloadFile
{
	File		file;
	off_t		size;
	Size		kept;			/* bytes of it that are still wanted */
};

static Size memory_used = 0;
static Size files_used = 0;
static PayloadFile *newest = NULL;	/* the one to append to; may be NULL */
static MemoryContext payload_context = NULL;

static bool append(Payload *p, Slice bytes);
static PayloadFile *file_create(void);
static bool file_write(PayloadFile *f, Slice bytes);
static void file_release(PayloadFile *f, Size bytes);
static bool file_read(PayloadFile *f, off_t offset, uint8 *out, Size n);
static void count_files(void);

bool
payload_keep(Payload *p, Slice bytes)
{
	*p = (Payload) {.size = bytes.len};
	if (memory_used + bytes.len > PAYLOAD_MEMORY)
		return append(p, bytes);
	if (payload_context == NULL)
		payload_context = AllocSetContextCreate(TopMemoryContext, "pg_rooms messages",
												ALLOCSET_DEFAULT_SIZES);
	p->memory = MemoryContextAllocExtended(payload_context, Max(bytes.len, 1), MCXT_ALLOC_NO_OOM);
	if (p->memory == NULL)
		return append(p, bytes);
	memcpy(p->memory, bytes.data, bytes.len);
	memory_used += bytes.len;
	return true;
}

void
payload_free(Payload *p)
{
	if (p->memory != NULL)
	{
		pfree(p->memory);
		memory_used -= p->size;
	}
	else if (p->file != NULL)
		file_release(p->file, p->size);
	*p = (Payload) {0};
}

bool
payload_next(PayloadCursor *c, Size n, Slice *bytes)
{
	const Payload *p = c->payload;

	Assert(n <= payload_left(c));
	if (p->memory != NULL)
		*bytes = slice(p->memory + c->at, n);
	else
	{
		if (c->at < c->window_start || c->at + n > c->window_end)
		{
			Size		want = Min(Max(n, PAYLOAD_WINDOW), payload_left(c));

			if (want > c->window_size)
			{
				if (c->window != NULL)
					pfree(c->window);
				c->window = NULL;
				c->window_size = 0;
				c->window = palloc_extended(want, MCXT_ALLOC_HUGE);
				c->window_size = want;
			}
			c->window_start = c->window_end = 0;
			if (!file_read(p->file, p->offset + (off_t) c->at, c->window, want))
				return false;
			c->window_start = c->at;
			c->window_end = c->at + want;
		}
		*bytes = slice(c->window + (c->at - c->window_start), n);
	}
	c->at += n;
	return true;
}

static bool
append(Payload *p, Slice bytes)
{
	if (newest == NULL || newest->size >= PAYLOAD_FILE_SIZE)
		newest = file_create();
	if (newest == NULL)
		return false;

	p->file = newest;
	p->offset = newest->size;
	newest->kept += bytes.len;
	files_used += bytes.len;
	if (!file_write(newest, bytes))
	{
		payload_free(p);
		return false;
	}
	newest->size += (off_t) bytes.len;
	count_files();
	return true;
}

static PayloadFile *
file_create(void)
{
	MemoryContext caller = CurrentMemoryContext;
	PayloadFile *volatile f = MemoryContextAllocZero(TopMemoryContext, sizeof(PayloadFile));

	PG_TRY();
	{
		f->file = OpenTemporaryFile(true);
	}
	PG_CATCH();
	{
		worker_report_caught(caller);
		pfree(f);
		f = NULL;
	}
	PG_END_TRY();
	return f;
}

/* Short writes are retried by nobody: on a regular file they mean that the disk is full. */
static bool
file_write(PayloadFile *f, Slice bytes)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool written = false;

	PG_TRY();
	{
		off_t		at = f->size;
		Size		left = bytes.len;
		char	   *from = (char *) bytes.data;

		while (left > 0)
		{
			int			want = (int) Min(left, PAYLOAD_WRITE);
			int			n;

			errno = 0;
			n = FileWrite(f->file, from, want, at, WAIT_EVENT_BUFFILE_WRITE);
			if (n != want)
			{
				if (errno == 0)
					errno = ENOSPC;
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not write to file \"%s\": %m", FilePathName(f->file))));
			}
			at += n;
			from += n;
			left -= n;
		}
		written = true;
	}
	PG_CATCH();
	{
		/* temp_file_limit is an ERROR of FileWrite() itself. */
		worker_report_caught(caller);
	}
	PG_END_TRY();
	return written;
}

static bool
file_read(PayloadFile *f, off_t offset, uint8 *out, Size n)
{
	while (n > 0)
	{
		int			want = (int) Min(n, PAYLOAD_WRITE);
		int			got;

		errno = 0;
		got = FileRead(f->file, (char *) out, want, offset, WAIT_EVENT_BUFFILE_READ);
		if (got <= 0)
		{
			if (got == 0)
				errno = EIO;	/* shorter than what was written */
			ereport(WARNING,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", FilePathName(f->file))));
			return false;
		}
		offset += got;
		out += got;
		n -= (Size) got;
	}
	return true;
}

/* Closing removes it (FD_DELETE_AT_CLOSE). */
static void
file_release(PayloadFile *f, Size bytes)
{
	f->kept -= bytes;
	files_used -= bytes;
	count_files();
	if (f->kept > 0)
		return;
	if (f == newest)
		newest = NULL;
	FileClose(f->file);
	pfree(f);
}

static void
count_files(void)
{
	pg_atomic_write_u64(&rooms_shared->worker_counters[COUNTER_BUS_SPILLED_BYTES], files_used);
}

/*
 * spool.c - the messages of prepared transactions, on disk until their end.
 *
 * Called by the outbox at PRE_PREPARE, by the worker, and by the postmaster at
 * its start.  One file for each prepared transaction that emitted something;
 * spool.h says who writes, reads and removes it when.
 *
 * A file is written under a temporary name, fsynced and renamed, so that a
 * name without the suffix stands for a complete file; its checksum covers the
 * rest.  Integers are in the machine's own order: no other machine reads them.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "access/xlog.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "backend/guc.h"
#include "backend/spool.h"

#define SPOOL_MAGIC		0x4c505350	/* "PSPL" */
#define SPOOL_VERSION	1
#define SPOOL_NAME_LENGTH 16		/* hexadecimal digits of the full xid */
#define SPOOL_TEMPORARY ".tmp"
#define SPOOL_DONE		".done"

typedef struct SpoolHeader
{
	uint32		magic;
	uint32		version;
	uint64		system_identifier;
	uint64		xid;
	uint64		lsn;
	uint64		length;			/* bytes behind the header */
	uint32		timeline;
	pg_crc32c	crc;			/* of the header up to here, then of the data */
} SpoolHeader;

static void spool_path(char *path, FullTransactionId xid, const char *suffix);
static int	spool_create(const char *path);
static bool spool_fill(int fd, const SpoolHeader *header, const uint8 *data);
static bool write_all(int fd, const void *data, Size length);
static pg_crc32c spool_crc(const SpoolHeader *header, const uint8 *data);
static bool read_header(int fd, SpoolHeader *header, FullTransactionId xid);
static ssize_t read_all(int fd, void *data, Size length);
static bool name_xid(const char *name, FullTransactionId *xid);

void
spool_write(const SpoolRecord *r)
{
	char		temporary[MAXPGPATH];
	char		path[MAXPGPATH];
	SpoolHeader header = {
		.magic = SPOOL_MAGIC,
		.version = SPOOL_VERSION,
		.system_identifier = GetSystemIdentifier(),
		.xid = U64FromFullTransactionId(r->xid),
		.lsn = r->lsn,
		.length = r->length,
		.timeline = r->timeline,
	};
	int			fd;

	header.crc = spool_crc(&header, r->data);
	spool_path(temporary, r->xid, SPOOL_TEMPORARY);
	spool_path(path, r->xid, "");

	fd = spool_create(temporary);
	if (!spool_fill(fd, &header, r->data))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temporary),
				 errdetail("The messages of a prepared transaction are kept there.")));
	durable_rename(temporary, path, ERROR);
}

bool
spool_read(FullTransactionId xid, SpoolRecord *r)
{
	char		path[MAXPGPATH];
	SpoolHeader header;
	int			fd;
	bool		good;

	spool_path(path, xid, "");
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
	{
		spool_path(path, xid, SPOOL_DONE);
		fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	}
	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
	}

	good = read_header(fd, &header, xid);
	if (good)
	{
		r->xid = xid;
		r->timeline = header.timeline;
		r->lsn = header.lsn;
		r->length = header.length;
		r->data = palloc(header.length);
		good = read_all(fd, r->data, header.length) == (ssize_t) header.length &&
			EQ_CRC32C(spool_crc(&header, r->data), header.crc);
		if (!good)
			pfree(r->data);
	}
	CloseTransientFile(fd);

	if (!good)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s\" is damaged or of another cluster", path),
				 errdetail("The messages of a prepared transaction are lost.")));
	return good;
}

void
spool_remove(FullTransactionId xid)
{
	static const char *const suffixes[] = {"", SPOOL_TEMPORARY, SPOOL_DONE};

	for (size_t i = 0; i < lengthof(suffixes); i++)
	{
		char		path[MAXPGPATH];

		spool_path(path, xid, suffixes[i]);
		if (unlink(path) != 0 && errno != ENOENT)
			ereport(WARNING,
					(errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path)));
	}
}

bool
spool_exists(FullTransactionId xid)
{
	char		path[MAXPGPATH];

	spool_path(path, xid, "");
	if (access(path, F_OK) == 0)
		return true;
	spool_path(path, xid, SPOOL_DONE);
	return access(path, F_OK) == 0;
}

void
spool_done(FullTransactionId xid)
{
	char		path[MAXPGPATH];
	char		done[MAXPGPATH];

	if (rooms_recovery_window == 0)
	{
		spool_remove(xid);
		return;
	}
	spool_path(path, xid, "");
	spool_path(done, xid, SPOOL_DONE);
	/* Its age counts from now on; whether it survives a crash of the machine does not matter. */
	if (utime(path, NULL) != 0 || rename(path, done) != 0)
	{
		if (errno != ENOENT)
			ereport(WARNING,
					(errcode_for_file_access(), errmsg("could not rename file \"%s\": %m", path)));
	}
}

void
spool_sweep(int64 age)
{
	DIR		   *dir = AllocateDir(SPOOL_DIRECTORY);
	struct dirent *entry;
	struct stat st;
	FullTransactionId xid;
	char		path[MAXPGPATH];

	if (dir == NULL && errno == ENOENT)
		return;
	while ((entry = ReadDirExtended(dir, SPOOL_DIRECTORY, LOG)) != NULL)
	{
		if (!name_xid(entry->d_name, &xid) || strcmp(entry->d_name + SPOOL_NAME_LENGTH, SPOOL_DONE) != 0)
			continue;
		spool_path(path, xid, SPOOL_DONE);
		if (stat(path, &st) != 0 || (time(NULL) - st.st_mtime) * 1000 <= age)
			continue;
		if (unlink(path) != 0)
			ereport(LOG,
					(errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path)));
	}
	FreeDir(dir);
}

void
spool_list(void (*callback) (FullTransactionId xid, void *arg), void *arg)
{
	DIR		   *dir = AllocateDir(SPOOL_DIRECTORY);
	struct dirent *entry;
	FullTransactionId xid;

	if (dir == NULL && errno == ENOENT)
		return;					/* nothing was ever prepared */
	while ((entry = ReadDir(dir, SPOOL_DIRECTORY)) != NULL)
	{
		if (strlen(entry->d_name) == SPOOL_NAME_LENGTH && name_xid(entry->d_name, &xid))
			callback(xid, arg);
	}
	FreeDir(dir);
}

void
spool_clean(void)
{
	DIR		   *dir = AllocateDir(SPOOL_DIRECTORY);
	struct dirent *entry;
	FullTransactionId xid;
	char		path[MAXPGPATH];

	if (dir == NULL && errno == ENOENT)
		return;
	while ((entry = ReadDirExtended(dir, SPOOL_DIRECTORY, LOG)) != NULL)
	{
		if (!name_xid(entry->d_name, &xid) ||
			strcmp(entry->d_name + SPOOL_NAME_LENGTH, SPOOL_TEMPORARY) != 0)
			continue;
		spool_path(path, xid, SPOOL_TEMPORARY);
		if (unlink(path) != 0)
			ereport(LOG,
					(errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path)));
	}
	FreeDir(dir);
}

static void
spool_path(char *path, FullTransactionId xid, const char *suffix)
{
	snprintf(path, MAXPGPATH, SPOOL_DIRECTORY "/%08X%08X%s",
			 EpochFromFullTransactionId(xid), XidFromFullTransactionId(xid), suffix);
}

/* The folder is made when it is first needed; initdb knows nothing of it. */
static int
spool_create(const char *path)
{
	int			flags = O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY;
	int			fd = OpenTransientFile(path, flags);

	if (fd < 0 && errno == ENOENT)
	{
		if (MakePGDirectory(SPOOL_DIRECTORY) != 0 && errno != EEXIST)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not create directory \"%s\": %m", SPOOL_DIRECTORY)));
		fsync_fname(".", true);
		fd = OpenTransientFile(path, flags);
	}
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not create file \"%s\": %m", path)));
	return fd;
}

/* Writes everything and closes fd; durable_rename() makes it durable.  False with errno set. */
static bool
spool_fill(int fd, const SpoolHeader *header, const uint8 *data)
{
	bool		ok = write_all(fd, header, sizeof(*header)) && write_all(fd, data, header->length);
	int			save_errno = errno;

	if (CloseTransientFile(fd) != 0 && ok)
		return false;
	errno = save_errno;
	return ok;
}

static bool
write_all(int fd, const void *data, Size length)
{
	const char *at = data;

	while (length > 0)
	{
		ssize_t		n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			return false;
		}
		at += n;
		length -= n;
	}
	return true;
}

static pg_crc32c
spool_crc(const SpoolHeader *header, const uint8 *data)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, offsetof(SpoolHeader, crc));
	COMP_CRC32C(crc, data, header->length);
	FIN_CRC32C(crc);
	return crc;
}

/* Everything but the checksum; the length is checked against the file's, before memory is asked for. */
static bool
read_header(int fd, SpoolHeader *header, FullTransactionId xid)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
		read_all(fd, header, sizeof(*header)) == sizeof(*header) &&
		header->magic == SPOOL_MAGIC &&
		header->version == SPOOL_VERSION &&
		header->system_identifier == GetSystemIdentifier() &&
		header->xid == U64FromFullTransactionId(xid) &&
		header->length <= MaxAllocSize &&
		st.st_size == (off_t) (sizeof(*header) + header->length);
}

/* As many bytes as there are, or -1. */
static ssize_t
read_all(int fd, void *data, Size length)
{
	Size		got = 0;

	while (got < length)
	{
		ssize_t		n = read(fd, (char *) data + got, length - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

/* Reads the full xid that a file name begins with. */
static bool
name_xid(const char *name, FullTransactionId *xid)
{
	uint64		value = 0;

	for (int i = 0; i < SPOOL_NAME_LENGTH; i++)
	{
		char		c = name[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (c - 'A' + 10);
		else
			return false;		/* the terminating zero too */
	}
	*xid = FullTransactionIdFromU64(value);
	return true;
}

/*
 * session_file.c - encodes and finds the records of the session table's file.
 *
 * Called by the worker.  The file may have been cut or damaged anywhere: what
 * does not check is passed over unit by unit.  Nothing is allocated.
 */
#include "wire/session_file.h"

#define SESSION_MAGIC	0x53534750	/* "PGSS" */
#define CHECKED_FROM	8		/* magic and CRC come before */

static bool record_open(Slice bytes, const uint8_t node[SESSION_NODE_ID], SessionRecord *r);

/* Four bits at a time: a table of 16 is enough for a file that is read once. */
uint32_t
session_crc(Slice bytes)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75
	};
	uint32_t	crc = UINT32_MAX;

	for (size_t i = 0; i < bytes.len; i++)
	{
		crc ^= bytes.data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

uint32_t
session_record_units(const SessionRecord *r)
{
	size_t		size = CHECKED_FROM + SESSION_NODE_ID + 8 + 4 + r->key.len + 4 + r->value.len;

	return (uint32_t) ((size + SESSION_FILE_UNIT - 1) / SESSION_FILE_UNIT);
}

void
session_record_encode(uint8_t *out, const uint8_t node[SESSION_NODE_ID], const SessionRecord *r)
{
	size_t		size = (size_t) session_record_units(r) * SESSION_FILE_UNIT;
	uint8_t    *at = out + CHECKED_FROM;

	at = write_bytes(at, slice(node, SESSION_NODE_ID));
	at = write_u64(at, r->sequence);
	at = write_string(at, r->key);
	at = write_string(at, r->value);
	memset(at, 0, size - (size_t) (at - out));
	write_u32(write_u32(out, SESSION_MAGIC), session_crc(slice(out + CHECKED_FROM, size - CHECKED_FROM)));
}

bool
session_file_next(Slice file, const uint8_t node[SESSION_NODE_ID], uint32_t *at, SessionRecord *r)
{
	for (; (size_t) *at < file.len / SESSION_FILE_UNIT; ++*at)
	{
		size_t		offset = (size_t) *at * SESSION_FILE_UNIT;

		if (record_open(slice(file.data + offset, file.len - offset), node, r))
			return true;
	}
	return false;
}

static bool
record_open(Slice bytes, const uint8_t node[SESSION_NODE_ID], SessionRecord *r)
{
	Reader		in = reader(bytes);
	uint32_t	magic = read_u32(&in);
	uint32_t	crc = read_u32(&in);
	Slice		id = read_bytes(&in, SESSION_NODE_ID);
	size_t		size;

	r->sequence = read_u64(&in);
	r->key = read_string(&in);
	r->value = read_string(&in);
	if (in.bad || magic != SESSION_MAGIC || !slice_equal(id, slice(node, SESSION_NODE_ID)) ||
		r->key.len == 0 || r->key.len > LINK_MAX_SESSION_KEY || r->value.len > LINK_MAX_SESSION_VALUE)
		return false;
	size = (size_t) session_record_units(r) * SESSION_FILE_UNIT;
	return size <= bytes.len && session_crc(slice(bytes.data + CHECKED_FROM, size - CHECKED_FROM)) == crc;
}

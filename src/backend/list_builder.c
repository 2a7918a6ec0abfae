/*
 * list_builder.c - makes the lists of strings of wire/envelope.h.
 */
#include "postgres.h"

#include "backend/list_builder.h"

void
list_begin(ListBuilder *list)
{
	initStringInfo(&list->bytes);
	list->count = 0;
}

void
list_add(ListBuilder *list, Slice s)
{
	uint8		length[4];

	write_u32(length, s.len);
	appendBinaryStringInfo(&list->bytes, (const char *) length, sizeof(length));
	appendBinaryStringInfo(&list->bytes, (const char *) s.data, s.len);
	list->count++;
}

EnvelopeList
list_finish(ListBuilder *list)
{
	return (EnvelopeList) {list->count, slice(list->bytes.data, list->bytes.len)};
}

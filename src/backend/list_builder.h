/*
 * list_builder.h - an EnvelopeList that grows, in the current memory context.
 */
#ifndef ROOMS_BACKEND_LIST_BUILDER_H
#define ROOMS_BACKEND_LIST_BUILDER_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "wire/envelope.h"

typedef struct ListBuilder
{
	StringInfoData bytes;
	uint32		count;
} ListBuilder;

extern void list_begin(ListBuilder *list);
extern void list_add(ListBuilder *list, Slice s);
extern EnvelopeList list_finish(ListBuilder *list);

#endif							/* ROOMS_BACKEND_LIST_BUILDER_H */

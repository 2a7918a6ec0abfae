/*
 * handler_function.c - which SQL functions may be handlers.
 *
 * Called by registration.c, so that a function that cannot work is refused
 * when it is registered, and at each call, as it may have been
 * dropped or replaced since.  Signatures are text, not oids, so that a function
 * that is made again works again, and that pg_dump and pg_upgrade keep them.
 *
 * What handle.c needs of a function is cached by signature.  Any change to a
 * function, a type or a schema empties the cache at the next look-up: such
 * changes are rare and the look-ups cheap.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "backend/compat.h"
#include "backend/handler_function.h"

typedef struct CacheEntry
{
	const char *key;			/* the kind's letter and the signature */
	HandlerFunction *function;
} CacheEntry;

static MemoryContext cache_context = NULL;
static HTAB *cache = NULL;		/* in cache_context */
static bool cache_stale = false;

static void read_parameters(HandlerKind kind, HandlerFunction *f, Form_pg_proc proc);
static void check_parameters(HandlerKind kind, const HandlerFunction *f);
static void check_result(HandlerKind kind, const HandlerFunction *f);
static bool result_fits(HandlerKind kind, const HandlerFunction *f);
static bool takes_text(const HandlerFunction *f);
pg_noreturn static void refuse(HandlerKind kind, const HandlerFunction *f, const char *why);
static void cache_prepare(void);
static HandlerFunction *cache_copy(const HandlerFunction *f);
static void cache_invalidate(Datum arg, int cache_id, uint32 hash);
static uint32 key_hash(const void *key, Size size);
static int	key_compare(const void *a, const void *b, Size size);

HandlerFunction *
handler_function_make(HandlerKind kind, Oid oid)
{
	HandlerFunction *f = palloc0(sizeof(HandlerFunction));
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc proc;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", oid)));
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	f->oid = oid;
	f->schema = proc->pronamespace;
	f->returns_set = proc->proretset;
	f->result = proc->prorettype;
	f->returns_reply = f->result == handler_type("reply");
	if (proc->prokind != PROKIND_FUNCTION)
		refuse(kind, f, "It is not an ordinary function.");
	read_parameters(kind, f, proc);
	ReleaseSysCache(tuple);

	if (!f->takes_event)
		check_parameters(kind, f);
	check_result(kind, f);
	return f;
}

const HandlerFunction *
handler_function_find(HandlerKind kind, const char *signature)
{
	char	   *key = psprintf("%c%s", kind, signature);
	CacheEntry *entry;

	cache_prepare();
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		Oid			oid = DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(signature)));
		HandlerFunction *f = cache_copy(handler_function_make(kind, oid));

		key = MemoryContextStrdup(cache_context, key);
		entry = hash_search(cache, &key, HASH_ENTER, NULL);
		entry->function = f;
	}
	return entry->function;
}

Oid
handler_type(const char *name)
{
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
									   ObjectIdGetDatum(get_namespace_oid("rooms", false)));

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type rooms.%s does not exist", name),
				 errhint("It is part of the extension pg_rooms.")));
	return type;
}

static void
read_parameters(HandlerKind kind, HandlerFunction *f, Form_pg_proc proc)
{
	Oid			event = handler_type("event");

	f->parameters = proc->pronargs;
	f->defaults = proc->pronargdefaults;
	f->variadic = proc->provariadic;
	f->types = palloc(sizeof(Oid) * Max(f->parameters, 1));
	for (int i = 0; i < f->parameters; i++)
	{
		f->types[i] = proc->proargtypes.values[i];
		if (get_typtype(f->types[i]) == TYPTYPE_PSEUDO)
			refuse(kind, f, psprintf("Its parameter %d has the pseudo-type %s.", i + 1,
									 format_type_be(f->types[i])));
		/* Made from a client's JSON it would look as if it were verified. */
		if (f->types[i] == event && f->parameters > 1)
			refuse(kind, f, "A parameter of type rooms.event must be the only one.");
		f->takes_event = f->types[i] == event;
	}
	f->least = f->parameters - f->defaults;
	f->most = f->parameters;
	if (OidIsValid(f->variadic))
	{
		f->most = FUNC_MAX_ARGS;
		if (f->defaults == 0)	/* no argument at all makes an empty array */
			f->least--;
	}
}

static void
check_parameters(HandlerKind kind, const HandlerFunction *f)
{
	int			given;

	if (kind == HANDLER_EVENT)
		return;
	given = kind == HANDLER_CONNECT ? 0 : 1;
	if (given < f->least || given > f->most)
		refuse(kind, f, given == 0 ? "It cannot be called without arguments." : "It cannot be called with one argument.");
	if (given == 1 && !takes_text(f))
		refuse(kind, f, "Its parameter is no text.");
}

/* Can the first parameter be given a text? */
static bool
takes_text(const HandlerFunction *f)
{
	Oid			type = f->parameters == 1 && OidIsValid(f->variadic) ? f->variadic : f->types[0];

	return getBaseType(type) == TEXTOID || getBaseType(type) == VARCHAROID;
}

static void
check_result(HandlerKind kind, const HandlerFunction *f)
{
	if (!result_fits(kind, f))
		refuse(kind, f, psprintf("It returns %s%s.", f->returns_set ? "SETOF " : "", format_type_be(f->result)));
}

static bool
result_fits(HandlerKind kind, const HandlerFunction *f)
{
	switch (kind)
	{
		case HANDLER_JOIN:
			return getBaseType(f->result) == BOOLOID && !f->returns_set;
		case HANDLER_CONNECT:
			return f->returns_set ? f->result == TEXTOID : (f->result == VOIDOID || f->result == TEXTARRAYOID);
		case HANDLER_EVENT:
		case HANDLER_DISCONNECT:
			break;
	}
	if (f->returns_set && (f->result == VOIDOID || f->result == handler_type("reply")))
		return false;
	if (f->result == CSTRINGOID)
		return false;
	switch (get_func_result_type(f->oid, NULL, NULL))
	{
		case TYPEFUNC_SCALAR:
		case TYPEFUNC_COMPOSITE:
		case TYPEFUNC_COMPOSITE_DOMAIN:
			return true;
		case TYPEFUNC_RECORD:
		case TYPEFUNC_OTHER:
			break;
	}
	return false;
}

static void
refuse(HandlerKind kind, const HandlerFunction *f, const char *why)
{
	const char *what = "",
			   *hint = "";

	switch (kind)
	{
		case HANDLER_EVENT:
			what = "an event";
			hint = "A handler of an event is a function with a parameter for each argument, or with one of type rooms.event; "
				"it returns void, a value, a row or a set of known columns, or rooms.reply.";
			break;
		case HANDLER_JOIN:
			what = "a join";
			hint = "A handler of joins is a function (room text) or (rooms.event) that returns boolean.";
			break;
		case HANDLER_CONNECT:
			what = "a connect";
			hint = "A handler of connects is a function without parameters or with one of type rooms.event; "
				"it returns void, or names of rooms as text[] or SETOF text.";
			break;
		case HANDLER_DISCONNECT:
			what = "a disconnect";
			hint = "A handler of disconnects is a function (reason text) or (rooms.event).";
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s cannot handle %s", format_procedure_qualified(f->oid), what),
			 errdetail_internal("%s", why),
			 errhint("%s", hint)));
}

/* An empty cache if there is none, or if it may be wrong. */
static void
cache_prepare(void)
{
	HASHCTL		control = {
		.keysize = sizeof(char *),
		.entrysize = sizeof(CacheEntry),
		.hash = key_hash,
		.match = key_compare,
	};

	if (cache_context == NULL)
	{
		cache_context = AllocSetContextCreate(TopMemoryContext, "pg_rooms handlers", ALLOCSET_DEFAULT_SIZES);
		CacheRegisterSyscacheCallback(PROCOID, cache_invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(TYPEOID, cache_invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, cache_invalidate, (Datum) 0);
	}
	if (cache != NULL && !cache_stale)
		return;
	cache = NULL;
	MemoryContextReset(cache_context);
	cache_stale = false;
	control.hcxt = cache_context;
	cache = hash_create("pg_rooms handlers", 64, &control,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static HandlerFunction *
cache_copy(const HandlerFunction *f)
{
	HandlerFunction *copy = MemoryContextAlloc(cache_context, sizeof(HandlerFunction));
	Size		size = sizeof(Oid) * f->parameters;

	*copy = *f;
	copy->types = MemoryContextAlloc(cache_context, Max(size, 1));
	memcpy(copy->types, f->types, size);
	return copy;
}

static void
cache_invalidate(Datum arg pg_attribute_unused(), int cache_id pg_attribute_unused(), uint32 hash pg_attribute_unused())
{
	cache_stale = true;
}

static uint32
key_hash(const void *key, Size size pg_attribute_unused())
{
	const char *text = *(const char *const *) key;

	return DatumGetUInt32(hash_any((const unsigned char *) text, strlen(text)));
}

static int
key_compare(const void *a, const void *b, Size size pg_attribute_unused())
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

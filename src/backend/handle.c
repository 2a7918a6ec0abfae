/*
 * handle.c - runs a handler for the gateway.
 *
 * The gateway's connections call rooms.handle() once per event of a client, in
 * a transaction of its own, and rooms.handler_reset() in the next one.  The
 * connection's user is an ordinary role; what the client may do is decided by
 * the role that its token names, which is set for the transaction, and by the
 * row-level security of the application, which finds the claims where
 * PostgREST puts them.
 *
 * rooms.handle() looks the handler up, sets the identity, converts the
 * arguments and calls the function: nothing of the application runs before the
 * role is set, nothing that a client sent becomes SQL text.
 *
 * What a handler leaves behind in its session is taken away by
 * rooms.handler_reset(), as DISCARD ALL does it (DiscardAll() in
 * src/backend/commands/discard.c), but for the gateway's own prepared
 * statements and the plan cache.  It is not part of rooms.handle() because it
 * has to happen after the end of the transaction, also when that failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "backend/arguments.h"
#include "backend/compat.h"
#include "backend/guc.h"
#include "backend/handler_call.h"
#include "backend/outbox.h"
#include "backend/packet.h"
#include "backend/registration.h"
#include "backend/shared.h"
#include "wire/json.h"

#define AWAIT_US	1000		/* between looks at who has not committed yet */
#define AWAIT_MAX_MS 1000		/* then the client has to come again: others wait for the connection */

PG_FUNCTION_INFO_V1(rooms_handle);
PG_FUNCTION_INFO_V1(rooms_handler_reset);
PG_FUNCTION_INFO_V1(rooms_current_sid);
PG_FUNCTION_INFO_V1(rooms_current_user_id);
PG_FUNCTION_INFO_V1(rooms_current_tenant_id);
PG_FUNCTION_INFO_V1(rooms_claims);

/* Whose event is being handled; in TopTransactionContext, NULL outside. */
typedef struct Current
{
	MemoryContextCallback end;
	text	   *sid;
	text	   *user_id;
	text	   *tenant_id;
	text	   *claims;
} Current;

static Current *current = NULL;

static void begin_after(XLogRecPtr after);
static bool await_visible(XLogRecPtr before);
static bool is_visible(XLogRecPtr before);
static void set_current(text *sid, text *user_id, text *tenant_id, text *claims);
static void current_ended(void *arg);
static text *copy_text(text *t);
static void set_identity(text *role, text *claims, text *headers);
static const char *choose_role(text *role);
static const char *unusable_role(const char *name);
static char *claim_sub(text *claims);
static void set_local(const char *name, const char *value);
static char *claims_with_role(text *claims, const char *role);
static void check_rights(const HandlerFunction *f);
static void run_deferred(void);
static Slice bytea_argument(FunctionCallInfo fcinfo, int n, const char *name);
static text *text_argument(FunctionCallInfo fcinfo, int n, const char *name);
static text *text_or_null(FunctionCallInfo fcinfo, int n);
static void drop_prepared_statements(void);

/*
 * handle(kind, namespace, name, args, attachments, sid, user_id, tenant_id,
 *        role, claims, headers, handshake, marker, after)
 *
 * The names and texts come in the connection's encoding, args is UTF-8,
 * attachments a list of wire/envelope.h, marker and result are of
 * wire/handler.h.  A role that is NULL is no claim, an empty one is a claim that
 * can be no role.  A join and a connect see all that committed before `after`.
 */
PGDLLEXPORT Datum
rooms_handle(PG_FUNCTION_ARGS)
{
	HandlerEvent e = {0};
	Slice		packed = bytea_argument(fcinfo, 4, "attachments");
	Slice		marker = bytea_argument(fcinfo, 12, "marker");
	Reader		r = reader(packed);
	text	   *claims = text_or_null(fcinfo, 9);
	const HandlerFunction *f;
	char	   *signature;
	bytea	   *reply;
	FmgrInfo	function;
	bool		joins;
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);

	outbox_check_served();
	if (PG_ARGISNULL(0))
		argument_null_error("kind");
	e.kind = (HandlerKind) PG_GETARG_CHAR(0);
	e.nsp = text_argument(fcinfo, 1, "namespace");
	e.name = text_argument(fcinfo, 2, "name");
	e.args = bytea_argument(fcinfo, 3, "args");
	e.attachments = envelope_read_list(&r);
	e.sid = text_argument(fcinfo, 5, "sid");
	e.user_id = text_or_null(fcinfo, 6);
	e.tenant_id = text_or_null(fcinfo, 7);
	e.handshake = text_argument(fcinfo, 11, "handshake");
	if (r.bad || reader_left(&r) > 0 || e.attachments.count > ENVELOPE_MAX_ATTACHMENTS ||
		marker.len != HANDLER_MARKER_SIZE || !json_valid(e.args))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("malformed call of rooms.handle()"),
				 errhint("It is for the gateway; the gateway and the library must be of one build.")));
	if (current != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rooms.handle() runs already in this transaction"),
				 errhint("It is for the gateway, which calls it once in a transaction.")));

	joins = e.kind == HANDLER_JOIN || e.kind == HANDLER_CONNECT;
	if (joins)
		begin_after(PG_ARGISNULL(13) ? InvalidXLogRecPtr : PG_GETARG_LSN(13));
	signature = registration_find(e.kind, argument_text(PointerGetDatum(e.nsp)), argument_text(PointerGetDatum(e.name)));
	if (signature == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ROOMS_NOT_FOUND),
				 errmsg("no handler")));
	f = handler_function_find(e.kind, signature);

	set_identity(text_or_null(fcinfo, 8), claims, text_or_null(fcinfo, 10));
	set_current(e.sid, e.user_id, e.tenant_id, claims);
	outbox_set_marker(marker.data);
	check_rights(f);

	fmgr_info(f->oid, &function);
	InitFunctionCallInfoData(*call, &function, 0, DEFAULT_COLLATION_OID, NULL, NULL);
	handler_arguments(f, &e, call);
	reply = handler_reply(f, e.kind, call);
	run_deferred();
	if (joins)
		PopActiveSnapshot();
	PG_RETURN_BYTEA_P(reply);
}

/*
 * handler_reset(): true if the transaction of the last rooms.handle() emitted,
 * so that its marker comes over the bus.
 */
PGDLLEXPORT Datum
rooms_handler_reset(PG_FUNCTION_ARGS)
{
	if (current != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rooms.handler_reset() cannot be called by a handler"),
				 errhint("It is for the gateway, which calls it in the next transaction.")));
	PortalHashTableDeleteAll();
	SetPGVariable("session_authorization", NIL, false);
	SetPGVariable("role", NIL, false);
	ResetAllOptions();
	Async_UnlistenAll();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	ResetSequenceCaches();
	drop_prepared_statements();
	PG_RETURN_BOOL(outbox_take_marked());
}

/* Four functions that say whose event this is: NULL elsewhere, and without a token. */
PGDLLEXPORT Datum
rooms_current_sid(PG_FUNCTION_ARGS)
{
	if (current == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(current->sid);
}

PGDLLEXPORT Datum
rooms_current_user_id(PG_FUNCTION_ARGS)
{
	if (current == NULL || current->user_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(current->user_id);
}

PGDLLEXPORT Datum
rooms_current_tenant_id(PG_FUNCTION_ARGS)
{
	if (current == NULL || current->tenant_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(current->tenant_id);
}

PGDLLEXPORT Datum
rooms_claims(PG_FUNCTION_ARGS)
{
	if (current == NULL || current->claims == NULL)
		PG_RETURN_NULL();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(current->claims)));
}

/* ---- what it sees ---- */

/*
 * A command that takes rooms away may have come to the gateway of a standby
 * before what it committed with is visible here: a commit is replayed there
 * while it still waits for a synchronous standby.  Whoever joins is to be
 * checked against what holds after it.
 */
static void
begin_after(XLogRecPtr after)
{
	if (await_visible(after) && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not see what was committed before this call"),
				 errhint("Let handlers run in READ COMMITTED.")));
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * Until nothing is left that has committed before the position and is not
 * visible: those who are between their messages and the end of their
 * transaction have a slot (shared.h).  Not so COMMIT PREPARED, which is not
 * waited for.  True: there was something.  An ERROR of class 57P, which for
 * the gateway is a database that is not available, if it takes too long.
 */
static bool
await_visible(XLogRecPtr before)
{
	bool		waited = false;
	TimestampTz start = GetCurrentTimestamp();

	pg_memory_barrier();
	for (uint32 i = 0; before != InvalidXLogRecPtr && i < rooms_shared->slot_count; i++)
	{
		XLogRecPtr	began = pg_atomic_read_u64(&rooms_shared->slots[i]);

		while (began != InvalidXLogRecPtr && began < before && pg_atomic_read_u64(&rooms_shared->slots[i]) == began &&
			   !is_visible(before))
		{
			CHECK_FOR_INTERRUPTS();
			if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), AWAIT_MAX_MS))
				ereport(ERROR,
						(errcode(ERRCODE_CANNOT_CONNECT_NOW),
						 errmsg("what a standby has replayed is not visible here yet"),
						 errdetail("A commit that emitted waits, as for a synchronous standby that is missing."),
						 errhint("Joins and connects of that standby's clients wait for it.")));
			pg_usleep(AWAIT_US);
			waited = true;
		}
	}
	pg_memory_barrier();
	return waited;
}

/* The worker has found that all before the position is: it delivers nothing that is not. */
static bool
is_visible(XLogRecPtr before)
{
	uint64		count = pg_atomic_read_u64(&rooms_shared->position_count);
	XLogRecPtr	known;
	uint64		xid;

	pg_read_barrier();
	return count > 0 && shared_get_position(count - 1, &known, &xid) && known >= before;
}

/* ---- whose event ---- */

/* Until the end of the transaction: deferred triggers ask too. */
static void
set_current(text *sid, text *user_id, text *tenant_id, text *claims)
{
	Current    *c = MemoryContextAllocZero(TopTransactionContext, sizeof(Current));
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	c->end.func = current_ended;
	c->sid = copy_text(sid);
	c->user_id = copy_text(user_id);
	c->tenant_id = copy_text(tenant_id);
	c->claims = copy_text(claims);
	MemoryContextRegisterResetCallback(TopTransactionContext, &c->end);
	MemoryContextSwitchTo(old);
	current = c;
}

static void
current_ended(void *arg pg_attribute_unused())
{
	current = NULL;
}

static text *
copy_text(text *t)
{
	return t == NULL ? NULL : (text *) DatumGetPointer(PG_DETOAST_DATUM_COPY(PointerGetDatum(t)));
}

/* Role and claims, for this transaction, where PostgREST puts them. */
static void
set_identity(text *role, text *claims, text *headers)
{
	const char *name = choose_role(role);

	set_local("request.jwt.claims", claims_with_role(claims, name));
	set_local("request.jwt.claim.sub", claims != NULL ? claim_sub(claims) : "");
	set_local("request.jwt.claim.role", name);
	set_local("request.headers", headers != NULL ? text_to_cstring(headers) : "{}");
	if (*name != '\0')
		set_local("role", name);
}

/* The role to set, or "" for the session user's own rights. */
static const char *
choose_role(text *role)
{
	const char *name = role != NULL ? text_to_cstring(role) : rooms_default_role;
	const char *why;

	if (superuser_arg(GetSessionUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("handlers do not run for a superuser"),
				 errhint("Let pg_rooms.handler_conninfo name an ordinary role.")));
	if (role == NULL && *name == '\0')
		return name;
	why = unusable_role(name);
	if (why == NULL)
		return name;
	if (role == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot use the role \"%s\" of pg_rooms.default_role", name),
				 errdetail_internal("%s", why),
				 errhint("Grant the role to \"%s\".", GetUserNameFromId(GetSessionUserId(), false))));
	ereport(ERROR,
			(errcode(ERRCODE_ROOMS_FORBIDDEN),
			 errmsg("the role of the token is not allowed"),
			 errdetail("The role is \"%s\". %s", name, why),
			 errhint("Roles that tokens may name have to be granted to \"%s\".",
					 GetUserNameFromId(GetSessionUserId(), false))));
}

/* Why this role must not be set, or NULL. */
static const char *
unusable_role(const char *name)
{
	Oid			oid;

	if (*name == '\0' || strcmp(name, "none") == 0)
		return "It is no name of a role.";
	if (strncmp(name, "pg_", strlen("pg_")) == 0)
		return "Predefined roles are never used.";
	oid = strlen(name) < NAMEDATALEN ? get_role_oid(name, true) : InvalidOid;
	if (!OidIsValid(oid))
		return "It does not exist.";
	if (superuser_arg(oid))
		return "It is a superuser.";
	if (!member_can_set_role(GetSessionUserId(), oid))
		return "The session user is not a member of it.";
	return NULL;
}

/* As PostgREST has it: the role in force is among the claims. */
static char *
claims_with_role(text *claims, const char *role)
{
	char	   *json = claims != NULL ? text_to_cstring(claims) : "{}";
	Slice		utf8 = packet_utf8(slice_cstring(json));
	StringInfoData out;
	JsonWalk	walk;
	Slice		key,
				value;
	bool		any = false;

	if (*role == '\0' || !json_enter(utf8, &walk) || !walk.object)
		return json;
	while (json_next(&walk, &key, &value))
	{
		if (slice_equal(key, SLICE_LITERAL("\"role\"")))
			return json;
		any = true;
	}
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"role\":");
	escape_json(&out, role);
	appendStringInfo(&out, "%s%s", any ? "," : "", strchr(json, '{') + 1);
	return out.data;
}

/* The claim "sub" as text; "" if there is none. */
static char *
claim_sub(text *claims)
{
	JsonWalk	walk;
	Slice		key,
				value;
	uint8	   *out;
	long		len;

	if (!json_enter(packet_utf8(argument_text(PointerGetDatum(claims))), &walk) || !walk.object)
		return "";
	while (json_next(&walk, &key, &value))
	{
		if (!slice_equal(key, SLICE_LITERAL("\"sub\"")))
			continue;
		if (value.data[0] != '"')
			return pnstrdup((const char *) value.data, value.len);
		out = palloc0(value.len + 1);
		len = json_unquote(value, out);
		return len >= 0 ? pg_any_to_server((char *) out, len, PG_UTF8) : "";
	}
	return "";
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* As if the function were named in a query: others may look at rights, and at what runs, too. */
static void
check_rights(const HandlerFunction *f)
{
	AclResult	result = object_aclcheck(NamespaceRelationId, f->schema, GetUserId(), ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, get_namespace_name(f->schema));
	result = object_aclcheck(ProcedureRelationId, f->oid, GetUserId(), ACL_EXECUTE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(f->oid));
	InvokeFunctionExecuteHook(f->oid);
}

/*
 * Deferred triggers, as SET CONSTRAINTS ALL IMMEDIATE does it: at COMMIT
 * statement_timeout would not hold for them any more.
 */
static void
run_deferred(void)
{
	ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);

	all->deferred = false;
	AfterTriggerSetState(all);
}

/* ---- arguments ---- */

static Slice
bytea_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		argument_null_error(name);
	return argument_text(PG_GETARG_DATUM(n));
}

static text *
text_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		argument_null_error(name);
	return PG_GETARG_TEXT_PP(n);
}

static text *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n);
}

/* ---- what is left behind ---- */

/* Those made by PREPARE: the gateway's are made by the protocol. */
static void
drop_prepared_statements(void)
{
	static SPIPlanPtr plan = NULL;

	SPI_connect();
	if (plan == NULL)
	{
		plan = SPI_prepare("SELECT name FROM pg_catalog.pg_prepared_statement() WHERE from_sql", 0, NULL);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the look-up of prepared statements");
	}
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up prepared statements");
	for (uint64 i = 0; i < SPI_processed; i++)
		DropPreparedStatement(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1), false);
	SPI_finish();
}

/*
 * gateway_config.c - which settings the gateway is given, and which it took.
 *
 * Called by gateway_process.c.  Three payloads of CONFIG frames (wire/link.h):
 *
 *   wanted   what the settings were when they were last read
 *   sent     the one that the gateway has not answered yet
 *   good     the last one that a gateway took
 *
 * A gateway takes a CONFIG by READY.  It refuses one by REFUSED, and goes on
 * with the one before; or, if it had none before, by saying why and exiting.
 * So does one that cannot even start with it.  What was refused is not offered
 * again before the next reload, and a gateway that has to be replaced
 * meanwhile begins with the good one: a bad reload never takes the service
 * down.  While there is no good one, as after a server start with a bad
 * setting, the settings are read anew for each try.
 *
 * A gateway that ends after READY, its last CONFIG unanswered, has refused
 * nothing: some settings need a new process (sandbox.c).
 *
 * Memory: the payloads, which hold secrets, are in TopMemoryContext.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "backend/gateway_config.h"
#include "backend/gateway_log.h"
#include "backend/guc.h"

static StringInfoData wanted;
static StringInfoData sent;		/* empty: no answer is due */
static StringInfoData good;		/* empty: none yet */
static uint32 number = 0;		/* of the last CONFIG sent */
static bool refused = false;	/* `wanted` cannot be used, or the settings cannot be read */
static int64 said = 0;			/* what is wrong with the settings, for gateway_log_due() */
static int64 said_fallback = 0; /* that the good one is used instead */

static bool read_settings(int64 now);
static void send_config(GatewayLink *link, const StringInfoData *payload);
static void set(StringInfo to, const StringInfoData *from);
static bool same(const StringInfoData *a, const StringInfoData *b);

void
gateway_config_init(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	initStringInfo(&wanted);
	initStringInfo(&sent);
	initStringInfo(&good);
	MemoryContextSwitchTo(caller);
}

void
gateway_config_reload(int64 now)
{
	said = said_fallback = 0;	/* somebody is at it: tell him what is wrong now */
	refused = !read_settings(now);
}

bool
gateway_config_ready(int64 now)
{
	return good.len > 0 || read_settings(now);
}

void
gateway_config_start(GatewayLink *link, int64 now)
{
	if (good.len == 0 || !refused)
	{
		send_config(link, &wanted);
		return;
	}
	send_config(link, &good);
	ereport(gateway_log_due(&said_fallback, now) ? LOG : DEBUG1,
			(errmsg("pg_rooms: the gateway is started with the last configuration that worked"),
			 errdetail("The present settings were refused, as logged before."),
			 errhint("Correct them and reload.")));
}

void
gateway_config_offer(GatewayLink *link)
{
	if (!refused && sent.len == 0 && !same(&wanted, &good))
		send_config(link, &wanted);
}

void
gateway_config_taken(uint32 answered)
{
	if (sent.len == 0 || answered != number)
		return;					/* READY for new sockets */
	set(&good, &sent);
	resetStringInfo(&sent);
	said = said_fallback = 0;
}

void
gateway_config_refused(uint32 answered)
{
	if (sent.len == 0 || answered != number)
		return;
	refused |= same(&sent, &wanted);
	resetStringInfo(&sent);
}

void
gateway_config_ended(bool starting)
{
	if (starting && good.len > 0 && same(&sent, &wanted) && !same(&sent, &good))
		refused = true;
	resetStringInfo(&sent);
}

/* Reads the settings, and the files they name, into `wanted`.  False: there was an error, which is logged. */
static bool
read_settings(int64 now)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData fresh;
	volatile bool failed = false;

	initStringInfo(&fresh);
	PG_TRY();
	{
		guc_config_payload(&fresh);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		failed = true;
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (gateway_log_due(&said, now))
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("pg_rooms: %s", error->message),
					 error->detail ? errdetail_internal("%s", error->detail) : 0,
					 errhint("%s%s%s", error->hint ? error->hint : "", error->hint ? " " : "",
							 good.len > 0 ? "The configuration in force is kept; correct it and reload."
							 : "The gateway does not start until this is corrected.")));
		FreeErrorData(error);
	}
	PG_END_TRY();

	if (!failed)
		set(&wanted, &fresh);
	pfree(fresh.data);
	return !failed;
}

static void
send_config(GatewayLink *link, const StringInfoData *payload)
{
	uint8	   *frame = palloc(sizeof(uint32) + payload->len);

	set(&sent, payload);
	write_bytes(write_u32(frame, ++number), slice(payload->data, payload->len));
	gateway_link_frame(link, LINK_CONFIG, slice(frame, sizeof(uint32) + payload->len));
	pfree(frame);
}

static void
set(StringInfo to, const StringInfoData *from)
{
	resetStringInfo(to);
	appendBinaryStringInfo(to, from->data, from->len);
}

static bool
same(const StringInfoData *a, const StringInfoData *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

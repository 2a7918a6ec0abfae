/*
 * inquiry.c - asks the gateway through the worker; the protocol is in the
 * head of inquiry.h.
 *
 * inquiry_run() is called by views.c in a backend, the rest by worker.c and
 * gateway_process.c in the worker.  The worker waits for nobody here and what
 * a backend does cannot hurt it: it only looks at the request and at how much
 * was read, and makes nothing of numbers that cannot be.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "backend/compat.h"
#include "backend/gateway_process.h"
#include "backend/inquiry.h"
#include "backend/shared.h"
#include "backend/worker.h"

#define TURN_TIMEOUT	10000	/* ms to wait for others */
#define ANSWER_TIMEOUT	5000	/* ms without a byte; a gateway that hangs is replaced after 8 s */
#define SLICES_MAX		4		/* asked for at a time */
#define ROW_MAX			(256 * 1024 * 1024)

typedef enum InquiryState
{
	INQUIRY_RUNNING,
	INQUIRY_COMPLETE,			/* all of it is written */
	INQUIRY_GONE,				/* the gateway is, or there was none */
	INQUIRY_STATES
} InquiryState;

static SharedInquiry *
shared(void)
{
	return &rooms_shared->inquiry;
}

void
inquiry_shared_init(SharedInquiry *s)
{
	pg_atomic_init_u32(&s->asker, 0);
	pg_atomic_init_u32(&s->asker_procno, 0);
	ConditionVariableInit(&s->turn);
	pg_atomic_init_u64(&s->last, 0);
	pg_atomic_init_u64(&s->request, 0);
	pg_atomic_init_u64(&s->answer, 0);
	pg_atomic_init_u64(&s->written, 0);
	pg_atomic_init_u64(&s->read, 0);
}

/* ---- the backend ---- */

static void
take_turn(void)
{
	SharedInquiry *s = shared();
	int64		until = worker_clock() + TURN_TIMEOUT;
	uint32		none = 0;

	ConditionVariablePrepareToSleep(&s->turn);
	while (!pg_atomic_compare_exchange_u32(&s->asker, &none, (uint32) MyProcPid))
	{
		int64		left = until - worker_clock();

		none = 0;
		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("too many sessions ask pg_rooms for its sockets and rooms"),
					 errdetail("Process %u has been asking for %d s.", pg_atomic_read_u32(&s->asker), TURN_TIMEOUT / 1000)));
		}
		ConditionVariableTimedSleep(&s->turn, (long) left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	pg_atomic_write_u32(&s->asker_procno, (uint32) MyProcNumber);
}

/* Also at an ERROR and at the end of the process. */
static void
give_turn(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	SharedInquiry *s = shared();

	pg_atomic_write_u64(&s->request, 0);
	pg_memory_barrier();
	pg_atomic_write_u32(&s->asker, 0);
	ConditionVariableBroadcast(&s->turn);
	shared_wake_worker(true);	/* it may have asked for more than was read */
}

static void
not_answered(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("the pg_rooms gateway does not answer: %s", why),
			 errhint("The server log says why, if it does not run. Try again.")));
}

/* Waits until the answer to `number` goes beyond `from`; gives how far, or 0 if it is complete. */
static uint64
wait_for_more(uint64 number, uint64 from, uint32 worker)
{
	SharedInquiry *s = shared();
	int64		until = worker_clock() + ANSWER_TIMEOUT;

	for (;;)
	{
		uint64		answer = pg_atomic_read_u64(&s->answer);
		int64		left = until - worker_clock();

		pg_memory_barrier();	/* what is written was before the answer is complete */
		if (answer / INQUIRY_STATES == number)
		{
			uint64		written = pg_atomic_read_u64(&s->written);

			if (answer % INQUIRY_STATES == INQUIRY_GONE)
				not_answered("it does not run, or has just ended");
			if (written > from)
			{
				pg_read_barrier();
				return written;
			}
			if (answer % INQUIRY_STATES == INQUIRY_COMPLETE)
				return 0;
		}
		if (worker == 0 || pg_atomic_read_u32(&rooms_shared->worker_pid) != worker)
			not_answered("the worker does not run, or has just ended");
		if (left <= 0)
			not_answered(psprintf("nothing came for %d s", ANSWER_TIMEOUT / 1000));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Gives the whole rows at the front of `bytes`, and takes them off. */
static void
take_rows(StringInfo bytes, MemoryContext row_context, void (*row) (void *ctx, Slice row), void *ctx)
{
	Reader		r = reader(slice(bytes->data, bytes->len));

	for (;;)
	{
		Reader		whole = r;
		Slice		one = read_string(&whole);
		MemoryContext old;

		if (whole.bad)
			break;
		r = whole;
		old = MemoryContextSwitchTo(row_context);
		row(ctx, one);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	if (bytes->len - reader_left(&r) > 0)
	{
		size_t		left = reader_left(&r);

		memmove(bytes->data, r.at, left);
		bytes->len = (int) left;
	}
	if (bytes->len > ROW_MAX)
		not_answered("a row is too large");
}

static void
read_answer(uint64 number, uint32 worker, void (*row) (void *ctx, Slice row), void *ctx)
{
	SharedInquiry *s = shared();
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "pg_rooms row", ALLOCSET_DEFAULT_SIZES);
	StringInfoData bytes;
	uint64		from = 0;
	uint64		to;

	initStringInfo(&bytes);
	while ((to = wait_for_more(number, from, worker)) > 0)
	{
		while (from < to)
		{
			uint64		at = from % INQUIRY_RING;
			uint64		n = Min(to - from, INQUIRY_RING - at);

			appendBinaryStringInfo(&bytes, (char *) s->ring + at, (int) n);
			from += n;
		}
		pg_memory_barrier();	/* copied before it may be overwritten */
		pg_atomic_write_u64(&s->read, from);
		shared_wake_worker(true);
		take_rows(&bytes, row_context, row, ctx);
	}
	if (bytes.len > 0)
		not_answered("its answer ends within a row");
	pfree(bytes.data);
	MemoryContextDelete(row_context);
}

void
inquiry_run(LinkQuery what, void (*row) (void *ctx, Slice row), void *ctx)
{
	SharedInquiry *s = shared();
	uint32		worker = pg_atomic_read_u32(&rooms_shared->worker_pid);
	uint64		number;

	take_turn();
	PG_ENSURE_ERROR_CLEANUP(give_turn, (Datum) 0);
	{
		number = pg_atomic_add_fetch_u64(&s->last, 1);
		pg_atomic_write_u64(&s->request, number * LINK_QUERY_END + what);
		shared_wake_worker(true);
		read_answer(number, worker, row, ctx);
	}
	PG_END_ENSURE_ERROR_CLEANUP(give_turn, (Datum) 0);
	give_turn(0, (Datum) 0);
}

/* ---- the worker ---- */

static struct
{
	uint64		request;		/* that is being answered, or was last */
	bool		running;
	uint32		generation;		/* of the link that it is asked on */
	uint32		slices;			/* asked for and not come */
} now;

static uint64
number_now(void)
{
	return now.request / LINK_QUERY_END;
}

static void
set_state(InquiryState state)
{
	SharedInquiry *s = shared();

	now.running = state == INQUIRY_RUNNING;
	pg_memory_barrier();
	pg_atomic_write_u64(&s->answer, number_now() * INQUIRY_STATES + state);
	pg_memory_barrier();
	if (pg_atomic_read_u32(&s->asker) != 0)
		SetLatch(&ProcGlobal->allProcs[pg_atomic_read_u32(&s->asker_procno)].procLatch);
}

void
inquiry_start(void)
{
	now.request = pg_atomic_read_u64(&shared()->request);
	if (now.request != 0)
		set_state(INQUIRY_GONE);
}

static void
take_up(uint64 request, uint32 generation)
{
	bool		was_running = now.running;

	now.request = request;
	now.running = false;
	now.generation = generation;
	now.slices = 0;
	if (request == 0)
	{
		if (was_running && gateway_has_room())
			gateway_send_query(0, LINK_QUERY_NONE);
		return;
	}
	pg_atomic_write_u64(&shared()->written, 0);
	pg_atomic_write_u64(&shared()->read, 0);
	set_state(gateway_ready() ? INQUIRY_RUNNING : INQUIRY_GONE);
}

void
inquiry_service(void)
{
	SharedInquiry *s = shared();
	uint64		request = pg_atomic_read_u64(&s->request);
	uint32		generation;
	bool		ignored;
	uint64		used;

	(void) gateway_socket(&generation, &ignored);
	if (request != now.request)
		take_up(request, generation);
	if (!now.running)
		return;
	if (!gateway_ready() || generation != now.generation)
	{
		set_state(INQUIRY_GONE);
		return;
	}
	used = pg_atomic_read_u64(&s->written) - pg_atomic_read_u64(&s->read);
	pg_memory_barrier();		/* what was read may be overwritten */
	while (now.slices < SLICES_MAX && gateway_has_room() &&
		   used + (uint64) (now.slices + 1) * LINK_MAX_ROWS <= INQUIRY_RING)
	{
		gateway_send_query(number_now(), (LinkQuery) (now.request % LINK_QUERY_END));
		now.slices++;
	}
}

bool
inquiry_rows(Slice payload)
{
	SharedInquiry *s = shared();
	LinkRows	rows;
	uint64		written;

	if (link_rows_decode(payload, &rows) != WIRE_OK)
		return false;
	if (!now.running || rows.id != number_now())
		return true;			/* nobody waits for it any more */
	if (now.slices == 0)
		return false;			/* it was not asked for */
	now.slices--;
	written = pg_atomic_read_u64(&s->written);
	while (rows.bytes.len > 0)
	{
		uint64		at = written % INQUIRY_RING;
		Slice		part = slice(rows.bytes.data, Min(rows.bytes.len, INQUIRY_RING - at));

		write_bytes(s->ring + at, part);
		written += part.len;
		rows.bytes = slice(rows.bytes.data + part.len, rows.bytes.len - part.len);
	}
	pg_write_barrier();
	pg_atomic_write_u64(&s->written, written);
	set_state(rows.more ? INQUIRY_RUNNING : INQUIRY_COMPLETE);
	return true;
}

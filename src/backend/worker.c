/*
 * worker.c - the background worker: moves committed messages from the WAL bus
 * to the gateway, and looks after gateway and listening sockets.
 *
 * One per cluster node, started by the postmaster (registered in pg_rooms.c)
 * once the server is consistent, on a hot standby too.  It is in no database,
 * so it stands in nobody's way, but it has an entry in the ProcArray: the
 * bus needs that to see other transactions' ends (bus.h).
 *
 * Each turn of the loop: latch, interrupts, reload, listen.c, gateway_process.c,
 * then messages from the bus as long as the gateway is READY and takes them,
 * then sleep.  A new gateway is first given the past (refill.c).  With no gateway the bus is not read: the WAL waits.
 *
 * Sleeping.  A commit sets our latch only while worker_sleeping is 1
 * (shared_wake_worker()).  So: set it, full barrier, look once more whether
 * something has come (bus_drained()), only then wait.  A committer does the
 * same the other way round, so one of the two always notices.
 *
 * Ending.  Always with exit status 1: 0 would tell the postmaster never to
 * start us again.  The postmaster starts us again after a second, also after
 * an ERROR, which therefore needs no handling here: what we know is cheap to
 * find again.  SIGTERM is die(), so that long work elsewhere ends at its next
 * CHECK_FOR_INTERRUPTS(); this loop looks at the flag first, to leave without
 * a FATAL in the log.  proc_exit() takes the gateway along.
 *
 * Memory: what a turn allocates lives in a context that is reset each turn.
 */
#include "postgres.h"

#include <signal.h>

#include "access/transam.h"
#include "access/xlog.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "backend/bus.h"
#include "backend/compat.h"
#include "backend/gateway_process.h"
#include "backend/guc.h"
#include "backend/inquiry.h"
#include "backend/listen.h"
#include "backend/refill.h"
#include "backend/session_table.h"
#include "backend/shared.h"
#include "backend/spool.h"
#include "backend/stats_log.h"
#include "backend/worker.h"

/* Sleeps, in ms. */
#define POLL_PRIMARY	200		/* in case of a wake-up that nobody sent, and to stay near the end of WAL */
#define POLL_STANDBY	2		/* replay wakes nobody on 15 */
#define POLL_STANDBY_IDLE 50	/* ... and no client is connected */
#define POLL_GATED		1		/* a commit is about to become visible */
#define POLL_GATED_LONG 10		/* ... and has been for long: a synchronous standby is missing */
#define GATED_LONG		100		/* polls */

#define POSITION_INTERVAL 1000	/* ms */
#define SNAPSHOT_INTERVAL 100	/* ms; shared memory has positions of so many times SHARED_POSITIONS */
#define TURN_MESSAGES	1000	/* then the other duties are looked at */

/* What a turn found on the bus. */
typedef enum Bus
{
	BUS_UNREAD,					/* the gateway takes nothing now */
	BUS_BUSY,					/* there is more at once */
	BUS_WAITING,				/* for the visibility of a commit */
	BUS_EMPTY
} Bus;

static XLogRecPtr position_sent;	/* to this gateway */

static void publish(void);
static void unpublish(int code, Datum arg);
static void reload(void);
static Bus	deliver(void);
static Bus	fill(void);
static void send_covered(const LinkMessage *hole);
static void send_position(int64 now);
static void share_position(int64 now);
static void tell_position(void);
static bool sleep_until_needed(Bus bus);
static long bus_timeout(Bus bus);
static void wait_events(WaitEventSet **set, int *link_position);

void
rooms_worker_main(Datum arg pg_attribute_unused())
{
	MemoryContext turn;
	bool		link_event = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, SIG_IGN);	/* pg_cancel_backend(): there is nothing to cancel */
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);	/* sets the latch, too */
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	turn = AllocSetContextCreate(TopMemoryContext, "pg_rooms worker turn", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(turn);
	gateway_init();
	inquiry_start();
	publish();
	session_table_start();
	bus_start();

	for (;;)
	{
		int64		now;
		Bus			bus;

		ResetLatch(MyLatch);
		if (ProcDiePending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			reload();
		}

		now = worker_clock();
		if (listen_service(now))
			gateway_listen();
		gateway_service(now, link_event);
		inquiry_service();
		stats_log_service(now);

		bus = gateway_filling() ? fill() : deliver();
		send_position(now);
		share_position(now);
		gateway_flush();

		link_event = sleep_until_needed(bus);
		MemoryContextReset(turn);
	}
}

void
worker_report_caught(MemoryContext caller)
{
	ErrorData  *error;

	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	FlushErrorState();
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("%s", error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0));
	FreeErrorData(error);
}

static void
publish(void)
{
	before_shmem_exit(unpublish, 0);
	pg_atomic_write_u32(&rooms_shared->worker_sleeping, 0);
	pg_atomic_write_u32(&rooms_shared->worker_pgprocno, (uint32) MyProcNumber);
	pg_write_barrier();
	pg_atomic_write_u32(&rooms_shared->worker_pid, (uint32) MyProcPid);
}

/* A committer that has just read the old values sets a latch in vain: harmless. */
static void
unpublish(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	pg_atomic_write_u32(&rooms_shared->worker_pid, 0);
	pg_atomic_write_u32(&rooms_shared->worker_sleeping, 0);
	pg_atomic_write_u32(&rooms_shared->gateway_pid, 0);
}

static void
reload(void)
{
	ProcessConfigFile(PGC_SIGHUP);
	session_table_reload();
	listen_reload();
	gateway_reload();
}

static Bus
deliver(void)
{
	for (int i = 0; i < TURN_MESSAGES; i++)
	{
		LinkMessage m;
		bool		more = false;

		if (!gateway_has_room())
			return BUS_UNREAD;
		switch (bus_next(&m, &more))
		{
			case BUS_MESSAGE:
				gateway_send(&m);
				break;
			case BUS_HOLE:
				send_covered(&m);
				break;
			case BUS_GATED:
				return more ? BUS_BUSY : BUS_WAITING;
			case BUS_IDLE:
				return more ? BUS_BUSY : BUS_EMPTY;
		}
	}
	return BUS_BUSY;
}

/* Gives a new gateway the past. */
static Bus
fill(void)
{
	static uint32 filled_generation = 0;
	static uint32 session = 0;
	uint32		generation;
	bool		ignored;
	LinkSession s;

	(void) gateway_socket(&generation, &ignored);
	if (generation != filled_generation)
	{
		filled_generation = generation;
		spool_sweep(rooms_history_window());
		session = 0;
		refill_begin();
	}
	while (gateway_has_room() && session_table_next(&session, &s))
		gateway_send_session(&s);
	for (int i = 0; i < TURN_MESSAGES; i++)
	{
		RefillEvent e;

		if (!gateway_has_room())
			return BUS_UNREAD;
		switch (refill_next(&e))
		{
			case REFILL_MESSAGE:
				gateway_send_history(e.age, &e.message);
				break;
			case REFILL_COVERED:
				gateway_send_covered(&e.position);
				break;
			case REFILL_MORE:
				return BUS_BUSY;
			case REFILL_END:
				/* Before any client: it may come back with the position that the last gateway knew. */
				position_sent = InvalidXLogRecPtr;
				tell_position();
				gateway_filled();
				return BUS_UNREAD;
		}
	}
	return BUS_BUSY;
}

static void
send_covered(const LinkMessage *hole)
{
	gateway_send_covered(&(LinkPosition) {.timeline = hole->timeline, .lsn = hole->lsn});
}

/* Once a second, so that the offsets of an idle client do not grow old. */
static void
send_position(int64 now)
{
	static int64 next = 0;

	if (now < next || !gateway_ready() || !gateway_has_room())
		return;
	next = now + POSITION_INTERVAL;
	tell_position();
}

static void
tell_position(void)
{
	TimeLineID	timeline;
	XLogRecPtr	lsn = bus_position(&timeline);

	if (rooms_recovery_window == 0 || lsn == position_sent)
		return;
	position_sent = lsn;
	gateway_send_position(&(LinkPosition) {.timeline = timeline, .lsn = lsn});
}

/* For rooms.position().  The xid is read after the position: see shared.h. */
static void
share_position(int64 now)
{
	static int64 next = 0;
	XLogRecPtr	lsn;
	TimeLineID	ignored;
	FullTransactionId latest;

	if (now < next)
		return;
	next = now + SNAPSHOT_INTERVAL;
	lsn = bus_position(&ignored);
	LWLockAcquire(ProcArrayLock, LW_SHARED);
	latest = TransamVariables->latestCompletedXid;
	LWLockRelease(ProcArrayLock);
	shared_add_position(lsn, U64FromFullTransactionId(latest));
}

/* True: something has happened on the link. */
static bool
sleep_until_needed(Bus bus)
{
	static WaitEventSet *set = NULL;
	static int	link_position;
	WaitEvent	events[2];
	int			count;
	bool		link_event = false;
	int64		now = worker_clock();
	long		timeout = bus_timeout(bus);
	long		other = gateway_timeout(now);

	timeout = timeout < 0 ? other : Min(timeout, other);
	other = listen_timeout(now);
	timeout = other < 0 ? timeout : Min(timeout, other);

	if (bus == BUS_EMPTY)
	{
		pg_atomic_write_u32(&rooms_shared->worker_sleeping, 1);
		pg_memory_barrier();
		if (!bus_drained())
			timeout = 0;
	}
	wait_events(&set, &link_position);
	count = WaitEventSetWait(set, timeout, events, lengthof(events), PG_WAIT_EXTENSION);
	pg_atomic_write_u32(&rooms_shared->worker_sleeping, 0);
	for (int i = 0; i < count; i++)
		link_event |= (events[i].events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) != 0;
	return link_event;
}

/* When the bus must be read again if nothing wakes us; -1: not until something does. */
static long
bus_timeout(Bus bus)
{
	static int	gated = 0;

	gated = bus == BUS_WAITING ? gated + 1 : 0;
	switch (bus)
	{
		case BUS_BUSY:
			return 0;
		case BUS_WAITING:
			return gated <= GATED_LONG ? POLL_GATED : POLL_GATED_LONG;
		case BUS_EMPTY:
			if (!RecoveryInProgress())
				return POLL_PRIMARY;
			return pg_atomic_read_u64(&rooms_shared->gateway_counters[COUNTER_CONNECTIONS]) > 0 ?
				POLL_STANDBY : POLL_STANDBY_IDLE;
		case BUS_UNREAD:
			break;
	}
	return -1;
}

/*
 * The latch, the postmaster, and the gateway's link.  A set cannot drop a
 * socket, so it is made anew with each link: closing the socket has taken it
 * out of the kernel's set already.
 */
static void
wait_events(WaitEventSet **set, int *link_position)
{
	static uint32 generation = 0;
	static pgsocket sock = PGINVALID_SOCKET;
	static bool writeable = false;
	uint32		new_generation;
	bool		blocked;
	pgsocket	new_sock = gateway_socket(&new_generation, &blocked);

	if (*set == NULL || new_generation != generation || new_sock != sock)
	{
		if (*set != NULL)
			FreeWaitEventSet(*set);
		*set = CreateWaitEventSet(NULL, 3);
		AddWaitEventToSet(*set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(*set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		if (new_sock != PGINVALID_SOCKET)
			*link_position = AddWaitEventToSet(*set, WL_SOCKET_READABLE, new_sock, NULL, NULL);
		generation = new_generation;
		sock = new_sock;
		writeable = false;
	}
	if (sock != PGINVALID_SOCKET && blocked != writeable)
	{
		ModifyWaitEvent(*set, *link_position, WL_SOCKET_READABLE | (blocked ? WL_SOCKET_WRITEABLE : 0), NULL);
		writeable = blocked;
	}
}

/*
 * gateway_process.c - supervises the gateway: one child, one link, one state.
 *
 *   DOWN      no process; start() when next_start has come
 *   STARTING  forked; HELLO, CONFIG, TIMELINES sent; takes the past (`filling`);
 *             then LISTEN is sent, and it must be READY in 10 s
 *   READY     takes messages; PING every second, must give a sign of life in 8 s
 *   ENDING    link closed; SIGTERM (half a second later if the gateway closed
 *             it and so must be about to exit), SIGKILL 2 s after that
 *
 * Any state falls back to DOWN when the child is reaped, and only then: there
 * is never a second gateway.  A gateway that had lived for 10 s is replaced
 * at once, a failure after another with a pause of 100 ms doubling to 5 s.
 *
 * Called by worker.c's loop.  A death is noticed by SIGCHLD (it sets the
 * latch) or by the end of the link, whichever is first.  The worker is the
 * one that reaps, by pid: a postmaster that is process 1 would take a stray
 * status for a crash.  At the worker's exit gateway_exit() takes the gateway
 * along; if the worker dies without that, the gateway's parent-death signal
 * and the end of the link do.
 *
 * What the gateway sends is not trusted: lengths are checked, and its texts
 * are tamed by gateway_log.c.  The worst it can do is to be replaced.  Errors
 * here are log lines; only lack of memory is an ERROR.
 *
 * Memory: everything is in the static struct, but for the configurations
 * (gateway_config.c).
 */
#include "postgres.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "port.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "backend/gateway_config.h"
#include "backend/gateway_link.h"
#include "backend/gateway_log.h"
#include "backend/gateway_process.h"
#include "backend/gateway_spawn.h"
#include "backend/inquiry.h"
#include "backend/session_table.h"
#include "backend/shared.h"
#include "backend/wal_reader.h"
#include "backend/worker.h"

/* All in ms. */
#define READY_TIMEOUT	10000
#define PING_INTERVAL	1000
#define PONG_TIMEOUT	8000
#define TERM_TIMEOUT	2000	/* from SIGTERM to SIGKILL: a hung gateway is gone after 11 s at most */
#define CLOSE_TIMEOUT	500		/* from the end of the link to SIGTERM */
#define EXIT_GRACE		400		/* at the worker's exit: from STOP to SIGTERM, and on to SIGKILL */
#define STABLE_AFTER	10000	/* lived as long: the next start is a first one */
#define BACKOFF_MIN		100
#define BACKOFF_MAX		5000

#define QUEUE_LIMIT		(256 * 1024)	/* bytes; more unsent: no room */
#define FRAMES_MAX		1000	/* read before the other duties are looked at */
#define SEND_AT			(64 * 1024) /* bytes worth a send() before the bus is empty */

typedef enum GatewayState
{
	GATEWAY_DOWN,
	GATEWAY_STARTING,
	GATEWAY_READY,
	GATEWAY_ENDING
} GatewayState;

static struct
{
	GatewayState state;
	pid_t		pid;			/* 0 when DOWN */
	GatewayLink link;
	uint32		generation;		/* counts links */
	bool		hello;			/* theirs has come, and its version is ours */
	bool		was_ready;		/* READY has come */
	bool		unread;			/* read_link() has left something */

	bool		filling;		/* STARTING: LISTEN is not sent yet */
	uint64		drain;			/* rooms_shared->drain, as it was last told */
	TimeLineID	timeline;		/* the newest that TIMELINES has told of */

	int64		started;
	int64		ready_by;		/* STARTING: its deadline */
	int64		next_start;
	int			failures;		/* starts in a row that did not last */
	int			signal;			/* ENDING: the next one to send, 0 after SIGKILL; when */
	int64		signal_at;

	int64		ping_at;
	uint64		ping;
	int64		silent_since;	/* a PING is unanswered since then; 0: none */
	int64		served;			/* when gateway_service() last ran */

	struct						/* for gateway_log_due() */
	{
		int64		spawn;
		int64		version;
		int64		ended;
	}			said;
} gw;

static volatile sig_atomic_t child_ended = false;	/* SIGCHLD has come */

static void start(int64 now);
static void send_timelines(void);
static void send_drain(void);
static void queued(void);
static void read_link(int64 now);
static bool handle_frame(const LinkFrame *frame, int64 now);
static bool handle_hello(Slice payload, int64 now);
static bool handle_ready(Slice payload);
static bool handle_refused(Slice payload);
static bool handle_stats(Slice payload);
static bool handle_session(Slice payload);
static void heartbeat(int64 now);
static void send_stats(void);
static void end(int64 now);
static void ending(int64 now, int grace);
static void next_signal(int64 now);
static void reap(int64 now);
static void gone(int64 now);
static void on_sigchld(SIGNAL_ARGS);
static void keep_last_sessions(void);
static void gateway_exit(int code, Datum arg);

void
gateway_init(void)
{
	gateway_config_init();
	gw.link.sock = PGINVALID_SOCKET;
	pqsignal(SIGCHLD, on_sigchld);
	on_proc_exit(gateway_exit, 0);
}

void
gateway_reload(void)
{
	int64		now = worker_clock();

	memset(&gw.said, 0, sizeof(gw.said));	/* somebody is at it: tell him what is wrong now */
	gateway_log_reload();
	gw.failures = 0;
	if (gw.state == GATEWAY_DOWN)
		gw.next_start = now;
	gateway_config_reload(now);
	if (gw.state == GATEWAY_READY)
	{
		gateway_config_offer(&gw.link);
		gateway_flush();
	}
}

void
gateway_listen(void)
{
	if (!gw.filling)
		gateway_link_listen(&gw.link);
	gateway_flush();
}

void
gateway_service(int64 now, bool link_event)
{
	if (link_event || gw.unread)
		read_link(now);
	if (child_ended && gw.state != GATEWAY_DOWN)
		reap(now);

	switch (gw.state)
	{
		case GATEWAY_DOWN:
			if (now >= gw.next_start)
				start(now);
			break;
		case GATEWAY_STARTING:
			if (gw.filling && (!gw.link.blocked || gw.link.progress))
				gw.ready_by = now + READY_TIMEOUT;	/* it is the reading of WAL that takes long */
			gw.link.progress = false;
			if (now >= gw.ready_by)
			{
				ereport(WARNING,
						(errmsg("pg_rooms: gateway (PID %d) is not ready after %d s, ending it",
								(int) gw.pid, READY_TIMEOUT / 1000)));
				end(now);
			}
			break;
		case GATEWAY_READY:
			send_drain();
			heartbeat(now);
			break;
		case GATEWAY_ENDING:
			next_signal(now);
			break;
	}
	gateway_flush();
	gw.served = now;
}

long
gateway_timeout(int64 now)
{
	int64		at = 0;

	if (gw.unread)
		return 0;
	switch (gw.state)
	{
		case GATEWAY_DOWN:
			at = gw.next_start;
			break;
		case GATEWAY_STARTING:
			at = gw.ready_by;
			break;
		case GATEWAY_READY:
			at = gw.ping_at;
			if (gw.silent_since != 0)
				at = Min(at, gw.silent_since + PONG_TIMEOUT);
			break;
		case GATEWAY_ENDING:
			at = gw.signal != 0 ? gw.signal_at : now + TERM_TIMEOUT;
			break;
	}
	return (long) Max(at - now, 0);
}

bool
gateway_ready(void)
{
	return gw.state == GATEWAY_READY;
}

bool
gateway_filling(void)
{
	return gw.state == GATEWAY_STARTING && gw.filling;
}

void
gateway_filled(void)
{
	Assert(gateway_filling());
	gw.filling = false;
	gw.ready_by = worker_clock() + READY_TIMEOUT;
	send_drain();
	gateway_link_listen(&gw.link);
	gateway_flush();
}

bool
gateway_has_room(void)
{
	return (gw.state == GATEWAY_READY || gateway_filling()) && gateway_link_queued(&gw.link) < QUEUE_LIMIT;
}

void
gateway_send(const LinkMessage *m)
{
	Assert(gateway_has_room());
	if (m->timeline != gw.timeline)
		send_timelines();
	gateway_link_message(&gw.link, m);
	queued();
}

void
gateway_send_history(uint32 age, const LinkMessage *m)
{
	Assert(gateway_has_room() && gateway_filling());
	gateway_link_history(&gw.link, age, m);
	queued();
}

void
gateway_send_covered(const LinkPosition *p)
{
	Assert(gateway_has_room());
	gateway_link_position(&gw.link, LINK_COVERED, p);
}

void
gateway_send_position(const LinkPosition *p)
{
	Assert(gateway_has_room());
	if (p->timeline != gw.timeline)
		send_timelines();
	gateway_link_position(&gw.link, LINK_POSITION, p);
}

void
gateway_send_session(const LinkSession *s)
{
	Assert(gateway_has_room() && gateway_filling());
	gateway_link_session(&gw.link, s);
	queued();
}

void
gateway_send_query(uint64 id, LinkQuery what)
{
	uint8		payload[LINK_QUERY_SIZE];

	Assert(gateway_has_room());
	link_query_encode(payload, id, what);
	gateway_link_frame(&gw.link, LINK_QUERY, slice(payload, sizeof(payload)));
}

/* A message of an older timeline may follow one of a newer: what waits may be from before a promotion. */
static void
send_timelines(void)
{
	uint32		count;
	LinkTimeline *list = wal_timelines(&count);

	if (gw.timeline != list[count - 1].timeline)
		gateway_link_timelines(&gw.link, list, count);
	gw.timeline = list[count - 1].timeline;
	pfree(list);
}

/* Of each call of rooms.drain(), and a new gateway of the last one. */
static void
send_drain(void)
{
	uint64		drain = pg_atomic_read_u64(&rooms_shared->drain);
	uint8		ms[4];

	if (drain == gw.drain)
		return;
	gw.drain = drain;
	write_u32(ms, (uint32) drain == 0 ? LINK_DRAIN_END : (uint32) drain - 1);
	gateway_link_frame(&gw.link, LINK_DRAIN, slice(ms, sizeof(ms)));
}

/* Something has been queued: is it worth a send()? */
static void
queued(void)
{
	if (gateway_link_queued(&gw.link) >= SEND_AT && !gw.link.blocked)
		gateway_flush();
}

/* A link that cannot be written to may still have a last word to be read. */
void
gateway_flush(void)
{
	if (!gateway_link_flush(&gw.link))
	{
		int64		now = worker_clock();

		read_link(now);
		if (gw.link.sock != PGINVALID_SOCKET)
			ending(now, CLOSE_TIMEOUT);
	}
}

pgsocket
gateway_socket(uint32 *generation, bool *blocked)
{
	*generation = gw.generation;
	*blocked = gw.link.blocked && gateway_link_queued(&gw.link) > 0;
	return gw.link.sock;
}

/* ---- start ---- */

static void
start(int64 now)
{
	pgsocket	sock;
	const char *what;
	int			error;
	uint8		hello[4 + sizeof(ROOMS_VERSION) - 1];

	gw.started = now;
	if (!gateway_config_ready(now))
	{
		gone(now);
		return;
	}

	error = gateway_spawn(&gw.pid, &sock, &what);
	if (error != 0)
	{
		gw.pid = 0;
		errno = error;
		if (gateway_log_due(&gw.said.spawn, now))
			ereport(WARNING,
					(errcode_for_file_access(),
					 errmsg("pg_rooms: could not start the gateway \"%s\": %s: %m", gateway_path(), what),
					 errhint("pg_rooms_gateway must be installed beside the running postgres executable; "
							 "\"make install\" of pg_rooms with this server's pg_config puts it there.")));
		gone(now);
		return;
	}

	gw.state = GATEWAY_STARTING;
	gw.hello = gw.was_ready = gw.unread = false;
	gw.silent_since = 0;
	gw.generation++;
	gateway_link_open(&gw.link, sock);
	pg_atomic_write_u32(&rooms_shared->gateway_pid, (uint32) gw.pid);
	pg_atomic_fetch_add_u64(&rooms_shared->worker_counters[COUNTER_GATEWAY_STARTS], 1);

	write_string(hello, SLICE_LITERAL(ROOMS_VERSION));
	gateway_link_frame(&gw.link, LINK_HELLO, slice(hello, sizeof(hello)));
	gateway_config_start(&gw.link, now);
	gw.timeline = 0;
	gw.drain = 0;
	send_timelines();
	gw.filling = true;
	gw.ready_by = now + READY_TIMEOUT;
}

/* ---- what the gateway says ---- */

/* Takes in all that has come, but not so much that a babbler could hold the worker. */
static void
read_link(int64 now)
{
	int			frames = 0;

	gw.unread = false;
	while (gw.link.sock != PGINVALID_SOCKET)
	{
		LinkFrame	frame;

		if (++frames > FRAMES_MAX)
		{
			gw.unread = true;
			return;
		}

		switch (gateway_link_read(&gw.link, &frame))
		{
			case GATEWAY_READ_NONE:
				return;
			case GATEWAY_READ_CLOSED:
				ending(now, CLOSE_TIMEOUT);
				return;
			case GATEWAY_READ_FRAME:
				gw.silent_since = 0;
				if (handle_frame(&frame, now))
					continue;
				break;
			case GATEWAY_READ_BAD:
				break;
		}
		if (gw.link.sock == PGINVALID_SOCKET)
			return;				/* the frame has ended it */
		ereport(WARNING,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("pg_rooms: gateway (PID %d) sent a malformed frame, ending it", (int) gw.pid)));
		end(now);
	}
}

/* False: not what a gateway may say now. */
static bool
handle_frame(const LinkFrame *frame, int64 now)
{
	if (frame->type == LINK_HELLO)
		return handle_hello(frame->payload, now);
	if (!gw.hello)
		return false;

	switch (frame->type)
	{
		case LINK_READY:
			return handle_ready(frame->payload);
		case LINK_REFUSED:
			return handle_refused(frame->payload);
		case LINK_PONG:
			return frame->payload.len == 8;
		case LINK_LOG:
			return gateway_log_frame(frame->payload, now);
		case LINK_STATS:
			return handle_stats(frame->payload);
		case LINK_SESSION:
			return handle_session(frame->payload);
		case LINK_ROWS:
			return inquiry_rows(frame->payload);
		default:
			return false;
	}
}

static bool
handle_hello(Slice payload, int64 now)
{
	Reader		r = reader(payload);
	Slice		version = read_string(&r);

	if (r.bad || reader_left(&r) != 0 || gw.hello)
		return false;
	if (!slice_equal(version, SLICE_LITERAL(ROOMS_VERSION)))
	{
		Dl_info		library;

		if (gateway_log_due(&gw.said.version, now))
			ereport(WARNING,
					(errmsg("pg_rooms: gateway \"%s\" is of version %s, but library \"%s\" is of version %s",
							gateway_path(), gateway_printable(version),
							dladdr(&gw, &library) && library.dli_fname ? library.dli_fname : "pg_rooms",
							ROOMS_VERSION),
					 errhint("Install both from the same build of pg_rooms, then restart PostgreSQL.")));
		end(now);
		return true;
	}
	gw.hello = true;
	return true;
}

static bool
handle_ready(Slice payload)
{
	Reader		r = reader(payload);
	uint32		number = read_u32(&r);

	if (r.bad || reader_left(&r) != 0 || gateway_filling())
		return false;
	gateway_config_taken(number);
	if (gw.state == GATEWAY_STARTING)
	{
		gw.state = GATEWAY_READY;
		gw.was_ready = true;
		gw.ping_at = gw.started;
		memset(&gw.said, 0, sizeof(gw.said));
		ereport(LOG, (errmsg("pg_rooms: gateway is ready (PID %d)", (int) gw.pid)));
	}
	gateway_config_offer(&gw.link); /* what was read meanwhile */
	return true;
}

static bool
handle_refused(Slice payload)
{
	Reader		r = reader(payload);
	uint32		number = read_u32(&r);

	if (r.bad || reader_left(&r) != 0 || gw.state != GATEWAY_READY)
		return false;
	gateway_config_refused(number);
	gateway_config_offer(&gw.link);
	return true;
}

static bool
handle_stats(Slice payload)
{
	Reader		r = reader(payload);

	if (payload.len != 8 * GATEWAY_COUNTER_COUNT)
		return false;
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		pg_atomic_write_u64(&rooms_shared->gateway_counters[i], read_u64(&r));
	return true;
}

static bool
handle_session(Slice payload)
{
	LinkSession s;

	if (link_session_decode(payload, &s) != WIRE_OK)
		return false;
	session_table_change(&s);
	return true;
}

/* ---- life and death ---- */

/*
 * Any frame, or room made in a full link, is a sign of life: under load the
 * PONG itself may be far behind in a queue of messages that are being served.
 */
static void
heartbeat(int64 now)
{
	if (gw.link.progress)
		gw.silent_since = 0;
	gw.link.progress = false;

	/* If it is us who were stopped or starved, its silence says nothing. */
	if (gw.silent_since != 0 && now - gw.served > PONG_TIMEOUT / 2)
		gw.silent_since = now;

	if (gw.silent_since != 0 && now - gw.silent_since >= PONG_TIMEOUT)
	{
		ereport(WARNING,
				(errmsg("pg_rooms: gateway (PID %d) has not answered for %d s, ending it",
						(int) gw.pid, PONG_TIMEOUT / 1000)));
		end(now);
		return;
	}

	if (now >= gw.ping_at)
	{
		uint8		number[8];

		write_u64(number, ++gw.ping);
		gateway_link_frame(&gw.link, LINK_PING, slice(number, sizeof(number)));
		send_stats();
		gw.ping_at = now + PING_INTERVAL;
		if (gw.silent_since == 0)
			gw.silent_since = now;
	}
}

/* For /metrics. */
static void
send_stats(void)
{
	uint8		payload[8 * WORKER_COUNTER_COUNT];
	uint8	   *at = payload;

	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		at = write_u64(at, pg_atomic_read_u64(&rooms_shared->worker_counters[i]));
	gateway_link_frame(&gw.link, LINK_STATS, slice(payload, sizeof(payload)));
}

/* Ends the gateway, which is to blame. */
static void
end(int64 now)
{
	ending(now, 0);
	next_signal(now);
}

/* The one way from a living gateway towards DOWN; SIGTERM follows in `grace` ms. */
static void
ending(int64 now, int grace)
{
	gateway_link_close(&gw.link);
	if (gw.state == GATEWAY_DOWN || gw.state == GATEWAY_ENDING)
		return;
	gw.state = GATEWAY_ENDING;
	gw.signal = SIGTERM;
	gw.signal_at = now + grace;
}

static void
next_signal(int64 now)
{
	if (gw.signal == 0 || gw.pid == 0 || now < gw.signal_at)
		return;
	kill(gw.pid, gw.signal);
	gw.signal = gw.signal == SIGTERM ? SIGKILL : 0;
	gw.signal_at = now + TERM_TIMEOUT;
}

static void
reap(int64 now)
{
	pid_t		pid = gw.pid;
	int			status;
	pid_t		result;
	char	   *how;

	child_ended = false;		/* first: another may come any time */
	result = waitpid(pid, &status, WNOHANG);
	if (result == 0 || (result < 0 && errno == EINTR))
		return;

	gw.pid = 0;					/* never to be signalled again */
	do
		read_link(now);			/* what it wrote last, all of it */
	while (gw.unread);
	how = result > 0 ? wait_result_to_str(status) : pstrdup("it is no longer our child");
	/* One that could not even start has said why, and so will the next. */
	ereport(gw.was_ready || gateway_log_due(&gw.said.ended, now) ? LOG : DEBUG1,
			(errmsg("pg_rooms: gateway (PID %d) has ended: %s", (int) pid, how)));
	pfree(how);
	gateway_config_ended(gw.hello && !gw.was_ready);
	gone(now);
}

/* There is no gateway (any more): plans the next start. */
static void
gone(int64 now)
{
	gateway_link_close(&gw.link);
	gw.pid = 0;
	gw.unread = false;
	gw.state = GATEWAY_DOWN;
	pg_atomic_write_u32(&rooms_shared->gateway_pid, 0);
	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		pg_atomic_write_u64(&rooms_shared->gateway_counters[i], 0);

	if (now - gw.started >= STABLE_AFTER)
		gw.failures = 0;
	gw.next_start = now;
	if (gw.failures > 0)
		gw.next_start += Min(BACKOFF_MIN << Min(gw.failures - 1, 16), BACKOFF_MAX);
	gw.failures++;
}

static void
on_sigchld(SIGNAL_ARGS)
{
	int			save_errno = errno;

	child_ended = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* What it said of sessions and has not been read, for the next worker; all else is over. */
static void
keep_last_sessions(void)
{
	LinkFrame	frame;
	LinkSession s;

	while (gateway_link_read(&gw.link, &frame) == GATEWAY_READ_FRAME)
	{
		if (frame.type == LINK_SESSION && link_session_decode(frame.payload, &s) == WIRE_OK)
			session_table_change(&s);
	}
}

/* on_proc_exit: asks politely, then less so; within a second it is gone. */
static void
gateway_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	static const int signals[] = {SIGTERM, SIGKILL, 0};

	if (gw.pid == 0)
		return;
	gateway_link_frame(&gw.link, LINK_STOP, (Slice) {0});
	(void) !gateway_link_flush(&gw.link);
	if (gw.link.sock != PGINVALID_SOCKET)
		shutdown(gw.link.sock, SHUT_WR);

	for (size_t i = 0; i < lengthof(signals); i++)
	{
		int64		until = worker_clock() + (signals[i] == 0 ? EXIT_GRACE / 2 : EXIT_GRACE);

		do
		{
			pid_t		pid = waitpid(gw.pid, NULL, WNOHANG);

			keep_last_sessions();
			if (pid == gw.pid || (pid < 0 && errno != EINTR))
				return;
			pg_usleep(2000);
		} while (worker_clock() < until);
		if (signals[i] != 0)
			kill(gw.pid, signals[i]);
	}
}

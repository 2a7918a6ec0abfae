/*
 * main.c - the gateway's process: start, parts, loop, end.
 *
 * Started by the worker (backend/gateway_process.c) with a socketpair on
 * LINK_FD and nothing else: no arguments, no environment to speak of.  All it
 * knows comes over the link.  One thread, one uv loop; this file owns the
 * parts and joins them: the link's frames go to the core and the listener,
 * the core's questions (random bytes, may this token in?) are answered here.
 *
 * A turn of the loop: link and client input is dispatched as it comes; before
 * the loop waits again server_flush() writes everything that was queued, once
 * per client.
 *
 * It ends by itself, with status 0 or 1 only (a postmaster that is process 1
 * of a container takes other statuses of strays for a crash of its own): when
 * the link closes, on STOP, on SIGTERM (also the parent-death signal), when a
 * setting cannot work at start, or by the watchdog.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <openssl/sha.h>
#include <uv.h>

#include "core/call.h"
#include "core/inspect.h"
#include "core/latency.h"
#include "core/recovery.h"
#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/handlers.h"
#include "gateway/listener.h"
#include "gateway/log.h"
#include "gateway/recv_guard.h"
#include "gateway/sandbox.h"
#include "gateway/watchdog.h"
#include "gateway/worker_link.h"

#define MAX_FILES			(1 << 20)	/* tables are indexed by descriptor */
#define MAX_NAMESPACES		256
#define WATCHDOG_S			10
#define STATS_MS			1000
#define MISSED_LOG_MS		60000	/* between two log lines about the same */
#define UNSENT_MAX			1024	/* transactions of one turn whose latency is measured */
#define CLIENTS_PER_REST_MS	250		/* a millisecond of rest for so many clients that were written to ... */
#define REST_MAX_MS			4
#define FAREWELL_TICK_MS	20
#define FAREWELL_TICKS		25		/* half a second for clients to be hung up on */

typedef struct Gateway
{
	uv_loop_t	loop;
	uv_prepare_t flush;
	uv_timer_t	tick;			/* the core's timers: set for tick_at */
	uint64_t	tick_at;
	uv_timer_t	second;			/* statistics, watchdog, the core's clock */
	uv_timer_t	farewell;		/* waits for connections to close at the end */
	uv_signal_t sigterm;
	WorkerLink *link;
	Listener   *listener;
	Handlers   *handlers;
	Server	   *server;			/* NULL until the first CONFIG */
	uint32_t	config_number;	/* of the CONFIG in force */
	Auth	   *auth;
	bool		listening;
	bool		leaving;
	uint64_t	missed_logged[MISSED_KINDS];
	int64_t		committed;		/* when the transaction of the next message did; 0: not known, or measured */
	int64_t		unsent[UNSENT_MAX]; /* ... of messages since the last flush */
	uint32_t	unsent_count;
	Latency		latency;		/* from there to the flush */
	uint64_t	worker_counters[WORKER_COUNTER_COUNT];
	int			farewell_ticks;
	int			status;
} Gateway;

static void process_follow_parent(void);
static rlim_t process_raise_files(void);
static void process_unblock_sigterm(void);
static void gateway_start(Gateway *g);
static void gateway_leave(Gateway *g, int status);
static void gateway_destroy(Gateway *g);
static void gateway_fail(Gateway *g, const char *what, const char *error, const char *hint);

static void on_config(void *ctx, uint32_t number, Slice settings);
static void on_listen(void *ctx, const int *fds, int count);
static void on_message(void *ctx, const LinkMessage *m);
static void on_timelines(void *ctx, LinkTimelines list);
static void on_covered(void *ctx, const LinkPosition *p);
static void on_history(void *ctx, uint32_t age, const LinkMessage *m);
static void on_position(void *ctx, const LinkPosition *p);
static void on_session(void *ctx, Slice key, Slice value);
static void on_committed(void *ctx, int64_t at);
static void on_worker_stats(void *ctx, const uint64_t *counters);
static void on_query(void *ctx, uint64_t id, LinkQuery what);
static void on_drain(void *ctx, uint32_t ms);
static void on_stop(void *ctx);
static void on_link_closed(void *ctx, bool failed);
static void on_sigterm(uv_signal_t *handle, int signum);
static void on_flush(uv_prepare_t *handle);
static void set_tick(Gateway *g, uint64_t at);
static void on_tick(uv_timer_t *timer);
static const uint64_t *gateway_counters(Gateway *g);
static void on_second(uv_timer_t *timer);
static void on_farewell(uv_timer_t *timer);

static bool config_apply(Gateway *g, uint32_t number, const Config *c);
static void config_refuse(Gateway *g, uint32_t number, const char *what, const char *error, const char *hint);
static void config_apply_namespaces(Server *s, const char *list);
static void hook_random(void *ctx, uint8_t *out, size_t n);
static bool still_good(void *ctx, const Identity *id);
static void hook_call_waiting(void *ctx);
static void hook_rules_changed(void *ctx);
static void hook_missed(void *ctx, MissedKind why);
static void hook_socket_log(void *ctx, const Socket *socket, const char *reason);
static int64_t wall_clock_us(void);
static void measure_latency(Gateway *g);
static void hook_digest(void *ctx, Slice secret, uint8_t out[32]);
static bool hook_session_table(void *ctx, Slice key, Slice value);
static bool hook_authorize(void *ctx, const Session *s, Slice auth, Identity *id, ConnectError *err);

int
main(void)
{
	static Gateway gateway;		/* zeroed */
	Gateway    *g = &gateway;

	process_follow_parent();
	sandbox_harden();
	signal(SIGPIPE, SIG_IGN);
	if (!guard_init(process_raise_files()))
	{
		fprintf(stderr, "pg_rooms gateway: built so that recv() is not its own, refusing to run\n");
		return 1;
	}
	gateway_start(g);
	process_unblock_sigterm();
	if (!g->leaving)
		uv_run(&g->loop, UV_RUN_DEFAULT);
	if (g->link)
		worker_link_drain(g->link);
#if defined(__SANITIZE_ADDRESS__) || defined(ROOMS_CLEAN_EXIT)
	/* Only here does a leak mean anything. */
	gateway_destroy(g);
	return g->status;
#else
	(void) gateway_destroy;
	_exit(g->status);
#endif
}

/* ---- the process ---- */

/* Gone with the worker. */
static void
process_follow_parent(void)
{
	pid_t		parent = getppid();

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);				/* it died before the signal was asked for */
}

/* As many as the system lets us; libwebsockets sizes its tables by the limit. */
static rlim_t
process_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return 1024;
	files.rlim_cur = files.rlim_max < MAX_FILES ? files.rlim_max : MAX_FILES;
	setrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur;
}

/* The worker starts us with it blocked: until now nothing would have handled it. */
static void
process_unblock_sigterm(void)
{
	sigset_t	all;

	sigemptyset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

/* ---- start and end ---- */

static void
gateway_start(Gateway *g)
{
	const WorkerLinkHandlers handlers = {.ctx = g,.config = on_config,.listen = on_listen,
		.message = on_message,.timelines = on_timelines,.covered = on_covered,.history = on_history,
		.position = on_position,.session = on_session,.query = on_query,.drain = on_drain,
		.committed = on_committed,.stats = on_worker_stats,.stop = on_stop,.closed = on_link_closed};
	const char *error;
	const char *hint;

	uv_loop_init(&g->loop);
	uv_prepare_init(&g->loop, &g->flush);
	uv_timer_init(&g->loop, &g->tick);
	uv_timer_init(&g->loop, &g->second);
	uv_timer_init(&g->loop, &g->farewell);
	uv_signal_init(&g->loop, &g->sigterm);
	g->flush.data = g->tick.data = g->second.data = g->farewell.data = g->sigterm.data = g;
	uv_signal_start(&g->sigterm, on_sigterm, SIGTERM);

	g->link = worker_link_new(&g->loop, LINK_FD, &handlers);
	if (!g->link)
	{
		log_message(LINK_LOG_FATAL, "It is started by the pg_rooms worker of a PostgreSQL server.",
					"there is no link to a worker");
		gateway_leave(g, 1);
		return;
	}
	g->listener = listener_new(&g->loop, &error, &hint);
	if (!g->listener)
	{
		gateway_fail(g, "could not start the listener", error, hint);
		return;
	}
	g->handlers = handlers_new(&g->loop);
	uv_prepare_start(&g->flush, on_flush);
	uv_timer_start(&g->second, on_second, STATS_MS, STATS_MS);
	watchdog_start(WATCHDOG_S);
}

static void
gateway_fail(Gateway *g, const char *what, const char *error, const char *hint)
{
	log_message(LINK_LOG_FATAL, hint, "%s: %s", what, error);
	gateway_leave(g, 1);
}

/*
 * Hangs up on all clients, without a DISCONNECT packet: they are to come back
 * to the next gateway by themselves.  The loop ends when they are gone, or
 * soon in any case.
 */
static void
gateway_leave(Gateway *g, int status)
{
	if (g->leaving)
		return;
	g->leaving = true;
	g->status = status;
	if (!g->listener)
	{
		uv_stop(&g->loop);
		return;
	}
	listener_listen(g->listener, NULL, 0);
	if (g->server)
		server_shutdown(g->server);
	uv_timer_start(&g->farewell, on_farewell, 0, FAREWELL_TICK_MS);
}

static void
on_farewell(uv_timer_t *timer)
{
	Gateway    *g = timer->data;

	/* What clients had sent, and on_disconnect, may still run. */
	if ((listener_connections(g->listener) == 0 && handlers_quiet(g->handlers)) ||
		++g->farewell_ticks > FAREWELL_TICKS)
		uv_stop(&g->loop);
}

static void
gateway_destroy(Gateway *g)
{
	if (g->listener)
		listener_close(g->listener);
	if (g->handlers)
		handlers_close(g->handlers);
	if (g->link)
		worker_link_free(g->link);
	uv_close((uv_handle_t *) &g->flush, NULL);
	uv_close((uv_handle_t *) &g->tick, NULL);
	uv_close((uv_handle_t *) &g->second, NULL);
	uv_close((uv_handle_t *) &g->farewell, NULL);
	uv_close((uv_handle_t *) &g->sigterm, NULL);
	for (int i = 0; i < 10; i++)
		uv_run(&g->loop, UV_RUN_NOWAIT);
	if (g->listener)
		listener_free(g->listener);
	if (g->server)
		server_free(g->server);
	if (g->handlers)
		handlers_free(g->handlers);
	if (g->auth)
		auth_free(g->auth);
	for (int i = 0; i < 10; i++)
		uv_run(&g->loop, UV_RUN_NOWAIT);
	uv_loop_close(&g->loop);
}

/* ---- from the worker ---- */

static void
on_config(void *ctx, uint32_t number, Slice settings)
{
	Gateway    *g = ctx;
	Config		c;
	const char *error;

	if (g->leaving)
		return;
	if (!config_parse(&c, settings, &error))
		config_refuse(g, number, "bad configuration", error, "The gateway and the library must be of one build.");
	else if (config_apply(g, number, &c) && g->listening)
	{
		worker_link_ready(g->link, number);
		log_message(LINK_LOG_INFO, NULL, "the configuration is reloaded");
	}
	config_clear(&c);
}

/* False: a setting cannot work, or only in a new process. */
static bool
config_apply(Gateway *g, uint32_t number, const Config *c)
{
	const char *error = NULL;
	const char *warning = NULL;
	const char *what = "could not use the keys for tokens";
	const char *hint = "Check the files of pg_rooms.jwt_public_key_file and pg_rooms.jwt_jwks_file.";
	Auth	   *auth = auth_new(&c->auth, &error, &warning);

	if (auth && !handlers_check(&c->handlers, &error))
	{
		auth_free(auth);
		auth = NULL;
		what = "could not use pg_rooms.handler_conninfo";
		hint = "Use a URI, postgresql://user@host/database, or key=value pairs.";
	}
	if (auth && !listener_configure(g->listener, c, &what, &error, &hint))
	{
		auth_free(auth);
		auth = NULL;
	}
	if (!auth)
	{
		config_refuse(g, number, what, error, hint);
		return false;
	}
	if (warning)
		log_message(LINK_LOG_WARNING,
					"Add pg_rooms.jwt_secret = '...' (32 bytes or more, as from \"openssl rand -hex 32\") to postgresql.conf and reload, "
					"or set jwt_secret_file, jwt_public_key_file or jwt_jwks_file.",
					"%s", warning);
	if (g->auth)
		auth_free(g->auth);
	g->auth = auth;
	if (g->server)
	{
		server_configure(g->server, &c->server);
		/* Whose token the new keys would not let in is to show another. */
		server_recheck(g->server, still_good, g);
	}
	else
	{
		ServerHooks hooks = {.ctx = g,.random = hook_random,.authorize = hook_authorize,
			.call_waiting = hook_call_waiting,.rules_changed = hook_rules_changed,.missed = hook_missed,
			.socket_log = hook_socket_log,
			.digest = hook_digest,.session_table = hook_session_table};

		listener_hooks(&hooks);
		g->server = server_new(&c->server, &hooks, uv_now(&g->loop));
		listener_set_server(g->listener, g->server);
		listener_set_worker_counters(g->listener, g->worker_counters);
	}
	config_apply_namespaces(g->server, c->namespaces);
	handlers_configure(g->handlers, g->server, &c->handlers);
	g->config_number = number;
	/* From here on the process is locked in; the first client comes after it. */
	if (!sandbox_apply(c))
	{
		log_message(LINK_LOG_INFO, "Clients come back by themselves.",
					"the gateway starts anew: its sandbox cannot be changed to fit pg_rooms.document_root or pg_rooms.sandbox");
		gateway_leave(g, 0);
		return false;
	}
	return true;
}

/* The first one ends the gateway; of a later one nothing takes effect. */
static void
config_refuse(Gateway *g, uint32_t number, const char *what, const char *error, const char *hint)
{
	if (!g->server)
	{
		gateway_fail(g, what, error, hint);
		return;
	}
	log_message(LINK_LOG_WARNING, hint, "%s, the configuration stays as it was: %s", what, error);
	worker_link_refused(g->link, number);
}

static void
config_apply_namespaces(Server *s, const char *list)
{
	Slice		names[MAX_NAMESPACES];
	uint32_t	count = 0;

	while (*list && count < MAX_NAMESPACES)
	{
		size_t		len;

		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (len > 0)
			names[count++] = slice(list, len);
		list += len;
	}
	server_set_namespaces(s, names, count);
}

static void
on_listen(void *ctx, const int *fds, int count)
{
	Gateway    *g = ctx;

	if (g->leaving || !g->server)
	{
		for (int i = 0; i < count; i++)
			close(fds[i]);
		if (!g->leaving)
			gateway_fail(g, "bad order of frames", "LISTEN came before CONFIG", NULL);
		return;
	}
	listener_listen(g->listener, fds, count);
	g->listening = true;
	worker_link_ready(g->link, g->config_number);
}

static void
log_malformed(const LinkMessage *m)
{
	log_message(LINK_LOG_WARNING, "The gateway and the library must be of one build.",
				"ignored a malformed message of transaction %llu", (unsigned long long) m->xid);
}

static void
on_message(void *ctx, const LinkMessage *m)
{
	Gateway    *g = ctx;

	if (!g->server || g->leaving)
		return;
	if (server_message(g->server, m, uv_now(&g->loop)) != WIRE_OK)
		log_malformed(m);
	if (g->committed != 0 && g->unsent_count < UNSENT_MAX)
		g->unsent[g->unsent_count++] = g->committed;
	g->committed = 0;
}

static void
on_committed(void *ctx, int64_t at)
{
	((Gateway *) ctx)->committed = at;
}

static void
on_worker_stats(void *ctx, const uint64_t *counters)
{
	Gateway    *g = ctx;

	memcpy(g->worker_counters, counters, sizeof(g->worker_counters));
}

/* What follows is for clients that come back. */

static void
on_timelines(void *ctx, LinkTimelines list)
{
	Gateway    *g = ctx;

	if (g->server)
		server_set_timelines(g->server, list);
}

static void
on_covered(void *ctx, const LinkPosition *p)
{
	Gateway    *g = ctx;

	if (g->server && !g->leaving)
		server_covered(g->server, p, uv_now(&g->loop));
}

static void
on_history(void *ctx, uint32_t age, const LinkMessage *m)
{
	Gateway    *g = ctx;

	if (!g->server || g->leaving)
		return;
	if (server_history(g->server, age, m, uv_now(&g->loop)) != WIRE_OK)
		log_malformed(m);
}

static void
on_position(void *ctx, const LinkPosition *p)
{
	Gateway    *g = ctx;

	if (g->server)
		server_position(g->server, p);
}

static void
on_session(void *ctx, Slice key, Slice value)
{
	Gateway    *g = ctx;

	if (g->server && server_session(g->server, key, value, uv_now(&g->loop)) != WIRE_OK)
		log_message(LINK_LOG_DEBUG, NULL, "ignored a malformed entry of the session table");
}

static void
on_query(void *ctx, uint64_t id, LinkQuery what)
{
	Gateway    *g = ctx;
	uint8_t		bytes[LINK_MAX_ROWS];
	bool		more = false;
	size_t		len = 0;

	if (g->server)
		len = server_inspect(g->server, id, what, bytes, sizeof(bytes), &more);
	worker_link_rows(g->link, id, more, slice(bytes, len));
}

static void
on_drain(void *ctx, uint32_t ms)
{
	Gateway    *g = ctx;

	if (!g->server || g->leaving)
		return;
	if (ms == LINK_DRAIN_END)
	{
		if (server_draining(g->server))
			log_message(LINK_LOG_INFO, NULL, "the gateway takes new connections again");
		server_drain_end(g->server);
	}
	else
	{
		uint32_t	count = server_drain(g->server, ms, uv_now(&g->loop));

		log_message(LINK_LOG_INFO, "SELECT rooms.drain(NULL) ends it.",
					"the gateway is draining: it closes %u connections within %.1f s and takes no new ones", count, ms / 1000.0);
	}
}

static void
on_stop(void *ctx)
{
	gateway_leave(ctx, 0);
}

static void
on_link_closed(void *ctx, bool failed)
{
	gateway_leave(ctx, failed ? 1 : 0);
}

static void
on_sigterm(uv_signal_t *handle, int signum)
{
	(void) signum;
	gateway_leave(handle->data, 0);
}

/* ---- the loop ---- */

static void
on_flush(uv_prepare_t *handle)
{
	Gateway    *g = handle->data;
	uint64_t	rest;

	if (!g->server)
		return;
	handlers_run(g->handlers);

	/*
	 * A write costs some 5 us however much is in it.  After one to everybody
	 * in a large room the bus rests a little: what is committed meanwhile goes
	 * out in the same writes, and a room that is busy all the time costs less.
	 */
	rest = server_flush(g->server) / CLIENTS_PER_REST_MS;
	if (rest > 0)
		worker_link_rest(g->link, rest < REST_MAX_MS ? rest : REST_MAX_MS);
	measure_latency(g);
	set_tick(g, server_next_tick(g->server));
}

/* All that was received before this flush is now in the transports' hands. */
static void
measure_latency(Gateway *g)
{
	int64_t		now = g->unsent_count > 0 ? wall_clock_us() : 0;

	for (uint32_t i = 0; i < g->unsent_count; i++)
		latency_add(&g->latency, now > g->unsent[i] ? (uint64_t) (now - g->unsent[i]) : 0, uv_now(&g->loop));
	g->unsent_count = 0;
}

static int64_t
wall_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
set_tick(Gateway *g, uint64_t at)
{
	uint64_t	now = uv_now(&g->loop);

	if (at == g->tick_at)
		return;
	g->tick_at = at;
	if (at == TIMER_NEVER)
		uv_timer_stop(&g->tick);
	else
		uv_timer_start(&g->tick, on_tick, at > now ? at - now : 0, 0);
}

static void
on_tick(uv_timer_t *timer)
{
	Gateway    *g = timer->data;

	server_tick(g->server, uv_now(&g->loop));
}

static const uint64_t *
gateway_counters(Gateway *g)
{
	uint64_t	now = uv_now(&g->loop);
	uint64_t   *counters = server_counters(g->server);

	counters[COUNTER_LATENCY_P50] = latency_quantile(&g->latency, 500, now);
	counters[COUNTER_LATENCY_P95] = latency_quantile(&g->latency, 950, now);
	counters[COUNTER_LATENCY_P99] = latency_quantile(&g->latency, 990, now);
	counters[COUNTER_LATENCY_COUNT] = g->latency.count;
	counters[COUNTER_LATENCY_SUM] = g->latency.sum;
	return counters;
}

static void
on_second(uv_timer_t *timer)
{
	Gateway    *g = timer->data;

	watchdog_tick();
	if (!g->server || g->leaving)
		return;
	server_tick(g->server, uv_now(&g->loop));
	listener_tick(g->listener);
	worker_link_stats(g->link, gateway_counters(g));
}

/* ---- the core's questions ---- */

static void
hook_random(void *ctx, uint8_t *out, size_t n)
{
	(void) ctx;
	while (n > 0)
	{
		ssize_t		got = getrandom(out, n, 0);

		if (got < 0 && errno != EINTR)
		{
			log_message(LINK_LOG_FATAL, NULL, "no random numbers: %s", strerror(errno));
			_exit(1);
		}
		if (got > 0)
		{
			out += got;
			n -= (size_t) got;
		}
	}
}

static bool
hook_authorize(void *ctx, const Session *s, Slice auth, Identity *id, ConnectError *err)
{
	Gateway    *g = ctx;

	return auth_connect(g->auth, auth, session_peer(s)->authorization, wall_clock_us() / 1000, id, err);
}

static void
hook_call_waiting(void *ctx)
{
	Gateway    *g = ctx;

	handlers_wake(g->handlers);
}

static void
hook_rules_changed(void *ctx)
{
	Gateway    *g = ctx;

	handlers_rules_changed(g->handlers);
}

static void
hook_digest(void *ctx, Slice secret, uint8_t out[32])
{
	(void) ctx;
	SHA256(secret.data, secret.len, out);
}

static bool
hook_session_table(void *ctx, Slice key, Slice value)
{
	Gateway    *g = ctx;

	return value.len > 0 ? worker_link_session_set(g->link, key, value) : worker_link_session_remove(g->link, key);
}

/* The ids are a client's, or whoever's who signs tokens: quoted, they cannot look like other fields. */
static void
hook_socket_log(void *ctx, const Socket *socket, const char *reason)
{
	const Caller *caller = socket->caller;
	const SessionPeer *peer = session_peer(socket->session);
	int64_t		duration = wall_clock_us() / 1000 - peer->issued;
	Text		who = {0};

	(void) ctx;
	text_add_string(&who, "user=");
	text_add_json(&who, slice_cstring(caller->identity.user_id ? caller->identity.user_id : ""));
	text_add_string(&who, " tenant=");
	text_add_json(&who, slice_cstring(caller->identity.tenant_id ? caller->identity.tenant_id : ""));
	if (reason == NULL)
		log_message(LINK_LOG_CONNECTION, NULL, "connected: sid=%s address=%.*s namespace=%s transport=%s %.*s", caller->sid,
					(int) peer->address.len, (const char *) peer->address.data, caller->nsp,
					socket->session->transport == TRANSPORT_WEBSOCKET ? "websocket" : "polling",
					(int) who.len, (const char *) who.bytes);
	else
		log_message(LINK_LOG_CONNECTION, NULL, "disconnected: sid=%s address=%.*s namespace=%s reason=\"%s\" duration=%lld.%03d s %.*s",
					caller->sid, (int) peer->address.len, (const char *) peer->address.data, caller->nsp, reason,
					(long long) (duration > 0 ? duration / 1000 : 0), (int) (duration > 0 ? duration % 1000 : 0),
					(int) who.len, (const char *) who.bytes);
	text_free(&who);
}

static void
hook_missed(void *ctx, MissedKind why)
{
	static const char *const texts[MISSED_KINDS][2] = {
		[MISSED_GAP] = {"a client came back and was not recovered: what it has missed is not in the history any more, or was on its way",
		"If it happens often, raise pg_rooms.history_size."},
		[MISSED_WINDOW] = {"a client came back and was not recovered: it was away for longer than pg_rooms.recovery_window",
		"If it happens often, raise pg_rooms.recovery_window."},
		[MISSED_SINCE] = {"a client asked for messages of a room since a position that the history does not reach back to",
		"If it happens often, raise pg_rooms.recovery_window and pg_rooms.history_size."}
	};
	Gateway    *g = ctx;
	uint64_t	now = uv_now(&g->loop);

	if (g->missed_logged[why] != 0 && now < g->missed_logged[why] + MISSED_LOG_MS)
		return;
	g->missed_logged[why] = now;
	log_message(LINK_LOG_INFO, texts[why][1], "%s", texts[why][0]);
}

static bool
still_good(void *ctx, const Identity *id)
{
	Gateway    *g = ctx;

	return auth_still_good(g->auth, id->key);
}

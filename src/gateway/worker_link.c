/*
 * worker_link.c - frames from and to the worker, on the event loop.
 *
 * Reading: one recvmsg() of up to READ_CHUNK per wake-up, then every complete
 * frame in the buffer is dispatched; main.c flushes all sessions once per
 * loop turn, so messages that came together leave together.  The buffer grows
 * only as far as the frame that is being read needs, and shrinks again after
 * a large one.  Listening sockets arrive as SCM_RIGHTS at or before the first
 * byte of their LISTEN frame.
 *
 * Writing: at once if the socket takes it, else buffered up to OUT_MAX.  A
 * worker that reads nothing misses log lines and statistics, which is its
 * loss; it will notice by the missing PONG.
 *
 * Ends: the worker hung up, or sent what is no frame or another version.
 * handlers.closed() is called once, and main.c leaves.
 */
#include "gateway/worker_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "gateway/log.h"

#define READ_CHUNK	(256u * 1024)
#define OUT_MAX		(8u * 1024 * 1024)	/* all clients may come at once, each with a SESSION */

struct WorkerLink
{
	uv_poll_t	poll;
	int			fd;
	bool		greeted;		/* the worker's HELLO has come */
	bool		over;
	uv_timer_t	rest;			/* while it is active nothing is read */
	bool		was_read;		/* since the last rest */
	WorkerLinkHandlers handlers;

	uint8_t    *in;
	size_t		in_len;
	size_t		in_space;
	int			fds[LINK_MAX_LISTEN];	/* received, waiting for their LISTEN */
	int			fd_count;

	uint8_t    *out;
	size_t		out_len;
	size_t		out_space;
};

static void link_event(uv_poll_t *poll, int status, int events);
static void link_watch(WorkerLink *l);
static void link_rested(uv_timer_t *rest);
static bool link_read(WorkerLink *l);
static bool link_take_fds(WorkerLink *l, struct msghdr *msg);
static void link_dispatch(WorkerLink *l);
static bool link_frame(WorkerLink *l, const LinkFrame *f);
static bool link_hello(WorkerLink *l, Slice payload);
static bool link_config(WorkerLink *l, Slice payload);
static bool link_listen(WorkerLink *l, Slice payload);
static bool link_drain(WorkerLink *l, Slice payload);
static bool link_stats(WorkerLink *l, Slice payload);
static bool link_past(WorkerLink *l, const LinkFrame *f);
static bool link_session(WorkerLink *l, const LinkSession *s);
static void link_reserve(WorkerLink *l, size_t space);
static void link_end(WorkerLink *l, const char *failure, const char *hint);
static void link_answer(WorkerLink *l, LinkType type, uint32_t number);
static bool link_send(WorkerLink *l, LinkType type, Slice payload);
static void link_write(WorkerLink *l);
static bool link_log(void *ctx, LinkLogLevel level, const char *message, const char *hint);
static void link_rest_closed(uv_handle_t *rest);
static void link_freed(uv_handle_t *handle);

WorkerLink *
worker_link_new(uv_loop_t *loop, int fd, const WorkerLinkHandlers *handlers)
{
	WorkerLink *l = xcalloc(1, sizeof(*l));
	uint8_t		hello[4 + sizeof(ROOMS_VERSION)];
	uint8_t    *end;

	l->fd = fd;
	l->handlers = *handlers;
	if (uv_poll_init(loop, &l->poll, fd) != 0)
	{
		free(l);
		return NULL;
	}
	l->poll.data = l;
	uv_timer_init(loop, &l->rest);
	l->rest.data = l;
	link_reserve(l, READ_CHUNK);
	end = write_string(hello, SLICE_LITERAL(ROOMS_VERSION));
	link_send(l, LINK_HELLO, slice(hello, (size_t) (end - hello)));
	log_set_sink(link_log, l);
	link_watch(l);
	return l;
}

void
worker_link_ready(WorkerLink *l, uint32_t number)
{
	link_answer(l, LINK_READY, number);
}

void
worker_link_refused(WorkerLink *l, uint32_t number)
{
	link_answer(l, LINK_REFUSED, number);
}

static void
link_answer(WorkerLink *l, LinkType type, uint32_t number)
{
	uint8_t		payload[4];

	write_u32(payload, number);
	link_send(l, type, slice(payload, sizeof(payload)));
}

void
worker_link_stats(WorkerLink *l, const uint64_t *counters)
{
	uint8_t		payload[8 * GATEWAY_COUNTER_COUNT];
	uint8_t    *at = payload;

	for (int i = 0; i < GATEWAY_COUNTER_COUNT; i++)
		at = write_u64(at, counters[i]);
	link_send(l, LINK_STATS, slice(payload, sizeof(payload)));
}

void
worker_link_rows(WorkerLink *l, uint64_t id, bool more, Slice bytes)
{
	uint8_t		payload[LINK_ROWS_HEADER + LINK_MAX_ROWS];
	uint8_t    *end = write_bytes(link_rows_header(payload, id, more), bytes);

	link_send(l, LINK_ROWS, slice(payload, (size_t) (end - payload)));
}

bool
worker_link_session_set(WorkerLink *l, Slice key, Slice value)
{
	return link_session(l, &(LinkSession) {.set = true,.key = key,.value = value});
}

bool
worker_link_session_remove(WorkerLink *l, Slice key)
{
	return link_session(l, &(LinkSession) {.key = key});
}

static bool
link_session(WorkerLink *l, const LinkSession *s)
{
	uint8_t		payload[9 + LINK_MAX_SESSION_KEY + LINK_MAX_SESSION_VALUE];
	uint8_t    *end;

	if (s->key.len == 0 || s->key.len > LINK_MAX_SESSION_KEY || s->value.len > LINK_MAX_SESSION_VALUE)
		return false;
	end = link_session_encode(payload, s);
	return link_send(l, LINK_SESSION, slice(payload, (size_t) (end - payload)));
}

void
worker_link_drain(WorkerLink *l)
{
	for (int i = 0; i < 10 && l->out_len > 0 && !l->over; i++)
	{
		struct pollfd p = {.fd = l->fd,.events = POLLOUT};

		poll(&p, 1, 100);
		link_write(l);
	}
}

void
worker_link_free(WorkerLink *l)
{
	log_set_sink(NULL, NULL);
	l->over = true;
	uv_poll_stop(&l->poll);
	uv_close((uv_handle_t *) &l->rest, link_rest_closed);
}

static void
link_rest_closed(uv_handle_t *rest)
{
	WorkerLink *l = rest->data;

	uv_close((uv_handle_t *) &l->poll, link_freed);
}

static void
link_freed(uv_handle_t *handle)
{
	WorkerLink *l = handle->data;

	for (int i = 0; i < l->fd_count; i++)
		close(l->fds[i]);
	close(l->fd);
	free(l->in);
	free(l->out);
	free(l);
}

static void
link_watch(WorkerLink *l)
{
	int			events = l->out_len > 0 ? UV_WRITABLE : 0;

	if (!uv_is_active((uv_handle_t *) &l->rest))
		events |= UV_READABLE;
	if (events != 0)
		uv_poll_start(&l->poll, events, link_event);
	else
		uv_poll_stop(&l->poll);
}

void
worker_link_rest(WorkerLink *l, uint64_t ms)
{
	/* Once for what was read: clients that make us write all the time must not keep us from the worker. */
	if (l->over || !l->was_read)
		return;
	l->was_read = false;
	uv_update_time(l->rest.loop);
	uv_timer_start(&l->rest, link_rested, ms, 0);
	link_watch(l);
}

static void
link_rested(uv_timer_t *rest)
{
	WorkerLink *l = rest->data;

	if (!l->over)
		link_watch(l);
}

static void
link_event(uv_poll_t *poll, int status, int events)
{
	WorkerLink *l = poll->data;

	(void) status;				/* an error shows in the read */
	if (events & UV_WRITABLE)
	{
		link_write(l);
		if (l->out_len == 0)
			link_watch(l);
	}
	if (!(events & UV_READABLE) && status == 0)
		return;
	if (link_read(l))
		link_dispatch(l);
}

/* One recvmsg().  False: nothing new, or the link is over. */
static bool
link_read(WorkerLink *l)
{
	union
	{
		struct cmsghdr align;
		char		bytes[CMSG_SPACE(sizeof(int) * LINK_MAX_LISTEN)];
	}			control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov,.msg_iovlen = 1,
		.msg_control = control.bytes,.msg_controllen = sizeof(control.bytes)};
	ssize_t		n;

	iov.iov_base = l->in + l->in_len;
	iov.iov_len = l->in_space - l->in_len;
	n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	l->was_read = true;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
	{
		link_end(l, NULL, NULL);
		return false;
	}
	l->in_len += (size_t) n;
	return link_take_fds(l, &msg);
}

static bool
link_take_fds(WorkerLink *l, struct msghdr *msg)
{
	bool		ok = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
	{
		size_t		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++)
		{
			int			fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (l->fd_count < LINK_MAX_LISTEN)
				l->fds[l->fd_count++] = fd;
			else
			{
				close(fd);
				ok = false;
			}
		}
	}
	if (!ok)
		link_end(l, "too many descriptors on the link to the worker", NULL);
	return ok;
}

static void
link_dispatch(WorkerLink *l)
{
	size_t		at = 0;
	size_t		need = READ_CHUNK;

	while (!l->over)
	{
		LinkFrame	frame;
		size_t		used;
		WireResult	r = link_decode(slice(l->in + at, l->in_len - at), &frame, &used);

		if (r == WIRE_BAD)
		{
			link_end(l, "malformed frame on the link to the worker", NULL);
			return;
		}
		if (r == WIRE_MORE)
		{
			/* The whole of the frame that has begun must fit. */
			if (l->in_len - at >= LINK_HEADER)
			{
				Reader		header = reader(slice(l->in + at, LINK_HEADER));
				size_t		size = LINK_HEADER + read_u32(&header);

				if (size > need)
					need = size;
			}
			break;
		}
		if (!link_frame(l, &frame))
		{
			link_end(l, "unexpected frame on the link to the worker", NULL);
			return;
		}
		at += used;
	}
	if (l->over)
		return;
	memmove(l->in, l->in + at, l->in_len - at);
	l->in_len -= at;
	link_reserve(l, need);
}

/* Makes room for `need` bytes in all, but grows no faster than bytes arrive. */
static void
link_reserve(WorkerLink *l, size_t need)
{
	size_t		space = l->in_len + READ_CHUNK;

	if (l->in_len > READ_CHUNK)
		space = 2 * l->in_len;
	if (space > need)
		space = need;
	if (space <= l->in_len)		/* several frames' worth: room for one more read */
		space = l->in_len + READ_CHUNK;
	if (space == l->in_space || (space < l->in_space && l->in_space <= 2 * READ_CHUNK))
		return;
	l->in = xrealloc(l->in, space);
	l->in_space = space;
}

/* False: a frame that only the gateway sends, or one out of order. */
static bool
link_frame(WorkerLink *l, const LinkFrame *f)
{
	LinkMessage m;
	LinkQuery	what;
	uint64_t	id;

	if (!l->greeted && f->type != LINK_HELLO)
		return false;
	switch (f->type)
	{
		case LINK_HELLO:
			return link_hello(l, f->payload);
		case LINK_CONFIG:
			return link_config(l, f->payload);
		case LINK_LISTEN:
			return link_listen(l, f->payload);
		case LINK_MESSAGE:
			if (link_message_decode(f->payload, &m) != WIRE_OK)
				return false;
			l->handlers.message(l->handlers.ctx, &m);
			return true;
		case LINK_TIMELINES:
		case LINK_COVERED:
		case LINK_HISTORY:
		case LINK_POSITION:
		case LINK_SESSION:
			return link_past(l, f);
		case LINK_PING:
			link_send(l, LINK_PONG, f->payload);
			return true;
		case LINK_COMMITTED:
			if (f->payload.len != 8)
				return false;
			l->handlers.committed(l->handlers.ctx, (int64_t) read_u64(&(Reader) {f->payload.data, f->payload.data + 8, false}));
			return true;
		case LINK_STATS:
			return link_stats(l, f->payload);
		case LINK_QUERY:
			if (link_query_decode(f->payload, &id, &what) != WIRE_OK)
				return false;
			l->handlers.query(l->handlers.ctx, id, what);
			return true;
		case LINK_DRAIN:
			return link_drain(l, f->payload);
		case LINK_STOP:
			l->handlers.stop(l->handlers.ctx);
			return true;
		default:
			return false;
	}
}

static bool
link_stats(WorkerLink *l, Slice payload)
{
	uint64_t	counters[WORKER_COUNTER_COUNT];
	Reader		r = reader(payload);

	for (int i = 0; i < WORKER_COUNTER_COUNT; i++)
		counters[i] = read_u64(&r);
	if (r.bad || reader_left(&r) != 0)
		return false;
	l->handlers.stats(l->handlers.ctx, counters);
	return true;
}

/* What recovery needs to know. */
static bool
link_past(WorkerLink *l, const LinkFrame *f)
{
	void	   *ctx = l->handlers.ctx;
	LinkTimelines timelines;
	LinkPosition position;
	LinkMessage message;
	LinkSession session;
	uint32_t	age;

	switch (f->type)
	{
		case LINK_TIMELINES:
			if (link_timelines_decode(f->payload, &timelines) != WIRE_OK)
				return false;
			l->handlers.timelines(ctx, timelines);
			return true;
		case LINK_HISTORY:
			if (link_history_decode(f->payload, &age, &message) != WIRE_OK)
				return false;
			l->handlers.history(ctx, age, &message);
			return true;
		case LINK_SESSION:
			if (link_session_decode(f->payload, &session) != WIRE_OK || !session.set)
				return false;
			l->handlers.session(ctx, session.key, session.value);
			return true;
		default:
			if (link_position_decode(f->payload, &position) != WIRE_OK)
				return false;
			(f->type == LINK_COVERED ? l->handlers.covered : l->handlers.position) (ctx, &position);
			return true;
	}
}

static bool
link_hello(WorkerLink *l, Slice payload)
{
	Reader		r = reader(payload);
	Slice		version = read_string(&r);

	if (r.bad || l->greeted)
		return false;
	l->greeted = true;
	if (slice_equal(version, SLICE_LITERAL(ROOMS_VERSION)))
		return true;
	log_message(LINK_LOG_FATAL, "Install the gateway and the library of one build, then restart the server.",
				"gateway has version %s, the worker %.*s", ROOMS_VERSION,
				(int) (version.len < 50 ? version.len : 50), (const char *) version.data);
	link_end(l, "", NULL);
	return true;
}

static bool
link_config(WorkerLink *l, Slice payload)
{
	Reader		r = reader(payload);
	uint32_t	number = read_u32(&r);

	if (r.bad)
		return false;
	l->handlers.config(l->handlers.ctx, number, read_bytes(&r, reader_left(&r)));
	/* There are keys in it: what is needed of them has been copied. */
	explicit_bzero((uint8_t *) payload.data, payload.len);
	return true;
}

static bool
link_listen(WorkerLink *l, Slice payload)
{
	Reader		r = reader(payload);
	uint32_t	count = read_u32(&r);
	int			fds[LINK_MAX_LISTEN];

	if (r.bad || count > (uint32_t) l->fd_count)
		return false;
	/* Those of a later LISTEN may be here already: take from the front. */
	memcpy(fds, l->fds, count * sizeof(int));
	l->fd_count -= (int) count;
	memmove(l->fds, l->fds + count, (size_t) l->fd_count * sizeof(int));
	l->handlers.listen(l->handlers.ctx, fds, (int) count);
	return true;
}

static bool
link_drain(WorkerLink *l, Slice payload)
{
	Reader		r = reader(payload);
	uint32_t	ms = read_u32(&r);

	if (r.bad || reader_left(&r) != 0)
		return false;
	l->handlers.drain(l->handlers.ctx, ms);
	return true;
}

/* `failure` NULL: the worker hung up; "": it has been logged. */
static void
link_end(WorkerLink *l, const char *failure, const char *hint)
{
	if (l->over)
		return;
	if (failure && failure[0])
		log_message(LINK_LOG_FATAL, hint, "%s", failure);
	worker_link_drain(l);
	l->over = true;
	uv_poll_stop(&l->poll);
	log_set_sink(NULL, NULL);
	l->handlers.closed(l->handlers.ctx, failure != NULL);
}

/* ---- to the worker ---- */

static bool
link_send(WorkerLink *l, LinkType type, Slice payload)
{
	size_t		size = LINK_HEADER + payload.len;

	if (l->over || l->out_len + size > OUT_MAX)
		return false;
	if (l->out_len + size > l->out_space)
	{
		l->out_space = 2 * (l->out_len + size);
		l->out = xrealloc(l->out, l->out_space);
	}
	write_bytes(link_header(l->out + l->out_len, type, (uint32_t) payload.len), payload);
	l->out_len += size;
	link_write(l);
	if (l->out_len > 0)
		link_watch(l);
	return true;
}

/* Errors are left to the reading side, which sees them too. */
static void
link_write(WorkerLink *l)
{
	ssize_t		n = send(l->fd, l->out, l->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n <= 0)
		return;
	memmove(l->out, l->out + n, l->out_len - (size_t) n);
	l->out_len -= (size_t) n;
}

/* log.c's sink; it never logs itself. */
static bool
link_log(void *ctx, LinkLogLevel level, const char *message, const char *hint)
{
	WorkerLink *l = ctx;
	uint8_t		payload[1 + 2 * (4 + LINK_MAX_LOG)];
	uint8_t    *at = write_u8(payload, (uint8_t) level);

	at = write_string(at, slice_cstring(message));
	at = write_string(at, slice_cstring(hint));
	return link_send(l, LINK_LOG, slice(payload, (size_t) (at - payload)));
}

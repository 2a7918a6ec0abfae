/*
 * gateway_link.c - frames out of and into the socket between worker and
 * gateway, without ever blocking.
 *
 * Called by gateway_process.c only.  Output is one flat buffer: many messages
 * are written with one send(), and the gateway coalesces what it reads at
 * once.  Who may still queue is decided by the caller
 * (gateway_link_queued()); nothing is bounded here but by that.
 *
 * A LISTEN frame carries file descriptors on its first byte (wire/link.h), so
 * a write never runs across its beginning, and the sockets are asked for when
 * it goes out: listen.c may have replaced them since it was queued.
 *
 * Memory: the buffer is in TopMemoryContext, grows to the largest message and
 * is given back when it has been written.  Only lack of memory is an ERROR;
 * whatever goes wrong with the socket is a result.
 */
#include "postgres.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "backend/gateway_link.h"
#include "backend/listen.h"

#define OUT_KEPT	(1024 * 1024)	/* a buffer larger than this is not kept */
#define LISTEN_SIZE (LINK_HEADER + 4)

static uint8_t *reserve(GatewayLink *l, size_t len);
static bool send_some(GatewayLink *l, bool *again);
static void add_sockets(struct msghdr *msg, char *control);

void
gateway_link_open(GatewayLink *l, pgsocket sock)
{
	Assert(l->sock == PGINVALID_SOCKET);
	ReserveExternalFD();
	l->sock = sock;
	l->blocked = l->progress = l->listen_pending = false;
	l->start = l->end = 0;
	l->taken = l->have = 0;
}

void
gateway_link_close(GatewayLink *l)
{
	if (l->sock == PGINVALID_SOCKET)
		return;
	close(l->sock);
	ReleaseExternalFD();
	l->sock = PGINVALID_SOCKET;
	l->blocked = l->listen_pending = false;
	l->start = l->end = 0;
}

size_t
gateway_link_queued(const GatewayLink *l)
{
	return l->end - l->start;
}

void
gateway_link_frame(GatewayLink *l, LinkType type, Slice payload)
{
	if (l->sock == PGINVALID_SOCKET)
		return;
	write_bytes(link_header(reserve(l, LINK_HEADER + payload.len), type, (uint32_t) payload.len), payload);
}

/* The sockets to listen on have changed; a LISTEN that still waits is made to name the new ones. */
void
gateway_link_listen(GatewayLink *l)
{
	uint8_t    *at;
	int			count;

	if (l->sock == PGINVALID_SOCKET)
		return;
	(void) listen_sockets(&count);
	if (l->listen_pending)
		at = (uint8_t *) l->out + l->listen_at;
	else
	{
		at = reserve(l, LISTEN_SIZE);
		l->listen_pending = true;
		l->listen_at = (char *) at - l->out;
	}
	write_u32(link_header(at, LINK_LISTEN, 4), (uint32_t) count);
}

void
gateway_link_message(GatewayLink *l, const LinkMessage *m)
{
	size_t		payload = LINK_MESSAGE_HEADER + m->envelope.len;
	uint8_t    *at;

	if (l->sock == PGINVALID_SOCKET)
		return;
	if (m->index == 0 && m->committed != 0)
		write_u64(link_header(reserve(l, LINK_HEADER + 8), LINK_COMMITTED, 8), (uint64_t) m->committed);
	at = link_header(reserve(l, LINK_HEADER + payload), LINK_MESSAGE, (uint32_t) payload);
	write_bytes(link_message_header(at, m), m->envelope);
}

void
gateway_link_history(GatewayLink *l, uint32 age, const LinkMessage *m)
{
	size_t		payload = LINK_HISTORY_HEADER + m->envelope.len;
	uint8_t    *at;

	if (l->sock == PGINVALID_SOCKET)
		return;
	at = link_header(reserve(l, LINK_HEADER + payload), LINK_HISTORY, (uint32_t) payload);
	write_bytes(link_history_header(at, age, m), m->envelope);
}

void
gateway_link_position(GatewayLink *l, LinkType type, const LinkPosition *p)
{
	uint8_t		payload[LINK_POSITION_SIZE];

	link_position_encode(payload, p);
	gateway_link_frame(l, type, slice(payload, sizeof(payload)));
}

void
gateway_link_timelines(GatewayLink *l, const LinkTimeline *list, uint32 count)
{
	size_t		payload = 4 + (size_t) count * LINK_TIMELINE_SIZE;

	if (l->sock == PGINVALID_SOCKET)
		return;
	link_timelines_encode(link_header(reserve(l, LINK_HEADER + payload), LINK_TIMELINES, (uint32_t) payload),
						  list, count);
}

void
gateway_link_session(GatewayLink *l, const LinkSession *s)
{
	size_t		payload = link_session_size(s);

	if (l->sock == PGINVALID_SOCKET)
		return;
	link_session_encode(link_header(reserve(l, LINK_HEADER + payload), LINK_SESSION, (uint32_t) payload), s);
}

/* Room for `len` bytes at the end of the output; they count as queued. */
static uint8_t *
reserve(GatewayLink *l, size_t len)
{
	uint8_t    *at;

	if (l->end + len > l->size && l->start > 0)
	{
		memmove(l->out, l->out + l->start, l->end - l->start);
		l->end -= l->start;
		l->listen_at -= l->listen_pending ? l->start : 0;
		l->start = 0;
	}
	if (l->end + len > l->size)
	{
		size_t		size = Max(2 * l->size, Max(l->end + len, (size_t) 64 * 1024));

		if (l->out)
			l->out = repalloc_huge(l->out, size);
		else
			l->out = MemoryContextAllocHuge(TopMemoryContext, size);
		l->size = size;
	}
	at = (uint8_t *) l->out + l->end;
	l->end += len;
	return at;
}

bool
gateway_link_flush(GatewayLink *l)
{
	bool		again = true;

	while (l->sock != PGINVALID_SOCKET && l->start < l->end && again)
		if (!send_some(l, &again))
			return false;

	if (l->start == l->end)
	{
		l->start = l->end = 0;
		if (l->size > OUT_KEPT)
		{
			pfree(l->out);
			l->out = NULL;
			l->size = 0;
		}
	}
	return true;
}

/* One send().  False: the link is broken.  *again: there may be room for more. */
static bool
send_some(GatewayLink *l, bool *again)
{
	bool		with_sockets = l->listen_pending && l->start == l->listen_at;
	struct iovec iov = {l->out + l->start, l->end - l->start};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	char		control[CMSG_SPACE(LINK_MAX_LISTEN * sizeof(int))]
	__attribute__((aligned(__alignof__(struct cmsghdr))));
	ssize_t		n;

	if (with_sockets)
	{
		iov.iov_len = LISTEN_SIZE;
		add_sockets(&msg, control);
	}
	else if (l->listen_pending)
		iov.iov_len = l->listen_at - l->start;

	n = sendmsg(l->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
	{
		l->blocked = true;
		*again = false;
		return true;
	}
	if (n < 0)
		return false;

	/* The socket was full and no longer is: the gateway has read from it. */
	if (l->blocked)
		l->progress = true;
	l->blocked = false;
	l->start += n;
	if (with_sockets)
		l->listen_pending = false;
	return true;
}

/* The listening sockets as ancillary data; the frame has said how many. */
static void
add_sockets(struct msghdr *msg, char *control)
{
	int			count;
	const int  *fds = listen_sockets(&count);
	struct cmsghdr *cmsg;

	if (count == 0)
		return;
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
}

GatewayRead
gateway_link_read(GatewayLink *l, LinkFrame *frame)
{
	while (l->sock != PGINVALID_SOCKET)
	{
		size_t		used;
		ssize_t		n;

		switch (link_decode(slice(l->in + l->taken, l->have - l->taken), frame, &used))
		{
			case WIRE_OK:
				l->taken += used;
				return GATEWAY_READ_FRAME;
			case WIRE_BAD:
				return GATEWAY_READ_BAD;
			case WIRE_MORE:
				break;
		}

		memmove(l->in, l->in + l->taken, l->have - l->taken);
		l->have -= l->taken;
		l->taken = 0;
		if (l->have == sizeof(l->in))
			return GATEWAY_READ_BAD;	/* a frame that never fits */

		n = recv(l->sock, l->in + l->have, sizeof(l->in) - l->have, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return GATEWAY_READ_NONE;
		if (n <= 0)
			return GATEWAY_READ_CLOSED;
		l->have += n;
	}
	return GATEWAY_READ_CLOSED;
}

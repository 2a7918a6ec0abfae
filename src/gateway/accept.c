/*
 * accept.c - our own accept(), in place of libwebsockets' listener.
 *
 * The worker opens the listening sockets and keeps them while gateways come
 * and go, so a restart refuses nobody.  Connections are counted here from
 * accept to close, in all and by address: idle ones that never become a session
 * must not use up the descriptors.  Out of descriptors or memory: no polling for 100 ms, since
 * the socket stays readable and the loop would spin.
 */
#include "gateway/accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "gateway/log.h"
#include "wire/address.h"
#include "wire/counters.h"

#define ACCEPT_BATCH	64
#define ACCEPT_PAUSE_MS	100
#define ACCEPT_LOG_MS	60000	/* between two lines about it */

/* A listening socket; lives until the loop has closed its handle. */
typedef struct ListenSocket
{
	uv_poll_t	poll;
	int			fd;
	Acceptor   *acceptor;
	struct ListenSocket *next;
} ListenSocket;

struct Acceptor
{
	uv_loop_t  *loop;
	AcceptFn	on_accept;
	void	   *ctx;
	ListenSocket *sockets;
	uv_timer_t	pause;
	AcceptLimits limits;		/* `trusted` is our own */
	Tally		addresses;		/* but proxies', which all count under "" */
	uint32_t	count;
	uint32_t	pending;
	uint64_t	quiet_until;	/* for the log */
	uint64_t   *counters;		/* NULL: nobody counts */
};

static void accept_readable(uv_poll_t *poll, int status, int events);
static void accept_poll(ListenSocket *s);
static void accept_resume(uv_timer_t *timer);
static void accept_pause(Acceptor *a, const char *reason);
static Held *accept_admit(Acceptor *a, const char *address);
static Held *accept_refuse(Acceptor *a, GatewayCounter reason);
static void accept_options(int fd);
static void accept_address(const struct sockaddr_storage *from, char *out, size_t size);
static void listen_socket_closed(uv_handle_t *handle);
static void acceptor_freed(uv_handle_t *handle);

Acceptor *
acceptor_new(uv_loop_t *loop, AcceptFn on_accept, void *ctx)
{
	Acceptor   *a = xcalloc(1, sizeof(*a));
	HashKey		key = {0, 0};

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		log_message(LINK_LOG_WARNING, NULL, "no random numbers for a hash key: %s", strerror(errno));
	tally_init(&a->addresses, key);
	a->loop = loop;
	a->on_accept = on_accept;
	a->ctx = ctx;
	uv_timer_init(loop, &a->pause);
	a->pause.data = a;
	return a;
}

void
acceptor_listen(Acceptor *a, const int *fds, int count)
{
	while (a->sockets)
	{
		ListenSocket *s = a->sockets;

		a->sockets = s->next;
		uv_close((uv_handle_t *) &s->poll, listen_socket_closed);
	}
	for (int i = 0; i < count; i++)
	{
		ListenSocket *s = xcalloc(1, sizeof(*s));

		s->fd = fds[i];
		s->acceptor = a;
		if (uv_poll_init(a->loop, &s->poll, s->fd) != 0)
		{
			log_message(LINK_LOG_WARNING, NULL, "could not watch listening socket %d", s->fd);
			close(s->fd);
			free(s);
			continue;
		}
		accept_options(s->fd);
		s->poll.data = s;
		s->next = a->sockets;
		a->sockets = s;
		accept_poll(s);
	}
}

void
acceptor_set_limits(Acceptor *a, const AcceptLimits *limits)
{
	free((char *) a->limits.trusted);
	a->limits = *limits;
	a->limits.trusted = xstrndup(limits->trusted, strlen(limits->trusted));
}

void
acceptor_set_counters(Acceptor *a, uint64_t *counters)
{
	a->counters = counters;
}

void
acceptor_settled(Acceptor *a)
{
	a->pending--;
}

void
acceptor_closed_one(Acceptor *a, Held *held, bool settled)
{
	a->count--;
	if (!settled)
		a->pending--;
	tally_release(&a->addresses, held, uv_now(a->loop));
}

uint32_t
acceptor_count(const Acceptor *a)
{
	return a->count;
}

void
acceptor_free(Acceptor *a)
{
	acceptor_listen(a, NULL, 0);
	uv_close((uv_handle_t *) &a->pause, acceptor_freed);
}

/*
 * libwebsockets sets these only on connections that it accepted itself.  On
 * Linux a connection has them from its listening socket (tcp(7)).
 */
static void
accept_options(int fd)
{
	int			on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void
accept_poll(ListenSocket *s)
{
	uv_poll_start(&s->poll, UV_READABLE, accept_readable);
}

static void
accept_readable(uv_poll_t *poll, int status, int events)
{
	ListenSocket *s = poll->data;
	Acceptor   *a = s->acceptor;

	(void) status;
	(void) events;
	for (int i = 0; i < ACCEPT_BATCH; i++)
	{
		struct sockaddr_storage from;
		socklen_t	len = sizeof(from);
		char		address[INET6_ADDRSTRLEN];
		Held	   *held;
		int			fd = accept4(s->fd, (struct sockaddr *) &from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
		{
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				accept_pause(a, strerror(errno));
			/* ECONNABORTED and the like concern one client: the next wake-up goes on. */
			return;
		}
		accept_address(&from, address, sizeof(address));
		held = accept_admit(a, address);
		if (!held)
		{
			close(fd);
			continue;
		}
		a->count++;
		a->pending++;
		a->on_accept(a->ctx, fd, address, held);
	}
}

/* NULL: there are too many. */
static Held *
accept_admit(Acceptor *a, const char *address)
{
	const AcceptLimits *limits = &a->limits;
	bool		proxy = address_in_list(limits->trusted, slice_cstring(address));
	uint8_t		key[ADDRESS_KEY_MAX];
	Held	   *held;

	if (limits->total > 0 && a->count >= limits->total)
		return accept_refuse(a, COUNTER_REFUSED_MAX_CONNECTIONS);
	if (limits->pending > 0 && a->pending >= limits->pending)
		return accept_refuse(a, COUNTER_REFUSED_PENDING);
	held = tally_hold(&a->addresses, proxy ? slice(key, 0) : address_key(slice_cstring(address), key), uv_now(a->loop));
	if (proxy || limits->per_address == 0 || held->count <= limits->per_address)
		return held;
	tally_release(&a->addresses, held, uv_now(a->loop));
	return accept_refuse(a, COUNTER_REFUSED_PER_IP);
}

static Held *
accept_refuse(Acceptor *a, GatewayCounter reason)
{
	if (a->counters)
		a->counters[reason]++;
	return NULL;
}

static void
accept_pause(Acceptor *a, const char *reason)
{
	uint64_t	now = uv_now(a->loop);

	if (now >= a->quiet_until)
	{
		a->quiet_until = now + ACCEPT_LOG_MS;
		log_message(LINK_LOG_WARNING, "Clients wait. Raise the limit of open files (ulimit -n) or lower pg_rooms.max_connections.",
					"cannot accept connections: %s", reason);
	}
	for (ListenSocket *s = a->sockets; s; s = s->next)
		uv_poll_stop(&s->poll);
	uv_timer_start(&a->pause, accept_resume, ACCEPT_PAUSE_MS, 0);
}

static void
accept_resume(uv_timer_t *timer)
{
	Acceptor   *a = timer->data;

	for (ListenSocket *s = a->sockets; s; s = s->next)
		accept_poll(s);
}

static void
accept_address(const struct sockaddr_storage *from, char *out, size_t size)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) from;

	out[0] = '\0';
	if (from->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *) from)->sin_addr, out, (socklen_t) size);
	else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], out, (socklen_t) size);
	else if (from->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, out, (socklen_t) size);
}

static void
listen_socket_closed(uv_handle_t *handle)
{
	ListenSocket *s = handle->data;

	close(s->fd);
	free(s);
}

static void
acceptor_freed(uv_handle_t *handle)
{
	Acceptor   *a = handle->data;

	tally_free(&a->addresses);
	free((char *) a->limits.trusted);
	free(a);
}

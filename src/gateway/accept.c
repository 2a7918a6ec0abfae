/*
 * accept.c - our own accept(), in place of libwebsockets' listener.
 *
 * The worker opens the listening sockets and keeps them while gateways come
 * and go, so a restart refuses nobody.  Connections are counted here from
 * accept to close: idle ones that never become a session must not use up the
 * descriptors.  Out of descriptors or memory: no polling for 100 ms, since
 * the socket stays readable and the loop would spin.
 */
#include "gateway/accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "gateway/log.h"

#define ACCEPT_BATCH	64
#define ACCEPT_PAUSE_MS	100

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
	uint32_t	limit;
	uint32_t	count;
};

static void accept_readable(uv_poll_t *poll, int status, int events);
static void accept_poll(ListenSocket *s);
static void accept_resume(uv_timer_t *timer);
static void accept_pause(Acceptor *a);
static void accept_options(int fd);
static void accept_address(const struct sockaddr_storage *from, char *out, size_t size);
static void listen_socket_closed(uv_handle_t *handle);
static void acceptor_freed(uv_handle_t *handle);

Acceptor *
acceptor_new(uv_loop_t *loop, AcceptFn on_accept, void *ctx)
{
	Acceptor   *a = xcalloc(1, sizeof(*a));

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
acceptor_set_limit(Acceptor *a, uint32_t limit)
{
	a->limit = limit;
}

void
acceptor_closed_one(Acceptor *a)
{
	a->count--;
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
		int			fd = accept4(s->fd, (struct sockaddr *) &from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
		{
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				accept_pause(a);
			/* ECONNABORTED and the like concern one client: the next wake-up goes on. */
			return;
		}
		if (a->count >= a->limit)
		{
			close(fd);
			continue;
		}
		accept_address(&from, address, sizeof(address));
		a->count++;
		a->on_accept(a->ctx, fd, address);
	}
}

static void
accept_pause(Acceptor *a)
{
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
	free(handle->data);
}

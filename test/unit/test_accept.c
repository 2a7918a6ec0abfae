/* with: src/gateway/accept.c src/gateway/log.c -luv */
/*
 * test_accept.c - connections as accept.c hands them out, over loopback.
 */
#include "gateway/accept.h"
#include "wire/counters.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define MOST 8

static uv_loop_t loop;
static Acceptor *acceptor;
static struct
{
	int			fds[MOST];
	Held	   *held[MOST];
	char		address[64];	/* of the newest */
	uint32_t	count;
}			accepted;

static uint64_t counters[GATEWAY_COUNTER_COUNT];

static void
set_limits(uint32_t total, uint32_t per_address, uint32_t pending, const char *trusted)
{
	acceptor_set_limits(acceptor, &(AcceptLimits) {total, per_address, pending, trusted});
}

static void
on_accept(void *ctx, int fd, const char *address, Held *held)
{
	CHECK(ctx == &loop);
	accepted.held[accepted.count] = held;
	accepted.fds[accepted.count++] = fd;
	snprintf(accepted.address, sizeof(accepted.address), "%s", address);
}

static int
listen_on(struct sockaddr_storage *at, sa_family_t family)
{
	int			fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t	len = sizeof(*at);

	memset(at, 0, sizeof(*at));
	at->ss_family = family;
	if (family == AF_INET)
		((struct sockaddr_in *) at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) at, len) != 0 || listen(fd, MOST) != 0 ||
		getsockname(fd, (struct sockaddr *) at, &len) != 0)
	{
		close(fd);
		return -1;
	}
	return fd;
}

/* The client's end; the connection then waits to be accepted. */
static int
dial(const struct sockaddr_storage *at)
{
	int			fd = socket(at->ss_family, SOCK_STREAM, 0);

	CHECK(connect(fd, (const struct sockaddr *) at, sizeof(*at)) == 0);
	return fd;
}

static bool
is_set(int fd, int level, int option)
{
	int			value = 0;
	socklen_t	len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) == 0 && value != 0;
}

static bool
is_closed(int fd)
{
	char		byte;

	return recv(fd, &byte, 1, 0) <= 0;
}

static void
test_options(const struct sockaddr_storage *at)
{
	int			client = dial(at);
	int			fd;

	unit_case("a connection has no delay, keepalive, and does not block");
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 1 && acceptor_count(acceptor) == 1);
	fd = accepted.fds[0];
	CHECK(is_set(fd, IPPROTO_TCP, TCP_NODELAY) && is_set(fd, SOL_SOCKET, SO_KEEPALIVE));
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK(strcmp(accepted.address, "127.0.0.1") == 0);
	close(client);
}

static void
test_limit(const struct sockaddr_storage *at)
{
	int			clients[3];

	unit_case("over the limit: closed at once, and one more when one has gone");
	set_limits(2, 0, 0, "");
	for (int i = 0; i < 2; i++)
		clients[i] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 2 && acceptor_count(acceptor) == 2 && is_closed(clients[1]));
	CHECK(counters[COUNTER_REFUSED_MAX_CONNECTIONS] == 1);
	acceptor_closed_one(acceptor, accepted.held[0], false);
	clients[2] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 3 && acceptor_count(acceptor) == 2);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

/* The two of test_limit() are still there. */
static void
test_address_limit(const struct sockaddr_storage *at)
{
	int			clients[3];

	unit_case("too many of one address: closed at once, and one more when one has gone");
	set_limits(MOST, 2, 0, "10.0.0.0/8");
	clients[0] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 3 && is_closed(clients[0]) && counters[COUNTER_REFUSED_PER_IP] == 1);
	acceptor_closed_one(acceptor, accepted.held[1], false);
	clients[1] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 4);

	unit_case("... but not of a proxy");
	set_limits(MOST, 2, 0, "10.0.0.0/8, 127.0.0.1");
	clients[2] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 5 && acceptor_count(acceptor) == 3 && counters[COUNTER_REFUSED_PER_IP] == 1);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

/* Three are there, none of which has sent a request. */
static void
test_pending_limit(const struct sockaddr_storage *at)
{
	int			clients[3];

	unit_case("too many without a request: closed at once; one that sent its own, or has gone, makes room");
	set_limits(MOST, 0, 3, "");
	clients[0] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 5 && is_closed(clients[0]) && counters[COUNTER_REFUSED_PENDING] == 1);
	acceptor_settled(acceptor);
	clients[1] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 6);
	acceptor_closed_one(acceptor, accepted.held[2], true);
	clients[2] = dial(at);
	uv_run(&loop, UV_RUN_ONCE);
	CHECK(accepted.count == 6 && is_closed(clients[2]));
	acceptor_closed_one(acceptor, accepted.held[3], false);
	acceptor_closed_one(acceptor, accepted.held[4], false);
	acceptor_closed_one(acceptor, accepted.held[5], false);
	CHECK(acceptor_count(acceptor) == 0);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

int
main(void)
{
	struct sockaddr_storage at;
	int			fd = listen_on(&at, AF_INET);

	uv_loop_init(&loop);
	acceptor = acceptor_new(&loop, on_accept, &loop);
	set_limits(MOST, 0, 0, "");
	acceptor_set_counters(acceptor, counters);
	acceptor_listen(acceptor, &fd, 1);
	test_options(&at);
	test_limit(&at);
	test_address_limit(&at);
	test_pending_limit(&at);

	unit_case("an IPv4 client of an IPv6 socket has an IPv4 address");
	set_limits(MOST, 0, 0, "");
	fd = listen_on(&at, AF_INET6);
	if (fd >= 0)
	{
		struct sockaddr_in four = {.sin_family = AF_INET,.sin_port = ((struct sockaddr_in6 *) &at)->sin6_port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int			client = socket(AF_INET, SOCK_STREAM, 0);

		acceptor_listen(acceptor, &fd, 1);
		accepted.address[0] = '\0';
		CHECK(connect(client, (struct sockaddr *) &four, sizeof(four)) == 0);
		while (accepted.address[0] == '\0')
			uv_run(&loop, UV_RUN_ONCE);
		CHECK(strcmp(accepted.address, "127.0.0.1") == 0);
		close(client);
		acceptor_closed_one(acceptor, accepted.held[6], false);
	}

	for (uint32_t i = 0; i < accepted.count; i++)
		close(accepted.fds[i]);
	acceptor_free(acceptor);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return unit_done();
}

/*
 * listen.c - opens the listening sockets and keeps them in step with
 * pg_rooms.listen_addresses and pg_rooms.port.
 *
 * Called by worker.c's loop.  The worker owns the sockets for its whole life;
 * the gateway gets duplicates over the link (gateway_link.c) and is the one
 * that accepts.
 *
 * The set of sockets changes all or nothing: if an address that was asked for
 * is taken, what is open stays open and the attempt is repeated.  After a
 * crash restart a dying gateway may still hold the port, so for the first
 * seconds nothing is said; then once a minute.  An address that this machine
 * does not have (IPv6 switched off, most often) is skipped with a log line as
 * long as another one can be had.
 *
 * Sockets whose address does not change are kept, so no connection is lost.
 * One on the same port whose address overlaps the new one (localhost to '*')
 * would refuse the bind: it is taken out of the LISTEN state by shutdown(),
 * which the gateway's duplicate cannot prevent, and back into it if the new
 * address cannot be had all the same.  (Linux: both sockets have SO_REUSEADDR
 * and only one that listens is a conflict, inet_csk_get_port().)
 *
 * Host names are resolved by getaddrinfo(), which may block as it may in the
 * postmaster for listen_addresses; addresses and localhost do not.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ip.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/varlena.h"

#include "backend/guc.h"
#include "backend/listen.h"
#include "wire/link.h"

#define BACKLOG			4096	/* the kernel cuts it to net.core.somaxconn */
#define QUIET_FOR		5000	/* ms after a change in which a taken port is not mentioned */
#define RETRY_MIN		100
#define RETRY_MAX		5000
#define RETRY_NAME		60000	/* a look-up may block for seconds: not so often */
#define REPEAT_AFTER	60000

typedef struct ListenSocket
{
	int			fd;
	struct sockaddr_storage address;
	socklen_t	length;
	bool		kept;			/* of the old set: also in the new one */
	bool		silenced;		/* of the old set: shut down for the moment */
} ListenSocket;

typedef struct SocketSet
{
	ListenSocket sockets[LINK_MAX_LISTEN];
	int			count;
} SocketSet;

static SocketSet current;
static int	current_fds[LINK_MAX_LISTEN];

/* What was tried last, from malloc(). */
static char *tried_addresses = NULL;
static int	tried_port = 0;

static bool wanted = true;		/* the settings are not in force yet */
static int64 wanted_since = -1; /* first attempt; -1: none yet */
static int64 try_at = 0;
static int	retry = RETRY_MIN;
static int64 said_at = -1;		/* last complaint about this change */

static void first_try(int64 now);
static bool open_set(SocketSet *fresh, StringInfo problem, int *error);
static bool add_host(SocketSet *fresh, char *host, StringInfo problem, StringInfo skipped, int *error);
static bool add_address(SocketSet *fresh, const struct addrinfo *ai, int *error);
static int	open_socket(const struct addrinfo *ai, int *error);
static bool silence_overlapping(const struct addrinfo *ai);
static void abandon(SocketSet *fresh);
static void adopt(const SocketSet *fresh);
static void complain(const char *problem, int error);
static const char *address_text(const struct sockaddr_storage *address, socklen_t length);
static in_port_t address_port(const struct sockaddr_storage *address);

void
listen_reload(void)
{
	if (!wanted && strcmp(tried_addresses, rooms_listen_addresses) == 0 && tried_port == rooms_port)
		return;
	wanted = true;
	wanted_since = said_at = -1;
	try_at = 0;
	retry = RETRY_MIN;
}

bool
listen_service(int64 now)
{
	SocketSet	fresh = {0};
	StringInfoData problem;
	int			error = 0;

	if (!wanted || now < try_at)
		return false;
	if (wanted_since < 0)
		first_try(now);

	initStringInfo(&problem);
	if (open_set(&fresh, &problem, &error))
	{
		adopt(&fresh);
		wanted = false;
		pfree(problem.data);
		return true;
	}

	abandon(&fresh);
	try_at = now + (error == EINVAL ? RETRY_NAME : retry);
	retry = Min(retry * 2, now - wanted_since < QUIET_FOR ? 500 : RETRY_MAX);
	if ((error != EADDRINUSE || now - wanted_since >= QUIET_FOR) &&
		(said_at < 0 || now - said_at >= REPEAT_AFTER))
	{
		complain(problem.data, error);
		said_at = now;
	}
	pfree(problem.data);
	return false;
}

static void
first_try(int64 now)
{
	char	   *addresses = strdup(rooms_listen_addresses);

	if (addresses == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	free(tried_addresses);
	tried_addresses = addresses;
	tried_port = rooms_port;
	wanted_since = now;
}

long
listen_timeout(int64 now)
{
	return wanted ? (long) Max(try_at - now, 0) : -1;
}

const int *
listen_sockets(int *count)
{
	*count = current.count;
	return current_fds;
}

/* All that the settings ask for.  False: `problem` says why not, *error is errno; EINVAL: of the list itself. */
static bool
open_set(SocketSet *fresh, StringInfo problem, int *error)
{
	char	   *list = pstrdup(rooms_listen_addresses);
	List	   *hosts = NIL;
	ListCell   *cell;
	StringInfoData skipped;

	if (!SplitGUCList(list, ',', &hosts))
	{
		appendStringInfo(problem, "invalid list syntax in pg_rooms.listen_addresses: \"%s\"", rooms_listen_addresses);
		*error = EINVAL;
		return false;
	}
	initStringInfo(&skipped);
	foreach(cell, hosts)
		if (!add_host(fresh, lfirst(cell), problem, &skipped, error))
			return false;

	/* An empty list is a choice: nothing is served. */
	if (fresh->count == 0 && hosts != NIL)
	{
		appendStringInfoString(problem, skipped.data);
		return false;
	}
	if (skipped.len > 0)
		ereport(LOG, (errmsg("pg_rooms: %s", skipped.data)));
	return true;
}

static bool
add_host(SocketSet *fresh, char *host, StringInfo problem, StringInfo skipped, int *error)
{
	struct addrinfo hint = {.ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char		port[16];
	bool		ok = true;
	int			result;

	snprintf(port, sizeof(port), "%d", rooms_port);
	result = pg_getaddrinfo_all(strcmp(host, "*") == 0 ? NULL : host, port, &hint, &list);
	if (result != 0 || list == NULL)
	{
		appendStringInfo(problem, "could not resolve \"%s\" of pg_rooms.listen_addresses: %s",
						 host, gai_strerror(result));
		*error = EINVAL;
		return false;
	}

	for (struct addrinfo *ai = list; ai && ok; ai = ai->ai_next)
	{
		const char *text;

		if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
			continue;
		if (add_address(fresh, ai, error))
			continue;
		if (*error == E2BIG)
		{
			appendStringInfo(problem, "pg_rooms.listen_addresses stands for more than %d addresses", LINK_MAX_LISTEN);
			ok = false;
			break;
		}
		text = address_text((struct sockaddr_storage *) ai->ai_addr, ai->ai_addrlen);
		if (*error == EADDRNOTAVAIL || *error == EAFNOSUPPORT)
			appendStringInfo(skipped, "%scould not listen on %s: %s", skipped->len > 0 ? "; " : "", text, strerror(*error));
		else
		{
			appendStringInfo(problem, "could not listen on %s: %s", text, strerror(*error));
			ok = false;
		}
	}
	pg_freeaddrinfo_all(hint.ai_family, list);
	return ok;
}

/* One address: already in the set, taken over from the current set, or opened. */
static bool
add_address(SocketSet *fresh, const struct addrinfo *ai, int *error)
{
	ListenSocket *s = &fresh->sockets[fresh->count];

	for (int i = 0; i < fresh->count; i++)
		if (fresh->sockets[i].length == ai->ai_addrlen &&
			memcmp(&fresh->sockets[i].address, ai->ai_addr, ai->ai_addrlen) == 0)
			return true;
	if (fresh->count == LINK_MAX_LISTEN)
	{
		*error = E2BIG;
		return false;
	}

	memset(s, 0, sizeof(*s));
	memcpy(&s->address, ai->ai_addr, ai->ai_addrlen);
	s->length = ai->ai_addrlen;
	s->fd = -1;
	for (int i = 0; i < current.count; i++)
	{
		ListenSocket *old = &current.sockets[i];

		if (!old->silenced && old->length == s->length && memcmp(&old->address, &s->address, s->length) == 0)
		{
			old->kept = s->kept = true;
			s->fd = old->fd;
		}
	}
	if (s->fd < 0)
		s->fd = open_socket(ai, error);
	if (s->fd < 0 && *error == EADDRINUSE && silence_overlapping(ai))
		s->fd = open_socket(ai, error);
	if (s->fd < 0)
		return false;
	fresh->count++;
	return true;
}

static int
open_socket(const struct addrinfo *ai, int *error)
{
	int			one = 1;
	int			fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		(ai->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
		bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
		listen(fd, BACKLOG) == 0)
	{
		ReserveExternalFD();
		return fd;
	}
	*error = errno;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Stops listening on our sockets on the same port that will not be kept; true if there was one. */
static bool
silence_overlapping(const struct addrinfo *ai)
{
	bool		any = false;

	for (int i = 0; i < current.count; i++)
	{
		ListenSocket *old = &current.sockets[i];

		if (old->kept || old->silenced || old->address.ss_family != ai->ai_family ||
			address_port(&old->address) != address_port((struct sockaddr_storage *) ai->ai_addr))
			continue;
		any |= old->silenced = shutdown(old->fd, SHUT_RDWR) == 0;
	}
	return any;
}

/* The attempt has failed: back to the current set, listening. */
static void
abandon(SocketSet *fresh)
{
	for (int i = 0; i < fresh->count; i++)
		if (!fresh->sockets[i].kept)
		{
			close(fresh->sockets[i].fd);
			ReleaseExternalFD();
		}
	for (int i = 0; i < current.count; i++)
	{
		ListenSocket *old = &current.sockets[i];

		if (old->silenced && listen(old->fd, BACKLOG) < 0)
			ereport(WARNING,
					(errcode_for_socket_access(),
					 errmsg("pg_rooms: could not listen again on %s: %m", address_text(&old->address, old->length))));
		old->silenced = old->kept = false;
	}
}

static void
adopt(const SocketSet *fresh)
{
	StringInfoData text;

	for (int i = 0; i < current.count; i++)
		if (!current.sockets[i].kept)
		{
			close(current.sockets[i].fd);
			ReleaseExternalFD();
		}
	current = *fresh;

	initStringInfo(&text);
	for (int i = 0; i < current.count; i++)
	{
		ListenSocket *s = &current.sockets[i];

		s->kept = s->silenced = false;
		current_fds[i] = s->fd;
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", address_text(&s->address, s->length));
	}
	if (current.count > 0)
		ereport(LOG, (errmsg("pg_rooms: listening on %s", text.data)));
	else
		ereport(LOG, (errmsg("pg_rooms: listening nowhere: pg_rooms.listen_addresses is empty")));
	pfree(text.data);
}

static void
complain(const char *problem, int error)
{
	const char *hint;

	switch (error)
	{
		case EADDRINUSE:
			hint = "Is another server using this port? Stop it, or set pg_rooms.port to a free one and reload.";
			break;
		case EACCES:
			hint = "Ports below 1024 need a privilege that PostgreSQL should not have: set a higher pg_rooms.port.";
			break;
		case E2BIG:
			hint = "'*' stands for all addresses of this machine.";
			break;
		default:
			hint = "Correct pg_rooms.listen_addresses and reload.";
			break;
	}
	errno = error;
	ereport(WARNING,
			(errcode_for_socket_access(),
			 errmsg("pg_rooms: %s", problem),
			 errhint("%s It is tried again by and by%s.", hint,
					 current.count > 0 ? "; until then what is open stays open" : "")));
}

/* As it stands in a URL; in a static buffer. */
static const char *
address_text(const struct sockaddr_storage *address, socklen_t length)
{
	static char text[NI_MAXHOST + NI_MAXSERV + 4];
	char		host[NI_MAXHOST];
	char		port[NI_MAXSERV];

	if (pg_getnameinfo_all(address, length, host, sizeof(host), port, sizeof(port),
						   NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return "???";
	snprintf(text, sizeof(text), address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return text;
}

static in_port_t
address_port(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *) address)->sin6_port;
	return ((const struct sockaddr_in *) address)->sin_port;
}

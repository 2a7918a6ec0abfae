/*
 * recv_guard.c - the bytes of clients, seen before libwebsockets sees them.
 *
 * Three defects of libwebsockets 4.1 to 4.5 are closed here:
 *
 * - It accepts unmasked frames from clients (RFC 6455 5.1 says to close with
 *   1002), and closes without a word for a control frame of more than 125
 *   bytes (5.5).  We walk over frame headers; for one of these we set the
 *   reserved bits of its first byte and end the read behind it, and
 *   libwebsockets itself closes with 1002.  If that byte has already been
 *   handed over the read fails instead.
 * - Two requests in one segment, the second with a body, make it loop for
 *   ever inside one call.  A request is taken only if a read has happened
 *   since the one before it was taken (`fresh`).
 * - It parses frames that came glued to the upgrade request, though no client
 *   may send any before it has read the 101.
 *
 * And it closes without a word where a request's head is too long: we answer
 * 414 or 431, and drop what follows until the client has read that.  Nor does
 * it end a connection for sure: what a client sends after it was told to is
 * parsed all the same, and each piece of a body takes the order back.
 *
 * One record per descriptor, indexed by it, in an array as large as the limit
 * of open files (zero pages until used).  Nothing allocates after the start.
 */
#undef _FORTIFY_SOURCE			/* its inline recv() would stand in our way */

#include "gateway/recv_guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/alloc.h"
#include "wire/counters.h"

#define DROPPED_MAX (8 << 20)	/* bytes of a refused request; then the connection ends with a reset */

typedef enum GuardMode
{
	GUARD_OFF = 0,
	GUARD_HTTP,
	GUARD_REFUSED,
	GUARD_WEBSOCKET,
	GUARD_ENDED
} GuardMode;

typedef struct Guard
{
	uint8_t		mode;
	bool		fresh;			/* read since the last request was taken */
	bool		line_start;		/* HTTP: the bytes so far end in "\n" or "\n\r" */
	bool		head_done;		/* HTTP: the blank line has passed */
	bool		glued;			/* HTTP: ... and more came behind it */
	bool		line_done;		/* HTTP: its first line has passed */
	bool		body;			/* HTTP: what comes is a request's body */
	uint32_t	head_len;		/* HTTP: bytes of the head; refused: of what was dropped */
	const char *answer;			/* refused: still to be sent */
	uint8_t		have;			/* WebSocket: bytes of the header collected */
	uint8_t		header[14];
	uint64_t	left;			/* WebSocket: payload bytes until the next header */
} Guard;

static Guard *guards;
static size_t guard_count;
static uint64_t *guard_counters;	/* NULL: nobody counts */

static Guard *guard_of(int fd);
static bool guard_bytes(int fd, uint8_t *bytes, size_t *n);
static const char *guard_take_answer(int fd);
static bool guard_dropping(int fd);
static bool guard_refuse(Guard *g, bool url);
static bool guard_scan_head(Guard *g, const uint8_t *bytes, size_t n);
static bool guard_bad_frame(const uint8_t *header);
static bool guard_walk_frames(Guard *g, uint8_t *bytes, size_t *n);
static uint64_t guard_payload_length(const Guard *g);

/* ---- what libwebsockets calls ---- */

__attribute__((visibility("default")))
ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t		got = recvfrom(fd, buf, n, flags, NULL, NULL);
	size_t		good = (size_t) got;

	if (got <= 0 || flags & MSG_PEEK)
		return got;
	if (!guard_bytes(fd, buf, &good))
	{
		const char *answer = guard_take_answer(fd);

		if (answer)
		{
			(void) !sendto(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
			shutdown(fd, SHUT_WR);
		}
		errno = guard_dropping(fd) ? EAGAIN : ECONNRESET;
		return -1;
	}
	return (ssize_t) good;
}

__attribute__((visibility("default")))
int
SSL_read(SSL *ssl, void *buf, int n)
{
	size_t		got;

	/* As OpenSSL does it: 0 and -1 keep what SSL_get_error() wants to know. */
	if (n < 0)
		return -1;
	if (SSL_read_ex(ssl, buf, (size_t) n, &got) <= 0)
		return -1;
	if (!guard_bytes(SSL_get_fd(ssl), buf, &got))
	{
		const char *answer = guard_take_answer(SSL_get_fd(ssl));

		if (answer)
			(void) !SSL_write(ssl, answer, (int) strlen(answer));
		errno = ECONNRESET;
		return -1;
	}
	return (int) got;
}

/* ---- what the listener calls ---- */

bool
guard_init(size_t max_fds)
{
	guards = xcalloc(max_fds, sizeof(Guard));
	guard_count = max_fds;
	/* Static linking or -fvisibility=hidden would undo the hook in silence. */
	return dlsym(RTLD_DEFAULT, "recv") == (void *) recv &&
		dlsym(RTLD_DEFAULT, "SSL_read") == (void *) SSL_read;
}

void
guard_open(int fd)
{
	Guard	   *g = guard_of(fd);

	if (g)
		*g = (Guard) {.mode = GUARD_HTTP};
}

void
guard_close(int fd)
{
	Guard	   *g = guard_of(fd);

	if (g)
		g->mode = GUARD_OFF;
}

void
guard_end(int fd)
{
	Guard	   *g = guard_of(fd);

	if (g)
		*g = (Guard) {.mode = GUARD_ENDED};
}

void
guard_set_counters(uint64_t *counters)
{
	guard_counters = counters;
}

bool
guard_take_request(int fd)
{
	Guard	   *g = guard_of(fd);
	bool		fresh = g && g->fresh;

	guard_take_body(fd);
	return fresh;
}

void
guard_take_body(int fd)
{
	Guard	   *g = guard_of(fd);

	if (!g)
		return;
	g->fresh = g->line_start = g->head_done = g->glued = g->line_done = false;
	g->head_len = 0;
}

void
guard_expect_body(int fd, bool body)
{
	Guard	   *g = guard_of(fd);

	if (g)
		g->body = body;
}

bool
guard_websocket(int fd)
{
	Guard	   *g = guard_of(fd);
	/* Not fresh: the upgrade itself came glued to an earlier request, and so may have frames behind it. */
	bool		glued = !g || g->glued || !g->fresh;

	if (g)
		*g = (Guard) {.mode = GUARD_WEBSOCKET};
	return !glued;
}

/* NULL for a descriptor beyond the limit that guard_init() was told: nothing is known of it. */
static Guard *
guard_of(int fd)
{
	return fd >= 0 && (size_t) fd < guard_count ? &guards[fd] : NULL;
}

/* ---- the bytes ---- */

/* False: the connection is to be closed at once; *n becomes less if it is to be closed by what is left. */
static bool
guard_bytes(int fd, uint8_t *bytes, size_t *n)
{
	Guard	   *g = guard_of(fd);

	if (!g)
		return true;
	switch ((GuardMode) g->mode)
	{
		case GUARD_HTTP:
			g->fresh = true;
			return guard_scan_head(g, bytes, *n);
		case GUARD_REFUSED:
			g->head_len += (uint32_t) *n;
			return false;
		case GUARD_WEBSOCKET:
			return guard_walk_frames(g, bytes, n);
		case GUARD_ENDED:
			return false;
		case GUARD_OFF:
			break;
	}
	return true;
}

/*
 * Notes whether anything follows the blank line of the request being read.
 * False: its head is too long.
 */
static bool
guard_scan_head(Guard *g, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (g->head_done)
		{
			g->glued = true;
			return true;
		}
		if (bytes[i] == '\n')
		{
			g->head_done = g->line_start;
			g->line_start = g->line_done = true;
		}
		else if (bytes[i] != '\r')
			g->line_start = false;
		if (g->body)
			continue;
		g->head_len++;
		if (g->head_len > (g->line_done ? GUARD_HEAD_MAX : GUARD_URL_MAX))
			return guard_refuse(g, !g->line_done);
	}
	return true;
}

static bool
guard_refuse(Guard *g, bool url)
{
	*g = (Guard) {.mode = GUARD_REFUSED};
	g->answer = url ?
		"HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" :
		"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	if (guard_counters)
		guard_counters[url ? COUNTER_REFUSED_URL : COUNTER_REFUSED_HEADER]++;
	return false;
}

static const char *
guard_take_answer(int fd)
{
	Guard	   *g = guard_of(fd);
	const char *answer = g ? g->answer : NULL;

	if (g)
		g->answer = NULL;
	return answer;
}

/* Closing now, with bytes that nobody has read, would take the answer from the client. */
static bool
guard_dropping(int fd)
{
	const Guard *g = guard_of(fd);

	return g && g->mode == GUARD_REFUSED && g->head_len < DROPPED_MAX;
}

/* Unmasked, or a control frame that is too long. */
static bool
guard_bad_frame(const uint8_t *header)
{
	return !(header[1] & 0x80) || ((header[0] & 0x08) && (header[1] & 0x7f) > 125);
}

/* False: such a frame, whose first byte is out of reach. */
static bool
guard_walk_frames(Guard *g, uint8_t *bytes, size_t *n)
{
	size_t		i = 0;

	while (i < *n)
	{
		if (g->left > 0)
		{
			size_t		skip = g->left < *n - i ? (size_t) g->left : *n - i;

			g->left -= skip;
			i += skip;
			continue;
		}
		g->header[g->have++] = bytes[i++];
		if (g->have < 2)
			continue;
		if (guard_bad_frame(g->header))
		{
			if (i < 2)
				return false;
			bytes[i - 2] |= 0x70;
			g->mode = GUARD_OFF;	/* libwebsockets closes */
			/* What follows would be garbage, and over TLS come to it before it can send its close frame. */
			*n = i;
			return true;
		}
		g->left = guard_payload_length(g);
		if (g->left != UINT64_MAX)
			g->have = 0;
		else
			g->left = 0;		/* the header is not complete yet */
	}
	return true;
}

/* The frame's payload length, once its header and mask are complete; else UINT64_MAX. */
static uint64_t
guard_payload_length(const Guard *g)
{
	uint8_t		small = g->header[1] & 0x7f;
	size_t		extended = small == 126 ? 2 : small == 127 ? 8 : 0;
	uint64_t	length = 0;

	if (g->have < 2 + extended + 4)
		return UINT64_MAX;
	if (extended == 0)
		return small;
	for (size_t i = 0; i < extended; i++)
		length = length << 8 | g->header[2 + i];
	return length;
}

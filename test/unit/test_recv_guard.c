/* with: src/gateway/recv_guard.c */
/*
 * test_recv_guard.c - our recv() in front of libwebsockets, on a socketpair.
 *
 * Streams are cut in two at every place.
 */
#include "gateway/recv_guard.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"
#include "wire/counters.h"

#define MAX_FDS 1024

static int	ours;
static int	theirs;
static size_t received;			/* in all, since begin() */

/* Sends n bytes and receives what there is; false: recv() refused. */
static bool
pass(const void *bytes, size_t n, uint8_t *got)
{
	size_t		have = 0;
	ssize_t		k;

	if (send(theirs, bytes, n, 0) != (ssize_t) n)
		return false;
	while ((k = recv(ours, got + have, n - have + 1, MSG_DONTWAIT)) > 0)
		have += (size_t) k;
	received += have;
	return errno == EAGAIN;
}

static void
begin(void)
{
	int			pair[2];

	if (ours > 0)
	{
		guard_close(ours);
		close(ours);
		close(theirs);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return;
	received = 0;
	ours = pair[0];
	theirs = pair[1];
	guard_open(ours);
}

static void
test_requests(void)
{
	uint8_t		got[200];

	unit_case("a request is taken if a read came since the last one");
	begin();
	CHECK(pass("GET / HTTP/1.1\r\n\r\n", 18, got));
	CHECK(guard_take_request(ours));
	CHECK(!guard_take_request(ours));
	CHECK(pass("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 38, got));
	CHECK(guard_take_request(ours));
	CHECK(pass("x", 1, got));
	guard_take_body(ours);
	CHECK(!guard_take_request(ours));

	unit_case("bytes behind an upgrade request are noticed");
	for (size_t cut = 0; cut <= 20; cut++)
	{
		const char *text = "GET / HTTP/1.1\r\n\r\n\x81\x80";

		begin();
		CHECK(pass(text, cut, got) && pass(text + cut, 20 - cut, got));
		CHECK(!guard_websocket(ours));
	}
	unit_case("a request alone is fine");
	for (size_t cut = 0; cut <= 18; cut++)
	{
		const char *text = "GET / HTTP/1.1\r\n\r\n";

		begin();
		CHECK(pass(text, cut, got) && pass(text + cut, 18 - cut, got));
		CHECK(guard_websocket(ours));
	}
	unit_case("bytes of the body before it do not count");
	begin();
	CHECK(pass("POST / HTTP/1.1\r\n\r\n", 19, got) && guard_take_request(ours));
	CHECK(pass("\r\n\r\nmore", 8, got));
	guard_take_body(ours);
	CHECK(pass("GET / HTTP/1.1\r\n\r\n", 18, got));
	CHECK(guard_websocket(ours));
}

/* Sends a head of `line` and `rest` bytes in pieces; what recv() then says, and `theirs` was answered. */
static bool
refused(size_t line, size_t rest, size_t piece, const char *answer)
{
	static char text[40000];
	static char got[40000];
	size_t		n = line + rest;
	ssize_t		k = 0;

	memset(text, 'x', n);
	text[line - 1] = '\n';
	begin();
	for (size_t at = 0; at < n && k >= 0; at += piece)
	{
		if (send(theirs, text + at, piece < n - at ? piece : n - at, 0) < 0)
			return false;
		k = recv(ours, got, sizeof(got), 0);
	}
	if (k >= 0)
		return answer == NULL && recv(theirs, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN;
	if (errno != EAGAIN)
		return false;
	k = recv(theirs, got, sizeof(got), 0);
	return answer != NULL && k > 12 && memcmp(got, answer, 12) == 0 && recv(theirs, got, 1, 0) == 0;
}

static void
test_heads(void)
{
	static const size_t pieces[] = {40000, 1460, 1};
	static uint64_t counters[GATEWAY_COUNTER_COUNT];
	static uint8_t got[40000];
	static uint8_t body[30000];

	guard_set_counters(counters);
	for (int i = 0; i < 3; i++)
	{
		size_t		piece = pieces[i];

		unit_case("a head that is too long is answered, %zu bytes at a time", piece);
		CHECK(refused(GUARD_URL_MAX, 0, piece, NULL));
		CHECK(refused(GUARD_URL_MAX + 2, 0, piece, "HTTP/1.1 414"));
		CHECK(refused(100, GUARD_HEAD_MAX - 100, piece, NULL));
		CHECK(refused(100, GUARD_HEAD_MAX - 99, piece, "HTTP/1.1 431"));
	}
	CHECK(counters[COUNTER_REFUSED_URL] == 3 && counters[COUNTER_REFUSED_HEADER] == 3);

	unit_case("what follows is dropped, so that the answer arrives, but not for ever");
	for (int i = 0; i < 300; i++)
	{
		CHECK(send(theirs, body, sizeof(body), 0) == sizeof(body));
		CHECK(recv(ours, got, sizeof(got), 0) == -1);
		if (errno != EAGAIN)
		{
			CHECK(errno == ECONNRESET && i > 200);
			break;
		}
	}
	CHECK(errno == ECONNRESET);

	unit_case("bodies and further requests on the connection have nothing to do with it");
	begin();
	CHECK(pass("POST / HTTP/1.1\r\n\r\n", 19, got) && guard_take_request(ours));
	guard_expect_body(ours, true);
	CHECK(pass(body, sizeof(body), got));
	guard_take_body(ours);
	CHECK(pass(body, sizeof(body), got));
	guard_take_body(ours);
	guard_expect_body(ours, false);
	for (int i = 0; i < 2000; i++)
		CHECK(pass("GET / HTTP/1.1\r\n\r\n", 18, got) && guard_take_request(ours));
	guard_set_counters(NULL);
}

/* A masked frame of each length form, then an unmasked one. */
static void
test_frames(void)
{
	static const size_t lengths[] = {0, 1, 125, 126, 300};
	static uint8_t stream[2000];
	static uint8_t got[2000];

	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
	{
		size_t		n = lengths[k];
		size_t		at = 0;
		size_t		second;

		stream[at++] = 0x81;
		if (n < 126)
			stream[at++] = (uint8_t) (0x80 | n);
		else
		{
			stream[at++] = 0x80 | 126;
			stream[at++] = (uint8_t) (n >> 8);
			stream[at++] = (uint8_t) n;
		}
		memset(stream + at, 0x00, 4 + n);	/* a payload that looks like unmasked headers */
		at += 4 + n;
		second = at;
		stream[at++] = 0x81;
		stream[at++] = 1;
		stream[at++] = 'x';

		unit_case("an unmasked frame behind %zu masked bytes, cut anywhere", n);
		for (size_t cut = 0; cut <= at; cut++)
		{
			bool		passed;

			begin();
			guard_websocket(ours);
			passed = pass(stream, cut, got) && pass(stream + cut, at - cut, got + cut);
			if (cut == second + 1)
				CHECK(!passed);	/* its first byte is out of reach */
			else
				CHECK(passed && got[second] == (0x81 | 0x70));
			if (cut == 0 || cut == at)
				CHECK(received == second + 2);	/* nothing behind its header */
			CHECK(memcmp(got, stream, second) == 0);
		}
	}
}

static void
test_control_frames(void)
{
	static const struct
	{
		uint8_t		header[2];
		bool		bad;
	}			table[] = {
		{{0x89, 0x80 | 125}, false}, {{0x8a, 0x80}, false}, {{0x82, 0x80 | 126}, false},
		{{0x89, 0x80 | 126}, true}, {{0x8a, 0x80 | 127}, true}, {{0x88, 0x80 | 126}, true}
	};
	uint8_t		got[2];

	unit_case("a control frame of more than 125 bytes is made one that is closed with 1002");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		begin();
		guard_websocket(ours);
		CHECK(pass(table[i].header, 2, got) && got[0] == (table[i].header[0] | (table[i].bad ? 0x70 : 0)));
	}
}

static void
test_strangers(void)
{
	uint8_t		got[10];

	unit_case("descriptors that were not accepted pass untouched");
	begin();
	guard_websocket(ours);
	guard_close(ours);
	CHECK(pass("\x81\x01x", 3, got) && got[0] == 0x81);

	unit_case("descriptors that cannot be watched are refused");
	for (size_t i = 0; i < 4; i++)
	{
		static const int fds[] = {-1, MAX_FDS, MAX_FDS + 1, INT_MAX};

		guard_open(fds[i]);
		guard_take_body(fds[i]);
		CHECK(!guard_take_request(fds[i]) && !guard_websocket(fds[i]));
		guard_close(fds[i]);
	}

	unit_case("nothing more is read from a connection that is to be closed, whatever it was");
	for (int websocket = 0; websocket < 2; websocket++)
	{
		begin();
		if (websocket)
			guard_websocket(ours);
		guard_end(ours);
		CHECK(send(theirs, "x", 1, 0) == 1);
		CHECK(recv(ours, got, 1, 0) == -1 && errno == ECONNRESET);
	}

	unit_case("peeking does not count");
	begin();
	guard_websocket(ours);
	CHECK(send(theirs, "\x81\x01x", 3, 0) == 3);
	CHECK(recv(ours, got, 3, MSG_PEEK) == 3 && got[0] == 0x81);
	CHECK(recv(ours, got, 3, 0) == 2 && got[0] == 0xf1);
}

int
main(void)
{
	guard_init(MAX_FDS);
	test_requests();
	test_heads();
	test_frames();
	test_control_frames();
	test_strangers();
	guard_close(ours);
	close(ours);
	close(theirs);
	return unit_done();
}

/* with: src/gateway/accept.c src/gateway/auth.c src/gateway/handler_connection.c src/gateway/handler_conninfo.c src/gateway/handlers.c src/gateway/http.c src/gateway/jwks.c src/gateway/jwt_keys.c src/gateway/listener.c src/gateway/log.c src/gateway/metrics.c src/gateway/origin.c src/gateway/polling.c src/gateway/recv_guard.c src/gateway/request.c src/gateway/sandbox.c src/gateway/static.c src/gateway/tls.c src/gateway/worker_link.c src/gateway/ws.c -rdynamic -lwebsockets -luv -lseccomp -lpq -ldl */
/* at least: 5 */

/*
 * fuzz_gateway.c - the whole gateway in this process: the input is a script of
 * what the worker says on the link and what clients send on their sockets.
 *
 * An input is a sequence of steps of one byte each, some with an argument: a
 * length in two bytes and so much of the input (read_argument()).  Clients come
 * over a listening socket of the local kind, which the gateway accepts on as on
 * any other.  The gateway lives on from one input to the next, and is started
 * anew when the script has ended it; clients do not.
 *
 * Checked, besides what the sanitizers see: clients' bytes alone never end the
 * gateway, and when the clients have gone it holds none of their connections.
 */
#define main gateway_main
#include "gateway/main.c"
#undef main
#include "gateway/config.c"

#include <assert.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/session_state.h"

#define CLIENTS		4
#define SESSIONS_MAX 50			/* over polling, whose clients have gone: then a new gateway */
#define ARGUMENT_MAX 4096

/* Steps; the low bits of those for clients say which one. */
typedef enum Step
{
	STEP_LINK = 0,				/* type, argument: a frame */
	STEP_RUN,
	STEP_OPEN = 4,
	STEP_BYTES = 8,				/* argument */
	STEP_UPGRADE = 12,			/* a WebSocket handshake */
	STEP_FRAME = 16,			/* opcode, argument: a masked frame */
	STEP_TEXT = 20,				/* argument: the usual frame */
	STEP_HANDSHAKE = 24,		/* over polling */
	STEP_GET = 28,
	STEP_POST = 32,				/* argument */
	STEP_PROBE = 36,			/* the upgrade of the session over polling of the client before */
	STEP_HANG_UP = 40,
	STEP_SHUT = 44,				/* its half of the connection */
	STEP_DEAF = 48,				/* reads nothing any more */
	STEP_END = 52
} Step;

typedef struct Person
{
	int			fd;				/* -1: none */
	bool		deaf;
	char		sid[SID_LENGTH + 1];	/* the newest that it was told */
} Person;

static Gateway gateway;
static bool running;
static int	link_fd;			/* the worker's end */
static int	listening;
static struct sockaddr_un address;
static Person people[CLIENTS];

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The real one would take libFuzzer's timer away. */
void
watchdog_start(int seconds)
{
	(void) seconds;
}

void
watchdog_tick(void)
{
}

/* ---- the worker's part ---- */

static void
tell(LinkType type, Slice payload)
{
	uint8_t		header[LINK_HEADER];
	struct iovec parts[2] = {{header, LINK_HEADER}, {(void *) payload.data, payload.len}};
	union
	{
		struct cmsghdr align;
		char		bytes[CMSG_SPACE(sizeof(int))];
	}			control;
	struct msghdr msg = {.msg_iov = parts,.msg_iovlen = 2};

	link_header(header, type, (uint32_t) payload.len);
	if (type == LINK_LISTEN)
	{
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &listening, sizeof(int));
	}
	(void) !sendmsg(link_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
tell_config(void)
{
	static const char *const wanted[][2] = {
		{"path", "/socket.io/"}, {"namespaces", "/,/a"}, {"ping_interval", "25000"}, {"ping_timeout", "20000"},
		{"connect_timeout", "45000"}, {"upgrade_timeout", "10000"}, {"max_payload", "20000"}, {"max_connections", "100"},
		{"max_queued", "65536"}, {"recovery_window", "120000"}, {"history_size", "65536"}, {"allow_anonymous", "on"},
		{"user_claim", "sub"}, {"handler_connections", "1"}, {"handler_timeout", "1000"}, {"allowed_origins", "http://here"},
	};
	uint8_t		payload[8192];
	uint8_t    *at = write_u32(write_u32(payload, 1), SETTING_COUNT);

	for (size_t i = 0; i < SETTING_COUNT; i++)
	{
		const char *value = settings[i].kind == SETTING_BOOL ? "off" : settings[i].kind == SETTING_TEXT ? "" : "0";

		for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
			if (strcmp(settings[i].name, wanted[k][0]) == 0)
				value = wanted[k][1];
		at = write_string(write_string(at, slice_cstring(settings[i].name)), slice_cstring(value));
	}
	tell(LINK_CONFIG, slice(payload, (size_t) (at - payload)));
}

static void
listen_to_worker(void)
{
	uint8_t		bytes[65536];

	while (recv(link_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* ---- clients' part ---- */

static void
hang_up(Person *p)
{
	if (p->fd >= 0)
		close(p->fd);
	*p = (Person) {.fd = -1};
}

static void
hear(Person *p)
{
	char		bytes[65536 + 1];
	ssize_t		n;

	if (p->fd < 0 || p->deaf)
		return;
	while ((n = recv(p->fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT)) > 0)
	{
		const char *sid;

		bytes[n] = '\0';
		sid = strstr(bytes, "0{\"sid\":\"");
		if (sid && strlen(sid) > 9 + SID_LENGTH)
			memcpy(p->sid, sid + 9, SID_LENGTH);
	}
	if (n == 0)
		hang_up(p);
}


static void
turns(int n)
{
	while (n-- > 0)
		uv_run(&gateway.loop, UV_RUN_NOWAIT);
	listen_to_worker();
	for (int i = 0; i < CLIENTS; i++)
		hear(&people[i]);
}

static void
say(Person *p, const void *bytes, size_t n)
{
	if (p->fd >= 0)
		(void) !send(p->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
come(Person *p)
{
	hang_up(p);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(p->fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		hang_up(p);
	turns(2);
}

/* A request of this method, for this session if there is one. */
static void
request(Person *p, const char *method, const char *transport, const char *sid, const char *fields, Slice body)
{
	char		head[600];
	int			n = snprintf(head, sizeof(head), "%s /socket.io/?EIO=4&transport=%s%s%s HTTP/1.1\r\nHost: here\r\n%s\r\n",
							 method, transport, sid[0] ? "&sid=" : "", sid, fields);

	if (p->fd < 0)
		come(p);
	say(p, head, (size_t) n);
	say(p, body.data, body.len);
}

static void
upgrade(Person *p, const char *sid)
{
	request(p, "GET", "websocket", sid, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", (Slice) {0});
}

static void
post(Person *p, Slice body)
{
	char		fields[80];

	snprintf(fields, sizeof(fields), "Content-Type: text/plain\r\nContent-Length: %zu\r\n", body.len);
	request(p, "POST", "polling", p->sid, fields, body);
}

/* Masked with zeros. */
static void
frame(Person *p, uint8_t first, Slice payload)
{
	uint8_t		header[8] = {first, (uint8_t) (0x80 | (payload.len < 126 ? payload.len : 126)),
	(uint8_t) (payload.len >> 8), (uint8_t) payload.len};

	say(p, header, payload.len < 126 ? 2 : 4);
	say(p, "\0\0\0\0", 4);
	say(p, payload.data, payload.len);
}

/* ---- the script ---- */

static Slice
read_argument(Reader *r)
{
	size_t		n = read_u8(r);

	n |= (size_t) read_u8(r) << 8;
	if (n > ARGUMENT_MAX)
		n = ARGUMENT_MAX;
	return read_bytes(r, n < reader_left(r) ? n : reader_left(r));
}

/*
 * Positions are the harness's: the gateway may rely on the worker for an order
 * of commits, but for nothing that backends or clients have made.
 */
static void
link_step(Reader *r)
{
	static uint64_t lsn = 1;
	uint8_t		bytes[LINK_HISTORY_HEADER + ARGUMENT_MAX];
	LinkType	type = (LinkType) (read_u8(r) % LINK_TYPE_END);
	Slice		payload = read_argument(r);
	LinkMessage m = {.timeline = 1,.lsn = lsn,.xid = lsn,.envelope = payload};
	uint8_t    *end = bytes;

	lsn++;
	switch (type)
	{
		case LINK_CONFIG:		/* the sandbox would hold for the fuzzer, too */
		case LINK_LISTEN:
			return;
		case LINK_MESSAGE:
			end = write_bytes(link_message_header(bytes, &m), payload);
			break;
		case LINK_HISTORY:
			end = write_bytes(link_history_header(bytes, 0, &m), payload);
			break;
		case LINK_COVERED:
		case LINK_POSITION:
			end = link_position_encode(bytes, &(LinkPosition) {.timeline = 1,.lsn = lsn});
			break;
		case LINK_TIMELINES:
			end = link_timelines_encode(bytes, &(LinkTimeline) {.timeline = 1,.end = UINT64_MAX}, 1);
			break;
		default:
			tell(type, payload);
			return;
	}
	tell(type, slice(bytes, (size_t) (end - bytes)));
}

static void
client_step(Step step, int which, Reader *r)
{
	Person	   *p = &people[which];

	switch (step)
	{
		case STEP_OPEN:
			come(p);
			break;
		case STEP_BYTES:
			{
				Slice		bytes = read_argument(r);

				say(p, bytes.data, bytes.len);
				break;
			}
		case STEP_UPGRADE:
			upgrade(p, "");
			break;
		case STEP_FRAME:
			{
				uint8_t		first = read_u8(r);

				frame(p, first, read_argument(r));
				break;
			}
		case STEP_TEXT:
			frame(p, 0x81, read_argument(r));
			break;
		case STEP_HANDSHAKE:
			request(p, "GET", "polling", "", "", (Slice) {0});
			break;
		case STEP_GET:
			request(p, "GET", "polling", p->sid, "", (Slice) {0});
			break;
		case STEP_POST:
			post(p, read_argument(r));
			break;
		case STEP_PROBE:
			upgrade(p, people[(which + 1) % CLIENTS].sid);
			break;
		case STEP_HANG_UP:
			hang_up(p);
			break;
		case STEP_SHUT:
			if (p->fd >= 0)
				shutdown(p->fd, SHUT_WR);
			break;
		case STEP_DEAF:
			p->deaf = true;
			break;
		default:
			break;
	}
}

/* ---- life ---- */

/* So that nobody else gets the link's. */
static void
keep_number(void)
{
	assert(fcntl(LINK_FD, F_GETFD) < 0 && dup2(STDERR_FILENO, LINK_FD) == LINK_FD);
}

static uint64_t
clock_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void
start(void)
{
	int			pair[2];
	uint64_t	until;
	uint8_t		timelines[4 + LINK_TIMELINE_SIZE];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	link_fd = pair[0];
	assert(dup2(pair[1], LINK_FD) == LINK_FD);
	close(pair[1]);
	memset(&gateway, 0, sizeof(gateway));
	gateway_start(&gateway);
	assert(!gateway.leaving);
	tell(LINK_HELLO, slice("\4\0\0\0fuzz", 8));
	tell_config();
	tell(LINK_TIMELINES, slice(timelines, (size_t) (link_timelines_encode(timelines, &(LinkTimeline) {.timeline = 1,.end = UINT64_MAX}, 1) - timelines)));
	tell(LINK_LISTEN, slice("\1\0\0\0", 4));
	for (until = clock_ms() + 5000; !gateway.listening; turns(1))
		assert(!gateway.leaving && clock_ms() < until);
	running = true;
}

static void
stop(void)
{
	if (!gateway.leaving)
		gateway_leave(&gateway, 0);
	uv_run(&gateway.loop, UV_RUN_DEFAULT);
	gateway_destroy(&gateway);
	close(link_fd);
	keep_number();
	running = false;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct rlimit files = {512, 512};

	(void) argc;
	(void) argv;
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	keep_number();
	assert(guard_init(files.rlim_cur));
	for (int i = 0; i < CLIENTS; i++)
		people[i].fd = -1;
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "pg_rooms fuzz %d", (int) getpid());
	assert(bind(listening, (struct sockaddr *) &address, sizeof(address)) == 0 && listen(listening, 16) == 0);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Reader		r = reader(slice(data, size));
	bool		told = false;
	uint64_t	until;

	if (running && gateway.server->sessions.count > SESSIONS_MAX)
		stop();
	if (!running)
		start();
	while (reader_left(&r) > 0 && !gateway.leaving)
	{
		unsigned	step = read_u8(&r) % STEP_END;

		if (step < STEP_OPEN && (step & 1) == STEP_LINK)
		{
			link_step(&r);
			told = true;
		}
		else if (step >= STEP_OPEN)
			client_step((Step) (step & ~3u), step & 3, &r);
		turns(3);
	}
	assert(told || !gateway.leaving);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&people[i]);
	until = clock_ms() + 5000;
	while (!gateway.leaving && listener_connections(gateway.listener) > 0)
	{
		turns(1);
		assert(clock_ms() < until);
	}
	if (gateway.leaving)
		stop();
	return 0;
}

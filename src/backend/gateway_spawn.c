/*
 * gateway_spawn.c - fork and exec of the gateway executable.
 *
 * Called by gateway_process.c only.  The child is a copy of a PostgreSQL
 * process: shared memory attached, data files and sockets open, handlers that
 * touch both.  So all signals are blocked around the fork, everything that
 * may allocate or log happens before it, and the child uses nothing but
 * async-signal-safe calls until exec has replaced it.
 *
 * The child gets its own session: the postmaster signals whole process groups
 * (signal_child() in postmaster.c), and the gateway is ended by its worker, by
 * the end of the link or by its parent-death signal, never by a SIGQUIT that
 * kills it before it has a handler.  A stray child that dies by a signal
 * would look like a crash to a postmaster that is process 1 of a container.
 *
 * SIGTERM stays blocked over exec: the parent-death signal must not be lost
 * nor kill it by default action before the gateway has its handler.
 *
 * An exec that fails comes back as an errno through a close-on-exec pipe.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port.h"

#include "backend/compat.h"
#include "backend/gateway_spawn.h"
#include "wire/link.h"

#define GATEWAY_NAME	"pg_rooms_gateway"
#define STATUS_FD		(LINK_FD + 1)
#define FIRST_FREE_FD	(STATUS_FD + 1)
#define OOM_RAISE		500		/* above whatever PostgreSQL's own score is */

/* Passed on if set: where libraries are found, the time zone, sanitizers' options. */
static const char *const passed_environment[] = {
	"LD_LIBRARY_PATH", "LD_PRELOAD", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"
};

/* All the child needs, made ready before the fork. */
typedef struct Child
{
	const char *path;
	char	   *argv[2];
	char	   *envp[lengthof(passed_environment) + 1];
	char		oom_score[16];	/* "" : leave it */
	int			max_fd;
	int			link;
	int			status;			/* the pipe's writing end */
} Child;

static void child_prepare(Child *c);
pg_noreturn static void child_run(const Child *c);
static void child_signals(void);
static void child_files(const Child *c, int *status);
static int	exec_result(int status, pid_t pid);

const char *
gateway_path(void)
{
	static char path[MAXPGPATH];

	if (path[0] == '\0')
	{
		strlcpy(path, my_exec_path, MAXPGPATH);
		get_parent_directory(path);
		join_path_components(path, path, GATEWAY_NAME);
	}
	return path;
}

int
gateway_spawn(pid_t *pid, pgsocket *link, const char **what)
{
	int			pair[2];
	int			status[2];
	int			error;
	sigset_t	all;
	sigset_t	before;
	Child		c;

	*what = "socketpair";
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return errno;
	*what = "pipe";
	if (pipe2(status, O_CLOEXEC) < 0)
	{
		error = errno;
		close(pair[0]);
		close(pair[1]);
		return error;
	}
	child_prepare(&c);
	c.link = pair[1];
	c.status = status[1];

	*what = "fork";
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	*pid = fork();
	if (*pid == 0)
		child_run(&c);
	error = *pid < 0 ? errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);

	close(pair[1]);
	close(status[1]);
	if (error == 0)
	{
		*what = "execute";
		error = exec_result(status[0], *pid);
	}
	close(status[0]);
	if (error != 0)
		close(pair[0]);
	*link = pair[0];
	return error;
}

/* What the child wrote before it gave up, or 0 once exec has closed the pipe.  Reaps a failed child. */
static int
exec_result(int status, pid_t pid)
{
	int			error = 0;
	ssize_t		n;

	do
		n = read(status, &error, sizeof(error));
	while (n < 0 && errno == EINTR);

	if (n != sizeof(error))
		return 0;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return error != 0 ? error : ENOEXEC;
}

static void
child_prepare(Child *c)
{
	struct rlimit limit;
	int			n = 0;
	int			fd;
	char		score[16] = "";

	c->path = gateway_path();
	c->argv[0] = (char *) c->path;
	c->argv[1] = NULL;

	for (size_t i = 0; i < lengthof(passed_environment); i++)
	{
		const char *value = getenv(passed_environment[i]);

		/* Strings of `environ` itself: "NAME=value" begins before the value. */
		if (value)
			c->envp[n++] = (char *) value - strlen(passed_environment[i]) - 1;
	}
	c->envp[n] = NULL;

	c->max_fd = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1 << 20 ? (int) limit.rlim_cur : 1 << 20;

	c->oom_score[0] = '\0';
	fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
	{
		if (read(fd, score, sizeof(score) - 1) > 0)
			snprintf(c->oom_score, sizeof(c->oom_score), "%d", Min(atoi(score) + OOM_RAISE, 1000));
		close(fd);
	}
}

/*
 * From here on we are the child: async-signal-safe calls only, and no return.
 */
static void
child_run(const Child *c)
{
	int			status = c->status;
	int			error;
	ssize_t		ignored;

	(void) setsid();
	child_signals();
	child_files(c, &status);
	if (c->oom_score[0] != '\0')
	{
		int			fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

		if (fd >= 0)
		{
			ignored = write(fd, c->oom_score, strlen(c->oom_score));
			close(fd);
		}
	}
	execve(c->path, c->argv, c->envp);

	error = errno;
	ignored = write(status, &error, sizeof(error));
	(void) ignored;
	_exit(1);
}

/* Every signal to its default, and only SIGTERM blocked. */
static void
child_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t	blocked;

	for (int i = 1; i < NSIG; i++)
		(void) sigaction(i, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* 0 is /dev/null, 1 and 2 the server's stderr, then the link and the status pipe, and nothing else. */
static void
child_files(const Child *c, int *status)
{
	int			link = fcntl(c->link, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	int			pipe = fcntl(c->status, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	int			null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
	{
		dup2(null, STDIN_FILENO);
		if (fcntl(STDERR_FILENO, F_GETFD) < 0)
			dup2(null, STDERR_FILENO);
	}
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (link < 0 || dup2(link, LINK_FD) < 0 || pipe < 0 || dup3(pipe, STATUS_FD, O_CLOEXEC) < 0)
		_exit(1);
	*status = STATUS_FD;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, FIRST_FREE_FD, ~0U, 0) == 0)
		return;
#endif
	for (int fd = FIRST_FREE_FD; fd < c->max_fd; fd++)
		close(fd);
}

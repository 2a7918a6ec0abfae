/*
 * intruder.c - somebody who has taken over the gateway, for 062_sandbox.pl.
 *
 * Preloaded (the worker passes LD_PRELOAD on), it stands in front of accept4():
 * at the first connection it tries, in a thread of its own, what must not be
 * possible, and says on standard error "intruder: can ..." or "intruder: cannot
 * ...: why"; at the end "intruder: done".  What succeeds is undone at once.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char data_directory[4096];	/* "": not the gateway */
static pid_t worker;

static const char *
in_data(const char *name)
{
	static char path[8192];

	snprintf(path, sizeof(path), "%s/%s", data_directory, name);
	return path;
}

/* What is tried: each gives a negative number, and errno, if it was refused. */

static int
keep(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd;
}

static int read_data(void) { return keep(open(in_data("PG_VERSION"), O_RDONLY)); }
static int read_config(void) { return keep(open(in_data("postgresql.conf"), O_RDONLY)); }
static int write_data(void) { return keep(open(in_data("PG_VERSION"), O_WRONLY)); }
static int read_passwords(void) { return keep(open("/etc/passwd", O_RDONLY)); }
static int open_worker_memory(void) { char p[64]; sprintf(p, "/proc/%d/mem", worker); return keep(open(p, O_RDWR)); }
static int signal_worker(void) { return kill(worker, 0); }
static int limit_worker(void) { struct rlimit l; return prlimit(worker, RLIMIT_NOFILE, NULL, &l); }
static int use_netlink(void) { return keep(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int use_io_uring(void) { char p[256] = {0}; return keep((int) syscall(SYS_io_uring_setup, 1, p)); }

static int
read_data_openat2(void)
{
	struct open_how how = {.flags = O_RDONLY};

	return keep((int) syscall(SYS_openat2, AT_FDCWD, in_data("PG_VERSION"), &how, sizeof(how)));
}

static int
create_file_openat2(void)
{
	struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 0600};
	int			fd = (int) syscall(SYS_openat2, AT_FDCWD, in_data("intruder"), &how, sizeof(how));

	if (fd >= 0)
		unlink(in_data("intruder"));
	return keep(fd);
}

static int
make_folder(void)
{
	int			r = mkdir(in_data("intruder.d"), 0700);

	if (r == 0)
		rmdir(in_data("intruder.d"));
	return r;
}

static int
start_process(void)
{
	pid_t		pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

/* Without fork() in place: if that works the gateway is gone, and the test sees no "done". */
static int
start_program(void)
{
	char	   *argv[] = {"true", NULL};
	pid_t		pid = fork();
	int			status = 1;

	if (pid <= 0)
	{
		execv("/bin/true", argv);
		if (pid == 0)
			_exit(1);
		return -1;
	}
	waitpid(pid, &status, 0);
	return status == 0 ? 0 : -1;
}

static int
trace_worker(void)
{
	long		r = ptrace(PTRACE_SEIZE, worker, 0, 0);

	if (r == 0)
		ptrace(PTRACE_DETACH, worker, 0, 0);
	return (int) r;
}

static int
have_a_signal_sent(void)
{
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	int			r = fcntl(fd, F_SETOWN, worker);

	keep(fd);
	return r;
}

static int
share_memory(void)
{
	int			id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	return id;
}

static int
map_executable(void)
{
	void	   *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : munmap(p, 4096);
}

static int
make_executable(void)
{
	void	   *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int			r = mprotect(p, 4096, PROT_READ | PROT_EXEC);

	munmap(p, 4096);
	return r;
}

static int
listen_somewhere(void)
{
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	int			r = listen(fd, 1);

	keep(fd);
	return r;
}

/* What the gateway itself needs, for the names of database servers. */
static int
resolve_localhost(void)
{
	struct addrinfo *found;
	int			r = getaddrinfo("localhost", "5432", NULL, &found);

	if (r != 0)
		return -1;
	freeaddrinfo(found);
	return 0;
}

static const struct
{
	const char *what;
	int			(*attempt) (void);
}			attempts[] = {
	{"read a file of the data directory", read_data},
	{"read a file of the data directory by openat2", read_data_openat2},
	{"read postgresql.conf", read_config},
	{"write a file of the data directory", write_data},
	{"create a file in the data directory", create_file_openat2},
	{"make a folder in the data directory", make_folder},
	{"read /etc/passwd", read_passwords},
	{"start a program", start_program},
	{"start a process", start_process},
	{"signal the worker", signal_worker},
	{"have a signal sent to the worker", have_a_signal_sent},
	{"trace the worker", trace_worker},
	{"open the memory of the worker", open_worker_memory},
	{"look at the limits of the worker", limit_worker},
	{"share memory", share_memory},
	{"map executable memory", map_executable},
	{"make memory executable", make_executable},
	{"listen on a port", listen_somewhere},
	{"use netlink", use_netlink},
	{"use io_uring", use_io_uring},
	{"resolve localhost", resolve_localhost},
};

static void *
intrude(void *arg)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
	{
		errno = 0;
		if (attempts[i].attempt() >= 0)
			dprintf(2, "intruder: can %s\n", attempts[i].what);
		else
			dprintf(2, "intruder: cannot %s: %s\n", attempts[i].what, strerror(errno));
	}
	dprintf(2, "intruder: done\n");
	return arg;
}

static void __attribute__((constructor))
prepare(void)
{
	/* The worker's working directory, which a gateway has at first. */
	if (strcmp(program_invocation_short_name, "pg_rooms_gateway") != 0 ||
		!getcwd(data_directory, sizeof(data_directory)))
		data_directory[0] = '\0';
	worker = getppid();
}

int
accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	static int	(*real) (int, struct sockaddr *, socklen_t *, int);
	int			client;
	pthread_t	thread;

	if (!real)
		real = dlsym(RTLD_NEXT, "accept4");
	client = real(fd, from, len, flags);
	if (client >= 0 && data_directory[0] != '\0')
	{
		if (pthread_create(&thread, NULL, intrude, NULL) == 0)
			pthread_join(thread, NULL);
		data_directory[0] = '\0';
	}
	return client;
}

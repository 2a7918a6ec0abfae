/*
 * sandbox.c - landlock and seccomp around the gateway.
 *
 * main.c calls in at the start and with each CONFIG; from the first one on,
 * before the first client, the process is restricted to what it uses:
 *
 * - landlock (by path): it may read regular files below document_root, the
 *   files that host names are resolved by, and those that handler_conninfo
 *   names; write, create or execute none.
 * - seccomp (by system call): an allow list, the rest fails with EPERM.  No
 *   program is started, no process made (threads are: libuv resolves names in
 *   one), no memory made executable, no signal sent to anybody else (not by
 *   way of fcntl() either), no socket listened on.
 *
 * Each covers the other's gaps: seccomp cannot look at paths, landlock at
 * nothing but paths.  Refusals are errors and not SIGSYS: a system call that
 * another libc makes in some corner must not end everybody's connection.
 *
 * Rules are made for files as they are now, not for names; a file or folder
 * that has been replaced counts as another.
 */
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gateway/handler_conninfo.h"
#include "gateway/log.h"

/* What kernel headers of Debian 12 do not know yet. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif

#define PATHS_MAX 16

/* A file or folder that may be read. */
typedef struct Readable
{
	int			fd;				/* O_PATH; closed once the rules are made */
	dev_t		device;
	ino_t		inode;
} Readable;

typedef struct Sandbox
{
	bool		on;
	size_t		count;
	Readable	paths[PATHS_MAX];
} Sandbox;

static void sandbox_plan(Sandbox *s, const Config *c);
static void sandbox_read(void *ctx, const char *path);
static bool sandbox_same(const Sandbox *a, const Sandbox *b);
static void sandbox_enter(const Sandbox *s);
static bool landlock_enter(const Sandbox *s);
static bool seccomp_enter(void);

void
sandbox_harden(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
	struct rlimit no_core = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) != 0 || chdir("/") != 0)
		log_message(LINK_LOG_WARNING, NULL, "could not give up privileges: %s", strerror(errno));
}

bool
sandbox_apply(const Config *c)
{
	static Sandbox entered;
	static bool first = true;
	Sandbox		wanted;
	bool		fits;

	sandbox_plan(&wanted, c);
	fits = first || sandbox_same(&wanted, &entered);
	if (first)
	{
		first = false;
		entered = wanted;
		if (wanted.on)
			sandbox_enter(&wanted);
	}
	for (size_t i = 0; i < wanted.count; i++)
		close(wanted.paths[i].fd);
	return fits;
}

/* ---- what is needed ---- */

static void
sandbox_plan(Sandbox *s, const Config *c)
{
	/* What glibc resolves host names by. */
	static const char *const resolver[] = {
		"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"
	};

	memset(s, 0, sizeof(*s));
	s->on = c->sandbox;
	if (!s->on)
		return;
	if (c->document_root[0])
		sandbox_read(s, c->document_root);
	for (size_t i = 0; i < sizeof(resolver) / sizeof(resolver[0]); i++)
		sandbox_read(s, resolver[i]);
	(void) handler_conninfo_files(c->handlers.conninfo, sandbox_read, s);
#ifdef __SANITIZE_ADDRESS__
	/* To name functions in reports, and to look for leaks. */
	sandbox_read(s, "/usr");
	sandbox_read(s, "/proc");
	sandbox_read(s, "/proc/self/exe");
#endif
}

/* One that does not exist is left out: nobody can read it. */
static void
sandbox_read(void *ctx, const char *path)
{
	Sandbox    *s = ctx;
	Readable   *r = &s->paths[s->count];
	struct stat st;

	if (s->count == PATHS_MAX)
		return;
	r->fd = open(path, O_PATH | O_CLOEXEC);
	if (r->fd < 0)
		return;
	if (fstat(r->fd, &st) != 0)
	{
		close(r->fd);
		return;
	}
	r->device = st.st_dev;
	r->inode = st.st_ino;
	s->count++;
}

static bool
sandbox_same(const Sandbox *a, const Sandbox *b)
{
	if (a->on != b->on || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->paths[i].device != b->paths[i].device || a->paths[i].inode != b->paths[i].inode)
			return false;
	return true;
}

/* ---- the restrictions ---- */

static void
sandbox_enter(const Sandbox *s)
{
	static const char hint[] =
		"The gateway runs without this part of its sandbox; a newer kernel, or a container runtime that lets "
		"it through, has it.  pg_rooms.sandbox = off turns the sandbox and this message off.";

	/* These read files when first used: the time zone, OpenSSL's configuration. */
	tzset();
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);

	/* In this order: the filter lets no landlock call through. */
	if (!landlock_enter(s))
		log_message(LINK_LOG_WARNING, hint, "no landlock (%s): the gateway could read the files of its user",
					strerror(errno));
	if (!seccomp_enter())
		log_message(LINK_LOG_WARNING, hint, "no seccomp filter (%s): the gateway could use any system call",
					strerror(errno));
}

/* False: errno says why. */
static bool
landlock_enter(const Sandbox *s)
{
	/* All that each version of the interface can restrict. */
	static const uint64_t handled[] = {
		(LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
		(LANDLOCK_ACCESS_FS_REFER << 1) - 1,
		(LANDLOCK_ACCESS_FS_TRUNCATE << 1) - 1,
		(LANDLOCK_ACCESS_FS_TRUNCATE << 1) - 1,
		(LANDLOCK_ACCESS_FS_IOCTL_DEV << 1) - 1,
	};
	long		version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = {0};
	bool		ok;
	int			ruleset;

	if (version < 1)
		return false;
	if ((size_t) version > sizeof(handled) / sizeof(handled[0]))
		version = sizeof(handled) / sizeof(handled[0]);
	attr.handled_access_fs = handled[version - 1];
	ruleset = (int) syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	ok = ruleset >= 0;
	for (size_t i = 0; i < s->count && ok; i++)
	{
		struct landlock_path_beneath_attr rule = {
			.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
			.parent_fd = s->paths[i].fd
		};

#ifdef __SANITIZE_ADDRESS__
		struct stat st;

		if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
			rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
#endif
		ok = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	}
	ok = ok && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	if (ruleset >= 0)
	{
		int			error = errno;

		close(ruleset);
		errno = error;
	}
	return ok;
}

/* A system call that is allowed if its argument number `arg`, under `mask`, is `value`. */
typedef struct Condition
{
	int			call;
	unsigned	arg;
	uint64_t	mask;
	uint64_t	value;
} Condition;

#define WHOLE UINT64_MAX

static const int allowed[] = {
	/* the event loop and its sockets */
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_create1),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
	SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	/* descriptors; openat2() cannot be looked into, landlock does */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(openat2), SCMP_SYS(close),
	/* memory, apart from making it executable */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	/* threads and signals */
	SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(gettid), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* time, and who we are */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(setitimer), SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(sysinfo),
	SCMP_SYS(uname), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
#ifdef __SANITIZE_ADDRESS__
	/* for the search for leaks: a process that shares our memory and stops our threads */
	SCMP_SYS(ptrace), SCMP_SYS(wait4), SCMP_SYS(prctl), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents),
	SCMP_SYS(getdents64), SCMP_SYS(open),
#endif
};

static const Condition conditions[] = {
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	{SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
	{SCMP_SYS(socket), 0, WHOLE, AF_INET},
	{SCMP_SYS(socket), 0, WHOLE, AF_INET6},
	{SCMP_SYS(socket), 0, WHOLE, AF_UNIX},
	{SCMP_SYS(prctl), 0, WHOLE, PR_SET_NAME},
	{SCMP_SYS(prlimit64), 0, WHOLE, 0}, /* 0: our own */
	{SCMP_SYS(ioctl), 1, WHOLE, FIONBIO},
	{SCMP_SYS(ioctl), 1, WHOLE, FIONREAD},
	{SCMP_SYS(ioctl), 1, WHOLE, FIOCLEX},
	{SCMP_SYS(fcntl), 1, WHOLE, F_GETFD},
	{SCMP_SYS(fcntl), 1, WHOLE, F_SETFD},
	{SCMP_SYS(fcntl), 1, WHOLE, F_GETFL},
	{SCMP_SYS(fcntl), 1, WHOLE, F_SETFL},
	{SCMP_SYS(fcntl), 1, WHOLE, F_DUPFD_CLOEXEC},
#ifdef __SANITIZE_ADDRESS__
	{SCMP_SYS(clone), 0, CLONE_VM, CLONE_VM},
#else
	{SCMP_SYS(clone), 0, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD},
#endif
};

/* False: errno says why. */
static bool
seccomp_enter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int			error = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]) && error == 0; i++)
	{
		const Condition *c = &conditions[i];

		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, c->call, 1,
								 SCMP_CMP64(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value));
	}
	/* abort(), and nobody else's business */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0_64(SCMP_CMP_EQ, (uint64_t) getpid()));
	/* Its flags are out of sight; with this error glibc makes its threads by clone(). */
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);	/* a binary search */
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	errno = -error;
	return error == 0;
}

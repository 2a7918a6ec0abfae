/*
 * old_kernel.c - hides landlock and seccomp from a process that preloads it,
 * for 062_sandbox.pl.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

long
syscall(long number,...)
{
	static long (*real) (long, long, long, long, long, long, long);
	va_list		args;
	long		a[6];

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_landlock_create_ruleset || number == SYS_seccomp)
	{
		errno = ENOSYS;
		return -1;
	}
	if (!real)
		real = (long (*) (long, long, long, long, long, long, long)) dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int
prctl(int option,...)
{
	static int	(*real) (int, unsigned long, unsigned long, unsigned long, unsigned long);
	va_list		args;
	unsigned long a[4];

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_SECCOMP)
	{
		errno = EINVAL;
		return -1;
	}
	if (!real)
		real = (int (*) (int, unsigned long, unsigned long, unsigned long, unsigned long)) dlsym(RTLD_NEXT, "prctl");
	return real(option, a[0], a[1], a[2], a[3]);
}

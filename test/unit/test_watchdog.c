/* with: src/gateway/watchdog.c */
/*
 * test_watchdog.c - a process that ticks lives, one that hangs exits with 1.
 */
#include "gateway/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

/* Gives the child's exit status. */
static int
child(void (*f) (void))
{
	int			status = 0;
	pid_t		pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		watchdog_start(2);
		f();
		_exit(7);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
hang(void)
{
	time_t		end = time(NULL) + 15;

	while (time(NULL) < end)
		;
}

static void
tick(void)
{
	for (int i = 0; i < 16; i++)
	{
		struct timespec t = {0, 250 * 1000000};

		while (nanosleep(&t, &t) != 0)
			;
		watchdog_tick();
	}
}

int
main(void)
{
	unit_case("a loop that hangs ends the process with status 1");
	CHECK(child(hang) == 1);
	unit_case("one that turns does not");
	CHECK(child(tick) == 7);
	return unit_done();
}

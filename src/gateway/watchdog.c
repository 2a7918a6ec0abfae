/*
 * watchdog.c - notices that the event loop does not turn any more.
 *
 * A loop inside a library call runs no callback and no signal handler of the
 * event loop, so only a real signal handler can end it.  SIGALRM comes once a
 * second; the handler compares a counter that the loop's own timer raises.
 * The worker sees the exit and starts a new gateway.
 */
#include "gateway/watchdog.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t watchdog_ticks;
static volatile sig_atomic_t watchdog_seen;
static volatile sig_atomic_t watchdog_missed;
static int	watchdog_limit;

static void
watchdog_alarm(int sig)
{
	static const char text[] = "pg_rooms gateway: the event loop hangs, exiting\n";

	(void) sig;
	if (watchdog_ticks != watchdog_seen)
	{
		watchdog_seen = watchdog_ticks;
		watchdog_missed = 0;
		return;
	}
	if (++watchdog_missed < watchdog_limit)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

void
watchdog_start(int seconds)
{
	struct sigaction action;
	struct itimerval every = {{1, 0}, {1, 0}};

	watchdog_limit = seconds;
	memset(&action, 0, sizeof(action));
	action.sa_handler = watchdog_alarm;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

void
watchdog_tick(void)
{
	watchdog_ticks = (watchdog_ticks + 1) & 0xffff;
}

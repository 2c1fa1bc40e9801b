/* What takes long is shown while it does: see tool.h. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "snapshots/tool/tool.h"

static const char *volatile step;
static volatile sig_atomic_t shown;
static struct timespec since;

/* Only async-signal-safe calls. */
static void on_tick(int sig)
{
	char line[128];
	struct timespec now;
	unsigned s, n = 0;
	const char *name = step;
	char digits[8];
	unsigned d = 0;
	ssize_t r;

	if (!name)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	s = (unsigned)(now.tv_sec - since.tv_sec) % 100000;
	line[n++] = '\r';
	while (*name && n < 100)
		line[n++] = *name++;
	line[n++] = ' ';
	do {
		digits[d++] = (char)('0' + s % 10);
		s /= 10;
	} while (s);
	while (d)
		line[n++] = digits[--d];
	line[n++] = ' ';
	line[n++] = 's';
	r = write(STDERR_FILENO, line, n);
	(void)r; /* a terminal that is gone shows no progress */
	shown = 1;
}

void progress_clear(void)
{
	if (!shown)
		return;
	shown = 0;
	fputs("\r\033[K", stderr);
	fflush(stderr);
}

void progress_step(const char *name)
{
	struct itimerval timer = {0};
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};

	if (!isatty(STDERR_FILENO))
		return;
	step = NULL;
	setitimer(ITIMER_REAL, &timer, NULL);
	progress_clear();
	if (!name)
		return;
	clock_gettime(CLOCK_MONOTONIC, &since);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	step = name;
	timer.it_value.tv_sec = 2;
	timer.it_interval.tv_sec = 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Ending early without leaving anything behind: see tool.h. */
#include <signal.h>
#include <stddef.h>

#include "snapshots/tool/tool.h"

static volatile sig_atomic_t caught;
static volatile pid_t watched;

static void on_signal(int sig)
{
	caught = sig;
	if (watched > 0)
		kill(watched, SIGKILL);
}

void signals_catch(void)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN); /* a monitor that died is an error to report, not our end */
}

void signals_watch(pid_t pid)
{
	watched = pid;
	if (caught && pid > 0)
		kill(pid, SIGKILL);
}

int signals_caught(void)
{
	return caught;
}

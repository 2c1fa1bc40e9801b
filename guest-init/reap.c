/* Children: see reap.h. */
#include "guest-init/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "guest-init/bootstrap.h"

int reap_init(struct reap *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	r->oom_kills = 0;
	return r->signal_fd < 0 ? -errno : 0;
}

bool reap_collect(struct reap *r, pid_t watched, int *ret_status)
{
	struct signalfd_siginfo info;
	bool seen = false;

	while (read(r->signal_fd, &info, sizeof(info)) > 0)
		;
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return seen;
		if (pid == watched) {
			*ret_status = status;
			seen = true;
		}
	}
}

/* "oom_kill N" in the group's own file (only there where the kernel has memory groups) or among
 * the kernel's event counters. -1 when the kernel counts neither. */
static int64_t oom_count(void)
{
	static const char *const files[] = {BOOTSTRAP_CGROUP "/memory.events", "/proc/vmstat"};

	for (unsigned i = 0; i < 2; i++) {
		stk_autofd fd = open(files[i], O_RDONLY | O_CLOEXEC);
		char buf[8192];
		const char *at;
		ssize_t n;

		n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
		if (n <= 0)
			continue;
		buf[n] = '\0';
		at = strstr(buf, "oom_kill ");
		if (at)
			return strtoll(at + 9, NULL, 10);
	}
	return -1;
}

void reap_mark(struct reap *r)
{
	r->oom_kills = oom_count();
}

bool reap_oom_killed(const struct reap *r)
{
	int64_t now = oom_count();

	return now < 0 || now > r->oom_kills;
}

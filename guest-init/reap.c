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
	r->peak_fd = -1;
	return r->signal_fd < 0 ? -errno : 0;
}

void reap_clear(struct reap *r)
{
	struct signalfd_siginfo info;

	while (read(r->signal_fd, &info, sizeof(info)) > 0)
		;
}

pid_t reap_next(int *ret_status)
{
	pid_t pid;

	do
		pid = waitpid(-1, ret_status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	return pid > 0 ? pid : 0;
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
	if (r->peak_fd < 0)
		r->peak_fd = open(BOOTSTRAP_CGROUP "/memory.peak", O_RDONLY | O_CLOEXEC);
	reap_peak_mib(r); /* the kernel has its buffer for it from now on */
}

bool reap_oom_killed(const struct reap *r)
{
	int64_t now = oom_count();

	return now < 0 || now > r->oom_kills;
}

unsigned reap_peak_mib(const struct reap *r)
{
	char text[32];
	uint64_t bytes, mib;
	ssize_t n;

	if (r->peak_fd < 0)
		return 0;
	n = pread(r->peak_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	bytes = strtoull(text, NULL, 10);
	mib = (bytes >> 20) + !!(bytes & 0xfffff);
	return mib < 65535 ? (unsigned)mib : 65535;
}

void reap_fini(struct reap *r)
{
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	if (r->peak_fd >= 0)
		close(r->peak_fd);
	r->signal_fd = r->peak_fd = -1;
}

/* Checks before the start: see preflight.h. */
#include "scheduler/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "scheduler/options.h"

#define KVM_LIMIT_NS (60 * STK_NS_PER_S)

static int need(const char *dir, const char *name, int mode, const char *advice, struct stk_err *err)
{
	char path[OPTIONS_PATH_MAX + 64];

	if (stk_snprintf(path, sizeof(path), "%s/%s", dir, name))
		return stk_err_set(err, -ENAMETOOLONG, "%s: path too long", dir);
	if (access(path, mode))
		return stk_err_sys(err, -errno, "%s is needed (%s)", path, advice);
	return 0;
}

int preflight_files(const struct options *o, struct stk_err *err)
{
	static const char images[] = OPTIONS_IMAGES_ADVICE;
	static const char bins[] = "build or install all of Stoker, or give the folder of its parts with --bin";
	int rc = need(o->bin_dir, "stoker-vmm", X_OK, bins, err);

	rc = rc ? rc : need(o->bin_dir, "stoker-snapshot", X_OK, bins, err);
	rc = rc ? rc : need(o->bin_dir, "stoker-initrd.cpio", R_OK, bins, err);
	rc = rc ? rc : need(o->images_dir, "vmlinux", R_OK, images, err);
	rc = rc ? rc : need(o->images_dir, "scratch.img", R_OK, images, err);
	return rc;
}

/* Reads until the end of the pipe or the limit. */
static size_t read_limited(int fd, char *buf, size_t cap, uint64_t until)
{
	size_t have = 0;

	while (have < cap) {
		uint64_t now = stk_now_ns();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (now >= until || poll(&p, 1, (int)((until - now) / STK_NS_PER_MS) + 1) <= 0)
			break;
		n = read(fd, buf + have, cap - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	return have;
}

int preflight_kvm(const struct options *o, struct stk_err *err)
{
	char path[OPTIONS_PATH_MAX + 16], text[320];
	char *argv[] = {path, "--preflight", NULL}, *envp[] = {NULL};
	posix_spawn_file_actions_t fa;
	int pv[2], status = -1, rc;
	uint64_t until = stk_now_ns() + KVM_LIMIT_NS;
	size_t n;
	pid_t pid;

	if (stk_snprintf(path, sizeof(path), "%s/stoker-vmm", o->bin_dir))
		return stk_err_set(err, -ENAMETOOLONG, "%s: path too long", o->bin_dir);
	if (pipe2(pv, O_CLOEXEC))
		return stk_err_sys(err, -errno, "preflight");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&fa, pv[1], 1);
	posix_spawn_file_actions_adddup2(&fa, pv[1], 2);
	rc = posix_spawn(&pid, path, &fa, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	close(pv[1]);
	if (rc) {
		close(pv[0]);
		return stk_err_sys(err, -rc, "execute %s", path);
	}
	n = read_limited(pv[0], text, sizeof(text) - 1, until);
	close(pv[0]);
	if (stk_now_ns() >= until)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		stk_info("%s", text[0] ? text : "kvm: ok");
		return 0;
	}
	if (WIFSIGNALED(status))
		return stk_err_set(err, -ENODEV, "KVM does not work here: its test hung or was killed");
	return stk_err_set(err, -ENODEV, "KVM does not work here: %s", text[0] ? text : "no reason given");
}

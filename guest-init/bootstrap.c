/* Start of the runtime: see bootstrap.h. */
#include "guest-init/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "guest-init/hotfiles.h"

#define MAX_NPROC  742 /* Lambda's */
#define MAX_NOFILE 1024
#define STACK_SIZE (8u << 20)
/* Memory the function does not get: the agent's buffers (an event of 6 MiB), what the kernel keeps
 * free, and what reading from the images takes. */
#define MEMORY_RESERVE (8u << 20)

static const char *const guest_paths[] = {"/var/task/bootstrap", "/opt/bootstrap",
					  "/var/runtime/bootstrap", NULL};
const struct bootstrap_conf bootstrap_guest = {
	.paths = guest_paths, .task_dir = "/var/task", .extensions_dir = "/opt/extensions",
	.hot_files = "/var/runtime/hot-files", .confine = true};

/* A START frame holds at most 64 KiB: so do its strings, with '=' and NUL in place of lengths. */
static char env_text[65536];
static char *env_list[GW_MAX_ENV + 1];
static unsigned long max_nofile;

static void build_env(const struct gw_start *start)
{
	char *p = env_text;
	unsigned n = 0;

	for (unsigned i = 0; i < start->kv_count; i++) {
		const struct gw_kv *kv = &start->kv[i];

		if (kv->key[0] == '.' ||
		    (size_t)(p - env_text) + kv->key_len + kv->value_len + 2 > sizeof(env_text))
			continue;
		env_list[n++] = p;
		memcpy(p, kv->key, kv->key_len);
		p += kv->key_len;
		*p++ = '=';
		memcpy(p, kv->value, kv->value_len);
		p += kv->value_len;
		*p++ = '\0';
	}
	env_list[n] = NULL;
}

const char *bootstrap_env(const char *name)
{
	size_t len = strlen(name);

	for (char **at = env_list; *at; at++) {
		if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
			return *at + len + 1;
	}
	return NULL;
}

unsigned long bootstrap_option(const struct gw_start *start, const char *key, unsigned long fallback)
{
	size_t len = strlen(key);

	for (unsigned i = 0; i < start->kv_count; i++) {
		const struct gw_kv *kv = &start->kv[i];
		char text[24];
		char *end;
		unsigned long v;

		if (kv->key_len != len || memcmp(kv->key, key, len) != 0 ||
		    kv->value_len == 0 || kv->value_len >= sizeof(text))
			continue;
		memcpy(text, kv->value, kv->value_len);
		text[kv->value_len] = '\0';
		v = strtoul(text, &end, 10);
		if (*end == '\0')
			return v;
	}
	return fallback;
}

static int write_text(const char *path, const char *text)
{
	stk_autofd fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return stk_write_full(fd, text, strlen(text));
}

/* The limit must bite before the machine's memory is used up: a page fault that reads from an image
 * then waits for memory for ever, and the kernel kills nobody (its allocations are GFP_NOIO, for
 * which only a group's limit calls the killer). */
static int limit_memory(const struct gw_start *start)
{
	struct sysinfo si;
	uint64_t bytes, wanted;
	char text[32];

	if (access(BOOTSTRAP_CGROUP, F_OK) < 0)
		return 0; /* a kernel without memory groups */
	if (sysinfo(&si) < 0)
		return -errno;
	bytes = ((uint64_t)si.freeram + si.bufferram) * si.mem_unit;
	bytes -= bytes > 2 * MEMORY_RESERVE ? MEMORY_RESERVE : bytes / 2;
	wanted = (uint64_t)bootstrap_option(start, ".memory_mib", 0) << 20;
	if (wanted && wanted < bytes)
		bytes = wanted;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	return write_text(BOOTSTRAP_CGROUP "/memory.max", text);
}

static int limit(int what, rlim_t value)
{
	struct rlimit rl = {value, value};

	return setrlimit(what, &rl) < 0 ? -errno : 0;
}

/* In the child, still root: everything that takes privileges away. The order matters: the group
 * and the killer's preference are files of root's. */
static int confine(void)
{
	int rc;

	rc = write_text("/proc/self/oom_score_adj", "0");
	if (rc < 0)
		return rc;
	rc = write_text(BOOTSTRAP_CGROUP "/cgroup.procs", "0");
	if (rc < 0 && rc != -ENOENT) /* a kernel without memory groups has none */
		return rc;
	if ((rc = limit(RLIMIT_NOFILE, max_nofile)) < 0 ||
	    (rc = limit(RLIMIT_NPROC, MAX_NPROC)) < 0 ||
	    (rc = limit(RLIMIT_STACK, STACK_SIZE)) < 0 || (rc = limit(RLIMIT_CORE, 0)) < 0)
		return rc;
	if (setgroups(0, NULL) < 0 || setresgid(BOOTSTRAP_GID, BOOTSTRAP_GID, BOOTSTRAP_GID) < 0 ||
	    setresuid(BOOTSTRAP_UID, BOOTSTRAP_UID, BOOTSTRAP_UID) < 0)
		return -errno;
	return 0;
}

/* The child's way to exec; returns only with a negative errno. */
static int child_exec(const struct bootstrap_conf *conf, const char *path, int out, int err)
{
	sigset_t none;
	stk_autofd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char *argv[] = {(char *)(uintptr_t)path, NULL};
	int rc;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 || setsid() < 0)
		return -errno;
	if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		return -errno;
	if (conf->confine) {
		rc = confine();
		if (rc < 0)
			return rc;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir(conf->task_dir) < 0)
		return -errno;
	umask(022);
	execve(path, argv, env_list);
	return -errno;
}

int bootstrap_prepare(const struct bootstrap_conf *conf, const struct gw_start *start, const char **ret_path)
{
	const char *const *path = conf->paths;

	build_env(start);
	max_nofile = bootstrap_option(start, ".nofile", MAX_NOFILE);
	for (; *path; path++) {
		*ret_path = *path;
		if (access(*path, F_OK) == 0)
			break;
	}
	if (!*path)
		return -ENOENT;
	if (conf->hot_files)
		hotfiles_runtime(*path, conf->hot_files);
	return conf->confine ? limit_memory(start) : 0;
}

int bootstrap_spawn(const struct bootstrap_conf *conf, const char *path, int out, int err, pid_t *ret_pid)
{
	int report[2];
	int child_rc = 0;
	pid_t pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		child_rc = -errno;
		close(report[0]);
		close(report[1]);
		return child_rc;
	}
	if (pid == 0) {
		child_rc = child_exec(conf, path, out, err);
		(void)!write(report[1], &child_rc, sizeof(child_rc));
		_exit(127);
	}
	close(report[1]);
	do
		n = read(report[0], &child_rc, sizeof(child_rc));
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof(child_rc)) /* never got as far as exec; reaped with the others */
		return child_rc < 0 ? child_rc : -EIO;
	*ret_pid = pid;
	return 0;
}

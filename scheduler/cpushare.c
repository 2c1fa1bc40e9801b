/* CPU time by tenant: see cpushare.h. */
#include "scheduler/cpushare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/policy/cpuuse.h"
#include "scheduler/tenants.h"

#define MOUNT      "/sys/fs/cgroup"
#define PREFIX     "stoker."
#define LEAF_CAP   32
#define WEIGHT     "1000"    /* of all groups together beside what else runs on the machine: cpu.weight, 100 is usual */
#define OWN        "+host"   /* no tenant's name, nor the next */
#define STARTS     "+starts"
#define JUDGE_NS   (250 * STK_NS_PER_MS)
#define END_TRIES  100 /* 10 ms each: what was killed has to go first */

struct group {
	struct group *next;
	int procs_fd;         /* 0: could not be made */
	int stat_fd, idle_fd; /* cpu.stat and cpu.idle; 0: there is none */
	char name[TENANT_NAME_MAX + 1]; /* of a tenant, or STARTS */
	/* Of the thread that judges. */
	uint64_t used_us;
	struct cpuuse use;
};

struct cpushare {
	struct group *first; /* there are few */
	int base_fd;         /* of the group that this process was started in; -1: not looked for yet, or it is not ours */
	int top_fd;          /* of the group of groups, below base; with base_fd */
	bool looked;
	bool moved;          /* this process is in OWN */
	uv_work_t work;
	bool judging;
	uint64_t judged_ns, interval_ns;
	struct group *judge_from; /* the groups there were when it began */
	double processors;
};

struct cpushare *cpushare_new(void)
{
	struct cpushare *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base_fd = -1;
	s->processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
	return s;
}

static int write_at(int dir_fd, const char *leaf, const char *text)
{
	stk_autofd fd = openat(dir_fd, leaf, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Folder of the group that this process is in. -1 with a reason. */
static int open_own(struct stk_err *why)
{
	stk_autofile f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX], path[PATH_MAX + sizeof(MOUNT)];
	struct statfs fs;
	int fd;

	if (statfs(MOUNT, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		return stk_err_set(why, -1, "no control groups version 2 at %s", MOUNT);
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "%s%s", MOUNT, line + 3);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd >= 0 ? fd : stk_err_set(why, -1, "%s: %s", path, strerror(errno));
	}
	return stk_err_set(why, -1, "/proc/self/cgroup names no control group of version 2");
}

static void top_leaf(char *buf)
{
	snprintf(buf, LEAF_CAP, PREFIX "%d", (int)getpid());
}

static DIR *list_at(int base, const char *leaf)
{
	int fd = openat(base, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* Removes a group of groups with those in it that are empty. */
static void remove_top(int base, const char *leaf)
{
	DIR *dir = list_at(base, leaf);
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	unlinkat(base, leaf, AT_REMOVEDIR);
}

/* Groups of hosts that are no more. */
static void sweep(int base)
{
	DIR *dir = list_at(base, ".");
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		long pid = strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 ? strtol(e->d_name + strlen(PREFIX), NULL, 10) : 0;

		if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH)
			remove_top(base, e->d_name);
	}
	closedir(dir);
}

static void move_up(int base)
{
	write_at(base, "cgroup.subtree_control", "-cpu"); /* or the group may have no processes of its own */
	write_at(base, "cgroup.procs", "0");
}

/* A group with processes cannot share out CPU time among groups below it: the root alone may, everyone else moves down. */
static int move_down(struct cpushare *s, int top)
{
	int rc;

	if (mkdirat(top, OWN, 0755))
		return -errno;
	rc = write_at(top, OWN "/cgroup.procs", "0");
	s->moved = rc == 0;
	return rc;
}

/* The group of groups: what this host's microVMs do to each other is settled in it, and not beside what else there is. */
static int make_top(struct cpushare *s, int base)
{
	char leaf[LEAF_CAP];
	int rc, top;

	top_leaf(leaf);
	remove_top(base, leaf); /* of a host that was killed and had the same number */
	if (mkdirat(base, leaf, 0755))
		return -errno;
	top = openat(base, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = top < 0 ? -errno : 0;
	if (rc == 0 && faccessat(base, "cgroup.type", F_OK, 0) == 0) /* not the root */
		rc = move_down(s, top);
	if (rc == 0)
		rc = write_at(base, "cgroup.subtree_control", "+cpu");
	if (rc == 0)
		rc = write_at(top, "cgroup.subtree_control", "+cpu");
	if (rc == 0) {
		write_at(top, "cpu.weight", WEIGHT);
		s->top_fd = top;
		return 0;
	}
	if (s->moved)
		move_up(base);
	s->moved = false;
	if (top >= 0)
		close(top);
	remove_top(base, leaf);
	return rc;
}

static void look(struct cpushare *s)
{
	struct stk_err why = {0};
	int base = open_own(&why), rc;

	s->looked = true;
	if (base >= 0) {
		rc = make_top(s, base);
		if (rc == 0) {
			sweep(base);
			s->base_fd = base;
			stk_info("CPU time is shared between tenants, by control groups");
			return;
		}
		close(base);
		stk_err_set(&why, rc, "the controller cpu cannot be had for groups of its own (%s)", strerror(-rc));
	}
	stk_warn("CPU time is not shared between tenants, a flood of one slows down the others: %s; see stokerd(8), KEY FILE",
		 why.text);
}

/* 0: there is none. */
static int open_in(struct cpushare *s, const char *name, const char *file, int flags)
{
	char path[TENANT_NAME_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	fd = openat(s->top_fd, path, flags | O_CLOEXEC);
	return fd > 0 ? fd : 0;
}

static void make(struct cpushare *s, struct group *g)
{
	if (mkdirat(s->top_fd, g->name, 0755) && errno != EEXIST) {
		stk_warn("%s: no share of CPU time: %s", g->name, strerror(errno));
		return;
	}
	g->procs_fd = open_in(s, g->name, "cgroup.procs", O_WRONLY);
	if (g->procs_fd) {
		g->stat_fd = open_in(s, g->name, "cpu.stat", O_RDONLY);
		g->idle_fd = open_in(s, g->name, "cpu.idle", O_WRONLY); /* Linux 5.15 */
		return;
	}
	stk_warn("%s: no share of CPU time: cgroup.procs: %s", g->name, strerror(errno));
	unlinkat(s->top_fd, g->name, AT_REMOVEDIR);
}

static int group_fd(struct cpushare *s, const char *name)
{
	struct group *g = s->first;

	if (!s->looked)
		look(s);
	if (s->base_fd < 0)
		return 0;
	while (g && strcmp(g->name, name) != 0)
		g = g->next;
	if (g)
		return g->procs_fd;
	g = calloc(1, sizeof(*g));
	if (!g)
		return 0;
	stk_strcpy(g->name, sizeof(g->name), name);
	make(s, g);
	g->next = s->first;
	s->first = g;
	return g->procs_fd;
}

int cpushare_fd(struct cpushare *s, struct tenants *t, const char *function)
{
	return t->first->next ? group_fd(s, tenants_of(t, function)->name) : 0;
}

int cpushare_starts_fd(struct cpushare *s, const struct tenants *t)
{
	return t->first->next ? group_fd(s, STARTS) : 0;
}

/* --- who goes last ------------------------------------------------------------------------------ */

static bool read_used(const struct group *g, uint64_t *ret_us)
{
	char text[512];
	ssize_t n = g->stat_fd ? pread(g->stat_fd, text, sizeof(text) - 1, 0) : 0;
	unsigned long long us;

	if (n <= 0)
		return false;
	text[n] = '\0';
	if (sscanf(text, "usage_usec %llu", &us) != 1) /* the first line, cgroup-v2.rst */
		return false;
	*ret_us = us;
	return true;
}

static void judge(uv_work_t *w)
{
	struct cpushare *s = w->data;
	unsigned running = 0;

	for (struct group *g = s->judge_from; g; g = g->next) {
		uint64_t used_us;

		if (!read_used(g, &used_us))
			continue;
		cpuuse_add(&g->use, (double)(used_us - g->used_us) * 1e3 / ((double)s->interval_ns * s->processors));
		g->used_us = used_us;
		running += cpuuse_runs(&g->use);
	}
	for (struct group *g = s->judge_from; g; g = g->next) {
		bool heavy = cpuuse_heavy(&g->use, running);

		if (heavy != g->use.heavy && g->idle_fd && write(g->idle_fd, heavy ? "1" : "0", 1) == 1)
			g->use.heavy = heavy;
	}
}

static void judged(uv_work_t *w, int status)
{
	struct cpushare *s = w->data;

	s->judging = false;
}

void cpushare_tick(struct cpushare *s, uv_loop_t *loop)
{
	uint64_t now = stk_now_ns();

	if (!s->first || s->judging || now - s->judged_ns < JUDGE_NS)
		return;
	s->interval_ns = now - s->judged_ns;
	s->judged_ns = now;
	s->judge_from = s->first;
	s->work.data = s;
	s->judging = workers_queue(loop, &s->work, judge, judged) == 0;
}

/* --- the end ----------------------------------------------------------------------------------- */

static void remove_group(struct cpushare *s, const struct group *g)
{
	const struct timespec pause = {.tv_nsec = 10 * STK_NS_PER_MS};

	close(g->procs_fd);
	if (g->stat_fd)
		close(g->stat_fd);
	if (g->idle_fd)
		close(g->idle_fd);
	for (unsigned i = 0; unlinkat(s->top_fd, g->name, AT_REMOVEDIR) && errno == EBUSY; i++) {
		if (i == END_TRIES) {
			stk_warn("control group of %s: something still runs in it", g->name);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

static void remove_all(struct cpushare *s)
{
	char leaf[LEAF_CAP];

	while (s->first) {
		struct group *g = s->first;

		s->first = g->next;
		if (g->procs_fd)
			remove_group(s, g);
		free(g);
	}
	if (s->moved) {
		write_at(s->top_fd, "cgroup.subtree_control", "-cpu");
		move_up(s->base_fd);
	}
	close(s->top_fd);
	top_leaf(leaf);
	remove_top(s->base_fd, leaf);
	close(s->base_fd);
}

void cpushare_free(struct cpushare *s)
{
	if (s && s->base_fd >= 0)
		remove_all(s);
	free(s);
}

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
#include "scheduler/tenants.h"

#define MOUNT     "/sys/fs/cgroup"
#define PREFIX    "stoker."
#define STARTS    "+starts" /* no tenant's name */
#define LEAF_CAP  (TENANT_NAME_MAX + 64)
#define WEIGH_NS  STK_NS_PER_S
#define LIGHTEST  50   /* of who uses the whole machine */
#define HEAVIEST  1000 /* of who hardly runs */
#define END_TRIES 100 /* 10 ms each: what was killed has to go first */

struct group {
	struct group *next;
	int procs_fd;           /* 0: could not be made */
	int stat_fd, weight_fd; /* cpu.stat and cpu.weight; 0 likewise */
	char name[TENANT_NAME_MAX + 1]; /* of a tenant, or STARTS */
	/* Of the thread that weighs. */
	uint64_t used_us;
	double share; /* of the machine's CPU time, lately */
	unsigned weight;
};

struct cpushare {
	struct group *first; /* there are few */
	int base_fd;         /* of the folder that they are made in; -1: not looked for yet, or there is none */
	bool looked;
	bool moved;          /* this process is in a group of its own below base */
	uv_work_t work;
	bool weighing;
	uint64_t weighed_ns, interval_ns;
	struct group *weigh_from; /* the groups there were when it began */
	double processors;
};

struct cpushare *cpushare_new(void)
{
	struct cpushare *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct cpushare){.base_fd = -1, .processors = (double)sysconf(_SC_NPROCESSORS_ONLN)};
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

/* A group with processes cannot share out CPU time among groups below it: the root alone may, everyone else moves down. */
static int move_down(struct cpushare *s, int base)
{
	char leaf[32], procs[64];
	int rc;

	snprintf(leaf, sizeof(leaf), PREFIX "%d", (int)getpid());
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", leaf);
	if (mkdirat(base, leaf, 0755))
		return -errno;
	rc = write_at(base, procs, "0");
	if (rc == 0) {
		rc = write_at(base, "cgroup.subtree_control", "+cpu");
		if (rc == 0) {
			s->moved = true;
			return 0;
		}
		write_at(base, "cgroup.procs", "0"); /* where it was: it may go there */
	}
	unlinkat(base, leaf, AT_REMOVEDIR);
	return rc;
}

static void move_up(int base)
{
	char leaf[32];

	snprintf(leaf, sizeof(leaf), PREFIX "%d", (int)getpid());
	write_at(base, "cgroup.subtree_control", "-cpu"); /* or the group may have no processes of its own */
	write_at(base, "cgroup.procs", "0");
	unlinkat(base, leaf, AT_REMOVEDIR);
}

/* Groups of hosts that are no more. */
static void sweep(int base)
{
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		long pid = strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 ? strtol(e->d_name + strlen(PREFIX), NULL, 10) : 0;

		if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH)
			unlinkat(base, e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static void look(struct cpushare *s)
{
	struct stk_err why = {0};
	int base = open_own(&why), rc;

	s->looked = true;
	if (base >= 0) {
		rc = faccessat(base, "cgroup.type", F_OK, 0) ? write_at(base, "cgroup.subtree_control", "+cpu") /* the root */
							      : move_down(s, base);
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

static void group_leaf(const char *name, char *buf)
{
	snprintf(buf, LEAF_CAP, PREFIX "%d.%s", (int)getpid(), name);
}

/* 0: there is none. */
static int open_in(struct cpushare *s, const char *leaf, const char *file, int flags)
{
	char path[LEAF_CAP + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", leaf, file);
	fd = openat(s->base_fd, path, flags | O_CLOEXEC);
	return fd > 0 ? fd : 0;
}

static void set_weight(struct group *g, unsigned weight)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", weight);

	/* Each change is work for the kernel on every processor; a tenth more or less is no difference. */
	if (weight * 10 > g->weight * 9 && weight * 9 < g->weight * 10)
		return;
	if (g->weight_fd && write(g->weight_fd, text, (size_t)len) == len)
		g->weight = weight;
}

static void make(struct cpushare *s, struct group *g)
{
	char leaf[LEAF_CAP];

	group_leaf(g->name, leaf);
	if (mkdirat(s->base_fd, leaf, 0755) && errno != EEXIST) {
		stk_warn("%s: no share of CPU time: %s: %s", g->name, leaf, strerror(errno));
		return;
	}
	g->procs_fd = open_in(s, leaf, "cgroup.procs", O_WRONLY);
	if (g->procs_fd) {
		g->stat_fd = open_in(s, leaf, "cpu.stat", O_RDONLY);
		g->weight_fd = open_in(s, leaf, "cpu.weight", O_WRONLY);
		set_weight(g, HEAVIEST);
		return;
	}
	stk_warn("%s: no share of CPU time: %s/cgroup.procs: %s", g->name, leaf, strerror(errno));
	unlinkat(s->base_fd, leaf, AT_REMOVEDIR);
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

/* --- weights ----------------------------------------------------------------------------------- */

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

static void weigh(uv_work_t *w)
{
	struct cpushare *s = w->data;

	for (struct group *g = s->weigh_from; g; g = g->next) {
		uint64_t used_us;
		double now;

		if (!read_used(g, &used_us))
			continue;
		now = (double)(used_us - g->used_us) * 1e3 / ((double)s->interval_ns * s->processors);
		g->used_us = used_us;
		g->share = (g->share + (now < 1 ? now : 1)) / 2;
		set_weight(g, (unsigned)(HEAVIEST / (1 + (HEAVIEST / LIGHTEST - 1) * g->share)));
	}
}

static void weighed(uv_work_t *w, int status)
{
	struct cpushare *s = w->data;

	s->weighing = false;
}

void cpushare_tick(struct cpushare *s, uv_loop_t *loop)
{
	uint64_t now = stk_now_ns();

	if (!s->first || s->weighing || now - s->weighed_ns < WEIGH_NS)
		return;
	s->interval_ns = now - s->weighed_ns;
	s->weighed_ns = now;
	s->weigh_from = s->first;
	s->work.data = s;
	s->weighing = workers_queue(loop, &s->work, weigh, weighed) == 0;
}

/* --- the end ----------------------------------------------------------------------------------- */

static void remove_group(struct cpushare *s, const struct group *g)
{
	const struct timespec pause = {.tv_nsec = 10 * STK_NS_PER_MS};
	char leaf[LEAF_CAP];

	group_leaf(g->name, leaf);
	close(g->procs_fd);
	if (g->stat_fd)
		close(g->stat_fd);
	if (g->weight_fd)
		close(g->weight_fd);
	for (unsigned i = 0; unlinkat(s->base_fd, leaf, AT_REMOVEDIR) && errno == EBUSY; i++) {
		if (i == END_TRIES) {
			stk_warn("control group %s: something still runs in it", leaf);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void cpushare_free(struct cpushare *s)
{
	if (!s)
		return;
	while (s->first) {
		struct group *g = s->first;

		s->first = g->next;
		if (g->procs_fd)
			remove_group(s, g);
		free(g);
	}
	if (s->moved)
		move_up(s->base_fd);
	if (s->base_fd >= 0)
		close(s->base_fd);
	free(s);
}

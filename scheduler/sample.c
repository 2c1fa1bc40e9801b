/* Memory of idle VMs: see sample.h. */
#include "scheduler/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/host/child.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/pool.h"
#include "scheduler/sandbox.h"

#define EVERY_NS (30 * STK_NS_PER_S)
#define SETTLED_NS (500 * STK_NS_PER_MS) /* what it does when it has become ready is done */
#define KERNEL_MIB 2 /* page tables, KVM's own structures: not in the process's figures */

struct sample {
	uv_work_t work;
	struct daemon *d;
	struct fn_version *ver; /* counted */
	pid_t pid;
	unsigned long kib; /* 0: the process had gone */
};

static void measure(uv_work_t *w)
{
	struct sample *s = w->data;
	char path[64], line[128];
	stk_autofile f = NULL;
	unsigned long kib, sum = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)s->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Anonymous: %lu kB", &kib) == 1)
			sum += kib;
	}
	s->kib = sum;
}

static bool still_warm(const struct pool *p, pid_t pid)
{
	STK_LIST_FOREACH(it, &p->warm) {
		const struct sandbox *sb = STK_CONTAINER_OF(it, struct sandbox, node);

		if (sb->child && child_pid(sb->child) == pid)
			return true;
	}
	return false;
}

static void measured(uv_work_t *w, int status)
{
	struct sample *s = w->data;
	struct pool *p = s->ver->pool;
	struct daemon *d = s->d;

	p->measuring = false;
	/* A process that has been used or killed meanwhile says nothing about idle ones. */
	if (status == 0 && s->kib && still_warm(p, s->pid)) {
		p->idle_mib = (unsigned)(s->kib / 1024 + 1) + KERNEL_MIB;
		p->measured = true;
	}
	dispatch_touch(p, stk_now_ns());
	fn_version_put(&d->registry, s->ver);
	free(s);
	daemon_job_done(d);
}

uint64_t sample_next(const struct pool *p)
{
	uint64_t at = p->measured_ns + (p->measured ? EVERY_NS : STK_NS_PER_S), settled;

	if (p->measuring || !p->warm_count)
		return UINT64_MAX;
	settled = STK_CONTAINER_OF(p->warm.next, struct sandbox, node)->ready_ns + SETTLED_NS;
	return at > settled ? at : settled;
}

void sample_maybe(struct pool *p, uint64_t now_ns)
{
	struct sandbox *sb;
	struct sample *s;

	if (now_ns < sample_next(p))
		return;
	sb = STK_CONTAINER_OF(p->warm.next, struct sandbox, node);
	if (!sb->child || child_pid(sb->child) <= 0)
		return;
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	p->measured_ns = now_ns;
	s->work.data = s;
	s->d = p->d;
	s->ver = fn_version_get(p->ver);
	s->pid = child_pid(sb->child);
	p->measuring = true;
	p->d->jobs++;
	if (workers_queue(&p->d->loop, &s->work, measure, measured))
		measured(&s->work, UV_ENOMEM);
}

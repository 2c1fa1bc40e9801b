/* Which request gets which VM, and which pool may start the next one: admission, queue, memory.
 *
 *   submit ── warm VM there ──────────────────────────────► run
 *        └─── none: queue (bounded, deadline) ── VM ready ► run
 *
 * Which VM is started or given up next is decided by policy/planner.c; this file carries it out. One
 * function cannot fill the whole queue (plan_admit). */
#ifndef SCHEDULER_DISPATCH_H
#define SCHEDULER_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/heap.h"
#include "common/base/list.h"
#include "scheduler/invocation.h"
#include "scheduler/policy/planner.h"
#include "scheduler/refusals.h"

struct daemon;
struct fn_version;
struct invocation;
struct pool;
struct sandbox;
struct metrics_series;

struct dispatch {
	struct daemon *d;
	struct plan plan;          /* all pools, and who is next */
	struct stk_heap due;       /* all pools, by when they are to be looked at */
	struct stk_list deadlines; /* waiting requests, earliest first */
	struct stk_list doomed;    /* sandboxes to end soon after this round of the loop */
	struct stk_list to_reset;  /* sandboxes to reset after this round of the loop */
	unsigned waiting;          /* requests in all queues */
	unsigned shell_forced;     /* of them, those that want a shell */
	unsigned starting;         /* VMs being started */
	unsigned vms;              /* processes, dying ones included */
	unsigned cold;             /* pools that should have a VM and have none yet */
	uint64_t charged_mib;      /* counted memory of all of them */
	uint64_t dying_mib;        /* part of it that is about to come back */
	struct refusals refusals;
	bool pumping;
	bool pump_again;
	bool stopped;
	uv_timer_t tick;
	struct metrics_series *evictions, *starts_ok, *starts_failed, *resets, *reset_times;
	struct metrics_series *start_times[INV_STARTS];
};

int dispatch_init(struct dispatch *ds, struct daemon *d);
/* No more starts; fails what waits. */
void dispatch_stop(struct dispatch *ds);
void dispatch_close(struct dispatch *ds); /* the timers; before the loop ends */
void dispatch_fini(struct dispatch *ds);  /* when no pool is left */
/* A pool is made (0, -ENOMEM), or about to be freed. */
int dispatch_add(struct pool *p);
void dispatch_remove(struct pool *p);
/* Something was changed that decides whether the pool counts as cold. */
void dispatch_note(struct pool *p);
/* Something about the pool may have to be done: it is looked at within a tick. */
void dispatch_touch(struct pool *p, uint64_t now_ns);
/* Finishes inv at once when it cannot be taken. */
void dispatch_submit(struct dispatch *ds, struct invocation *inv);
/* Takes a waiting request out of its queue. */
void dispatch_unqueue(struct invocation *inv);
/* All requests that wait for a VM of `from` wait for one of `heir` from now on, with their times. */
void dispatch_move_queue(struct dispatch *ds, struct pool *from, struct fn_version *heir);
/* A shell for functions of this memory waits: a request that wants one may go on. */
void dispatch_shell_ready(struct dispatch *ds, unsigned memory_mib);
/* From sandboxes. */
void dispatch_ready(struct sandbox *sb);
void dispatch_start_failed(struct sandbox *sb, const char *text);
/* A VM of the pool started, ended or became free, its snapshot was checked: starts what may start. */
void dispatch_changed(struct pool *p);

#endif

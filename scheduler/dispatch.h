/* Which request gets which VM, and which pool may start the next one: admission, queue, memory.
 *
 *   submit ── warm VM there ──────────────────────────────► run
 *        └─── none: queue (bounded, deadline) ── VM ready ► run
 *
 * VMs are started for waiting requests first, one pool after the other, then to fill pools up; never
 * more than max_restores at the same time, never over the memory budget. For a waiting request the
 * warm VM of the least recently used other pool is given up. */
#ifndef SCHEDULER_DISPATCH_H
#define SCHEDULER_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/list.h"

struct daemon;
struct fn_version;
struct invocation;
struct pool;
struct sandbox;
struct metrics_series;

struct dispatch {
	struct daemon *d;
	struct stk_list pools;
	struct stk_list deadlines; /* waiting requests, earliest first */
	struct stk_list doomed;    /* sandboxes to end soon after this round of the loop */
	unsigned waiting;          /* requests in all queues */
	unsigned starting;         /* VMs being started */
	unsigned vms;              /* processes, dying ones included */
	uint64_t charged_mib;      /* counted memory of all of them */
	uint64_t dying_mib;        /* part of it that is about to come back */
	bool pumping;
	bool pump_again;
	bool stopped;
	uv_timer_t tick;
	struct metrics_series *evictions, *starts_ok, *starts_failed;
};

int dispatch_init(struct dispatch *ds, struct daemon *d);
/* No more starts; fails what waits. */
void dispatch_stop(struct dispatch *ds);
void dispatch_close(struct dispatch *ds); /* the timer; before the loop ends */
/* Finishes inv at once when it cannot be taken. */
void dispatch_submit(struct dispatch *ds, struct invocation *inv);
/* Takes a waiting request out of its queue. */
void dispatch_unqueue(struct invocation *inv);
/* All requests that wait for a VM of `from` wait for one of `heir` from now on, with their times. */
void dispatch_move_queue(struct dispatch *ds, struct pool *from, struct fn_version *heir);
/* From sandboxes. */
void dispatch_ready(struct sandbox *sb);
void dispatch_start_failed(struct sandbox *sb, const char *text);
/* A VM started, ended or became free, a snapshot was checked: starts what may start. */
void dispatch_pump(struct dispatch *ds);

#endif

/* The VMs of one function version: warm ones ready to be taken, the queue of requests that wait for
 * one, and how many there should be. */
#ifndef SCHEDULER_POOL_H
#define SCHEDULER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/heap.h"
#include "common/base/list.h"
#include "scheduler/learn.h"
#include "scheduler/policy/planner.h"
#include "scheduler/policy/pool_policy.h"
#include "scheduler/registry.h"

struct daemon;
struct fn_version;
struct invocation;
struct sandbox;

struct pool {
	struct daemon *d;
	struct fn_version *ver; /* owns the pool; not counted */
	struct plan_flow plan;  /* in dispatch's list of pools, and its share of starts */
	struct stk_list warm;   /* sandboxes, oldest first */
	struct stk_list others; /* sandboxes in every other state */
	struct stk_list queue;  /* requests that take any ready VM, oldest first */
	struct stk_list forced; /* requests that want a VM started for them alone */
	/* VMs by state; reserved = starting for one request */
	unsigned warm_count, starting, reserved, busy, resetting, dying;
	unsigned queued, forced_count;
	unsigned forced_shell; /* of forced_count: those that want a shell */
	uint64_t no_shell_ns;  /* no shell before then: one has failed */
	unsigned target;
	struct pool_policy policy;
	struct stk_heap_node due; /* in dispatch's: when it is to be looked at */
	uint64_t review_ns; /* the target may be another one from then on */
	/* Starts that failed in a row; no new one before retry_ns. */
	unsigned fail_count;
	uint64_t retry_ns;
	char fail_text[384];
	/* Memory of one VM that waits, MiB, without a large /tmp: measured, else estimated. */
	unsigned idle_mib;
	bool measured;
	bool measuring;
	uint64_t measured_ns;
	struct learn learn;
	struct sandbox *recording; /* of the warm ones, or NULL */
	bool closed; /* version retired: no more VMs */
	bool cold;   /* counted in dispatch->cold */
};

struct pool *pool_new(struct daemon *d, struct fn_version *ver);
/* Only when no VM and no request is left. */
void pool_free(struct pool *p);
/* No more starts; warm VMs end, busy ones run to their end. Waiting requests go over to the pool of
 * `heir` (the version that replaces this one), or fail when there is none. */
void pool_close(struct pool *p, struct fn_version *heir);
/* So many VMs are warm from now on, whether there are requests or not. */
void pool_set_floor(struct pool *p, unsigned floor);
/* Another choice for the version: VMs are reused from now on, or none is that has served a call. */
void pool_set_reuse(struct pool *p, enum fn_reuse reuse);
/* The warm VM to use next, or NULL: the one that records, else the newest. O(1). */
struct sandbox *pool_take(struct pool *p);
/* Ends warm VMs over the target, oldest first. */
void pool_shrink(struct pool *p);
/* The request that wants a VM of its own and can have it started now, or NULL. */
struct invocation *pool_next_forced(const struct pool *p);
/* A request without such a wish is better served by a shell, and there is one. */
bool pool_prefers_shell(const struct pool *p, uint64_t now_ns);
/* VMs that are missing: for waiting requests, or up to the target. */
unsigned pool_missing_urgent(const struct pool *p);
unsigned pool_missing_refill(const struct pool *p);
/* May a VM be started now (ceiling, back-off, snapshot checked)? */
bool pool_may_start(const struct pool *p, uint64_t now_ns);
/* What a VM is counted with that waits, and one that works. */
unsigned pool_idle_mib(const struct pool *p);
unsigned pool_busy_mib(const struct pool *p);
/* A start failed: back off. After POOL_MAX_FAILS in a row waiting requests fail as well. */
#define POOL_MAX_FAILS 3
void pool_start_failed(struct pool *p, const char *text, uint64_t now_ns);
void pool_start_ok(struct pool *p, uint64_t took_ns);
bool pool_failing(const struct pool *p, uint64_t now_ns);
/* Fails every waiting request. */
void pool_fail_queue(struct pool *p, int outcome, const char *text);

#endif

/* CPU time is shared between tenants, not between VMs: all that runs for a tenant (its VMs, its builds) is in a control
 * group of its own. Who uses much, as policy/cpuuse.h says it, goes last: its group is idle (cpu.idle) then, so that
 * who seldom runs interrupts it at once, as long as it likes and uses little; of several that use much all get the
 * same. Control groups version 2, controller cpu, in a group of this host below the one that the process was started
 * in: the root of the hierarchy, or one that was delegated to it (Documentation/admin-guide/cgroup-v2.rst,
 * "Delegation"; systemd: Delegate=cpu). Elsewhere there are no groups, and the log says so once. Loop thread only. */
#ifndef SCHEDULER_CPUSHARE_H
#define SCHEDULER_CPUSHARE_H

#include <uv.h>

struct cpushare;
struct tenants;

/* NULL: out of memory. Nothing is done yet. */
struct cpushare *cpushare_new(void);
/* A descriptor to write the id of a process to that runs for this function: it then belongs to its tenant's group. Open until
 * cpushare_free. 0: there is but one tenant, or there are no groups here. The first call for several looks for the hierarchy, and
 * removes groups of hosts that were killed. */
int cpushare_fd(struct cpushare *s, struct tenants *t, const char *function);
/* Likewise for what restores a VM, whoever it is for. Starts are shared out fairly elsewhere, and in the tenant's group one
 * would be in the way of the tenant's calls; in none, each would go before the calls of all tenants as one who has slept does,
 * for milliseconds. */
int cpushare_starts_fd(struct cpushare *s, const struct tenants *t);
/* To be called often: looks now and then, on a worker thread, at who uses much. */
void cpushare_tick(struct cpushare *s, uv_loop_t *loop);
/* Removes the groups; nothing runs in them any more, or will have ended within a second. */
void cpushare_free(struct cpushare *s);

#endif

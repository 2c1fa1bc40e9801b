/* CPU time is shared between tenants, not between VMs: all that runs for a tenant (its VMs, its builds) is in a control group of
 * its own, and all these groups have the same weight. Control groups version 2, controller cpu, below the group that this process
 * was started in: the root of the hierarchy, or one that was delegated to it (Documentation/admin-guide/cgroup-v2.rst,
 * "Delegation"; systemd: Delegate=cpu). Elsewhere there are no groups, and the log says so once. Loop thread only. */
#ifndef SCHEDULER_CPUSHARE_H
#define SCHEDULER_CPUSHARE_H

struct cpushare;
struct tenants;

/* NULL: out of memory. Nothing is done yet. */
struct cpushare *cpushare_new(void);
/* A descriptor to write the id of a process to that runs for this function: it then belongs to its tenant's group. Open until
 * cpushare_free. 0: there is but one tenant, or there are no groups here. The first call for several looks for the hierarchy, and
 * removes groups of hosts that were killed. */
int cpushare_fd(struct cpushare *s, struct tenants *t, const char *function);
/* Removes the groups; nothing runs in them any more, or will have ended within a second. */
void cpushare_free(struct cpushare *s);

#endif

/* Shells: stoker-vmm processes that wait, with their VM made and themselves confined, for what they are to restore
 * (stoker-vmm --shell). A request that finds no warm VM takes one of its function's memory size, which saves it the
 * start of a process and most of what KVM has to set up.
 *
 *   STARTING ──"ready"──► READY ──shells_fill──► a sandbox's, which kills it after use like any VM
 *        └────── exit, kill ──────► DYING ──exit──► replaced
 *
 * A small number for the whole host. They are made when nobody waits for a VM, and count as memory. Loop thread. */
#ifndef SCHEDULER_SHELLS_H
#define SCHEDULER_SHELLS_H

#include <stdbool.h>

#include "scheduler/launch.h"

#define SHELLS_MIB 2u /* memory a shell is counted with */

struct child;
struct daemon;
struct pool;
struct shells; /* shells.c */

/* NULL: out of memory. */
struct shells *shells_new(struct daemon *d);
/* None is made any more, all are ended; each holds a job of the daemon until it is gone. */
void shells_stop(struct shells *s);
void shells_close(struct shells *s); /* the timer; before the loop ends */
void shells_free(struct shells *s);  /* accepts NULL */

/* A function with VMs of this memory (of the function's, MiB) was deployed or loaded. */
void shells_offer(struct shells *s, unsigned memory_mib);
/* A request finds no warm VM of this size. */
void shells_want(struct shells *s, unsigned memory_mib);
/* Shells of this size that can be taken at once. */
unsigned shells_ready(const struct shells *s, unsigned memory_mib);
/* All that wait or are being made. */
unsigned shells_count(const struct shells *s);
unsigned shells_waiting(const struct shells *s);
/* Memory they are counted with and that would come back by shells_shed, MiB. */
unsigned shells_mib(const struct shells *s);
/* Gives one up: its memory is needed for requests. */
void shells_shed(struct shells *s);

/* Has a shell of the pool's size restore the version. The process is the caller's from then on, as after launch_vmm
 * (nothing is called for its start any more). -ENOENT: there is none. */
int shells_fill(struct shells *s, struct pool *p, void (*on_exit)(void *ctx, int status), void *ctx,
		struct launch_ends *ret_ends, struct child **ret_child);

#endif

/* Starts one stoker-vmm with the descriptors it needs. */
#ifndef SCHEDULER_LAUNCH_H
#define SCHEDULER_LAUNCH_H

#include <stdbool.h>
#include <uv.h>

#include "scheduler/invocation.h"

struct child;
struct pool;

struct launch_ends {
	int stream_fd; /* our end of the guestwire stream, non-blocking */
	int control_fd; /* our end of stoker-vmm's --control-fd, non-blocking */
};

/* kind: INV_COLD_RESTORE or INV_COLD_BOOT. record_fd: where a clone records (learn.h), or -1. reusable: it can be told to
 * reset. Callbacks as child_spawn's. The caller closes the ends. */
int launch_vmm(struct pool *p, enum inv_start kind, int record_fd, bool reusable, void (*on_start)(void *ctx, int err),
	       void (*on_exit)(void *ctx, int status), void *ctx, struct launch_ends *ret_ends,
	       struct child **ret_child);

/* START frame for a booted guest. Returns the frame's length or negative errno. */
int launch_start_frame(const struct pool *p, uint8_t *buf, size_t cap);

#endif

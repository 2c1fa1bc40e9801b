/* Starts one stoker-vmm with the descriptors it needs. */
#ifndef SCHEDULER_LAUNCH_H
#define SCHEDULER_LAUNCH_H

#include <stdbool.h>
#include <uv.h>

#include "scheduler/invocation.h"

struct child;
struct daemon;
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

/* A shell (shells.h) with a VM of mib MiB. *ret_control_fd: our end of its --control-fd, non-blocking, the caller's. */
int launch_shell(struct daemon *d, unsigned mib, void (*on_start)(void *ctx, int err),
		 void (*on_exit)(void *ctx, int status), void *ctx, int *ret_control_fd, struct child **ret_child);
/* Tells the shell behind control_fd to restore the pool's version. *ret_stream_fd as in launch_ends. -EPIPE: it is gone. */
int launch_fill(const struct pool *p, int control_fd, int *ret_stream_fd);

/* START frame for a booted guest. Returns the frame's length or negative errno. */
int launch_start_frame(const struct pool *p, uint8_t *buf, size_t cap);

#endif

/* Event-invoke configurations in memory: what is in events.db. Loop thread. */
#ifndef SCHEDULER_ASYNC_CONFS_H
#define SCHEDULER_ASYNC_CONFS_H

#include <stdbool.h>

#include "scheduler/async/evconfig.h"

#define CONFS_BUCKETS 1024

struct conf;

/* A zeroed one is empty. */
struct confs {
	struct conf *bucket[CONFS_BUCKETS];
	unsigned count;
};

void confs_fini(struct confs *cs);
/* Replaces what is there. -ENOMEM. qualifier "" and "$LATEST" are the same. */
int confs_put(struct confs *cs, const char *function, const char *qualifier, const struct evconfig *c);
/* qualifier "*": all of the function's. False: there was none. */
bool confs_delete(struct confs *cs, const char *function, const char *qualifier);
/* The configuration, or false and the default. */
bool confs_get(const struct confs *cs, const char *function, const char *qualifier, struct evconfig *ret_config);
/* A function's, in no order. */
void confs_each(const struct confs *cs, const char *function,
		void (*each)(void *ctx, const char *qualifier, const struct evconfig *c), void *ctx);

#endif

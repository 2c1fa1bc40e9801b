/* Work on a request that would hold up the loop, on a worker thread while its client waits. */
#ifndef SCHEDULER_OFFLOAD_H
#define SCHEDULER_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "scheduler/front.h"

struct daemon;

/* First member of what is worked on, which is its owner's to free, in `after`. */
struct offload {
	struct front_owner owner;
	uv_work_t work;
	struct daemon *d;
	struct http_req *req;
	void (*run)(struct offload *o);                         /* worker thread; the request may be gone already */
	void (*after)(struct offload *o, struct http_req *req); /* loop thread; req NULL: its client has gone */
};

/* Whether looking at so many bytes is better not done on the loop. */
static inline bool offload_worth(size_t len)
{
	return len > 131072;
}

/* Nobody else owns the request until `after`. Loop thread. */
void offload_start(struct offload *o, struct daemon *d, struct http_req *req, void (*run)(struct offload *o),
		   void (*after)(struct offload *o, struct http_req *req));

#endif

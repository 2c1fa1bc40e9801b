/* Puts a load on one function and measures it. Closed loop: each connection sends its next request
 * when the last was answered. Open loop: requests start on a schedule whatever the answers do, and
 * latency counts from the intended start, so that a stalled server cannot hide its queue. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/arrivals.h"
#include "bench/fresh.h"
#include "bench/result.h"
#include "common/base/err.h"

struct load_spec {
	struct sockaddr_in addr;
	const char *host_header;
	const char *path;
	const void *event;
	size_t event_len;
	const char *start;     /* X-Stoker-Start to force and to check; NULL: any */
	const char *expect;    /* what each answer must be; NULL: anything */
	struct fresh *fresh;   /* answers must prove that their VM was never used before; NULL: not checked */
	unsigned connections;  /* closed loop: how many; open loop: the most */
	struct arrivals *arrivals; /* open loop: when requests are due (rewound first); NULL: closed loop */
	uint64_t requests;     /* stop after so many measured ones ... */
	uint64_t duration_ms;  /* ... or after this time; 0: no limit (one of the two, or the arrivals, must end) */
	uint64_t warmup;       /* first requests that are not counted */
	unsigned think_ms;     /* closed loop: pause before each request of a connection */
	unsigned timeout_ms;   /* each request, by the client */
};

/* Runs its own loop until done. ret_result must be zeroed; finish it with result_fini. */
int load_run(const struct load_spec *spec, struct result *ret_result, struct stk_err *err);

#endif

/* Puts a load on one function and measures it. Closed loop: each connection sends its next request
 * when the last was answered. Open loop: requests start at a constant rate whatever the answers do,
 * and latency counts from the intended start, so that a stalled server cannot hide its queue. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/hist.h"
#include "bench/timing.h"
#include "common/base/err.h"

#define LOAD_MAX_CLASSES 24

struct load_spec {
	struct sockaddr_in addr;
	const char *host_header;
	const char *path;
	const void *event;
	size_t event_len;
	const char *start;     /* X-Stoker-Start to force and to check; NULL: any */
	unsigned connections;  /* closed loop: how many; open loop: the most */
	double rate;           /* requests per second; 0: closed loop */
	uint64_t requests;     /* stop after so many measured ones ... */
	uint64_t duration_ms;  /* ... or after this time; 0: no limit (one of the two must be set) */
	uint64_t warmup;       /* first requests that are not counted */
	unsigned think_ms;     /* closed loop: pause before each request of a connection */
	unsigned timeout_ms;   /* each request, by the client */
};

struct load_class {
	char name[40]; /* "timeout", "http 429", "warm instead of cold-restore", ... */
	uint64_t count;
};

struct load_result {
	struct hist latency;  /* ns, successful requests only */
	struct timing stages; /* of the successful ones */
	uint64_t ok, failed;
	struct load_class classes[LOAD_MAX_CLASSES];
	unsigned class_count;
	double seconds; /* first intended start to last answer */
	char first_error[256]; /* body of the first answer that was not 200 */
};

/* Runs its own loop until done. ret_result must be zeroed; finish it with load_result_fini. */
int load_run(const struct load_spec *spec, struct load_result *ret_result, struct stk_err *err);
void load_result_fini(struct load_result *r);

#endif

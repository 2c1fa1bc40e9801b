/* What became of the requests of a run. */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <stdint.h>

#include "bench/classes.h"
#include "bench/client.h"
#include "bench/fresh.h"
#include "bench/hist.h"
#include "bench/timeline.h"
#include "bench/timing.h"

#define RESULT_MAX_FAILURES 24

struct result_failure {
	char name[48]; /* "timeout", "http 429", "warm instead of cold-restore", ... */
	uint64_t count;
};

struct result {
	struct hist latency;     /* ns, successful requests only */
	struct timing stages;    /* of the successful ones */
	struct classes classes;  /* of all answers, by what they say */
	struct timeline timeline;
	uint64_t ok, failed;
	struct result_failure failures[RESULT_MAX_FAILURES];
	unsigned failure_count;
	double seconds;          /* first intended start to last answer */
	char first_error[256];   /* body of the first answer that was not 200 */

	/* open loop only */
	struct hist lag; /* ns, send minus intended send */
	uint64_t waited; /* of those, sent late because no connection was free */
};

struct result_check {
	const char *start;   /* X-Stoker-Start that an answer must have; NULL: any */
	struct fresh *fresh; /* boot ids seen so far; NULL: not checked */
	const char *expect;  /* the answer's whole body, shorter than CLIENT_BODY_KEEP; NULL: any */
};

/* One answer, or the lack of one, to a request meant to start at start_ns in a run that began at begin_ns. */
void result_add(struct result *r, const struct result_check *check, const struct client_result *res,
		uint64_t start_ns, uint64_t begin_ns);
/* A request of an open loop that could not be sent within its time limit. */
void result_unsent(struct result *r, uint64_t start_ns, uint64_t begin_ns);
/* An answer that does not count (warm-up): remembers its boot id. */
void result_skip(const struct result_check *check, const struct client_result *res);
void result_fini(struct result *r);

#endif

/* What becomes of an asynchronous event after a try: done, again later, or given up. Pure, on a given clock (wall clock,
 * milliseconds, as it is kept on disk).
 *
 *   the function failed          again after 1 and 2 minutes, up to max_retries times
 *   the host could not run it    again after 1 s, 2 s, 4 s ... 5 min, as long as the event may live
 *   neither, for good            given up at once: no concurrency reserved, no such function, an endless loop */
#ifndef SCHEDULER_ASYNC_RETRY_H
#define SCHEDULER_ASYNC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_MAX_RETRIES 2     /* default and maximum */
#define RETRY_MIN_AGE_S   60
#define RETRY_MAX_AGE_S   21600 /* default and maximum */
#define RETRY_MAX_HOPS    16    /* events that come of events, by destinations */

#define RETRY_SENDS 12 /* of a result to an address */

enum retry_cause {
	RETRY_OK,
	RETRY_FUNCTION_ERROR,
	RETRY_HOST, /* throttled, no VM */
	RETRY_NO_CONCURRENCY,
	RETRY_NO_FUNCTION,
};

enum retry_verdict {
	RETRY_DONE,
	RETRY_AGAIN,
	/* given up: */
	RETRY_EXHAUSTED,
	RETRY_TOO_OLD,
	RETRY_ZERO_CONCURRENCY,
	RETRY_GONE,
	RETRY_VERDICTS
};

struct retry_event {
	unsigned errors;   /* of the function, this try not counted */
	unsigned refusals; /* of the host, in a row */
	int64_t accepted_ms;
};

struct retry_step {
	enum retry_verdict verdict;
	int64_t at_ms; /* RETRY_AGAIN */
};

struct retry_step retry_next(const struct retry_event *e, enum retry_cause cause, unsigned max_retries,
			     unsigned max_age_s, int64_t now_ms);
/* Too old to be tried at all. */
bool retry_expired(const struct retry_event *e, unsigned max_age_s, int64_t now_ms);
/* 1 s, doubling, at most 5 min. */
int64_t retry_backoff_ms(unsigned refusals);
/* After a result could not be sent for the n-th time (from 1): status is the HTTP answer's, 0 when there was none. */
struct retry_step retry_send(unsigned n, int status, int64_t now_ms);
/* How many of `slots` a flow may hold while others hold `others`: most of what they leave, so that one that comes later
 * finds some free. At least one when any is free. */
unsigned retry_share(unsigned slots, unsigned others);
/* For records and metrics. */
const char *retry_verdict_name(enum retry_verdict v);

#endif

/* What follows when an event has come to its end: records for destinations, the dead letter, the result for a callback
 * address. Pure, but it parses JSON of some MB: for a worker thread. */
#ifndef SCHEDULER_ASYNC_RECORD_H
#define SCHEDULER_ASYNC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/list.h"
#include "scheduler/async/event.h"
#include "scheduler/async/evconfig.h"
#include "scheduler/async/retry.h"

/* An event's end. */
struct record_result {
	enum retry_verdict verdict;
	bool ran;                 /* the function was called at the last try */
	bool failed;              /* and that was an error: body is an error object */
	int status;               /* of the answer that a waiting caller would have got */
	unsigned tries;           /* calls made, as far as is known */
	char account[13];         /* for ARNs; "": the host's own */
	unsigned version;         /* published number of what was called; 0: $LATEST */
	int64_t took_ms;          /* the last call */
	uint8_t *body;            /* the answer or error object; heap or NULL */
	size_t body_len;
};

#define RECORD_FOLLOWERS 3 /* destination, dead letter, callback */

/* Appends what is to be queued instead of the event (without seq): struct event, at most RECORD_FOLLOWERS. payload is
 * the event's, which e itself may no longer have. One that would be the
 * RETRY_MAX_HOPS-th in a row is left out and counted in *ret_loops. 0, -ENOMEM (nothing appended). */
int record_followers(const struct event *e, const uint8_t *payload, size_t payload_len,
		     const struct record_result *r, const struct evconfig *c, int64_t now_ms, struct stk_list *out,
		     unsigned *ret_loops);
/* Does anything follow at all? Then the payload is needed. */
bool record_wanted(const struct event *e, const struct record_result *r, const struct evconfig *c);
/* Text for a header: at most cap - 1 bytes, printable ASCII; anything else becomes a blank or '?'. */
void record_header_text(const void *text, size_t len, char *dst, size_t cap);

#endif

/* Retries of an invocation that still runs join it. An SDK that has waited for longer than its read timeout closes the
 * connection and posts the same request again, with the same amz-sdk-invocation-id: without this the function would run
 * once for each try. Such a call goes on when its client goes away; its result is kept for a minute. That of one that was
 * told is, too, as long as there is place: the client may have given up before it heard it. An error of the host is told
 * once, as the next try is to be another call.
 * A call whose answer is streamed can be joined until the first byte of it has gone to a client, and goes on without one
 * until then; what comes while no client is there is kept like another answer.
 * An asynchronous call is joined while its event is written to the disk, and for a minute from then on: the answer says no
 * more than that, and may have got lost.
 * Loop thread. */
#ifndef SCHEDULER_LAMBDA_JOIN_H
#define SCHEDULER_LAMBDA_JOIN_H

#include <stdbool.h>

#include "scheduler/invocation.h"

#define JOIN_KEEP_S     60
#define JOIN_KEEP_BYTES (32u << 20) /* of results that nobody was told; the oldest go first */
#define JOIN_KEEP_MAX   1024
#define JOIN_TOLD_BYTES (8u << 20) /* of those that were ... */
#define JOIN_TOLD_EACH  (1u << 20) /* ... each: they are copied */
#define JOIN_TOLD_MAX   4096
#define JOIN_EVENTS_MAX 4096 /* events that are remembered; they have no results */

struct join;
struct joins;

struct joins *joins_new(void); /* NULL: out of memory */
void joins_free(struct joins *j); /* when no call runs any more */

/* Does the request say which call it is a try of? */
bool join_wanted(const struct http_req *req);
/* Answers req in the end, with the result of the call that runs already or has just ended, or with that of a new one made
 * of rq: its id, version and event, which is taken over; ctx and req are set here, and the caller, which says with
 * lambda_stream_caller that the answer is an event stream. owner_key tells callers (credentials) apart. */
void join_submit(struct joins *j, struct daemon *d, struct http_req *req, const char *owner_key, struct inv_request *rq);
/* The same of an asynchronous call; of rq only what says which call it is, and nothing is taken over. NULL: it is one that is
 * known, and req is answered in the end, or it was refused. Else the event is to be stored: join_stored has to follow, or
 * join_withdraw. old: of InvokeAsync. */
struct join *join_event(struct joins *j, struct http_req *req, const char *owner_key, const struct inv_request *rq, bool old);
/* rc as in async_done; answers all. */
void join_stored(struct join *jn, int rc);
/* It is not accepted: req, at once, to be answered by the caller. */
struct http_req *join_withdraw(struct join *jn);

#endif

/* Joined invocations: see join.h. */
#include "scheduler/lambda/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/crc64.h"
#include "common/base/list.h"
#include "common/base/str.h"
#include "common/host/http_server.h"
#include "scheduler/ids.h"
#include "scheduler/lambda/result.h"

#define BUCKETS 256
#define KEY_MAX 1024

/* A client that waits. */
struct waiter {
	struct front_owner owner; /* first */
	struct http_req *req;
	struct stk_list node;
};

struct join {
	struct joins *all;
	struct join *next; /* in its bucket */
	struct stk_list waiters;
	struct stk_list kept; /* of the results that nobody has got */
	uint64_t crc;         /* of the event: another one is another call */
	uint64_t until_ns;
	bool event;  /* asynchronous: its answer is that it is stored ... */
	bool old;    /* ... for InvokeAsync */
	bool stream; /* the answer is to be an event stream ... */
	bool unread; /* ... which began while no client was there: it is collected */
	bool done;
	struct lambda_result result;
	char key[];
};

struct joins {
	struct join *bucket[BUCKETS];
	struct stk_list kept, events; /* oldest first */
	unsigned event_count;         /* of the latter */
	size_t kept_bytes;
	unsigned kept_count;
	uint64_t seed;
};

struct joins *joins_new(void)
{
	struct joins *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	stk_list_init(&j->kept);
	stk_list_init(&j->events);
	if (ids_random(&j->seed, sizeof(j->seed))) {
		free(j);
		return NULL;
	}
	return j;
}

static struct join **place(struct joins *j, const char *key)
{
	struct join **at = &j->bucket[stk_crc64(j->seed, key, strlen(key)) % BUCKETS];

	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

/* No more tries can find it. */
static void hide(struct join *jn)
{
	struct join **at = place(jn->all, jn->key);

	if (*at == jn)
		*at = jn->next;
}

static void drop(struct join *jn)
{
	struct joins *j = jn->all;

	hide(jn);
	if (jn->event && !stk_list_empty(&jn->kept)) {
		stk_list_del(&jn->kept);
		j->event_count--;
	} else if (!stk_list_empty(&jn->kept)) {
		stk_list_del(&jn->kept);
		j->kept_bytes -= jn->result.len;
		j->kept_count--;
	}
	lambda_result_fini(&jn->result);
	free(jn);
}

static void drop_old(struct joins *j, uint64_t now)
{
	while (!stk_list_empty(&j->kept)) {
		struct join *oldest = STK_CONTAINER_OF(j->kept.next, struct join, kept);

		if (oldest->until_ns > now && j->kept_bytes <= JOIN_KEEP_BYTES && j->kept_count <= JOIN_KEEP_MAX)
			break;
		drop(oldest);
	}
	while (!stk_list_empty(&j->events)) {
		struct join *oldest = STK_CONTAINER_OF(j->events.next, struct join, kept);

		if (oldest->until_ns > now && j->event_count <= JOIN_EVENTS_MAX)
			break;
		drop(oldest);
	}
}

void joins_free(struct joins *j)
{
	if (!j)
		return;
	drop_old(j, UINT64_MAX);
	free(j);
}

static void waiter_gone(struct front_owner *owner)
{
	struct waiter *w = (struct waiter *)owner;

	stk_list_del(&w->node);
	free(w);
}

static int wait_for(struct join *jn, struct http_req *req)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->owner.gone = waiter_gone;
	w->req = req;
	stk_list_add_tail(&jn->waiters, &w->node);
	http_req_set_ptr(req, &w->owner);
	return 0;
}

static struct http_req *no_longer_waiting(struct stk_list *node)
{
	struct waiter *w = STK_CONTAINER_OF(node, struct waiter, node);
	struct http_req *req = w->req;

	waiter_gone(&w->owner);
	http_req_set_ptr(req, NULL);
	return req;
}

static void answer(struct join *jn, struct http_req *req, bool last)
{
	if (jn->event)
		lambda_result_accepted(req, 0, jn->old);
	else if (jn->stream)
		lambda_result_stream(req, &jn->result);
	else
		lambda_result_send(req, &jn->result, last);
}

static void done(struct invocation *inv, struct http_req *none, enum inv_outcome outcome, const char *text)
{
	struct join *jn = inv->ctx;
	struct joins *j = jn->all;
	bool told = !stk_list_empty(&jn->waiters);

	lambda_result_of(inv, outcome, text, &jn->result);
	while (!stk_list_empty(&jn->waiters)) {
		struct http_req *req = no_longer_waiting(jn->waiters.next);

		answer(jn, req, stk_list_empty(&jn->waiters));
	}
	if (told) {
		drop(jn);
		return;
	}
	jn->done = true;
	jn->until_ns = stk_now_ns() + JOIN_KEEP_S * STK_NS_PER_S;
	stk_list_add_tail(&j->kept, &jn->kept);
	j->kept_bytes += jn->result.len;
	j->kept_count++;
	drop_old(j, stk_now_ns());
}

static const struct inv_caller caller = {.done = done, .waits = true};

/* --- streamed answers ------------------------------------------------------------------------------- */

/* The client of the latest try is the one that listens. Who comes from now on makes a new call. */
static struct http_req *reader(struct invocation *inv)
{
	struct join *jn = inv->ctx;
	struct http_req *req;

	jn->unread = stk_list_empty(&jn->waiters);
	if (jn->unread)
		return NULL;
	hide(jn);
	req = no_longer_waiting(jn->waiters.prev);
	while (!stk_list_empty(&jn->waiters))
		lambda_error(no_longer_waiting(jn->waiters.next), LAMBDA_RESOURCE_CONFLICT,
			     "a later try of this call gets its answer");
	return req;
}

static void begin(struct invocation *inv, struct http_req *req, const char *type)
{
	lambda_stream_caller.begin(inv, req, type);
}

static size_t data(struct invocation *inv, struct http_req *req, const uint8_t *p, size_t len)
{
	return lambda_stream_caller.data(inv, req, p, len);
}

static void stream_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct join *jn = inv->ctx;

	if (inv->streaming) {
		drop(jn);
		lambda_stream_caller.done(inv, req, outcome, text);
		return;
	}
	if (outcome == INV_TOO_LARGE && jn->unread) { /* for being kept, not for being streamed */
		while (!stk_list_empty(&jn->waiters))
			lambda_error(no_longer_waiting(jn->waiters.next), LAMBDA_SERVICE_UNAVAILABLE,
				     "the answer began while no client was there, and was too large to be kept: try again");
		drop(jn);
		return;
	}
	done(inv, req, outcome, text);
}

static const struct inv_caller stream_caller = {
	.done = stream_done, .begin = begin, .data = data, .reader = reader, .waits = true};

/* --- tries -------------------------------------------------------------------------------------------- */

bool join_wanted(const struct http_req *req)
{
	const char *id = http_req_header(req, "amz-sdk-invocation-id");

	return id && *id && strlen(id) <= 128;
}

static void no_memory(struct http_req *req)
{
	lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
}

/* A new one, for which req waits. NULL: out of memory, answered. */
static struct join *make(struct joins *j, struct http_req *req, const char *key, uint64_t crc)
{
	struct join *jn = calloc(1, sizeof(*jn) + strlen(key) + 1);
	struct join **at;

	if (!jn) {
		no_memory(req);
		return NULL;
	}
	jn->all = j;
	jn->crc = crc;
	stk_list_init(&jn->waiters);
	stk_list_init(&jn->kept);
	strcpy(jn->key, key);
	if (wait_for(jn, req)) {
		free(jn);
		no_memory(req);
		return NULL;
	}
	at = place(j, key);
	jn->next = *at;
	*at = jn;
	return jn;
}

static void start(struct joins *j, struct daemon *d, struct http_req *req, const char *key, uint64_t crc,
		  struct inv_request *rq)
{
	struct join *jn = make(j, req, key, crc);

	if (!jn) {
		free(rq->event);
		return;
	}
	jn->stream = rq->caller == &lambda_stream_caller;
	rq->caller = jn->stream ? &stream_caller : &caller;
	rq->ctx = jn;
	rq->req = NULL;
	if (invocation_submit(d, rq)) {
		no_longer_waiting(jn->waiters.next);
		drop(jn);
		no_memory(req);
	}
}

/* 0, or -ENAMETOOLONG, answered. */
static int key_of(char key[KEY_MAX], struct http_req *req, const char *owner_key, const struct inv_request *rq)
{
	if (stk_snprintf(key, KEY_MAX, "%s\n%s\n%s\n%s\n%s", owner_key, rq->ver->fn->name, rq->qualifier ? rq->qualifier : "",
			 rq->tenant_id ? rq->tenant_id : "", http_req_header(req, "amz-sdk-invocation-id")) == 0)
		return 0;
	lambda_error(req, LAMBDA_INVALID_REQUEST_CONTENT, "amz-sdk-invocation-id: too long");
	return -ENAMETOOLONG;
}

static void refuse_other(struct http_req *req) /* not one of the SDKs */
{
	lambda_error(req, LAMBDA_INVALID_REQUEST_CONTENT, "amz-sdk-invocation-id: was used for another call");
}

void join_submit(struct joins *j, struct daemon *d, struct http_req *req, const char *owner_key, struct inv_request *rq)
{
	uint64_t crc = stk_crc64(0, rq->event, rq->event_len);
	char key[KEY_MAX];
	struct join *jn;

	drop_old(j, stk_now_ns());
	if (key_of(key, req, owner_key, rq)) {
		free(rq->event);
		return;
	}
	jn = *place(j, key);
	if (!jn) {
		start(j, d, req, key, crc, rq);
		return;
	}
	free(rq->event);
	if (jn->event || jn->crc != crc || jn->stream != (rq->caller == &lambda_stream_caller)) {
		refuse_other(req);
	} else if (jn->done) {
		answer(jn, req, true);
		drop(jn);
	} else if (wait_for(jn, req)) {
		no_memory(req);
	}
}

/* --- asynchronous calls -------------------------------------------------------------------------------- */

struct join *join_event(struct joins *j, struct http_req *req, const char *owner_key, const struct inv_request *rq, bool old)
{
	uint64_t crc = stk_crc64(0, rq->event, rq->event_len);
	char key[KEY_MAX];
	struct join *jn;

	drop_old(j, stk_now_ns());
	if (key_of(key, req, owner_key, rq))
		return NULL;
	jn = *place(j, key);
	if (!jn) {
		jn = make(j, req, key, crc);
		if (jn) {
			jn->event = true;
			jn->old = old;
		}
		return jn;
	}
	if (!jn->event || jn->old != old || jn->crc != crc)
		refuse_other(req);
	else if (jn->done)
		answer(jn, req, true);
	else if (wait_for(jn, req))
		no_memory(req);
	return NULL;
}

void join_stored(struct join *jn, int rc)
{
	struct joins *j = jn->all;

	while (!stk_list_empty(&jn->waiters))
		lambda_result_accepted(no_longer_waiting(jn->waiters.next), rc, jn->old);
	if (rc) { /* the next try is another one */
		drop(jn);
		return;
	}
	jn->done = true;
	jn->until_ns = stk_now_ns() + JOIN_KEEP_S * STK_NS_PER_S;
	stk_list_add_tail(&j->events, &jn->kept);
	j->event_count++;
	drop_old(j, stk_now_ns());
}

struct http_req *join_withdraw(struct join *jn)
{
	struct http_req *req = no_longer_waiting(jn->waiters.next);

	drop(jn);
	return req;
}

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

/* What is done and can still be asked for, in order of its end. */
struct shelf {
	struct stk_list oldest;
	size_t bytes, max_bytes;
	unsigned count, max_count;
};

struct join {
	struct joins *all;
	struct join *next; /* in its bucket */
	struct stk_list waiters;
	struct shelf *shelf; /* on which it is, if it is done */
	struct stk_list on_shelf;
	uint64_t crc;         /* of the event: another one is another call */
	uint64_t until_ns;
	bool event;  /* asynchronous: its answer is that it is stored ... */
	bool old;    /* ... for InvokeAsync */
	bool stream; /* the answer is to be an event stream ... */
	bool unread; /* ... which began while no client was there: it is collected */
	struct lambda_result result;
	char key[];
};

struct joins {
	struct join *bucket[BUCKETS];
	struct shelf untold, told, events;
	uint64_t seed;
};

static void shelf_init(struct shelf *s, size_t max_bytes, unsigned max_count)
{
	stk_list_init(&s->oldest);
	s->max_bytes = max_bytes;
	s->max_count = max_count;
}

struct joins *joins_new(void)
{
	struct joins *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	shelf_init(&j->untold, JOIN_KEEP_BYTES, JOIN_KEEP_MAX);
	shelf_init(&j->told, JOIN_TOLD_BYTES, JOIN_TOLD_MAX);
	shelf_init(&j->events, SIZE_MAX, JOIN_EVENTS_MAX);
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

static size_t weight(const struct join *jn)
{
	return sizeof(*jn) + jn->result.len + (jn->result.tail ? strlen(jn->result.tail) : 0);
}

static void take_off(struct join *jn)
{
	if (!jn->shelf)
		return;
	stk_list_del(&jn->on_shelf);
	jn->shelf->bytes -= weight(jn);
	jn->shelf->count--;
	jn->shelf = NULL;
}

static void drop(struct join *jn)
{
	hide(jn);
	take_off(jn);
	lambda_result_fini(&jn->result);
	free(jn);
}

static void drop_old_of(struct shelf *s, uint64_t now)
{
	while (!stk_list_empty(&s->oldest)) {
		struct join *oldest = STK_CONTAINER_OF(s->oldest.next, struct join, on_shelf);

		if (oldest->until_ns > now && s->bytes <= s->max_bytes && s->count <= s->max_count)
			return;
		drop(oldest);
	}
}

static void drop_old(struct joins *j, uint64_t now)
{
	drop_old_of(&j->untold, now);
	drop_old_of(&j->told, now);
	drop_old_of(&j->events, now);
}

/* It is done. May free it. */
static void keep(struct join *jn, struct shelf *s)
{
	uint64_t now = stk_now_ns();

	take_off(jn);
	jn->shelf = s;
	jn->until_ns = now + JOIN_KEEP_S * STK_NS_PER_S;
	stk_list_add_tail(&s->oldest, &jn->on_shelf);
	s->bytes += weight(jn);
	s->count++;
	drop_old_of(s, now);
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

/* Tells all that wait, of whom there is one at least. Frees it, or keeps it. */
static void tell(struct join *jn)
{
	bool stays = jn->result.kind == RESULT_ANSWER && jn->result.len <= JOIN_TOLD_EACH;

	while (!stk_list_empty(&jn->waiters)) {
		struct http_req *req = no_longer_waiting(jn->waiters.next);

		answer(jn, req, !stays && stk_list_empty(&jn->waiters));
	}
	if (stays)
		keep(jn, &jn->all->told);
	else
		drop(jn);
}

static void done(struct invocation *inv, struct http_req *none, enum inv_outcome outcome, const char *text)
{
	struct join *jn = inv->ctx;

	lambda_result_of(inv, outcome, text, &jn->result);
	if (stk_list_empty(&jn->waiters))
		keep(jn, &jn->all->untold);
	else
		tell(jn);
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
	} else if (wait_for(jn, req)) {
		no_memory(req);
	} else if (jn->shelf) {
		tell(jn);
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
	else if (jn->shelf)
		answer(jn, req, true);
	else if (wait_for(jn, req))
		no_memory(req);
	return NULL;
}

void join_stored(struct join *jn, int rc)
{
	while (!stk_list_empty(&jn->waiters))
		lambda_result_accepted(no_longer_waiting(jn->waiters.next), rc, jn->old);
	if (rc)
		drop(jn); /* the next try is another one */
	else
		keep(jn, &jn->all->events);
}

struct http_req *join_withdraw(struct join *jn)
{
	struct http_req *req = no_longer_waiting(jn->waiters.next);

	drop(jn);
	return req;
}

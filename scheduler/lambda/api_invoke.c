/* Invoke: POST /2015-03-31/functions/NAME/invocations, the same with a streamed answer, and the older InvokeAsync. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/json_check.h"
#include "common/base/str.h"
#include "scheduler/async/async.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/invocation.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/join.h"
#include "scheduler/lambda/result.h"
#include "scheduler/offload.h"
#include "scheduler/pool.h"
#include "scheduler/resolve.h"

#define CONTEXT_MAX 3583u /* of X-Amz-Client-Context, in base64 */
#define TENANT_MAX  256u  /* of X-Amz-Tenant-Id */

static void invoke_done(struct invocation *inv, struct http_req *req, enum inv_outcome outcome, const char *text)
{
	struct lambda_result r;

	if (!req)
		return;
	lambda_result_of(inv, outcome, text, &r);
	lambda_result_send(req, &r, true);
	lambda_result_fini(&r);
}

static const struct inv_caller caller = {.done = invoke_done, .waits = true};

/* --- the request ------------------------------------------------------------------------------------- */

enum operation { OP_INVOKE, OP_STREAM, OP_ASYNC };
enum mode { MODE_WAIT, MODE_EVENT, MODE_DRY_RUN };

/* A call whose event is being looked at. */
struct pending {
	struct offload look; /* first: its owner is the request's */
	struct lambda_call call;
	struct fn_version *v; /* counted */
	enum mode mode;
	enum operation operation;
	bool tail, good;
	struct join *join; /* of an asynchronous call: who waits for it; or NULL */
	char *context, *tenant_id; /* heap, or NULL */
	uint8_t *event;
	size_t len;
};

static void pending_free(struct pending *p)
{
	fn_version_put(&p->call.d->registry, p->v);
	free(p->context);
	free(p->tenant_id);
	free(p->event);
	free(p);
}

static void gone(struct front_owner *owner)
{
	((struct pending *)owner)->call.req = NULL;
}

static const char *owner_key(const struct pending *p)
{
	return p->call.who ? p->call.who->key : "";
}

static void submit(struct pending *p)
{
	struct http_req *req = p->call.req;
	struct inv_request rq = {.ver = p->v, .caller = &caller, .req = req, .id = p->call.id,
		.qualifier = p->call.name.qualifier, .client_context = p->context, .tenant_id = p->tenant_id,
		.event = p->event, .event_len = p->len, .tail = p->tail};

	p->event = NULL;
	if (p->operation == OP_STREAM)
		rq.caller = &lambda_stream_caller;
	if (join_wanted(req)) {
		join_submit(p->call.d->joins, p->call.d, req, owner_key(p), &rq);
	} else if (invocation_submit(p->call.d, &rq)) {
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
	}
}

/* The event is on disk, or is not. */
static void queued(void *ctx, int rc)
{
	struct pending *p = ctx;
	struct http_req *req = p->call.req;

	if (p->join) {
		join_stored(p->join, rc);
	} else if (req) {
		http_req_set_ptr(req, NULL);
		lambda_result_accepted(req, rc, p->operation == OP_ASYNC);
	}
	pending_free(p);
}

/* Who is to be told of the event: p, or all that try the same call. False: another try's event is that of this one. */
static bool wait_for_event(struct pending *p)
{
	struct http_req *req = p->call.req;
	const struct inv_request which = {.ver = p->v, .qualifier = p->call.name.qualifier, .tenant_id = p->tenant_id,
		.event = p->event, .event_len = p->len};

	if (join_wanted(req)) {
		p->call.req = NULL; /* the join's */
		p->join = join_event(p->call.d->joins, req, owner_key(p), &which, p->operation == OP_ASYNC);
		return p->join;
	}
	p->look.owner.gone = gone;
	http_req_set_ptr(req, &p->look.owner);
	return true;
}

static struct http_req *wait_no_more(struct pending *p)
{
	struct http_req *req = p->call.req;

	if (p->join)
		return join_withdraw(p->join);
	http_req_set_ptr(req, NULL);
	return req;
}

/* An asynchronous call. p goes with its end. */
static void enqueue(struct pending *p)
{
	struct http_req *req;
	struct async_call call = {.kind = EVENT_CALL, .id = p->call.id, .function = p->call.fn->name,
		.qualifier = p->call.name.qualifier, .client_context = p->context, .tenant_id = p->tenant_id,
		.payload_len = p->len};
	struct stk_err why = {0};
	int rc;

	if (!wait_for_event(p)) {
		pending_free(p);
		return;
	}
	call.payload = stk_take_ptr(&p->event);
	rc = async_submit(p->call.d->async, &call, queued, p, &why);
	if (rc == 0)
		return;
	req = wait_no_more(p);
	if (rc == -EDQUOT)
		lambda_error_throttled(req, LAMBDA_REASON_RATE, 1);
	else if (rc == -EMSGSIZE)
		lambda_error(req, LAMBDA_REQUEST_TOO_LARGE, "the payload of an asynchronous call has at most 1 MiB");
	else
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, rc == -ESHUTDOWN ? "the host is shutting down"
			     : "the host has no memory left for this request");
	pending_free(p);
}

/* While the event was looked at its version may have been replaced, or the function deleted: false, answered. */
static bool resolve_again(struct pending *p)
{
	struct fn_version *v = resolve_version(p->call.fn, p->call.name.qualifier);

	if (!v) {
		lambda_not_found(&p->call);
		return false;
	}
	fn_version_get(v);
	fn_version_put(&p->call.d->registry, p->v);
	p->v = v;
	return true;
}

static void go_on(struct pending *p)
{
	struct http_req *req = p->call.req;

	if (req && p->good && p->mode == MODE_EVENT) {
		enqueue(p);
		return;
	}
	if (req) {
		if (!p->good)
			lambda_error(req, LAMBDA_INVALID_REQUEST_CONTENT,
				     "Could not parse request body into json: the payload is no JSON value in UTF-8");
		else if (p->mode == MODE_DRY_RUN)
			http_respond(req, 204, NULL, NULL, 0);
		else if (!p->v->pool->closed || resolve_again(p))
			submit(p);
	}
	pending_free(p);
}

static void check(struct offload *o)
{
	struct pending *p = (struct pending *)o;

	p->good = stk_json_check((const char *)p->event, p->len);
}

static void checked(struct offload *o, struct http_req *req)
{
	struct pending *p = (struct pending *)o;

	p->call.req = req;
	go_on(p);
}

static void check_event(struct pending *p)
{
	if (p->len == 0) { /* no event is an empty object */
		free(p->event);
		p->event = (uint8_t *)strdup("{}");
		p->len = 2;
	}
	if (!p->event) {
		lambda_error(p->call.req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		pending_free(p);
		return;
	}
	if (offload_worth(p->len)) {
		offload_start(&p->look, p->call.d, p->call.req, check, checked);
	} else {
		check(&p->look);
		go_on(p);
	}
}

static int read_mode(const struct http_req *req, enum mode *ret, struct lambda_err *err)
{
	static const char *const names[] = {"RequestResponse", "Event", "DryRun"};
	const char *type = http_req_header(req, "x-amz-invocation-type");

	*ret = MODE_WAIT;
	for (size_t i = 0; type && i < STK_ARRAY_LEN(names); i++) {
		if (strcmp(type, names[i]) == 0) {
			*ret = (enum mode)i;
			return 0;
		}
	}
	return type ? lambda_err_set(err, LAMBDA_VALIDATION,
				     "1 validation error detected: Value '%.80s' at 'invocationType' failed to satisfy constraint: "
				     "Member must satisfy enum value set: [Event, RequestResponse, DryRun]", type)
		    : 0;
}

/* X-Amz-Client-Context: base64 of a JSON object, heap text in *ret. */
static int read_context(const struct http_req *req, char **ret, struct lambda_err *err)
{
	const char *text = http_req_header(req, "x-amz-client-context");
	size_t len = text ? strlen(text) : 0;
	int n;

	*ret = NULL;
	if (!len)
		return 0;
	if (len > CONTEXT_MAX + 1)
		return lambda_err_set(err, LAMBDA_INVALID_REQUEST_CONTENT, "Client context: longer than %u bytes", CONTEXT_MAX);
	*ret = calloc(1, len + 1);
	if (!*ret)
		return lambda_err_nomem(err);
	n = EVP_DecodeBlock((unsigned char *)*ret, (const unsigned char *)text, (int)len);
	while (n > 0 && len && text[len - 1] == '=') { /* the decoder counts padding as bytes */
		n--;
		len--;
	}
	if (n > 0 && stk_json_check(*ret, (size_t)n)) {
		(*ret)[n] = '\0';
		return 0;
	}
	free(stk_take_ptr(ret));
	return lambda_err_set(err, LAMBDA_INVALID_REQUEST_CONTENT, "Client context must be a valid Base64-encoded JSON object.");
}

/* X-Amz-Tenant-Id: what the runtime is told, heap text in *ret. */
static int read_tenant_id(const struct http_req *req, char **ret, struct lambda_err *err)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/=+-@ ";
	const char *text = http_req_header(req, "x-amz-tenant-id");
	size_t len = text ? strlen(text) : 0;

	*ret = NULL;
	if (!len)
		return 0;
	if (len > TENANT_MAX || text[strspn(text, chars)])
		return lambda_err_set(err, LAMBDA_VALIDATION,
				      "1 validation error detected: Value at 'tenantId' failed to satisfy constraint: Member must have "
				      "length less than or equal to %u and satisfy regular expression pattern: "
				      "[a-zA-Z0-9\\._:\\/=+\\-@ ]+", TENANT_MAX);
	*ret = strdup(text);
	return *ret ? 0 : lambda_err_nomem(err);
}

static void invoke(struct daemon *d, struct http_req *req, const struct router_match *m, enum operation operation)
{
	const char *log_type = http_req_header(req, "x-amz-log-type");
	struct lambda_call call;
	struct lambda_err err;
	struct fn_version *v;
	struct pending *p;
	enum mode mode;
	char *context = NULL, *tenant_id = NULL;

	if (lambda_begin_function(&call, d, req, m->value[0], LAMBDA_TEXT_MAX_NAMESPACED))
		return;
	v = resolve_version(call.fn, call.name.qualifier);
	if (!v) {
		lambda_not_found(&call);
		return;
	}
	if (read_mode(req, &mode, &err) || read_tenant_id(req, &tenant_id, &err) || read_context(req, &context, &err)) {
		free(tenant_id);
		lambda_error_err(req, &err);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		free(context);
		free(tenant_id);
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		return;
	}
	p->call = call;
	p->v = fn_version_get(v);
	p->mode = operation == OP_ASYNC ? MODE_EVENT : mode;
	p->operation = operation;
	p->tail = log_type && strcmp(log_type, "Tail") == 0;
	p->context = context;
	p->tenant_id = tenant_id;
	p->event = http_req_take_body(req, &p->len);
	check_event(p);
}

void lambda_invoke(void *ctx, struct http_req *req, const struct router_match *m)
{
	invoke(ctx, req, m, OP_INVOKE);
}

void lambda_invoke_stream(void *ctx, struct http_req *req, const struct router_match *m)
{
	invoke(ctx, req, m, OP_STREAM);
}

void lambda_invoke_async(void *ctx, struct http_req *req, const struct router_match *m)
{
	invoke(ctx, req, m, OP_ASYNC);
}

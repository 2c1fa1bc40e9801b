/* What follows an event's end: see record.h. */
#include "scheduler/async/record.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/guestwire.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "scheduler/furl.h"

#define ERROR_MESSAGE_MAX 1024 /* of a dead letter: Lambda's limit */
#define HEADERS_MAX       16384

static const char *const conditions[RETRY_VERDICTS] = {
	[RETRY_DONE] = "Success",
	[RETRY_EXHAUSTED] = "RetriesExhausted",
	[RETRY_TOO_OLD] = "EventAgeExceeded",
	[RETRY_ZERO_CONCURRENCY] = "ZeroReservedConcurrency",
	[RETRY_GONE] = "RetriesExhausted",
};

void record_header_text(const void *text, size_t len, char *dst, size_t cap)
{
	const unsigned char *p = text;
	size_t n = 0;

	while (n < len && n + 1 < cap) {
		dst[n] = (char)(p[n] < ' ' || p[n] == 0x7f ? ' ' : p[n] < 0x7f ? p[n] : '?');
		n++;
	}
	dst[n] = '\0';
}

/* --- the record ------------------------------------------------------------------------------------ */

static void put_string(FILE *out, const char *text, size_t len)
{
	json_t *s = json_stringn(text, len); /* NULL when it is no UTF-8 */
	stk_autofree char *dumped = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;

	fputs(dumped ? dumped : "\"\"", out);
	json_decref(s);
}

/* JSON as it is; anything else as a string. */
static void put_payload(FILE *out, const uint8_t *data, size_t len)
{
	/* Numbers are only looked at: as reals they may have any size. */
	json_t *any = json_loadb((const char *)data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
				 NULL);
	stk_autofree char *text = NULL;

	if (any) {
		fwrite(data, 1, len, out);
		json_decref(any);
	} else if (len == 0) {
		fputs("null", out);
	} else if (stk_utf8_valid(data, len)) {
		put_string(out, (const char *)data, len);
	} else {
		text = malloc((len + 2) / 3 * 4);
		putc('"', out);
		if (text)
			fwrite(text, 1, furl_base64_encode(data, len, text), out);
		putc('"', out);
	}
}

static void put_time(FILE *out, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(out, "\"%s.%03dZ\"", text, (int)(ms % 1000));
}

struct record_view {
	const struct event *e;
	const uint8_t *payload;
	size_t payload_len;
	const struct record_result *r;
	int64_t now_ms;
};

static int write_record(const struct record_view *v, bool with_request, bool with_response, uint8_t **ret_text,
			size_t *ret_len)
{
	const struct record_result *r = v->r;
	char *text = NULL, arn[FN_ARN_MAX];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	fn_arn(r->account[0] ? r->account : NULL, v->e->function,
	       v->e->qualifier[0] ? v->e->qualifier : "$LATEST", arn);
	fputs("{\"version\":\"1.0\",\"timestamp\":", out);
	put_time(out, v->now_ms);
	fprintf(out, ",\"requestContext\":{\"requestId\":\"%s\",\"functionArn\":\"%s\",\"condition\":\"%s\","
		     "\"approximateInvokeCount\":%u},\"requestPayload\":",
		v->e->id, arn, conditions[r->verdict], r->tries);
	if (with_request)
		put_payload(out, v->payload, v->payload_len);
	else
		fputs("null", out);
	if (r->ran) {
		char version[FN_VERSION_TEXT];

		fn_version_text(r->version, version);
		/* Lambda's are 200 also when the function has failed. */
		fprintf(out, ",\"responseContext\":{\"statusCode\":200,\"executedVersion\":\"%s\"",
			version);
		if (r->failed)
			fputs(",\"functionError\":\"Unhandled\"", out);
		fputs("},\"responsePayload\":", out);
		if (with_response)
			put_payload(out, r->body, r->body_len);
		else
			fputs("null", out);
	}
	putc('}', out);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = (uint8_t *)text;
	*ret_len = len;
	return 0;
}

/* What is too large is left out: first the answer, then the event. */
static int make_record(const struct record_view *v, size_t max, struct event *to)
{
	int rc = 0;

	for (unsigned left_out = 0; left_out < 3; left_out++) {
		free(to->payload);
		to->payload = NULL;
		rc = write_record(v, left_out < 2, left_out < 1, &to->payload, &to->payload_len);
		if (rc || to->payload_len <= max)
			return rc;
	}
	return rc;
}

/* --- followers --------------------------------------------------------------------------------------- */

static struct event *new_follower(const struct record_view *v, enum event_kind kind)
{
	struct event *f = event_new(kind);

	if (!f)
		return NULL;
	memcpy(f->id, v->e->id, sizeof(f->id));
	memcpy(f->function, v->e->function, sizeof(f->function));
	f->hops = v->e->hops + 1;
	f->next_ms = f->accepted_ms = v->now_ms;
	return f;
}

static int address_it(const struct record_view *v, struct event *f, const char *target, const struct evconfig_target *t)
{
	if (t->kind == EVCONFIG_URL) {
		event_flow_of_url(f, &t->url);
		f->target = strdup(target);
		return f->target ? 0 : -ENOMEM;
	}
	if (stk_snprintf(f->function, sizeof(f->function), "%s%s", t->function, strchrnul(v->e->function, '.')))
		return -ENAMETOOLONG;
	memcpy(f->qualifier, t->qualifier, sizeof(f->qualifier));
	event_flow_of_function(f);
	return 0;
}

/* NULL in *ret when there is no destination, or one more would be too many. */
static int begin_follower(const struct record_view *v, const char *target, struct event **ret, unsigned *ret_loops)
{
	struct evconfig_target t;
	struct event *f;

	*ret = NULL;
	if (evconfig_target_parse(target, &t, NULL) || t.kind == EVCONFIG_NONE)
		return 0;
	if (v->e->hops + 1 >= RETRY_MAX_HOPS && t.kind == EVCONFIG_FUNCTION) {
		++*ret_loops;
		return 0;
	}
	f = new_follower(v, t.kind == EVCONFIG_URL ? EVENT_SEND : EVENT_CALL);
	if (!f || address_it(v, f, target, &t)) {
		event_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

static int add_record(const struct record_view *v, const char *target, struct stk_list *out, unsigned *ret_loops)
{
	struct event *f;
	int rc = begin_follower(v, target, &f, ret_loops);

	if (rc || !f)
		return rc;
	rc = make_record(v, f->kind == EVENT_SEND ? EVENT_MAX_SENT : GW_MAX_EVENT, f);
	if (rc == 0 && f->kind == EVENT_SEND &&
	    asprintf(&f->context, "Content-Type: application/json\r\nX-Request-Id: %s\r\n", f->id) < 0) {
		f->context = NULL;
		rc = -ENOMEM;
	}
	if (rc) {
		event_free(f);
		return rc;
	}
	stk_list_add_tail(out, &f->node);
	return 0;
}

/* errorMessage of an error object; else the object. */
static void error_message(const struct record_result *r, char *dst, size_t cap)
{
	json_t *root = r->body ? json_loadb((const char *)r->body, r->body_len, 0, NULL) : NULL;
	const char *text = json_string_value(json_object_get(root, "errorMessage"));

	if (text)
		record_header_text(text, strlen(text), dst, cap);
	else if (r->body)
		record_header_text(r->body, r->body_len, dst, cap);
	else
		record_header_text(conditions[r->verdict], strlen(conditions[r->verdict]), dst, cap);
	json_decref(root);
}

/* The event itself; attributes beside it: as headers, or as the client context's custom values. */
static int add_dead_letter(const struct record_view *v, const char *target, struct stk_list *out, unsigned *ret_loops)
{
	struct event *f;
	char message[ERROR_MESSAGE_MAX + 1];
	int rc = begin_follower(v, target, &f, ret_loops);

	if (rc || !f)
		return rc;
	error_message(v->r, message, sizeof(message));
	f->payload = malloc(v->payload_len + 1);
	if (f->payload && v->payload_len)
		memcpy(f->payload, v->payload, v->payload_len);
	f->payload_len = v->payload_len;
	if (f->kind == EVENT_SEND) {
		if (asprintf(&f->context,
			     "Content-Type: application/json\r\nRequestID: %s\r\nErrorCode: %d\r\nErrorMessage: %s\r\n",
			     f->id, v->r->status, message) < 0)
			f->context = NULL;
	} else {
		char code[16];
		json_t *attributes;

		snprintf(code, sizeof(code), "%d", v->r->status);
		attributes = json_pack("{s:{s:s, s:s, s:s}}", "custom", "RequestID", f->id, "ErrorCode", code,
				       "ErrorMessage", message);
		f->context = attributes ? json_dumps(attributes, JSON_COMPACT) : NULL;
		json_decref(attributes);
	}
	if (!f->payload || !f->context) {
		event_free(f);
		return -ENOMEM;
	}
	stk_list_add_tail(out, &f->node);
	return 0;
}

static bool framing(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade",
		"trailer", "te", "host", "expect", "x-call-id", "x-function-name", "x-function-status",
		"x-duration-seconds", "content-type"};

	for (size_t i = 0; i < STK_ARRAY_LEN(names); i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	return !*name || strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ") < strlen(name);
}

static void put_header(FILE *out, const char *name, const char *value)
{
	char text[8192];

	if (ftell(out) > HEADERS_MAX - (long)sizeof(text))
		return;
	record_header_text(value, strlen(value), text, sizeof(text));
	fprintf(out, "%s: %s\r\n", name, text);
}

/* The function's answer as its own HTTP caller would have seen it. */
static int http_result(const struct record_view *v, struct event *f, int *ret_status, FILE *headers)
{
	struct furl_answer a;
	int rc = furl_answer_parse(v->r->body, v->r->body_len, &a, NULL);

	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		*ret_status = 502;
		return 1; /* the raw answer */
	}
	*ret_status = a.status;
	put_header(headers, "Content-Type", a.type);
	for (unsigned i = 0; i < a.header_count; i++) {
		if (!framing(a.header[i].name))
			put_header(headers, a.header[i].name, a.header[i].value);
	}
	rc = a.passthrough;
	if (!a.passthrough) {
		f->payload = stk_take_ptr(&a.body);
		f->payload_len = a.body_len;
		if (!f->payload) {
			f->payload = malloc(1);
			rc = f->payload ? 0 : -ENOMEM;
		}
	}
	furl_answer_fini(&a);
	return rc;
}

static int copy_body(const struct record_result *r, struct event *f)
{
	f->payload = malloc(r->body_len + 1);
	if (!f->payload)
		return -ENOMEM;
	if (r->body_len)
		memcpy(f->payload, r->body, r->body_len);
	f->payload_len = r->body_len;
	return 0;
}

static int fill_callback(const struct record_view *v, struct event *f)
{
	const struct record_result *r = v->r;
	int status = r->status, rc = 1;
	size_t len = 0;
	FILE *headers = open_memstream(&f->context, &len);

	if (!headers)
		return -ENOMEM;
	if (v->e->kind == EVENT_HTTP && r->ran && !r->failed)
		rc = http_result(v, f, &status, headers);
	else
		fputs(v->e->kind == EVENT_CLOUD && !r->failed ? "Content-Type: application/cloudevents+json\r\n"
							      : "Content-Type: application/json\r\n",
		      headers);
	if (rc == 1)
		rc = copy_body(r, f);
	fprintf(headers, "X-Call-Id: %s\r\nX-Function-Name: %s\r\nX-Function-Status: %d\r\nX-Duration-Seconds: %.6f\r\n",
		v->e->id, v->e->function, status, (double)r->took_ms / 1e3);
	if (fclose(headers))
		rc = -ENOMEM;
	return rc;
}

static int add_callback(const struct record_view *v, struct stk_list *out)
{
	struct evconfig_target t = {.kind = EVCONFIG_URL};
	struct event *f;
	int rc;

	if (weburl_parse(v->e->target, &t.url, NULL))
		return 0;
	f = new_follower(v, EVENT_SEND);
	if (!f)
		return -ENOMEM;
	rc = address_it(v, f, v->e->target, &t);
	if (rc == 0)
		rc = fill_callback(v, f);
	if (rc) {
		event_free(f);
		return rc;
	}
	stk_list_add_tail(out, &f->node);
	return 0;
}

bool record_wanted(const struct event *e, const struct record_result *r, const struct evconfig *c)
{
	if (e->kind == EVENT_SEND)
		return false;
	if (e->target)
		return true;
	return r->verdict == RETRY_DONE ? c->on_success[0] != '\0' : c->on_failure[0] || c->dead_letter[0];
}

int record_followers(const struct event *e, const uint8_t *payload, size_t payload_len,
		     const struct record_result *r, const struct evconfig *c, int64_t now_ms, struct stk_list *out,
		     unsigned *ret_loops)
{
	const struct record_view v = {e, payload, payload_len, r, now_ms};
	struct stk_list made;
	int rc;

	stk_list_init(&made);
	if (r->verdict == RETRY_DONE) {
		rc = add_record(&v, c->on_success, &made, ret_loops);
	} else {
		rc = add_record(&v, c->on_failure, &made, ret_loops);
		if (rc == 0)
			rc = add_dead_letter(&v, c->dead_letter, &made, ret_loops);
	}
	if (rc == 0 && e->target)
		rc = add_callback(&v, &made);
	STK_LIST_FOREACH_SAFE(it, tmp, &made) {
		stk_list_del(it);
		if (rc)
			event_free(STK_CONTAINER_OF(it, struct event, node));
		else
			stk_list_add_tail(out, it);
	}
	return rc;
}

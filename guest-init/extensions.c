/* Extensions and their requests: see extensions.h. */
#include "guest-init/extensions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { ROUTE_REGISTER = 1, ROUTE_NEXT, ROUTE_INIT_ERROR, ROUTE_EXIT_ERROR };

static const char base[] = "/2020-01-01/extension/";

static const struct api_refusal no_name = {
	403, "Extension.InvalidExtensionName", "Lambda-Extension-Name is missing or too long"};
static const struct api_refusal closed = {403, "Extension.RegistrationClosed", "the init phase is over"};
static const struct api_refusal twice = {403, "Extension.AlreadyRegistered", "this name is registered"};
static const struct api_refusal too_many = {403, "Extension.TooManyExtensions", "there are ten extensions already"};
static const struct api_refusal bad_event = {403, "Extension.InvalidEventType", "events are INVOKE and SHUTDOWN"};
static const struct api_refusal not_external = {
	403, "Extension.ShutdownEventNotSupportedForInternalExtension",
	"an internal extension cannot ask for SHUTDOWN"};
static const struct api_refusal bad_body = {
	400, "InvalidRequestFormat", "the body is not an object with a list of events"};
static const struct api_refusal no_id = {
	403, "Extension.MissingExtensionIdentifier", "Lambda-Extension-Identifier is missing"};
static const struct api_refusal bad_id = {
	403, "Extension.InvalidExtensionIdentifier", "Lambda-Extension-Identifier is not a UUID"};
static const struct api_refusal unknown_id = {
	403, "Extension.UnknownExtensionIdentifier", "no extension has this identifier"};
static const struct api_refusal no_type = {
	403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type is missing"};
static const struct api_refusal bad_ext_state = {
	403, "Extension.InvalidExtensionState", "not possible in the extension's present state"};
static const struct api_refusal body_too_large = {413, "RequestEntityTooLarge", "the body is too large"};

void extensions_init(struct extensions *e)
{
	e->count = 0;
	e->closed = e->news = false;
	e->function = e->version = e->handler = NULL;
	strcpy(e->account, "000000000000");
	e->failure[0] = '\0';
}

void extensions_account(struct extensions *e, const char *digits, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return;
	}
	if (len == EXTENSIONS_ACCOUNT_LEN)
		memcpy(e->account, digits, len);
}

static struct extension *add(struct extensions *e, const char *name)
{
	struct extension *x = &e->ext[e->count];

	if (e->count == EXTENSIONS_MAX || strlen(name) > EXTENSIONS_NAME_MAX)
		return NULL;
	*x = (struct extension){.state = EXT_LAUNCHED};
	strcpy(x->name, name);
	e->count++;
	return x;
}

int extensions_launched(struct extensions *e, const char *name, pid_t pid)
{
	struct extension *x = add(e, name);

	if (!x)
		return -E2BIG;
	x->external = true;
	x->pid = pid;
	return 0;
}

bool extensions_registered(const struct extensions *e)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].state == EXT_LAUNCHED)
			return false;
	}
	return true;
}

bool extensions_ready(const struct extensions *e)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].state != EXT_WAITING)
			return false;
	}
	return true;
}

bool extensions_idle(const struct extensions *e)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].state == EXT_BUSY && (e->ext[i].pid || !e->ext[i].external))
			return false;
	}
	return true;
}

bool extensions_running(const struct extensions *e)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].shutdown && e->ext[i].pid)
			return true;
	}
	return false;
}

bool extensions_exited(struct extensions *e, pid_t pid)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].pid == pid) {
			e->ext[i].pid = 0;
			return true;
		}
	}
	return false;
}

bool extensions_take_news(struct extensions *e)
{
	bool news = e->news;

	e->news = false;
	return news;
}

/* --- events --------------------------------------------------------------------------------- */

/* A JSON string with its quotes, or two quotes when it does not fit. */
static void put_json(char *buf, size_t cap, const char *text, size_t len)
{
	size_t n = 0;

	buf[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (n + 8 > cap) {
			n = 1;
			break;
		}
		if (c == '"' || c == '\\')
			buf[n++] = '\\';
		if (c < 0x20)
			n += (size_t)snprintf(buf + n, 7, "\\u%04x", c);
		else
			buf[n++] = (char)c;
	}
	buf[n++] = '"';
	buf[n] = '\0';
}

static void put_json_text(char *buf, size_t cap, const char *text)
{
	put_json(buf, cap, text ? text : "", text ? strlen(text) : 0);
}

static int put_uuid(char text[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 1 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return 0;
}

/* To the connections that wait, of those extensions that asked for this kind of event. */
static void deliver(struct extensions *e, struct api_server *s, bool shutdown, const char *body)
{
	for (unsigned i = 0; i < API_CONNS; i++) {
		struct api_conn *c = &s->conn[i];
		struct extension *x;
		char header[96], id[37];

		if (c->fd < 0 || c->state != API_PARKED || !c->extension)
			continue;
		x = &e->ext[c->extension - 1];
		if (!(shutdown ? x->shutdown && !x->ended : x->invoke) || x->state != EXT_WAITING || put_uuid(id))
			continue;
		x->state = EXT_BUSY;
		x->ended = shutdown;
		c->extension = 0;
		snprintf(header, sizeof(header), "Lambda-Extension-Event-Identifier: %s\r\n", id);
		api_answer(s, c, 200, header, body);
	}
}

static const struct gw_kv *find(const struct gw_invoke *inv, const char *key)
{
	static const struct gw_kv none = {.value = "", .value_len = 0};

	for (unsigned i = 0; i < inv->kv_count; i++) {
		if (inv->kv[i].key_len == strlen(key) && memcmp(inv->kv[i].key, key, inv->kv[i].key_len) == 0)
			return &inv->kv[i];
	}
	return &none;
}

void extensions_invoke(struct extensions *e, struct api_server *s, const struct gw_invoke *inv)
{
	const struct gw_kv *arn = find(inv, "lambda-runtime-invoked-function-arn");
	const struct gw_kv *trace = find(inv, "lambda-runtime-trace-id");
	char arn_text[400], trace_text[600], id[160], body[1400];

	e->closed = true;
	put_json(arn_text, sizeof(arn_text), arn->value, arn->value_len);
	put_json(trace_text, sizeof(trace_text), trace->value, trace->value_len);
	put_json(id, sizeof(id), inv->request_id, inv->request_id_len);
	snprintf(body, sizeof(body),
		 "{\"eventType\":\"INVOKE\",\"deadlineMs\":%llu,\"requestId\":%s,\"invokedFunctionArn\":%s,"
		 "\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":%s}}",
		 (unsigned long long)inv->deadline_ms, id, arn_text, trace_text);
	deliver(e, s, false, body);
}

void extensions_shutdown(struct extensions *e, struct api_server *s, const char *why, uint64_t deadline_ms)
{
	char body[160];

	snprintf(body, sizeof(body), "{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":%llu,\"shutdownReason\":\"%s\"}",
		 (unsigned long long)deadline_ms, why);
	deliver(e, s, true, body);
}

/* --- requests ------------------------------------------------------------------------------- */

static int route(const char *path)
{
	static const char *const paths[] = {
		[ROUTE_REGISTER] = "register", [ROUTE_NEXT] = "event/next", [ROUTE_INIT_ERROR] = "init/error",
		[ROUTE_EXIT_ERROR] = "exit/error"};

	if (strncmp(path, base, sizeof(base) - 1) != 0)
		return 0;
	for (int i = ROUTE_REGISTER; i <= ROUTE_EXIT_ERROR; i++) {
		if (strcmp(path + sizeof(base) - 1, paths[i]) == 0)
			return i;
	}
	return 0;
}

bool extensions_route(struct extensions *e, struct api_conn *c)
{
	int what = route(c->buf->http.target);

	c->refusal = &api_not_found;
	if (!what)
		return false;
	if (strcmp(c->buf->http.method, what == ROUTE_NEXT ? "GET" : "POST") != 0) {
		c->refusal = &api_bad_method;
		return false;
	}
	return true;
}

/* Kept in the connection's buffer for answers, which is free until the request is complete. */
void extensions_body(struct extensions *e, struct api_conn *c, const uint8_t *data, size_t len)
{
	if (len && c->total + len <= sizeof(c->buf->out))
		memcpy(c->buf->out + c->total, data, len);
	c->total += len;
}

static const struct api_refusal *check_register(struct extensions *e, const char *name, const char *body, size_t len,
						struct extension **ret, bool *invoke, bool *shutdown)
{
	int rc = extensions_events(body, len, invoke, shutdown);

	*ret = NULL;
	if (!name[0] || strlen(name) > EXTENSIONS_NAME_MAX)
		return &no_name;
	if (rc)
		return rc == -EINVAL ? &bad_event : &bad_body;
	for (unsigned i = 0; i < e->count; i++) {
		if (strcmp(e->ext[i].name, name) == 0)
			*ret = &e->ext[i];
	}
	if (*ret && (*ret)->state != EXT_LAUNCHED)
		return &twice;
	if (e->closed)
		return &closed;
	if (!*ret && *shutdown)
		return &not_external;
	if (!*ret && e->count == EXTENSIONS_MAX)
		return &too_many;
	return NULL;
}

static void do_register(struct extensions *e, struct api_server *s, struct api_conn *c)
{
	const char *name = c->buf->http.extension_name;
	char function[200], version[200], handler[400], account[40] = "", header[96], body[900];
	bool invoke = false, shutdown = false;
	const struct api_refusal *refusal;
	struct extension *x;

	if (c->total > sizeof(c->buf->out)) {
		api_refuse(s, c, &body_too_large);
		return;
	}
	refusal = check_register(e, name, c->buf->out, c->total, &x, &invoke, &shutdown);
	if (refusal) {
		api_refuse(s, c, refusal);
		return;
	}
	if (!x)
		x = add(e, name);
	if (put_uuid(x->id)) {
		api_refuse(s, c, &bad_ext_state);
		return;
	}
	x->state = EXT_REGISTERED;
	x->invoke = invoke;
	x->shutdown = shutdown;
	e->news = true;
	put_json_text(function, sizeof(function), e->function);
	put_json_text(version, sizeof(version), e->version);
	put_json_text(handler, sizeof(handler), e->handler);
	if (c->buf->http.extension_account)
		snprintf(account, sizeof(account), ",\"accountId\":\"%s\"", e->account);
	snprintf(body, sizeof(body), "{\"functionName\":%s,\"functionVersion\":%s,\"handler\":%s%s}", function, version,
		 handler, account);
	snprintf(header, sizeof(header), "Lambda-Extension-Identifier: %s\r\n", x->id);
	api_answer(s, c, 200, header, body);
}

static struct extension *identify(struct extensions *e, const char *id, const struct api_refusal **ret_refusal)
{
	*ret_refusal = !id[0] ? &no_id : strlen(id) != 36 ? &bad_id : &unknown_id;
	for (unsigned i = 0; i < e->count; i++) {
		if (e->ext[i].state != EXT_LAUNCHED && strcmp(e->ext[i].id, id) == 0)
			return &e->ext[i];
	}
	return NULL;
}

static void do_next(struct extensions *e, struct api_server *s, struct api_conn *c, struct extension *x)
{
	c->extension = (uint8_t)(x - e->ext + 1);
	x->state = EXT_WAITING;
	e->news = true;
	api_park(s, c);
}

static void do_error(struct extensions *e, struct api_server *s, struct api_conn *c, struct extension *x, int what)
{
	const char *type = c->buf->http.error_type;

	if (!type[0]) {
		api_refuse(s, c, &no_type);
		return;
	}
	if (what == ROUTE_INIT_ERROR && (x->state != EXT_REGISTERED || e->closed)) {
		api_refuse(s, c, &bad_ext_state);
		return;
	}
	strcpy(e->failure, extensions_type_ok(type) ? type
			   : what == ROUTE_INIT_ERROR ? "Extension.InitError" : "Extension.ExitError");
	e->news = true;
	api_answer(s, c, 202, "", "{\"status\":\"OK\"}\n");
}

void extensions_complete(struct extensions *e, struct api_server *s, struct api_conn *c)
{
	int what = route(c->buf->http.target);
	const struct api_refusal *refusal;
	struct extension *x;

	if (what == ROUTE_REGISTER) {
		do_register(e, s, c);
		return;
	}
	x = identify(e, c->buf->http.extension_id, &refusal);
	if (!x)
		api_refuse(s, c, refusal);
	else if (what == ROUTE_NEXT)
		do_next(e, s, c, x);
	else
		do_error(e, s, c, x, what);
}

bool extensions_type_ok(const char *type)
{
	size_t n = strlen(type);

	for (const char *p = type; *p; p++) {
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return false;
	}
	return n > 0 && n <= HTTP1_MAX_SHORT;
}

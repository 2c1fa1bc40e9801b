/* Who sends a request: see auth.h. */
#include "scheduler/auth/auth.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/metrics.h"
#include "common/host/workers.h"
#include "scheduler/answer.h"
#include "scheduler/auth/bearer.h"
#include "scheduler/auth/keys.h"
#include "scheduler/ids.h"

/* A principal and the texts it points to. */
struct known {
	struct stk_list node;
	struct auth_principal p;
	char tenant[KEYS_NAME_MAX + 1], account[13], key[KEYS_NAME_MAX + 1];
};

struct auth {
	char *path; /* NULL: no authentication */
	struct keys *keys;
	struct metrics *metrics;
	int64_t (*now)(void);
	struct stk_list known;
	const struct auth_principal *nobody; /* anonymous */
	struct stk_log_limit log_limit;
	bool reloading, again;
};

/* A request whose body is still needed, or was found wanting: the tap's context. */
struct pending {
	struct sigv4 sig;
	EVP_MD_CTX *md;
	bool verified; /* all but that the body is the one whose hash was signed */
	bool failed;   /* of the hash: out of memory */
	enum sigv4_reason reason; /* auth_body's finding */
};

static int64_t wall_clock(void)
{
	return time(NULL);
}

/* --- principals --------------------------------------------------------------------------------- */

/* The one of these names, made when it is new. NULL when out of memory. */
static const struct auth_principal *intern(struct auth *a, const struct key_tenant *tenant, const char *key)
{
	struct known *k;

	STK_LIST_FOREACH(it, &a->known) {
		k = STK_CONTAINER_OF(it, struct known, node);
		if (strcmp(k->key, key) == 0 && strcmp(k->tenant, tenant->name) == 0 &&
		    strcmp(k->account, tenant->account) == 0)
			return &k->p;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	stk_strcpy(k->tenant, sizeof(k->tenant), tenant->name);
	stk_strcpy(k->account, sizeof(k->account), tenant->account);
	stk_strcpy(k->key, sizeof(k->key), key);
	k->p = (struct auth_principal){k->tenant, k->account, k->key, !*key, !a->path};
	stk_list_add_tail(&a->known, &k->node);
	return &k->p;
}

static const struct auth_principal *principal_of(struct auth *a, struct key *key)
{
	if (!key->who)
		key->who = intern(a, key->tenant, key->name);
	return key->who;
}

/* Puts new keys in place of the old ones (either may be NULL). 0 or -ENOMEM. */
static int set_keys(struct auth *a, struct keys *k)
{
	static const struct key_tenant none = {KEYS_DEFAULT_TENANT, KEYS_DEFAULT_ACCOUNT, -1};
	const struct auth_principal *nobody = intern(a, k ? keys_default_tenant(k) : &none, "");

	if (!nobody)
		return -ENOMEM;
	keys_free(a->keys);
	a->keys = k;
	a->nobody = nobody;
	return 0;
}

/* --- refusing ----------------------------------------------------------------------------------- */

static const char failures_name[] = "stoker_auth_failures_total";
static const char failures_help[] = "Requests refused for want of a valid signature or token, by reason";

static struct metrics_series *failures(struct auth *a, const char *reason)
{
	char label[64];

	snprintf(label, sizeof(label), "reason=\"%s\"", reason);
	return metrics_get(a->metrics, METRICS_COUNTER, failures_name, failures_help, label);
}

/* What was sent is never shown: a secret may stand where a name should. */
static void count(struct auth *a, struct http_req *req, const char *reason)
{
	struct metrics_series *s = failures(a, reason);

	if (s)
		metrics_add(s, 1);
	if (stk_log_allow(&a->log_limit))
		stk_warn("%s: not let in (%s)", http_req_peer(req), reason);
}

static void refuse_lambda(struct http_req *req, const struct sigv4_error *e, const char *message, const char *id)
{
	json_t *body = json_pack("{s:s, s:s}", "Type", e->status >= 500 ? "Service" : "User", "Message", message);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	http_resp_header(req, "x-amzn-ErrorType", e->type);
	if (id)
		http_resp_header(req, "x-amzn-RequestId", id);
	http_respond_take(req, e->status, "application/json", text, text ? strlen(text) : 0);
}

static void refuse_signature(struct auth *a, struct http_req *req, enum auth_route route, enum sigv4_reason reason,
			     const struct sigv4 *sig)
{
	const struct sigv4_error *e = sigv4_error(reason);
	char message[256], id[IDS_UUID_LEN + 1];
	bool has_id = ids_uuid(id) == 0;

	count(a, req, e->metric);
	sigv4_message(reason, sig, a->now(), message, sizeof(message));
	if (has_id && route != AUTH_LAMBDA)
		http_resp_header(req, "X-Request-Id", id);
	if (route == AUTH_LAMBDA)
		refuse_lambda(req, e, message, has_id ? id : NULL);
	else
		answer_error(req, e->status, e->type, message, has_id ? id : NULL);
}

/* A plain route without a token, or with one that is wrong. */
static void refuse_token(struct auth *a, struct http_req *req, const char *reason, const char *message)
{
	char id[IDS_UUID_LEN + 1];
	bool has_id = ids_uuid(id) == 0;

	count(a, req, reason);
	if (has_id)
		http_resp_header(req, "X-Request-Id", id);
	http_resp_header(req, "WWW-Authenticate", "Bearer realm=\"stoker\"");
	http_resp_header(req, "WWW-Authenticate", "Basic realm=\"stoker\", charset=\"UTF-8\"");
	answer_error(req, 401, "Unauthorized", message, has_id ? id : NULL);
}

/* --- tokens ------------------------------------------------------------------------------------- */

/* Who has the token in the header; NULL: nobody. */
static const struct auth_principal *token_owner(struct auth *a, const char *authorization)
{
	char token[KEYS_TOKEN_MAX + 1];
	struct key *key = NULL;

	if (bearer_read(authorization, token, sizeof(token)) == 0)
		key = keys_by_token(a->keys, token);
	OPENSSL_cleanse(token, sizeof(token));
	return key ? principal_of(a, key) : NULL;
}

/* --- signatures --------------------------------------------------------------------------------- */

static struct sigv4_request view(const struct http_req *req)
{
	struct sigv4_request r = {http_req_method(req), http_req_path(req), http_req_query(req), NULL, 0};

	r.header_count = http_req_headers(req, &r.headers);
	return r;
}

static enum sigv4_reason verify(struct auth *a, struct http_req *req, const struct sigv4 *sig,
				const uint8_t *body_hash)
{
	struct key *key = keys_by_id(a->keys, sig->key_id);
	struct sigv4_request r = view(req);
	const struct auth_principal *who;
	enum sigv4_reason reason;
	const uint8_t *signing;

	if (!key)
		return SIGV4_UNKNOWN_KEY;
	if (keys_signing(key, sig->day, sig->region, &signing))
		return SIGV4_INTERNAL;
	reason = sigv4_verify(&r, sig, signing, body_hash);
	if (reason != SIGV4_OK)
		return reason;
	who = principal_of(a, key);
	http_req_set_who(req, who);
	return who ? SIGV4_OK : SIGV4_INTERNAL;
}

static void pending_tap(void *ctx, const uint8_t *data, size_t len)
{
	struct pending *p = ctx;

	if (!EVP_DigestUpdate(p->md, data, len))
		p->failed = true;
}

static void pending_free(void *ctx)
{
	struct pending *p = ctx;

	EVP_MD_CTX_free(p->md);
	free(p);
}

static enum sigv4_reason wait_for_body(struct http_req *req, const struct sigv4 *sig, bool verified)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (p)
		p->md = EVP_MD_CTX_new();
	if (!p || !p->md || !EVP_DigestInit_ex(p->md, EVP_sha256(), NULL)) {
		if (p)
			pending_free(p);
		return SIGV4_INTERNAL;
	}
	p->sig = *sig;
	p->verified = verified;
	http_req_tap_body(req, pending_tap, pending_free, p);
	return SIGV4_OK;
}

/* One signature must not stand for several plain paths, which functions read in ways of their own. */
static bool path_is_plain(const char *path)
{
	return !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
	       !(strlen(path) >= 2 && strcmp(path + strlen(path) - 2, "/.") == 0) &&
	       !(strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0);
}

static enum sigv4_reason check_signature(struct auth *a, struct http_req *req, enum auth_route route, bool streamed,
					 struct sigv4 *ret_sig)
{
	struct sigv4_request r = view(req);
	enum sigv4_reason reason = sigv4_read(&r, ret_sig);

	if (reason == SIGV4_OK && !keys_by_id(a->keys, ret_sig->key_id))
		reason = SIGV4_UNKNOWN_KEY;
	if (reason == SIGV4_OK)
		reason = sigv4_check_time(ret_sig, a->now());
	if (reason == SIGV4_OK && route != AUTH_LAMBDA && !path_is_plain(r.path))
		reason = SIGV4_MISMATCH;
	if (reason == SIGV4_OK && streamed && !ret_sig->has_hash)
		reason = SIGV4_PAYLOAD;
	if (reason == SIGV4_OK && ret_sig->has_hash)
		reason = verify(a, req, ret_sig, NULL);
	if (reason == SIGV4_OK)
		reason = wait_for_body(req, ret_sig, ret_sig->has_hash);
	return reason;
}

/* --- the two looks at a request ------------------------------------------------------------------- */

enum auth_route auth_route(const char *path)
{
	static const char form[] = "/dddd-dd-dd";
	size_t len = sizeof(form) - 1, i = 0;

	for (; i < len && (form[i] == 'd' ? path[i] >= '0' && path[i] <= '9' : path[i] == form[i]); i++)
		;
	if (i == len && (path[i] == '/' || path[i] == '\0'))
		return AUTH_LAMBDA;
	if (strcmp(path, "/healthz") == 0)
		return AUTH_OPEN;
	if (strncmp(path, "/function/", 10) == 0 || strncmp(path, "/async-function/", 16) == 0)
		return AUTH_INVOKE;
	if (strncmp(path, "/v1/functions/", 14) == 0) {
		const char *rest = strchr(path + 14, '/');

		return rest && strcmp(rest, "/invoke") == 0 ? AUTH_INVOKE : AUTH_PLAIN;
	}
	return AUTH_PLAIN;
}

static bool signed_somehow(const struct http_req *req, const char *authorization)
{
	return authorization ? strncmp(authorization, "AWS4-", 5) == 0
			     : strstr(http_req_query(req), "X-Amz-Algorithm=") != NULL;
}

bool auth_headers(struct auth *a, struct http_req *req, enum auth_route route, bool streamed)
{
	const struct auth_principal *who = NULL;
	const char *authorization;
	enum sigv4_reason reason;
	struct sigv4 sig;

	if (!a->keys || route == AUTH_OPEN) {
		http_req_set_who(req, a->nobody);
		return true;
	}
	authorization = http_req_header(req, "authorization");
	if (route == AUTH_LAMBDA || signed_somehow(req, authorization)) {
		reason = check_signature(a, req, route, streamed, &sig);
		if (reason == SIGV4_OK)
			return true;
		refuse_signature(a, req, route, reason, &sig);
		return false;
	}
	if (authorization)
		who = token_owner(a, authorization);
	if (!who && (route == AUTH_ANYONE || (route == AUTH_INVOKE && keys_anonymous_invoke(a->keys))))
		who = a->nobody; /* an unknown Authorization is then the function's affair */
	http_req_set_who(req, who);
	if (!who)
		refuse_token(a, req, authorization ? "token" : "missing",
			     authorization ? "this host does not know the token"
					   : "this request needs a token (Authorization: Bearer TOKEN) or a signature");
	return who;
}

bool auth_body(struct auth *a, struct http_req *req)
{
	struct pending *p = http_req_tap(req);
	uint8_t hash[SIGV4_HASH];

	if (!p)
		return http_req_who(req);
	if (p->failed || !EVP_DigestFinal_ex(p->md, hash, NULL))
		p->reason = SIGV4_INTERNAL;
	else if (!a->keys)
		p->reason = SIGV4_UNKNOWN_KEY;
	else if (p->verified)
		p->reason = sigv4_same(p->sig.hash, hash) ? SIGV4_OK : SIGV4_BODY;
	else
		p->reason = verify(a, req, &p->sig, hash);
	return p->reason == SIGV4_OK;
}

void auth_refuse(struct auth *a, struct http_req *req, enum auth_route route)
{
	struct pending *p = http_req_tap(req);

	http_req_set_who(req, NULL);
	if (p)
		refuse_signature(a, req, route, p->reason, &p->sig);
	else
		refuse_token(a, req, "missing", "this request needs a token");
}

static bool signed_again(struct auth *a, const struct http_req *req, const struct auth_principal *who)
{
	struct sigv4_request r = view(req);
	uint8_t nothing[SIGV4_HASH];
	const uint8_t *signing;
	struct sigv4 sig;
	struct key *key;

	if (sigv4_read(&r, &sig) != SIGV4_OK || !(key = keys_by_id(a->keys, sig.key_id)) || principal_of(a, key) != who)
		return false;
	if (keys_signing(key, sig.day, sig.region, &signing) || sigv4_hash("", 0, nothing))
		return false;
	return sigv4_verify(&r, &sig, signing, sig.has_hash ? NULL : nothing) == SIGV4_OK;
}

bool auth_again(struct auth *a, const struct http_req *req)
{
	const struct auth_principal *who = auth_of(req);
	const char *authorization = http_req_header(req, "authorization");

	if (!a->keys || !who || who->anonymous)
		return true; /* let in by no key */
	if (signed_somehow(req, authorization))
		return signed_again(a, req, who);
	return authorization && token_owner(a, authorization) == who;
}

void auth_tenants(const struct auth *a, void (*each)(void *ctx, const struct key_tenant *t), void *ctx)
{
	unsigned count = 0;
	const struct key_tenant *t = a->keys ? keys_tenants(a->keys, &count) : NULL;

	for (unsigned i = 0; i < count; i++)
		each(ctx, &t[i]);
}

/* --- life --------------------------------------------------------------------------------------- */

int auth_new(const char *path, struct metrics *metrics, int64_t (*now)(void), struct auth **ret_auth,
	     struct stk_err *err)
{
	struct auth *a = calloc(1, sizeof(*a));
	struct keys *keys = NULL;
	int rc = 0;

	if (!a)
		return stk_err_set(err, -ENOMEM, "out of memory");
	stk_list_init(&a->known);
	a->metrics = metrics;
	a->now = now ? now : wall_clock;
	a->log_limit.burst = 5;
	if (path) {
		a->path = strdup(path);
		rc = a->path ? keys_load(path, &keys, err) : stk_err_set(err, -ENOMEM, "out of memory");
		for (int i = SIGV4_MISSING; rc == 0 && i < SIGV4_REASONS; i++)
			failures(a, sigv4_error(i)->metric);
		failures(a, "token");
	}
	if (rc == 0 && set_keys(a, keys)) {
		keys_free(keys);
		rc = stk_err_set(err, -ENOMEM, "out of memory");
	}
	if (rc) {
		auth_free(a);
		return rc;
	}
	*ret_auth = a;
	return 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	STK_LIST_FOREACH_SAFE(it, tmp, &a->known)
		free(STK_CONTAINER_OF(it, struct known, node));
	keys_free(a->keys);
	free(a->path);
	free(a);
}

bool auth_is_on(const struct auth *a)
{
	return a->keys;
}

/* --- reading the file again ----------------------------------------------------------------------- */

struct reload {
	uv_work_t work;
	struct auth *auth;
	uv_loop_t *loop;
	struct keys *keys;
	struct stk_err err;
	int rc;
	void (*done)(void *ctx);
	void *ctx;
};

static void work_reload(uv_work_t *w)
{
	struct reload *r = w->data;

	r->rc = keys_load(r->auth->path, &r->keys, &r->err);
}

static void reloaded(uv_work_t *w, int status)
{
	struct reload *r = w->data;
	struct auth *a = r->auth;
	uv_loop_t *loop = r->loop;
	void (*done)(void *ctx) = r->done;
	void *ctx = r->ctx;

	a->reloading = false;
	if (status == 0 && r->rc == 0 && set_keys(a, r->keys)) {
		keys_free(r->keys);
		r->rc = stk_err_set(&r->err, -ENOMEM, "key file: out of memory");
	}
	if (status == 0 && r->rc == 0) {
		stk_info("key file read again: %u keys", keys_count(a->keys));
	} else {
		stk_error("%s; the keys stay as they were", status ? "the key file could not be read" : r->err.text);
	}
	free(r);
	if (a->again) {
		a->again = false;
		if (auth_reload(a, loop, done, ctx) == 0)
			return;
	}
	done(ctx);
}

int auth_reload(struct auth *a, uv_loop_t *loop, void (*done)(void *ctx), void *ctx)
{
	struct reload *r;

	if (a->reloading) {
		a->again = true;
		done(ctx);
		return 0;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->work.data = r;
	r->auth = a;
	r->loop = loop;
	r->done = done;
	r->ctx = ctx;
	a->reloading = true;
	if (workers_queue(loop, &r->work, work_reload, reloaded)) {
		a->reloading = false;
		free(r);
		return -ENOMEM;
	}
	return 0;
}

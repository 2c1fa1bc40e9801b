/* Layers in Lambda's API: /2018-10-31/layers. Versions are files (scheduler/layers.h); each operation is one piece of work
 * on a worker thread, which makes the answer. Those of the caller's own tenant are all that it can see, name and change. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/auth/auth.h"
#include "scheduler/codelink.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/lambda/api.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/paging.h"
#include "scheduler/layers.h"
#include "scheduler/region.h"
#include "scheduler/tenants.h"

struct layer_call {
	struct front_owner owner; /* first */
	uv_work_t work;
	struct lambda_call call; /* req is NULL when the client has gone */
	int (*run)(struct layer_call *lc);
	char host[LAMBDA_HOST_MAX + 1]; /* as the client calls it */
	struct fn_layer layer; /* name "": none was given */
	struct lambda_page page;
	uint8_t *body;
	size_t len;
	char dir[PATH_CAP]; /* publish: work folder; else "" */
	json_t *answer;     /* NULL: 204 */
	int status;
	struct lambda_err err;
	int rc;
};

static void call_free(struct layer_call *lc)
{
	struct daemon *d = lc->call.d;

	if (lc->dir[0])
		daemon_remove_later(d, lc->dir);
	json_decref(lc->answer);
	free(lc->body);
	free(lc);
	daemon_job_done(d);
}

static void gone(struct front_owner *owner)
{
	((struct layer_call *)owner)->call.req = NULL;
}

static void work_run(uv_work_t *w)
{
	struct layer_call *lc = w->data;

	lc->rc = lc->run(lc);
}

static void done(uv_work_t *w, int status)
{
	struct layer_call *lc = w->data;
	struct http_req *req = stk_take_ptr(&lc->call.req);

	if (req) {
		http_req_set_ptr(req, NULL);
		if (status)
			lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host is shutting down");
		else if (lc->rc)
			lambda_error_err(req, &lc->err);
		else if (lc->status == 204)
			http_respond(req, 204, NULL, NULL, 0);
		else
			lambda_answer(req, lc->status, stk_take_ptr(&lc->answer));
	}
	call_free(lc);
}

/* The host's own troubles, and what layers.c says of a layer. */
static int failed(struct layer_call *lc, int rc, const struct stk_err *err)
{
	if (rc == -ENOENT)
		return lambda_err_set(&lc->err, LAMBDA_RESOURCE_NOT_FOUND, "The resource you requested does not exist.");
	if (rc == -EINVAL)
		return lambda_err_set(&lc->err, LAMBDA_INVALID_PARAMETER, "%s", err && err->code ? err->text : "bad layer");
	if (rc == -ENOMEM)
		return lambda_err_nomem(&lc->err);
	return lambda_err_set(&lc->err, LAMBDA_SERVICE, "%s", err && err->code ? err->text : strerror(-rc));
}

/* --- what is shown --------------------------------------------------------------------------------------- */

/* version 0: of the layer itself. */
static void arn_of(const struct layer_call *lc, const struct fn_layer *layer, unsigned version, char ret[LAMBDA_ARN_MAX])
{
	char name[FN_BARE_MAX + 1];

	fn_bare_name(layer->name, name);
	lambda_layer_arn(ret, LAMBDA_ARN_MAX, region_name(), lc->call.account, name, version);
}

/* Its package, for this client. Negative errno. */
static int add_location(const struct layer_call *lc, const struct fn_layer *layer, json_t *answer)
{
	char path[CODELINK_MAX];
	int rc = codelink_of_layer(layer->name, layer->version, path);

	if (rc == 0 && json_object_set_new(json_object_get(answer, "Content"), "Location",
					   lambda_location(lc->call.d, lc->host, path)))
		rc = -ENOMEM;
	return rc;
}

/* LayerVersionsListItem, or with content what GetLayerVersion answers. */
static int describe(const struct layer_call *lc, const struct fn_layer *layer, bool content, json_t **ret)
{
	char arn[LAMBDA_ARN_MAX], version_arn[LAMBDA_ARN_MAX];
	json_t *o;
	int rc = layers_info(lc->call.d->opt->state_dir, layer, &o);

	if (rc)
		return rc;
	arn_of(lc, layer, 0, arn);
	arn_of(lc, layer, layer->version, version_arn);
	if (!content)
		json_object_del(o, "Content");
	rc = content ? add_location(lc, layer, o) : 0;
	if (rc == 0 && ((content && json_object_set_new(o, "LayerArn", json_string(arn))) ||
			json_object_set_new(o, "LayerVersionArn", json_string(version_arn)) ||
			json_object_set_new(o, "Version", json_integer(layer->version))))
		rc = -ENOMEM;
	if (rc) {
		json_decref(o);
		return rc;
	}
	*ret = o;
	return 0;
}

static int run_get(struct layer_call *lc)
{
	int rc = describe(lc, &lc->layer, true, &lc->answer);

	return rc ? failed(lc, rc, NULL) : 0;
}

/* --- lists ------------------------------------------------------------------------------------------------- */

struct list {
	const struct auth_principal *who;
	struct fn_layer *item;
	size_t count, room;
	const char *only; /* versions of this one; NULL: the newest of each */
};

static int collect(void *ctx, const struct fn_layer *layer, uint64_t size)
{
	struct list *l = ctx;

	(void)size;
	if (!tenants_owns(l->who, layer->name) || (l->only && strcmp(l->only, layer->name) != 0))
		return 0;
	if (!l->only && l->count && strcmp(l->item[l->count - 1].name, layer->name) == 0) {
		l->item[l->count - 1] = *layer;
		return 0;
	}
	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct fn_layer *grown = realloc(l->item, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->item = grown;
		l->room = room;
	}
	l->item[l->count++] = *layer;
	return 0;
}

/* LayersListItem. */
static int describe_layer(const struct layer_call *lc, const struct fn_layer *newest, json_t **ret)
{
	char arn[LAMBDA_ARN_MAX], name[FN_BARE_MAX + 1];
	json_t *version;
	int rc = describe(lc, newest, false, &version);

	if (rc)
		return rc;
	fn_bare_name(newest->name, name);
	arn_of(lc, newest, 0, arn);
	*ret = json_pack("{s:s, s:s, s:o}", "LayerName", name, "LayerArn", arn, "LatestMatchingVersion", version);
	return *ret ? 0 : -ENOMEM;
}

/* Versions newest first; a page's key is the version's place from there, "%010u" of what is left. */
static int fill(struct layer_call *lc, const struct list *l, json_t *array, json_t *answer)
{
	char key[LAMBDA_KEY_MAX + 1] = "", marker[LAMBDA_MARKER_MAX];

	for (size_t i = 0; i < l->count; i++) {
		const struct fn_layer *one = l->only ? &l->item[l->count - 1 - i] : &l->item[i];
		char this_key[LAMBDA_KEY_MAX + 1];
		json_t *o = NULL;
		int rc;

		if (l->only)
			stk_snprintf(this_key, sizeof(this_key), "%010u", LAYERS_VERSION_MAX - one->version);
		else
			stk_strcpy(this_key, sizeof(this_key), one->name);
		if (lc->page.has_after && strcmp(this_key, lc->page.after) <= 0)
			continue;
		if (json_array_size(array) == lc->page.max) {
			if (lambda_page_marker(l->only ? 'v' : 'l', key, marker) ||
			    json_object_set_new(answer, "NextMarker", json_string(marker)))
				return -ENOMEM;
			return 0;
		}
		rc = l->only ? describe(lc, one, false, &o) : describe_layer(lc, one, &o);
		if (rc == -ENOENT)
			continue; /* deleted a moment ago */
		if (rc || json_array_append_new(array, o))
			return rc ? rc : -ENOMEM;
		stk_strcpy(key, sizeof(key), this_key);
	}
	return 0;
}

static int run_list(struct layer_call *lc)
{
	struct list l = {.who = lc->call.who, .only = lc->layer.name[0] ? lc->layer.name : NULL};
	json_t *array = json_array();
	int rc = layers_each(lc->call.d->opt->state_dir, collect, &l);

	lc->answer = json_pack("{s:o?}", l.only ? "LayerVersions" : "Layers", array);
	if (rc == 0)
		rc = lc->answer && array ? fill(lc, &l, array, lc->answer) : -ENOMEM;
	free(l.item);
	return rc ? failed(lc, rc, NULL) : 0;
}

static int run_delete(struct layer_call *lc)
{
	struct stk_err err = {0};
	int rc = layers_delete(lc->call.d->opt->state_dir, &lc->layer, &err);

	return rc && rc != -ENOENT ? failed(lc, rc, &err) : 0;
}

/* --- publish ------------------------------------------------------------------------------------------------ */

static int run_publish(struct layer_call *lc)
{
	const char *state_dir = lc->call.d->opt->state_dir;
	struct lambda_layer_body body = {.info = NULL};
	char zip[PATH_CAP + 16];
	struct stk_err err = {0};
	stk_autofd fd = -1;
	int rc;

	if (stk_snprintf(zip, sizeof(zip), "%s/upload.zip", lc->dir) || mkdir(lc->dir, 0750))
		return lambda_err_set(&lc->err, LAMBDA_SERVICE, "the work folder could not be made");
	fd = open(zip, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return lambda_err_set(&lc->err, LAMBDA_SERVICE, "the code could not be stored: %s", strerror(errno));
	rc = lambda_layer_body_parse((const char *)lc->body, lc->len, fd, &body, &lc->err);
	free(lc->body); /* up to 70 MB */
	lc->body = NULL;
	if (rc)
		return rc;
	rc = layers_publish(state_dir, lc->layer.name, zip, lc->dir, body.info, &lc->layer.version, &err);
	json_decref(body.info);
	if (rc)
		return failed(lc, rc, &err);
	rc = describe(lc, &lc->layer, true, &lc->answer);
	return rc ? failed(lc, rc, NULL) : 0;
}

/* --- requests ----------------------------------------------------------------------------------------------- */

/* To whoever names a layer of another account. */
static int refuse_other(const struct lambda_call *c, const char *operation, const char *arn, const char *version,
			struct lambda_err *err)
{
	const char *key = c->who ? c->who->key : "";

	return lambda_err_set(err, LAMBDA_ACCESS_DENIED,
			      "User: arn:aws:iam::%s:%s%s is not authorized to perform: lambda:%s on resource: %s%s%s because no "
			      "resource-based policy allows the lambda:%s action",
			      c->account, *key ? "user/" : "root", key, operation, arn, version ? ":" : "",
			      version ? version : "",
			      operation);
}

/* Which layer a request means: name and version as in the path, version NULL: none. LAMBDA_*. */
static int read_layer(const struct lambda_call *c, const char *operation, const char *name, const char *version,
		      struct fn_layer *ret, struct lambda_err *err)
{
	char text[FN_NAME_MAX + 32];
	struct lambda_layer_name parsed;
	struct stk_err why = {0};
	int rc = lambda_layer_parse(name, false, "layerName", &parsed, err);

	if (rc)
		return rc;
	if (parsed.account[0] && strcmp(parsed.account, c->account) != 0)
		return refuse_other(c, operation, name, version, err);
	if (parsed.region[0] && strcmp(parsed.region, region_name()) != 0)
		return lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND, "The resource you requested does not exist.");
	if (stk_snprintf(text, sizeof(text), "%s:%s", parsed.name, version ? version : "1") ||
	    layers_parse(text, NULL, ret, &why))
		return lambda_err_set(err, LAMBDA_VALIDATION, "%s", why.code ? why.text : "the layer's name is too long");
	if (tenants_scope(c->who, parsed.name, ret->name, sizeof(ret->name)))
		return lambda_err_set(err, LAMBDA_VALIDATION, "the layer's name is too long");
	return 0;
}

/* NULL: answered. name and version as in the path, or NULL. */
static struct layer_call *begin(struct daemon *d, struct http_req *req, const char *operation, const char *name,
				const char *version)
{
	struct layer_call *lc;
	struct lambda_call c;
	struct lambda_err err;

	if (lambda_begin(&c, d, req))
		return NULL;
	lc = calloc(1, sizeof(*lc));
	if (!lc) {
		lambda_error(req, LAMBDA_SERVICE_UNAVAILABLE, "the host has no memory left for this request");
		return NULL;
	}
	lc->call = c;
	lc->status = 200;
	stk_strcpy(lc->host, sizeof(lc->host), lambda_host(req));
	if (name && read_layer(&c, operation, name, version, &lc->layer, &err)) {
		free(lc);
		lambda_error_err(req, &err);
		return NULL;
	}
	lc->owner.gone = gone;
	lc->work.data = lc;
	d->jobs++;
	http_req_set_ptr(req, &lc->owner);
	return lc;
}

static void start(struct layer_call *lc, int (*run)(struct layer_call *lc))
{
	lc->run = run;
	if (workers_queue(&lc->call.d->loop, &lc->work, work_run, done))
		done(&lc->work, UV_ENOMEM);
}

static void refuse(struct layer_call *lc, const struct lambda_err *err)
{
	lc->err = *err;
	lc->rc = -EINVAL;
	done(&lc->work, 0);
}

static void list(struct daemon *d, struct http_req *req, const char *name)
{
	struct layer_call *lc = begin(d, req, "ListLayerVersions", name, NULL);
	struct lambda_err err;

	if (!lc)
		return;
	if (lambda_page_parse(http_req_query(req), name ? 'v' : 'l', 50, &lc->page, &err))
		refuse(lc, &err);
	else
		start(lc, run_list);
}

/* ListLayers, and GetLayerVersionByArn, which has the same path. */
void lambda_list_layers(void *ctx, struct http_req *req, const struct router_match *m)
{
	char find[32], arn[LAMBDA_ARN_MAX];
	struct lambda_layer_name name;
	struct layer_call *lc;
	struct lambda_err err;
	char version[24];
	int rc;

	(void)m;
	if (lambda_query(http_req_query(req), "find", find, sizeof(find), &err) <= 0 || strcmp(find, "LayerVersion") != 0) {
		list(ctx, req, NULL);
		return;
	}
	rc = lambda_query(http_req_query(req), "Arn", arn, sizeof(arn), &err);
	if (rc == 0)
		rc = lambda_err_set(&err, LAMBDA_VALIDATION, "Arn is missing");
	if (rc > 0)
		rc = lambda_layer_parse(arn, true, "arn", &name, &err);
	if (rc < 0) {
		char id[IDS_UUID_LEN + 1];

		lambda_request_id(req, id);
		lambda_error_err(req, &err);
		return;
	}
	stk_snprintf(version, sizeof(version), "%llu", (unsigned long long)name.version);
	*strrchr(arn, ':') = '\0'; /* the layer's */
	lc = begin(ctx, req, "GetLayerVersion", arn, version);
	if (lc)
		start(lc, run_get);
}

void lambda_list_layer_versions(void *ctx, struct http_req *req, const struct router_match *m)
{
	list(ctx, req, m->value[0]);
}

void lambda_get_layer_version(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_call *lc = begin(ctx, req, "GetLayerVersion", m->value[0], m->value[1]);

	if (lc)
		start(lc, run_get);
}

void lambda_delete_layer_version(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_call *lc = begin(ctx, req, "DeleteLayerVersion", m->value[0], m->value[1]);

	if (!lc)
		return;
	lc->status = 204;
	start(lc, run_delete);
}

void lambda_publish_layer_version(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_call *lc = begin(ctx, req, "PublishLayerVersion", m->value[0], NULL);

	if (!lc)
		return;
	lc->status = 201;
	lc->body = http_req_take_body(req, &lc->len);
	if (stk_snprintf(lc->dir, sizeof(lc->dir), "%s/tmp/layer-%s", lc->call.d->opt->state_dir, lc->call.id)) {
		lc->dir[0] = '\0';
		lambda_err_set(&lc->err, LAMBDA_SERVICE, "state folder: path too long");
		refuse(lc, &lc->err);
	} else {
		start(lc, run_publish);
	}
}

/* --- a function's ------------------------------------------------------------------------------------------- */

static int add_arn(const struct lambda_call *c, const char *arn, struct fn_settings *s, struct lambda_err *err)
{
	struct stk_err why = {0};
	struct fn_layer layer;
	int rc = layers_parse(arn, c->account, &layer, &why);

	if (rc == -EACCES)
		return refuse_other(c, "GetLayerVersion", arn, NULL, err);
	if (rc || fn_settings_add_layer(s, &layer, &why))
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "%s", why.text);
	return 0;
}

int lambda_layers_apply(const struct lambda_call *c, const char *update, const char *extra, struct fn_settings *s,
			struct lambda_err *err)
{
	json_t *given = lambda_json_object(update), *now = lambda_json_object(extra), *arn;
	int rc = given && now ? 0 : lambda_err_nomem(err);
	size_t i;

	if (json_object_get(given, "Layers")) { /* null: none from now on */
		free(s->layers);
		s->layers = NULL;
		s->layer_count = 0;
		json_array_foreach(json_object_get(now, "Layers"), i, arn)
			rc = rc ? rc : add_arn(c, json_string_value(arn) ? json_string_value(arn) : "", s, err);
		if (rc == 0 && tenants_scope_layers(c->who, s))
			rc = lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "the layer's name is too long");
	}
	json_decref(given);
	json_decref(now);
	return rc;
}

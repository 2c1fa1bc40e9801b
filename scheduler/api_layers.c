/* /v1/layers: PUT a zip to make a layer's next version, list, delete a version. Work on files is done by worker threads. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/answer.h"
#include "scheduler/auth/auth.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/layers.h"
#include "scheduler/spool.h"
#include "scheduler/tenants.h"

struct layer_job {
	struct front_owner owner;
	uv_work_t work;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone */
	struct spool spool;
	struct fn_layer layer;
	char dir[512], zip[528]; /* of the upload */
	bool body_done;
	struct stk_err err;
	int rc;
	const struct auth_principal *who;
	json_t *list;
	char id[IDS_UUID_LEN + 1];
};

static void job_free(struct layer_job *job)
{
	struct daemon *d = job->d;

	if (job->dir[0])
		daemon_remove_later(d, job->dir);
	json_decref(job->list);
	free(job);
	daemon_job_done(d);
}

static void fail(struct layer_job *job, int status, const char *code, const char *text)
{
	if (job->req) {
		http_req_set_ptr(job->req, NULL);
		answer_error(job->req, status, code, text, job->id);
	}
	job_free(job);
}

/* For what a worker thread could not do. */
static void fail_by(struct layer_job *job)
{
	switch (job->rc) {
	case -EINVAL:
		fail(job, 400, "BadCode", job->err.text);
		break;
	case -ENOENT:
		fail(job, 404, "LayerNotFound", "no such version of a layer");
		break;
	case -ENOSPC:
	case -EDQUOT:
		fail(job, 507, "InsufficientStorage", job->err.text);
		break;
	default:
		fail(job, 500, "Internal", job->err.text);
	}
}

static void succeed(struct layer_job *job, int status, json_t *body)
{
	if (job->req) {
		http_req_set_ptr(job->req, NULL);
		answer_json(job->req, status, body);
	} else {
		json_decref(body);
	}
	job_free(job);
}

/* NULL: answered. */
static struct layer_job *job_new(struct daemon *d, struct http_req *req)
{
	struct layer_job *job = calloc(1, sizeof(*job));

	if (!job || front_request_id(req, job->id)) {
		free(job);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this request", NULL);
		return NULL;
	}
	job->d = d;
	job->req = req;
	job->who = auth_of(req);
	job->work.data = job;
	d->jobs++;
	http_req_set_ptr(req, &job->owner);
	return job;
}

/* Known to be one when m->count is 2: NAME and N of the path. */
static int read_name(struct layer_job *job, const struct router_match *m)
{
	char text[2 * ROUTER_PARAM_MAX];

	if (stk_snprintf(text, sizeof(text), "%s:%s", m->value[0], m->count > 1 ? m->value[1] : "1"))
		return stk_err_set(&job->err, -EINVAL, "layer: bad name");
	return layers_parse(text, NULL, &job->layer, &job->err);
}

static void gone(struct front_owner *owner)
{
	((struct layer_job *)owner)->req = NULL;
}

static void start(struct layer_job *job, uv_work_cb work, uv_after_work_cb after)
{
	if (workers_queue(&job->d->loop, &job->work, work, after))
		fail(job, 503, "OutOfMemory", "the host has no memory left for this request");
}

/* --- publish ------------------------------------------------------------------------------------ */

static void work_publish(uv_work_t *w)
{
	struct layer_job *job = w->data;

	job->rc = layers_publish(job->d->opt->state_dir, job->layer.name, job->zip, job->dir, NULL, &job->layer.version,
				 &job->err);
}

static void published(uv_work_t *w, int status)
{
	struct layer_job *job = w->data;
	char name[FN_BARE_MAX + 1];

	fn_bare_name(job->layer.name, name);
	if (status)
		fail(job, 503, "ShuttingDown", "the host is shutting down");
	else if (job->rc)
		fail_by(job);
	else
		succeed(job, 201, json_pack("{s:s, s:i, s:I}", "name", name, "version", (int)job->layer.version,
					    "codeSize", (json_int_t)job->spool.total));
}

static void spooled(void *ctx, int err)
{
	struct layer_job *job = ctx;

	if (err == -ENOSPC || err == -EDQUOT)
		fail(job, 507, "InsufficientStorage", "no space left for the package");
	else if (err || !job->body_done)
		fail(job, 500, "Internal", "the package could not be written");
	else
		start(job, work_publish, published);
}

static void upload_gone(struct front_owner *owner)
{
	struct layer_job *job = (struct layer_job *)owner;

	job->req = NULL;
	if (job->body_done)
		return; /* goes on without its client */
	spool_abort(&job->spool);
	spool_end(&job->spool, spooled, job);
}

static int sink(void *ptr, const uint8_t *data, size_t len)
{
	struct layer_job *job = ptr;

	return spool_add(&job->spool, job->req, data, len);
}

void api_layers_begin(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	struct layer_job *job = job_new(d, req);
	int rc;

	if (!job)
		return;
	if (read_name(job, m)) {
		fail(job, 400, "BadRequest", job->err.text);
		return;
	}
	rc = stk_snprintf(job->dir, sizeof(job->dir), "%s/tmp/layer-%s", d->opt->state_dir, job->id);
	if (rc == 0)
		rc = stk_snprintf(job->zip, sizeof(job->zip), "%s/upload.zip", job->dir);
	if (rc == 0 && mkdir(job->dir, 0750))
		rc = -errno;
	if (rc == 0)
		rc = spool_open(&job->spool, &d->loop, job->zip);
	if (rc) {
		fail(job, rc == -ENOSPC ? 507 : 500, rc == -ENOSPC ? "InsufficientStorage" : "Internal", strerror(-rc));
		return;
	}
	job->owner.gone = upload_gone;
	http_req_stream_body(req, sink);
}

void api_layers_body(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_job *job = http_req_ptr(req);

	job->body_done = true;
	spool_end(&job->spool, spooled, job);
}

/* --- list, delete ------------------------------------------------------------------------------- */

static int add_version(void *ctx, const struct fn_layer *layer, uint64_t size)
{
	struct layer_job *job = ctx;
	char name[FN_BARE_MAX + 1];

	if (!tenants_shows(job->who, layer->name))
		return 0;
	fn_bare_name(layer->name, name);
	return json_array_append_new(job->list, json_pack("{s:s, s:i, s:I}", "name", name, "version", (int)layer->version,
							  "codeSize", (json_int_t)size));
}

static void work_list(uv_work_t *w)
{
	struct layer_job *job = w->data;

	job->list = json_array();
	job->rc = job->list ? layers_each(job->d->opt->state_dir, add_version, job) : -ENOMEM;
}

static void listed(uv_work_t *w, int status)
{
	struct layer_job *job = w->data;

	if (status || job->rc)
		fail(job, 500, "Internal", "the layers could not be listed");
	else
		succeed(job, 200, json_pack("{s:O}", "layers", job->list));
}

void api_layers_list(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_job *job = job_new(ctx, req);

	if (!job)
		return;
	job->owner.gone = gone;
	start(job, work_list, listed);
}

static void work_delete(uv_work_t *w)
{
	struct layer_job *job = w->data;

	job->rc = layers_delete(job->d->opt->state_dir, &job->layer, &job->err);
}

static void deleted(uv_work_t *w, int status)
{
	struct layer_job *job = w->data;

	if (status || job->rc) {
		fail_by(job);
		return;
	}
	if (job->req) {
		http_req_set_ptr(job->req, NULL);
		http_respond(job->req, 204, NULL, NULL, 0);
	}
	job_free(job);
}

void api_layers_delete(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct layer_job *job = job_new(ctx, req);

	if (!job)
		return;
	job->owner.gone = gone;
	if (read_name(job, m))
		fail(job, 404, "LayerNotFound", "no such version of a layer");
	else
		start(job, work_delete, deleted);
}

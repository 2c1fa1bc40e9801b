/* From stored code to files: see rebuild.h. */
#include "scheduler/rebuild.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "common/base/fd.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/layers.h"

struct rebuild {
	struct daemon *d;
	struct fn_version *ver; /* counted */
	uv_work_t work;
	bool admitted;
	char dir[PATH_CAP], work_dir[PATH_CAP];
	struct stk_err err;
	int rc;
	void (*done)(void *ctx, const struct build_result *r);
	void *ctx;
};

static void finish(struct rebuild *rb, const struct build_result *r)
{
	struct daemon *d = rb->d;

	rb->done(rb->ctx, r);
	fn_version_put(&d->registry, rb->ver);
	free(rb);
	daemon_job_done(d);
}

static void fail(struct rebuild *rb)
{
	struct build_result r = {.fault = BUILD_HOST, .err = rb->err};

	finish(rb, &r);
}

static void built(void *ctx, const struct build_result *r)
{
	finish(ctx, r);
}

/* The stored zip, checked, in a new work folder. */
static int copy_zip(struct rebuild *rb)
{
	char from[PATH_CAP + 16], to[PATH_CAP + 16], *data = NULL;
	uint64_t crc;
	size_t len = 0;
	int rc;

	if (stk_snprintf(from, sizeof(from), "%s/code.zip", rb->dir) ||
	    stk_snprintf(to, sizeof(to), "%s/code.zip", rb->work_dir))
		return stk_err_set(&rb->err, -ENAMETOOLONG, "path too long");
	rc = fsx_crc64(from, &crc);
	if (rc)
		return stk_err_sys(&rb->err, rc, "stored code %s", from);
	if (crc != rb->ver->zip_crc)
		return stk_err_set(&rb->err, -EIO, "the stored code is damaged as well: deploy the function again");
	if (mkdir(rb->work_dir, 0750))
		return stk_err_sys(&rb->err, -errno, "folder %s", rb->work_dir);
	rc = stk_read_file(from, 64u << 20, &data, &len);
	if (rc == 0)
		rc = stk_write_file_atomic(to, data, len, 0640);
	free(data);
	if (rc == 0)
		rc = layers_copy(rb->dir, rb->work_dir, rb->ver->settings.layer_count);
	return rc ? stk_err_sys(&rb->err, rc, "copy stored code") : 0;
}

static void work_copy(uv_work_t *w)
{
	struct rebuild *rb = w->data;

	rb->rc = copy_zip(rb);
}

static void copied(uv_work_t *w, int status)
{
	struct rebuild *rb = w->data;
	struct build_spec spec = {.number = rb->ver->number, .published = rb->ver->published, .replace = true,
		.admitted = rb->admitted, .settings = rb->ver->settings};
	int rc = status ? stk_err_set(&rb->err, -ECANCELED, "the host is shutting down") : rb->rc;

	if (rc == 0 && rb->ver->retired)
		rc = stk_err_set(&rb->err, -ECANCELED, "the function was deleted");
	if (rc == 0) {
		stk_strcpy(spec.name, sizeof(spec.name), rb->ver->fn->name);
		stk_strcpy(spec.dir, sizeof(spec.dir), rb->work_dir);
		rc = build_submit(rb->d->builder, &spec, built, rb);
		if (rc)
			stk_err_sys(&rb->err, rc, "start the build");
	}
	if (rc) {
		daemon_remove_later(rb->d, rb->work_dir);
		fail(rb);
	}
}

void rebuild_start(struct daemon *d, struct fn_version *ver, bool admitted,
		   void (*done)(void *ctx, const struct build_result *r), void *ctx)
{
	static unsigned count;
	struct rebuild *rb = calloc(1, sizeof(*rb));

	if (!rb) {
		struct build_result r = {.fault = BUILD_HOST};

		stk_err_set(&r.err, -ENOMEM, "out of memory");
		done(ctx, &r);
		return;
	}
	rb->d = d;
	rb->ver = fn_version_get(ver);
	rb->admitted = admitted;
	rb->done = done;
	rb->ctx = ctx;
	rb->work.data = rb;
	d->jobs++;
	if (daemon_version_path(d, ver, NULL, rb->dir, sizeof(rb->dir)) ||
	    stk_snprintf(rb->work_dir, sizeof(rb->work_dir), "%s/tmp/rebuild-%s-%u-%u", d->opt->state_dir, ver->fn->name,
			 ver->number, count++)) {
		stk_err_set(&rb->err, -ENAMETOOLONG, "path too long");
		fail(rb);
	} else if (workers_queue(&d->loop, &rb->work, work_copy, copied)) {
		copied(&rb->work, UV_ENOMEM);
	}
}

/* First use of a version's files: see verify.h. */
#include "scheduler/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/utf8.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/invocation.h"
#include "scheduler/lifecycle.h"
#include "scheduler/pool.h"
#include "scheduler/rebuild.h"
#include "snapshots/catalog.h"
#include "snapshots/manifest.h"

#define RETRY_NS (30 * STK_NS_PER_S)

struct check {
	struct verifier *v;
	struct fn_version *ver; /* counted */
	uv_work_t work;
	char dir[PATH_CAP];  /* the version's */
	struct learn learned;
	struct stk_err err;
	int rc;
};

struct verifier {
	struct daemon *d;
	struct stk_list waiting; /* versions, counted */
	bool running;
	bool stopped;
};

static void start_next(struct verifier *v);

struct verifier *verify_new(struct daemon *d)
{
	struct verifier *v = calloc(1, sizeof(*v));

	if (v) {
		v->d = d;
		stk_list_init(&v->waiting);
	}
	return v;
}

void verify_free(struct verifier *v)
{
	free(v);
}

static void check_free(struct check *c)
{
	struct daemon *d = c->v->d;

	fn_version_put(&d->registry, c->ver);
	learn_fini(&c->learned);
	free(c);
	daemon_job_done(d);
}

static void good(struct check *c)
{
	c->ver->check = FN_GOOD;
	if (c->ver->pool && c->learned.have_set)
		learn_adopt(c->ver->pool, &c->learned);
	if (c->ver->pool)
		dispatch_changed(c->ver->pool);
	check_free(c);
}

static void broken(struct check *c, const char *text)
{
	struct fn_version *ver = c->ver;

	if (ver->retired) {
		check_free(c);
		return;
	}
	ver->check = FN_BROKEN;
	ver->check_retry_ns = stk_now_ns() + RETRY_NS;
	stk_err_set(&ver->check_err, -EIO, "the snapshot is damaged and could not be made again: %.280s", text);
	stk_utf8_mend(ver->check_err.text);
	stk_error("%s version %u: %s", ver->fn->name, ver->number, ver->check_err.text);
	if (ver->pool) {
		pool_fail_queue(ver->pool, INV_START_FAILED, ver->check_err.text);
		dispatch_note(ver->pool);
	}
	check_free(c);
}

static void rebuilt(void *ctx, const struct build_result *r)
{
	struct check *c = ctx;

	if (r->fault != BUILD_OK) {
		broken(c, r->err.text);
		return;
	}
	lifecycle_made_again(c->v->d, c->ver, r);
	good(c);
}

/* The guest has parts of its root image in memory and reads the rest when it needs it: with another
 * image in that place it would see a mixture. It uses what the processor it was made on can do. And a stokerd that did not know
 * sizes of /tmp made all of the smallest. */
static int check_parts(struct check *c, const char *snapshot)
{
	struct snap_manifest *m = calloc(1, sizeof(*m));
	const struct snap_manifest_file *then = m ? &m->input[SNAP_INPUT_ROOTFS] : NULL;
	struct snap_manifest_file now;
	char path[PATH_CAP + 64], cpu[SNAP_MANIFEST_TEXT_MAX];
	int rc = m ? snap_manifest_read(snapshot, m, &c->err) : stk_err_sys(&c->err, -ENOMEM, "manifest");

	if (rc == 0 && stk_snprintf(path, sizeof(path), "%s/%s.img", c->v->d->opt->images_dir,
				    runtimes_image(c->ver->settings.runtime)))
		rc = stk_err_set(&c->err, -ENAMETOOLONG, "path too long");
	/* A missing image is told by the start that needs it. */
	if (rc == 0 && snap_manifest_file_stat(path, &now, NULL) == 0 &&
	    (now.size != then->size || strcmp(now.key, then->key) != 0))
		rc = stk_err_set(&c->err, -ESTALE, "the snapshot was made with another %s", path);
	if (rc == 0 && m->scratch_mib != c->ver->settings.storage_mib)
		rc = stk_err_set(&c->err, -ESTALE, "the snapshot was made with %u MiB of /tmp, not %u", m->scratch_mib,
				 c->ver->settings.storage_mib);
	if (rc == 0) {
		strcpy(cpu, m->host_cpu);
		snap_manifest_host(m);
		if (strcmp(cpu, m->host_cpu) != 0)
			rc = stk_err_set(&c->err, -ESTALE, "the snapshot was made on another processor (%.80s, this is %.80s)", cpu,
					 m->host_cpu);
	}
	free(m);
	return rc;
}

static int check_files(struct check *c)
{
	char path[PATH_CAP + 16];
	uint64_t crc;
	int rc;

	if (stk_snprintf(path, sizeof(path), "%s/code.img", c->dir))
		return stk_err_set(&c->err, -ENAMETOOLONG, "path too long");
	rc = fsx_crc64(path, &crc);
	if (rc)
		return stk_err_sys(&c->err, rc, "code image");
	if (crc != c->ver->img_crc)
		return stk_err_set(&c->err, -EIO, "code image: wrong checksum");
	if (stk_snprintf(path, sizeof(path), "%s/snapshot", c->dir))
		return stk_err_set(&c->err, -ENAMETOOLONG, "path too long");
	rc = snap_catalog_verify(path, &c->err);
	return rc ? rc : check_parts(c, path);
}

static void work_check(uv_work_t *w)
{
	struct check *c = w->data;

	c->rc = check_files(c);
	if (c->rc == 0)
		learn_read(c->dir, c->ver->settings.memory_mib, c->v->d->blocks, &c->learned);
}

/* It gets no check. The pool asks again while requests wait. */
static void unchecked(struct verifier *v, struct fn_version *ver)
{
	struct daemon *d = v->d;

	ver->check = FN_UNCHECKED;
	if (ver->pool) {
		dispatch_note(ver->pool);
		dispatch_touch(ver->pool, stk_now_ns());
	}
	fn_version_put(&d->registry, ver);
	daemon_job_done(d);
}

static void checked(uv_work_t *w, int status)
{
	struct check *c = w->data;
	struct verifier *v = c->v;
	struct daemon *d = v->d;

	v->running = false;
	if (status || v->stopped) {
		unchecked(v, c->ver);
		learn_fini(&c->learned);
		free(c);
	} else if (c->rc == 0) {
		good(c);
	} else {
		stk_warn("%s version %u: %s; making it again", c->ver->fn->name, c->ver->number, c->err.text);
		c->ver->check = FN_REBUILDING;
		rebuild_start(d, c->ver, false, rebuilt, c);
	}
	start_next(v);
}

static void start_next(struct verifier *v)
{
	struct fn_version *ver;
	struct check *c;

	if (v->running || stk_list_empty(&v->waiting))
		return;
	ver = STK_CONTAINER_OF(v->waiting.next, struct fn_version, check_node);
	stk_list_del(&ver->check_node);
	c = calloc(1, sizeof(*c));
	if (!c || daemon_version_path(v->d, ver, NULL, c->dir, sizeof(c->dir))) {
		free(c);
		unchecked(v, ver);
		start_next(v);
		return;
	}
	c->v = v;
	c->ver = ver;
	v->running = true;
	c->work.data = c;
	if (workers_queue(&v->d->loop, &c->work, work_check, checked))
		checked(&c->work, UV_ENOMEM);
}

static void want(struct verifier *v, struct fn_version *ver, bool urgent)
{
	if (v->stopped)
		return;
	if (ver->check == FN_CHECKING && urgent && !stk_list_empty(&ver->check_node)) {
		stk_list_del(&ver->check_node); /* waiting in the background? then next */
		stk_list_add_head(&v->waiting, &ver->check_node);
		return;
	}
	if (ver->check != FN_UNCHECKED &&
	    !(ver->check == FN_BROKEN && stk_now_ns() >= ver->check_retry_ns))
		return;
	fn_version_get(ver);
	ver->check = FN_CHECKING;
	v->d->jobs++;
	if (urgent)
		stk_list_add_head(&v->waiting, &ver->check_node);
	else
		stk_list_add_tail(&v->waiting, &ver->check_node);
	start_next(v);
}

void verify_want(struct verifier *v, struct fn_version *ver)
{
	want(v, ver, true);
}

void verify_later(struct verifier *v, struct fn_version *ver)
{
	want(v, ver, false);
}

void verify_stop(struct verifier *v)
{
	v->stopped = true;
	while (!stk_list_empty(&v->waiting)) {
		struct fn_version *ver = STK_CONTAINER_OF(v->waiting.next, struct fn_version, check_node);

		stk_list_del(&ver->check_node);
		unchecked(v, ver);
	}
}

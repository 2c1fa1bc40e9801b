/* Builds: the queue, and one build from step to step; see build.h. */
#include "scheduler/build_internal.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/codeimage.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/child.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"
#include "scheduler/region.h"

static void start_next(struct builder *b);

struct builder *build_new(struct daemon *d)
{
	struct builder *b = calloc(1, sizeof(*b));

	if (b) {
		b->d = d;
		stk_list_init(&b->waiting);
		stk_list_init(&b->running);
	}
	return b;
}

void build_free(struct builder *b)
{
	free(b);
}

/* --- end ------------------------------------------------------------------------------------ */

static void fault(struct build *bd, enum build_fault kind)
{
	int code = bd->result.err.code;

	if (kind == BUILD_HOST && (code == -ENOSPC || code == -EDQUOT))
		kind = BUILD_NO_SPACE;
	bd->result.fault = kind;
}

static void finish(struct build *bd)
{
	struct builder *b = bd->b;
	struct daemon *d = b->d;

	if (bd->result.fault == BUILD_OK)
		stk_info("%s: version %u is ready after %.1f s", bd->spec.name, bd->spec.number,
			 (double)(stk_now_ns() - bd->started_ns) / 1e9);
	else
		stk_warn("%s: version %u was not made: %s", bd->spec.name, bd->spec.number, bd->result.err.text);
	stk_list_del(&bd->node);
	b->running_count--;
	if (bd->log_fd >= 0)
		close(bd->log_fd);
	bd->done(bd->ctx, &bd->result);
	daemon_remove_later(d, bd->spec.dir);
	fn_settings_fini(&bd->spec.settings);
	free(bd->result.init_json);
	free(bd->result.log);
	free(bd->output);
	free(bd);
	start_next(b);
	daemon_job_done(d);
}

/* After a failed child: its own words, where there are any, behind ours. */
static void fail_with_log(struct build *bd, enum build_fault kind)
{
	char line[256] = "";

	fault(bd, kind);
	build_log_take(bd);
	build_log_last_line(bd, line, sizeof(line));
	if (line[0] && bd->result.fault == BUILD_HOST) {
		int code = bd->result.err.code;
		char text[256];

		snprintf(text, sizeof(text), "%.250s", bd->result.err.text);
		if (bd->result.log && strstr(bd->result.log, "No space left"))
			code = -ENOSPC;
		stk_err_set(&bd->result.err, code, "%.120s: %.240s", text, line);
		fault(bd, BUILD_HOST);
	}
	finish(bd);
}

/* Is it not wanted any more? */
static bool given_up(const struct build *bd)
{
	return bd->b->stopped || bd->cancelled;
}

static void set_cancelled(struct build *bd)
{
	stk_err_set(&bd->result.err, -ECANCELED, bd->cancelled ? "the function was deleted" : "the host is shutting down");
}

static void cancel(struct build *bd)
{
	set_cancelled(bd);
	fault(bd, BUILD_HOST);
	finish(bd);
}

/* --- a helper has ended ---------------------------------------------------------------------- */

static bool succeeded(int status)
{
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void status_text(struct build *bd, const char *program, int status)
{
	if (bd->result.err.code)
		return; /* it did not even start; that text is there */
	if (given_up(bd))
		set_cancelled(bd);
	else if (WIFSIGNALED(status))
		stk_err_set(&bd->result.err, -EIO, "%s was killed by signal %d", program, WTERMSIG(status));
	else
		stk_err_set(&bd->result.err, -EIO, "%s ended with status %d", program, WEXITSTATUS(status));
}

/* Somebody else has ended the child. Whoever stops a host may do so with all of its processes; a build is not judged by
 * that, but done once more: either our own signal comes meanwhile, or it was a mistake. */
static bool to_be_repeated(struct build *bd, int status)
{
	if (status < 0 || !WIFSIGNALED(status) || (WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGINT) ||
	    given_up(bd) || bd->interrupted)
		return false;
	bd->interrupted = true;
	return true;
}

/* --- steps ----------------------------------------------------------------------------------- */

static void queue_work(struct build *bd, uv_work_cb work, uv_after_work_cb after)
{
	bd->work.data = bd;
	if (workers_queue(&bd->b->d->loop, &bd->work, work, after)) {
		stk_err_set(&bd->result.err, -ENOMEM, "out of memory");
		after(&bd->work, UV_ECANCELED);
	}
}

static void work_publish(uv_work_t *w)
{
	struct build *bd = w->data;

	if (build_publish(bd, &bd->result.err))
		fault(bd, BUILD_HOST);
}

static void work_finish(uv_work_t *w, int status)
{
	struct build *bd = w->data;

	build_log_take(bd);
	if (status && bd->result.fault == BUILD_OK) {
		stk_err_set(&bd->result.err, -ECANCELED, "the host is shutting down");
		fault(bd, BUILD_HOST);
	}
	finish(bd);
}

static void make_snapshot(struct build *bd);

/* Two lines: the error, and what --init-report says. The first has been made on one line, whatever the guest sent. */
static void take_init_error(struct build *bd)
{
	char *line = bd->result.init_json = stk_take_ptr(&bd->output);
	char *end = strchr(line, '\n');
	json_t *report = end ? json_loads(end + 1, 0, NULL) : NULL;
	const char *status = json_string_value(json_object_get(report, "status"));
	json_int_t us = json_integer_value(json_object_get(report, "durationUs"));

	if (end)
		*end = '\0';
	bd->result.init_timed_out = status && strcmp(status, "timeout") == 0;
	bd->result.init_ns = us > 0 ? (uint64_t)us * 1000 : 0;
	json_decref(report);
}

static void after_snapshot(struct build *bd, int status)
{
	if (to_be_repeated(bd, status)) {
		make_snapshot(bd);
		return;
	}
	if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 3) {
		take_init_error(bd);
		stk_err_set(&bd->result.err, -EPROTO, "the function's init phase failed: %.280s",
			    bd->result.init_json[0] ? bd->result.init_json : "no error was reported");
		fail_with_log(bd, BUILD_INIT_FAILED);
		return;
	}
	if (!succeeded(status)) {
		status_text(bd, "stoker-snapshot", status);
		fail_with_log(bd, BUILD_HOST);
		return;
	}
	queue_work(bd, work_publish, work_finish);
}

static void make_snapshot(struct build *bd)
{
	const struct options *o = bd->b->d->opt;
	const struct fn_settings *s = &bd->spec.settings;
	char tool[PATH_CAP], vmm[PATH_CAP], kernel[PATH_CAP], initrd[PATH_CAP], rootfs[PATH_CAP];
	char code[PATH_CAP], scratch[PATH_CAP], out[PATH_CAP], env[PATH_CAP];
	char memory[16], storage[16], version[FN_VERSION_TEXT], init_ms[16], parent[16], runtime[FN_RUNTIME_MAX + 32], name[FN_BARE_MAX + 1];
	const char *argv[64] = {tool, "create", "--out", out, "--vmm", vmm, "--kernel", kernel,
			      "--initrd", initrd, "--rootfs", rootfs, "--code", code, "--scratch", scratch,
			      "--scratch-size", storage, "--memory", memory, "--handler", s->handler, "--name", name,
			      "--version", version, "--runtime", runtime, "--region", region_name(), "--account",
			      tenants_account(&bd->b->d->tenants, bd->spec.name), "--init-timeout", init_ms,
			      "--init-report", "1", "--env-file", env, "--die-with-parent", parent, NULL};
	size_t argc = 0;
	int rc;

	rc = stk_snprintf(tool, PATH_CAP, "%s/stoker-snapshot", o->bin_dir);
	rc = rc ? rc : stk_snprintf(vmm, PATH_CAP, "%s/stoker-vmm", o->bin_dir);
	rc = rc ? rc : stk_snprintf(initrd, PATH_CAP, "%s/stoker-initrd.cpio", o->bin_dir);
	rc = rc ? rc : stk_snprintf(kernel, PATH_CAP, "%s/vmlinux", o->images_dir);
	rc = rc ? rc : stk_snprintf(rootfs, PATH_CAP, "%s/%s.img", o->images_dir, runtimes_image(s->runtime));
	rc = rc ? rc : runtimes_full_name(&bd->b->d->runtimes, s->runtime, runtime, sizeof(runtime));
	rc = rc ? rc : stk_snprintf(scratch, PATH_CAP, "%s/scratch.img", o->images_dir);
	rc = rc ? rc : build_path(bd, "code.img", code, PATH_CAP);
	rc = rc ? rc : build_path(bd, "snapshot", out, PATH_CAP);
	rc = rc ? rc : build_path(bd, "env", env, PATH_CAP);
	snprintf(memory, sizeof(memory), "%u", s->memory_mib);
	snprintf(storage, sizeof(storage), "%u", s->storage_mib);
	fn_bare_name(bd->spec.name, name);
	fn_version_text(bd->spec.published, version);
	snprintf(init_ms, sizeof(init_ms), "%u", o->init_timeout_ms);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	while (argv[argc])
		argc++;
	if (fn_app_log_level(s)) {
		argv[argc++] = "--log-level";
		argv[argc++] = fn_app_log_level(s);
	}
	if (fn_is_snapstart(s, bd->spec.published)) {
		argv[argc++] = "--snap-start";
		argv[argc++] = "1";
	}
	if (s->logging.group) {
		argv[argc++] = "--log-group";
		argv[argc++] = s->logging.group;
	}
	if (rc == 0)
		rc = build_run(bd, argv, after_snapshot);
	if (rc) {
		stk_err_sys(&bd->result.err, rc, "start stoker-snapshot");
		fail_with_log(bd, BUILD_HOST);
	}
}

static const char *mkfs_path(void)
{
	static const char *const where[] = {"/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.erofs", "/sbin/mkfs.erofs",
					    "/usr/local/bin/mkfs.erofs"};

	for (size_t i = 0; i < STK_ARRAY_LEN(where); i++) {
		if (access(where[i], X_OK) == 0)
			return where[i];
	}
	return where[0];
}

static void make_image(struct build *bd);

static void after_image(struct build *bd, int status)
{
	if (to_be_repeated(bd, status)) {
		make_image(bd);
	} else if (succeeded(status) && given_up(bd)) {
		cancel(bd);
	} else if (succeeded(status)) {
		make_snapshot(bd);
	} else {
		status_text(bd, "mkfs.erofs", status);
		fail_with_log(bd, BUILD_HOST);
	}
}

/* Not compressed: a clone that reads a file would pay for unpacking it. The image's root is the code, or with layers
 * a folder of both; which of the two the guest is told by the UUID. */
static void make_image(struct build *bd)
{
	char code[PATH_CAP], img[PATH_CAP];
	bool layers = bd->spec.settings.layer_count > 0;
	const char *argv[] = {mkfs_path(), "--quiet", "--all-root", "-x-1", "-T0", "-U",
			      layers ? CODEIMAGE_UUID_LAYERS : CODEIMAGE_UUID_PLAIN, img, code, NULL};
	int rc;

	rc = build_path(bd, layers ? "root" : "root/task", code, sizeof(code));
	rc = rc ? rc : build_path(bd, "code.img", img, sizeof(img));
	rc = rc ? rc : build_run(bd, argv, after_image);
	if (rc) {
		stk_err_sys(&bd->result.err, rc, "start mkfs.erofs");
		fault(bd, BUILD_HOST);
		finish(bd);
	}
}

static void work_unpack(uv_work_t *w)
{
	struct build *bd = w->data;
	int rc = build_unpack(bd, &bd->result.err);

	if (rc)
		fault(bd, rc == -EINVAL ? BUILD_BAD_CODE : BUILD_HOST);
}

static void unpacked(uv_work_t *w, int status)
{
	struct build *bd = w->data;

	if (status || given_up(bd))
		cancel(bd);
	else if (bd->result.fault != BUILD_OK)
		finish(bd);
	else
		make_image(bd);
}

/* --- queue -------------------------------------------------------------------------------------- */

static void begin(struct build *bd)
{
	stk_list_del(&bd->node);
	stk_list_add_tail(&bd->b->running, &bd->node);
	bd->b->waiting_count--;
	bd->b->running_count++;
	bd->started_ns = stk_now_ns();
}

static void start_next(struct builder *b)
{
	while (b->running_count < BUILD_PARALLEL && !stk_list_empty(&b->waiting)) {
		struct build *bd = STK_CONTAINER_OF(b->waiting.next, struct build, node);

		begin(bd);
		if (given_up(bd)) {
			cancel(bd);
			return; /* finish came back here for the rest */
		}
		queue_work(bd, work_unpack, unpacked);
	}
}

int build_submit(struct builder *b, const struct build_spec *spec,
		 void (*done)(void *ctx, const struct build_result *r), void *ctx)
{
	struct build *bd;
	int rc;

	if (b->stopped)
		return -ECANCELED;
	if (b->waiting_count >= BUILD_QUEUE && !spec->admitted)
		return -EBUSY;
	bd = calloc(1, sizeof(*bd));
	if (!bd)
		return -ENOMEM;
	bd->b = b;
	bd->spec = *spec;
	bd->log_fd = -1;
	bd->done = done;
	bd->ctx = ctx;
	rc = fn_settings_copy(&spec->settings, &bd->spec.settings);
	if (rc) {
		free(bd);
		return rc;
	}
	b->d->jobs++;
	b->waiting_count++;
	stk_list_add_tail(&b->waiting, &bd->node);
	start_next(b);
	return 0;
}

void build_stop(struct builder *b)
{
	int sig = b->stopped ? SIGKILL : SIGTERM;

	b->stopped = true;
	STK_LIST_FOREACH(it, &b->running) {
		struct build *bd = STK_CONTAINER_OF(it, struct build, node);

		if (bd->child)
			child_kill(bd->child, sig);
	}
	if (b->running_count == 0)
		start_next(b);
}

/* Those that wait do so no longer. */
static void drop_cancelled(struct builder *b)
{
	struct stk_list *it = b->waiting.next;

	while (it != &b->waiting) {
		struct build *bd = STK_CONTAINER_OF(it, struct build, node);

		it = it->next;
		if (!bd->cancelled)
			continue;
		begin(bd);
		cancel(bd);
		it = b->waiting.next; /* others may have had their turn */
	}
}

void build_cancel(struct builder *b, const char *name, unsigned number)
{
	struct stk_list *const lists[] = {&b->running, &b->waiting};

	for (unsigned i = 0; i < STK_ARRAY_LEN(lists); i++) {
		STK_LIST_FOREACH(it, lists[i]) {
			struct build *bd = STK_CONTAINER_OF(it, struct build, node);

			if (strcmp(bd->spec.name, name) != 0 || (number && bd->spec.number != number))
				continue;
			bd->cancelled = true;
			if (bd->child)
				child_kill(bd->child, SIGTERM);
		}
	}
	drop_cancelled(b);
}

/* Builds: see build.h. */
#include "scheduler/build.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/codeimage.h"
#include "common/base/fd.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/child.h"
#include "common/host/workers.h"
#include "scheduler/cpushare.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/layers.h"
#include "scheduler/region.h"
#include "scheduler/zipread.h"

#define PATH_CAP   768
#define OUTPUT_MAX 65536
#define LOG_MAX    (256 * 1024)

struct builder {
	struct daemon *d;
	struct stk_list waiting, running;
	unsigned running_count, waiting_count;
	bool stopped;
};

struct build {
	struct builder *b;
	struct stk_list node;
	struct build_spec spec;
	struct build_result result;
	void (*done)(void *ctx, const struct build_result *r);
	void *ctx;
	uv_work_t work;
	struct child *child;
	void (*after_child)(struct build *bd, int status);
	int child_status;
	bool child_over, pipe_open, pipe_over;
	bool interrupted; /* a child was, once */
	bool cancelled;
	uv_pipe_t out;
	char *output; /* of the child's stdout, NUL behind it */
	size_t output_len;
	int log_fd;
	uint64_t started_ns;
};

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

static int path_of(const struct build *bd, const char *leaf, char *ret, size_t cap)
{
	return stk_snprintf(ret, cap, "%s/%s", bd->spec.dir, leaf);
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

/* What the helper programs write on stderr goes to memory of a fixed size: it may not fill the disk,
 * and is there when the disk is full. Writes beyond it fail in the child. */
static int log_open(struct build *bd)
{
	bd->log_fd = memfd_create("stoker-build", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (bd->log_fd < 0)
		return -errno;
	if (ftruncate(bd->log_fd, LOG_MAX) ||
	    fcntl(bd->log_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	return 0;
}

static void log_take(struct build *bd)
{
	off_t n = bd->log_fd >= 0 ? lseek(bd->log_fd, 0, SEEK_CUR) : 0;

	if (n <= 0 || bd->result.log)
		return;
	bd->result.log = calloc(1, (size_t)n + 1);
	if (bd->result.log && stk_pread_full(bd->log_fd, bd->result.log, (size_t)n, 0))
		bd->result.log[0] = '\0';
}

/* --- publish --------------------------------------------------------------------------------- */

/* What the database has to know of the files. */
static int describe(struct build *bd)
{
	char leaf[PATH_CAP];
	struct stat st;
	int rc = path_of(bd, "code.zip", leaf, sizeof(leaf));

	if (rc == 0)
		rc = stat(leaf, &st) ? -errno : fsx_crc64(leaf, &bd->result.zip_crc);
	if (rc == 0)
		rc = fsx_sha256(leaf, bd->result.sha256);
	if (rc == 0)
		rc = path_of(bd, "code.img", leaf, sizeof(leaf));
	if (rc == 0)
		rc = fsx_crc64(leaf, &bd->result.img_crc);
	if (rc)
		return rc;
	bd->result.code_size = (uint64_t)st.st_size;
	bd->result.created_ms = (int64_t)(stk_wall_ns() / STK_NS_PER_MS);
	return 0;
}

static int publish(struct build *bd, struct stk_err *err)
{
	char dest[PATH_CAP], folder[PATH_CAP], leaf[PATH_CAP];
	int rc;

	if (stk_snprintf(folder, sizeof(folder), "%s/functions/%s", bd->b->d->opt->state_dir, bd->spec.name) ||
	    stk_snprintf(dest, sizeof(dest), "%s/%u", folder, bd->spec.number))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	if (path_of(bd, "root", leaf, sizeof(leaf)) == 0)
		fsx_remove_tree(leaf);
	if (path_of(bd, "env", leaf, sizeof(leaf)) == 0)
		unlink(leaf);
	rc = describe(bd);
	if (rc == 0)
		rc = fsx_sync_tree(bd->spec.dir);
	if (rc == 0)
		rc = fsx_mkdirs(folder, 0750);
	if (rc)
		return stk_err_sys(err, rc, "publish version %u", bd->spec.number);
	if (bd->spec.replace) {
		if (renameat2(AT_FDCWD, bd->spec.dir, AT_FDCWD, dest, RENAME_EXCHANGE))
			return stk_err_sys(err, -errno, "replace %s", dest);
	} else {
		/* Left by an unfinished deploy of an earlier life. */
		fsx_remove_tree(dest);
		if (rename(bd->spec.dir, dest))
			return stk_err_sys(err, -errno, "publish %s", dest);
	}
	rc = stk_fsync_parent(dest);
	rc = rc ? rc : stk_fsync_parent(folder);
	return rc ? stk_err_sys(err, rc, "publish %s", dest) : 0;
}

static void work_publish(uv_work_t *w)
{
	struct build *bd = w->data;

	if (publish(bd, &bd->result.err))
		fault(bd, BUILD_HOST);
}

static void work_finish(uv_work_t *w, int status)
{
	struct build *bd = w->data;

	log_take(bd);
	if (status && bd->result.fault == BUILD_OK) {
		stk_err_set(&bd->result.err, -ECANCELED, "the host is shutting down");
		fault(bd, BUILD_HOST);
	}
	finish(bd);
}

static void queue_work(struct build *bd, uv_work_cb work, uv_after_work_cb after)
{
	bd->work.data = bd;
	if (workers_queue(&bd->b->d->loop, &bd->work, work, after)) {
		stk_err_set(&bd->result.err, -ENOMEM, "out of memory");
		after(&bd->work, UV_ECANCELED);
	}
}

/* Last line of the child's stderr: the reason in its own words. */
static void last_line(const char *text, char *ret, size_t cap)
{
	size_t n = text ? strlen(text) : 0, start;

	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	start = n;
	while (start && text[start - 1] != '\n')
		start--;
	if (n - start >= cap)
		n = start + cap - 1;
	for (size_t i = start; i < n; i++)
		ret[i - start] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	ret[n - start] = '\0';
}

/* After a failed child: its own words, where there are any, behind ours. */
static void fail_with_log(struct build *bd, enum build_fault kind)
{
	char line[256] = "";

	fault(bd, kind);
	log_take(bd);
	last_line(bd->result.log, line, sizeof(line));
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

/* --- children --------------------------------------------------------------------------------- */

static void child_maybe_over(struct build *bd)
{
	if (!bd->child_over || (bd->pipe_open && !bd->pipe_over))
		return;
	bd->pipe_open = false;
	bd->after_child(bd, bd->child_status);
}

static void on_pipe_closed(uv_handle_t *h)
{
	struct build *bd = h->data;

	bd->pipe_over = true;
	child_maybe_over(bd);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
	static char buf[16384];

	*ret_buf = uv_buf_init(buf, sizeof(buf));
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct build *bd = s->data;

	if (n < 0) {
		uv_close((uv_handle_t *)s, on_pipe_closed);
		return;
	}
	if ((size_t)n > OUTPUT_MAX - bd->output_len)
		n = (ssize_t)(OUTPUT_MAX - bd->output_len); /* the rest is thrown away */
	memcpy(bd->output + bd->output_len, buf->base, (size_t)n);
	bd->output_len += (size_t)n;
	bd->output[bd->output_len] = '\0';
}

static void on_child_exit(void *ctx, int status)
{
	struct build *bd = ctx;

	bd->child = NULL;
	bd->child_status = status;
	bd->child_over = true;
	child_maybe_over(bd);
}

static void on_child_start(void *ctx, int err)
{
	struct build *bd = ctx;

	if (err == 0)
		return;
	bd->child = NULL;
	stk_err_sys(&bd->result.err, err, "cannot execute a helper program");
	bd->child_status = -1;
	bd->child_over = true;
	child_maybe_over(bd);
}

/* stdout is collected, stderr goes to the build's log. */
static int run_child(struct build *bd, const char *const *argv, void (*after)(struct build *, int))
{
	static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					  "LANG=C.UTF-8", NULL};
	struct child_spec spec = {.argv = argv, .envp = env};
	int pv[2], rc;

	free(bd->output);
	bd->output = calloc(1, OUTPUT_MAX + 1);
	bd->output_len = 0;
	if (!bd->output)
		return -ENOMEM;
	if (pipe2(pv, O_CLOEXEC))
		return -errno;
	stk_set_nonblock(pv[0]);
	spec.fds[0].fd = pv[1], spec.fds[0].target = 1;
	spec.fds[1].fd = bd->log_fd, spec.fds[1].target = 2;
	spec.fd_count = 2;
	spec.cgroup_fd = cpushare_fd(bd->b->d->cpushare, &bd->b->d->tenants, bd->spec.name);
	bd->after_child = after;
	bd->child_over = bd->pipe_over = false;
	rc = child_spawn(&bd->b->d->loop, &spec, on_child_start, on_child_exit, bd, &bd->child);
	close(pv[1]);
	if (rc) {
		close(pv[0]);
		return rc;
	}
	uv_pipe_init(&bd->b->d->loop, &bd->out, 0);
	bd->out.data = bd;
	bd->pipe_open = true;
	rc = uv_pipe_open(&bd->out, pv[0]);
	if (rc)
		close(pv[0]);
	else
		rc = uv_read_start((uv_stream_t *)&bd->out, on_alloc, on_output);
	if (rc) { /* its output is lost; the exit status still counts */
		uv_close((uv_handle_t *)&bd->out, on_pipe_closed);
	}
	return 0;
}

static bool succeeded(int status)
{
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
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

static void make_snapshot(struct build *bd);

static void after_snapshot(struct build *bd, int status)
{
	if (to_be_repeated(bd, status)) {
		make_snapshot(bd);
		return;
	}
	if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 3) {
		bd->result.init_json = stk_take_ptr(&bd->output);
		while (bd->output_len && bd->result.init_json[bd->output_len - 1] == '\n')
			bd->result.init_json[--bd->output_len] = '\0';
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
	char memory[16], version[FN_VERSION_TEXT], init_ms[16], parent[16], runtime[FN_RUNTIME_MAX + 32], name[FN_BARE_MAX + 1];
	const char *argv[] = {tool, "create", "--out", out, "--vmm", vmm, "--kernel", kernel,
			      "--initrd", initrd, "--rootfs", rootfs, "--code", code, "--scratch", scratch,
			      "--memory", memory, "--handler", s->handler, "--name", name,
			      "--version", version, "--runtime", runtime, "--region", region_name(), "--init-timeout", init_ms, "--env-file", env, "--die-with-parent",
			      parent, NULL};
	int rc;

	rc = stk_snprintf(tool, PATH_CAP, "%s/stoker-snapshot", o->bin_dir);
	rc = rc ? rc : stk_snprintf(vmm, PATH_CAP, "%s/stoker-vmm", o->bin_dir);
	rc = rc ? rc : stk_snprintf(initrd, PATH_CAP, "%s/stoker-initrd.cpio", o->bin_dir);
	rc = rc ? rc : stk_snprintf(kernel, PATH_CAP, "%s/vmlinux", o->images_dir);
	rc = rc ? rc : stk_snprintf(rootfs, PATH_CAP, "%s/%s.img", o->images_dir, runtimes_image(s->runtime));
	rc = rc ? rc : runtimes_full_name(&bd->b->d->runtimes, s->runtime, runtime, sizeof(runtime));
	rc = rc ? rc : stk_snprintf(scratch, PATH_CAP, "%s/scratch.img", o->images_dir);
	rc = rc ? rc : path_of(bd, "code.img", code, PATH_CAP);
	rc = rc ? rc : path_of(bd, "snapshot", out, PATH_CAP);
	rc = rc ? rc : path_of(bd, "env", env, PATH_CAP);
	snprintf(memory, sizeof(memory), "%u", s->memory_mib);
	fn_bare_name(bd->spec.name, name);
	fn_version_text(bd->spec.published, version);
	snprintf(init_ms, sizeof(init_ms), "%u", o->init_timeout_ms);
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	if (rc == 0)
		rc = run_child(bd, argv, after_snapshot);
	if (rc) {
		stk_err_sys(&bd->result.err, rc, "start stoker-snapshot");
		fail_with_log(bd, BUILD_HOST);
	}
}

static void cancel(struct build *bd)
{
	set_cancelled(bd);
	fault(bd, BUILD_HOST);
	finish(bd);
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

/* --- unpack ------------------------------------------------------------------------------------ */

/* What can be said without running it. */
static int check_code(const struct build *bd, struct stk_err *err)
{
	const char *what = bd->spec.settings.layer_count ? "package or of a layer" : "package";
	char code[PATH_CAP], opt[PATH_CAP];
	struct stat st;

	if (strcmp(runtimes_image(bd->spec.settings.runtime), "provided") != 0)
		return 0;
	if (path_of(bd, "root/task/bootstrap", code, sizeof(code)) || path_of(bd, "root/opt/bootstrap", opt, sizeof(opt)))
		return -ENAMETOOLONG;
	if (stat(code, &st) && stat(opt, &st))
		return stk_err_set(err, -EINVAL, "this runtime needs an executable file \"bootstrap\" at the top of the %s", what);
	if (!(st.st_mode & 0100) || !S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "\"bootstrap\" in the %s is not executable", what);
	return 0;
}

/* A folder that gets into the image, with the mode it has there. */
static int make_folder(const struct build *bd, const char *leaf, char *ret, struct stk_err *err)
{
	if (path_of(bd, leaf, ret, PATH_CAP))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	return mkdir(ret, 0755) || chmod(ret, 0755) ? stk_err_sys(err, -errno, "folder %s", ret) : 0;
}

/* Layers go beside the code: see unpacked(). */
static int unpack_layers(struct build *bd, struct zipread_limits *left, struct stk_err *err)
{
	const struct fn_settings *s = &bd->spec.settings;
	char opt[PATH_CAP], parts[PATH_CAP];
	int rc;

	if (!s->layer_count)
		return 0;
	rc = make_folder(bd, "root/opt", opt, err);
	rc = rc ? rc : make_folder(bd, "layers", parts, err);
	rc = rc ? rc : layers_take(bd->b->d->opt->state_dir, s->layers, s->layer_count, bd->spec.dir, err);
	layers_sizes(bd->spec.dir, s->layer_count, bd->result.layer_sizes);
	rc = rc ? rc : layers_unpack(bd->spec.dir, s->layers, s->layer_count, parts, opt, left, err);
	fsx_remove_tree(parts);
	return rc;
}

static int unpack(struct build *bd, struct stk_err *err)
{
	struct zipread_limits left = ZIPREAD_LIMITS;
	char zip[PATH_CAP], root[PATH_CAP], code[PATH_CAP], env[PATH_CAP];
	stk_autofd fd = -1;
	int rc;

	if (path_of(bd, "code.zip", zip, sizeof(zip)) || path_of(bd, "env", env, sizeof(env)))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	/* Checked when it was deployed; but the images may be others by now, when it is made again. */
	rc = runtimes_check(&bd->b->d->runtimes, bd->spec.settings.runtime, err);
	if (rc)
		return rc;
	rc = make_folder(bd, "root", root, err);
	rc = rc ? rc : make_folder(bd, "root/task", code, err);
	if (rc)
		return rc;
	rc = log_open(bd);
	if (rc)
		return stk_err_sys(err, rc, "memory for the build's log");
	fd = open(env, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return stk_err_sys(err, -errno, "%s", env);
	rc = stk_write_full(fd, bd->spec.settings.env, bd->spec.settings.env_len);
	if (rc)
		return stk_err_sys(err, rc, "%s", env);
	rc = zipread_unpack(zip, code, &left, err);
	rc = rc ? rc : unpack_layers(bd, &left, err);
	return rc ? rc : check_code(bd, err);
}

static void work_unpack(uv_work_t *w)
{
	struct build *bd = w->data;
	int rc = unpack(bd, &bd->result.err);

	if (rc)
		fault(bd, rc == -EINVAL ? BUILD_BAD_CODE : BUILD_HOST);
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

/* Not compressed: a clone that reads a file would pay for unpacking it. The image's root is the code, or with layers
 * a folder of both; which of the two the guest is told by the UUID. */
static void make_image(struct build *bd)
{
	char code[PATH_CAP], img[PATH_CAP];
	bool layers = bd->spec.settings.layer_count > 0;
	const char *argv[] = {mkfs_path(), "--quiet", "--all-root", "-x-1", "-T0", "-U",
			      layers ? CODEIMAGE_UUID_LAYERS : CODEIMAGE_UUID_PLAIN, img, code, NULL};
	int rc;

	rc = path_of(bd, layers ? "root" : "root/task", code, sizeof(code));
	rc = rc ? rc : path_of(bd, "code.img", img, sizeof(img));
	rc = rc ? rc : run_child(bd, argv, after_image);
	if (rc) {
		stk_err_sys(&bd->result.err, rc, "start mkfs.erofs");
		fault(bd, BUILD_HOST);
		finish(bd);
	}
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

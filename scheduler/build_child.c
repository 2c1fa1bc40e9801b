/* Helper programs of a build, one after the other: their stdout for the next step, their stderr for the log. */
#include "scheduler/build_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/host/child.h"
#include "scheduler/cpushare.h"
#include "scheduler/daemon.h"

#define OUTPUT_MAX 65536
#define LOG_MAX    (256 * 1024)

/* --- log ------------------------------------------------------------------------------------- */

/* What the helper programs write on stderr goes to memory of a fixed size: it may not fill the disk,
 * and is there when the disk is full. Writes beyond it fail in the child. */
int build_log_open(struct build *bd)
{
	bd->log_fd = memfd_create("stoker-build", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (bd->log_fd < 0)
		return -errno;
	if (ftruncate(bd->log_fd, LOG_MAX) ||
	    fcntl(bd->log_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	return 0;
}

void build_log_take(struct build *bd)
{
	off_t n = bd->log_fd >= 0 ? lseek(bd->log_fd, 0, SEEK_CUR) : 0;

	if (n <= 0 || bd->result.log)
		return;
	bd->result.log = calloc(1, (size_t)n + 1);
	if (bd->result.log && stk_pread_full(bd->log_fd, bd->result.log, (size_t)n, 0))
		bd->result.log[0] = '\0';
}

void build_log_last_line(const struct build *bd, char *ret, size_t cap)
{
	const char *text = bd->result.log;
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

/* --- children -------------------------------------------------------------------------------- */

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

int build_run(struct build *bd, const char *const *argv, void (*after)(struct build *, int))
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

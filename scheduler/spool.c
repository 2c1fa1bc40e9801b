/* Body to file: see spool.h. */
#include "scheduler/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/host/http_server.h"
#include "common/host/workers.h"

#define CHUNK     (256u * 1024)
#define HOLD_BACK (1024u * 1024)

static void kick(struct spool *s);

int spool_open(struct spool *s, uv_loop_t *loop, const char *path)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	return s->fd < 0 ? -errno : 0;
}

static void work_write(uv_work_t *w)
{
	struct spool *s = w->data;

	s->write_err = stk_write_full(s->fd, s->writing, s->writing_len);
}

static void finish(struct spool *s)
{
	void (*done)(void *, int) = s->done;

	if (close(s->fd) && !s->err)
		s->err = -errno;
	s->fd = -1;
	free(s->buf);
	s->buf = NULL;
	s->done = NULL;
	done(s->ctx, s->err);
}

static void work_done(uv_work_t *w, int status)
{
	struct spool *s = w->data;
	struct http_req *req = s->req;

	free(s->writing);
	s->writing = NULL;
	s->busy = false;
	if (!s->err)
		s->err = status ? status : s->write_err;
	kick(s);
	if (req) {
		s->req = NULL;
		http_req_resume_body(req); /* may bring more data at once */
	}
}

static void kick(struct spool *s)
{
	if (s->busy)
		return;
	if (s->err)
		s->len = 0;
	if (s->len >= CHUNK || (s->ending && s->len)) {
		s->writing = s->buf;
		s->writing_len = s->len;
		s->buf = NULL;
		s->len = 0;
		s->busy = true;
		s->write_err = 0;
		s->work.data = s;
		if (workers_queue(s->loop, &s->work, work_write, work_done))
			work_done(&s->work, UV_ENOMEM);
		return;
	}
	if (s->ending && s->done)
		finish(s);
}

int spool_add(struct spool *s, struct http_req *req, const uint8_t *data, size_t len)
{
	while (len && !s->err) {
		size_t n = HOLD_BACK + CHUNK - s->len;

		if (!s->buf) {
			s->buf = malloc(HOLD_BACK + CHUNK);
			s->len = 0;
			if (!s->buf)
				return -ENOMEM;
		}
		if (n > len)
			n = len;
		memcpy(s->buf + s->len, data, n);
		s->len += n;
		s->total += n;
		data += n;
		len -= n;
		kick(s);
		if (len && s->busy && s->len == HOLD_BACK + CHUNK)
			return -ENOBUFS; /* held back at HOLD_BACK: the server's reads are far smaller */
	}
	if (!s->err && s->busy && s->len >= HOLD_BACK && !s->req) {
		s->req = req;
		http_req_pause_body(req);
	}
	return s->err;
}

void spool_abort(struct spool *s)
{
	s->req = NULL;
	if (!s->err)
		s->err = -ECANCELED;
}

void spool_end(struct spool *s, void (*done)(void *ctx, int err), void *ctx)
{
	s->done = done;
	s->ctx = ctx;
	s->ending = true;
	s->req = NULL;
	kick(s);
}

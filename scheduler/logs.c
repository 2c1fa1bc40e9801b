/* Function output: see logs.h. */
#include "scheduler/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"

#define PENDING_MAX (512u * 1024) /* per function; beyond that lines are dropped */
#define FLUSH_MS    100

struct logsink {
	struct logs *logs;
	struct stk_list node;
	struct stk_list due; /* logs->due: it has something to write */
	char name[FN_NAME_MAX + 1];
	char *buf, *writing;
	size_t len, cap, writing_len;
	bool busy; /* the pool thread has `writing` */
	uint64_t dropped;
	uv_work_t work;
	int write_err;
	unsigned rotations;         /* atomic: counted by the pool thread */
	bool gone;                  /* the function: nothing is kept */
	bool remove;                /* the files, before anything is written again */
	bool removing;              /* the pool thread does */
	uint64_t batch, batch_done; /* number of what is being collected, and of the last that was written */
	struct stk_list watches;
};

struct logs {
	struct daemon *d;
	char dir[OPTIONS_PATH_MAX];
	struct stk_list sinks, due;
	uv_timer_t timer;
	bool armed;
	bool ended;
	time_t date_secs; /* what `date` says */
	char date[24];
};

struct logs *logs_new(struct daemon *d, const char *dir)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (!l || stk_strcpy(l->dir, sizeof(l->dir), dir)) {
		free(l);
		return NULL;
	}
	l->d = d;
	stk_list_init(&l->sinks);
	stk_list_init(&l->due);
	uv_timer_init(&d->loop, &l->timer);
	l->timer.data = l;
	uv_unref((uv_handle_t *)&l->timer);
	return l;
}

struct logsink *logs_sink(struct logs *l, const char *name)
{
	struct logsink *s = calloc(1, sizeof(*s));

	if (!s || stk_strcpy(s->name, sizeof(s->name), name)) {
		free(s);
		return NULL;
	}
	s->logs = l;
	stk_list_init(&s->due);
	stk_list_init(&s->watches);
	s->rotations = 1; /* file 0 may be there, from an earlier life */
	s->batch = 1;
	stk_list_add_tail(&l->sinks, &s->node);
	return s;
}

struct paths {
	char now[OPTIONS_PATH_MAX + 80], old[OPTIONS_PATH_MAX + 84];
};

static int paths_of(const struct logsink *s, struct paths *ret)
{
	if (stk_snprintf(ret->now, sizeof(ret->now), "%s/%s.log", s->logs->dir, s->name) ||
	    stk_snprintf(ret->old, sizeof(ret->old), "%s.1", ret->now))
		return -ENAMETOOLONG;
	return 0;
}

static int remove_files(const struct logsink *s)
{
	struct paths p;
	int rc = paths_of(s, &p);

	if (!rc && unlink(p.now) && errno != ENOENT)
		rc = -errno;
	if (!rc && unlink(p.old) && errno != ENOENT)
		rc = -errno;
	return rc;
}

/* Appends to the file; moves it away when it has become too large. Pool thread (or the end). */
static int write_out(struct logsink *s, const char *data, size_t len)
{
	stk_autofd fd = -1;
	struct paths p;
	struct stat st;
	int rc = paths_of(s, &p);

	if (rc)
		return rc;
	fd = open(p.now, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	rc = stk_write_full(fd, data, len);
	if (rc || fstat(fd, &st) || st.st_size <= (off_t)LOGS_FILE_MAX)
		return rc;
	if (rename(p.now, p.old))
		return -errno;
	__atomic_add_fetch(&s->rotations, 1, __ATOMIC_RELEASE);
	return 0;
}

static void work_write(uv_work_t *w)
{
	struct logsink *s = w->data;

	s->write_err = s->removing ? remove_files(s) : 0;
	if (!s->write_err && s->writing_len)
		s->write_err = write_out(s, s->writing, s->writing_len);
}

static void on_timer(uv_timer_t *t);

static void arm(struct logsink *s)
{
	struct logs *l = s->logs;

	if (stk_list_empty(&s->due))
		stk_list_add_tail(&l->due, &s->due);
	if (!l->armed) {
		l->armed = true;
		uv_timer_start(&l->timer, on_timer, FLUSH_MS, 0);
	}
}

static void work_done(uv_work_t *w, int status)
{
	struct logsink *s = w->data;
	static struct stk_log_limit limit = {.burst = 3};

	if (s->write_err && stk_log_allow(&limit))
		stk_warn("%s: output could not be written: %s", s->name, strerror(-s->write_err));
	free(s->writing);
	s->writing = NULL;
	s->busy = s->removing = false;
	s->batch_done = s->batch - 1;
	if (s->len || s->remove)
		arm(s);
	STK_LIST_FOREACH_SAFE(it, tmp, &s->watches) {
		struct logs_watch *watch = STK_CONTAINER_OF(it, struct logs_watch, node);

		watch->written(watch);
	}
	daemon_job_done(s->logs->d);
}

static void on_timer(uv_timer_t *t)
{
	struct logs *l = t->data;

	l->armed = false;
	while (!stk_list_empty(&l->due)) {
		struct logsink *s = STK_CONTAINER_OF(l->due.next, struct logsink, due);

		stk_list_del(&s->due);
		if ((!s->len && !s->remove) || s->busy)
			continue;
		s->busy = true;
		s->writing = s->buf;
		s->writing_len = s->len;
		s->removing = s->remove;
		s->buf = NULL;
		s->len = s->cap = 0;
		s->remove = false;
		s->batch++;
		s->work.data = s;
		l->d->jobs++;
		if (workers_queue(&l->d->loop, &s->work, work_write, work_done)) {
			s->write_err = -ENOMEM;
			work_done(&s->work, 0);
		}
	}
}

static void append(struct logsink *s, const char *data, size_t len)
{
	if (s->len + len > s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 4096;
		char *grown;

		while (cap < s->len + len)
			cap *= 2;
		grown = realloc(s->buf, cap);
		if (!grown)
			return;
		s->buf = grown;
		s->cap = cap;
	}
	memcpy(s->buf + s->len, data, len);
	s->len += len;
}

/* Date and time of `secs` as RFC 3339 has them, up to the seconds. The last one is kept: lines come in bursts. */
static const char *date_of(struct logs *l, time_t secs)
{
	struct tm tm;

	if (secs != l->date_secs) {
		l->date_secs = secs;
		gmtime_r(&secs, &tm);
		strftime(l->date, sizeof(l->date), "%Y-%m-%dT%H:%M:%S", &tm);
	}
	return l->date;
}

void logs_time(struct logsink *s, struct stk_text *t)
{
	uint64_t now = stk_wall_ns();

	stk_text_str(t, date_of(s->logs, (time_t)(now / STK_NS_PER_S)));
	stk_text_str(t, ".");
	stk_text_u64(t, now % STK_NS_PER_S / STK_NS_PER_MS, 3);
	stk_text_str(t, "Z");
}

size_t logs_stamp(struct logsink *s, char buf[LOGS_STAMP_MAX], const char *id)
{
	struct stk_text t = stk_text_init(buf, LOGS_STAMP_MAX);

	logs_time(s, &t);
	stk_text_str(&t, " ");
	stk_text_str(&t, id);
	stk_text_str(&t, " ");
	return t.cut ? 0 : t.len;
}

void logs_line(struct logsink *s, const char *id, const char *text, size_t len)
{
	char head[LOGS_STAMP_MAX];
	size_t n;

	if (s->gone)
		return;
	if (s->len + len + sizeof(head) > PENDING_MAX) {
		s->dropped++;
		return;
	}
	if (s->dropped) {
		char note[96];
		int m = snprintf(note, sizeof(note), "[%llu lines of output were dropped]",
				 (unsigned long long)s->dropped);

		s->dropped = 0;
		n = logs_stamp(s, head, "-");
		append(s, head, n);
		append(s, note, (size_t)m);
		append(s, "\n", 1);
	}
	n = logs_stamp(s, head, id);
	append(s, head, n);
	append(s, text, len);
	append(s, "\n", 1);
	arm(s);
}

void logs_flush_line(struct logsink *s, struct logline *line, const char *id)
{
	if (line->len && s)
		logs_line(s, id, line->buf, line->len);
	free(line->buf);
	line->buf = NULL;
	line->len = 0;
}

void logs_feed(struct logsink *s, struct logline *line, const char *id, const uint8_t *data, size_t len)
{
	while (len) {
		const uint8_t *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) : len;

		if (nl && line->len == 0 && n <= LOGS_LINE_MAX) {
			logs_line(s, id, (const char *)data, n);
		} else {
			size_t take = n;

			if (!line->buf)
				line->buf = malloc(LOGS_LINE_MAX);
			if (!line->buf)
				return;
			if (take > LOGS_LINE_MAX - line->len)
				take = LOGS_LINE_MAX - line->len;
			memcpy(line->buf + line->len, data, take);
			line->len += take;
			if (take < n) { /* longer than a line may be: break it here */
				logs_line(s, id, line->buf, line->len);
				line->len = 0;
				data += take;
				len -= take;
				continue;
			}
			if (nl) {
				logs_line(s, id, line->buf, line->len);
				line->len = 0;
			}
		}
		n += nl ? 1 : 0;
		data += n;
		len -= n;
	}
}

void logs_text(struct logsink *s, const char *id, const char *text)
{
	struct logline line = {0};

	if (!text)
		return;
	logs_feed(s, &line, id, (const uint8_t *)text, strlen(text));
	logs_flush_line(s, &line, id);
}

void logs_free(struct logs *l)
{
	if (!l)
		return;
	STK_LIST_FOREACH_SAFE(it, tmp, &l->sinks) {
		struct logsink *s = STK_CONTAINER_OF(it, struct logsink, node);

		if (s->remove)
			remove_files(s);
		if (s->len)
			write_out(s, s->buf, s->len);
		free(s->buf);
		free(s);
	}
	free(l);
}

void logs_close_timer(struct logs *l)
{
	uv_close((uv_handle_t *)&l->timer, NULL);
}

/* --- readers -------------------------------------------------------------------------------------- */

void logs_watch(struct logsink *s, struct logs_watch *w)
{
	stk_list_add_tail(&s->watches, &w->node);
}

void logs_unwatch(struct logs_watch *w)
{
	stk_list_del(&w->node);
}

uint64_t logs_mark(const struct logsink *s)
{
	return s->len ? s->batch : s->batch - 1;
}

bool logs_done(const struct logsink *s, uint64_t mark)
{
	return s->batch_done >= mark;
}

const unsigned *logs_rotations(const struct logsink *s)
{
	return &s->rotations;
}

const char *logs_name(const struct logsink *s)
{
	return s->name;
}

const char *logs_dir(const struct logsink *s)
{
	return s->logs->dir;
}

static void each_of(struct logsink *s, void (*each)(struct logs_watch *w))
{
	STK_LIST_FOREACH_SAFE(it, tmp, &s->watches)
		each(STK_CONTAINER_OF(it, struct logs_watch, node));
}

void logs_each_watch(struct logs *l, void (*each)(struct logs_watch *w))
{
	STK_LIST_FOREACH(it, &l->sinks)
		each_of(STK_CONTAINER_OF(it, struct logsink, node), each);
}

static void tell_end(struct logs_watch *w)
{
	w->ended(w);
}

void logs_remove(struct logsink *s)
{
	if (!s)
		return;
	each_of(s, tell_end);
	s->gone = s->remove = true;
	s->len = 0;
	arm(s);
}

void logs_again(struct logsink *s)
{
	s->gone = false;
}

/* Of the function whose log a file has, from the file's name; 0: it is none. */
static size_t name_len(const char *file)
{
	static const char *const ending[] = {".log", ".log.1"};
	size_t len = strlen(file);

	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(ending[i]);

		if (len > n && strcmp(file + len - n, ending[i]) == 0)
			return len - n;
	}
	return 0;
}

void logs_sweep(struct logs *l, bool (*known)(void *ctx, const char *name), void *ctx)
{
	DIR *dir = opendir(l->dir);
	char name[FN_NAME_MAX + 1];
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t len = name_len(e->d_name);

		if (len == 0 || len > FN_NAME_MAX)
			continue;
		memcpy(name, e->d_name, len);
		name[len] = '\0';
		if (fn_name_valid(name) && !known(ctx, name) && unlinkat(dirfd(dir), e->d_name, 0))
			stk_warn("%s/%s: %s", l->dir, e->d_name, strerror(errno));
	}
	if (dir)
		closedir(dir);
}

void logs_end_all(struct logs *l)
{
	l->ended = true;
	logs_each_watch(l, tell_end);
}

bool logs_ended(const struct logs *l)
{
	return l->ended;
}

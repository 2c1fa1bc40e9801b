#include "bench/load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <uv.h>

#include "bench/client.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct load;

struct worker {
	struct load *load;
	struct client *client;
	uv_timer_t think;
	bool busy;
	uint64_t started_ns; /* actual start (closed loop) or intended start (open loop) */
	bool counted;
};

struct load {
	const struct load_spec *spec;
	struct load_result *result;
	uv_loop_t loop;
	struct worker *workers;
	unsigned worker_count; /* opened so far */
	char *request;
	size_t request_len;
	uint64_t origin_ns;    /* open loop: where the schedule starts */
	uint64_t begin_ns;     /* of the measured part */
	uint64_t last_done_ns;
	uint64_t issued, answered; /* warm-up included */
	uint64_t interval_ns;
	int timer_fd;
	uv_poll_t ticker;
	bool stopping;
};

static void count_failure(struct load_result *r, const char *name)
{
	r->failed++;
	for (unsigned i = 0; i < r->class_count; i++) {
		if (strcmp(r->classes[i].name, name) == 0) {
			r->classes[i].count++;
			return;
		}
	}
	if (r->class_count == LOAD_MAX_CLASSES - 1)
		name = "other";
	if (r->class_count == LOAD_MAX_CLASSES) {
		r->classes[LOAD_MAX_CLASSES - 1].count++;
		return;
	}
	struct load_class *c = &r->classes[r->class_count++];

	snprintf(c->name, sizeof(c->name), "%s", name);
	c->count = 1;
}

static void judge(struct load *l, const struct worker *w, const struct client_result *res)
{
	struct load_result *r = l->result;
	char name[80];

	if (res->err == -ETIMEDOUT) {
		count_failure(r, "timeout");
	} else if (res->err) {
		count_failure(r, uv_strerror(res->err));
	} else if (res->status != 200) {
		snprintf(name, sizeof(name), "http %d%s%s", res->status, res->error_kind[0] ? " " : "",
			 res->error_kind);
		count_failure(r, name);
		if (!r->first_error[0])
			snprintf(r->first_error, sizeof(r->first_error), "%.250s", res->body);
	} else if (l->spec->start && strcmp(res->start, l->spec->start) != 0) {
		snprintf(name, sizeof(name), "%s instead of %s", res->start[0] ? res->start : "no start",
			 l->spec->start);
		count_failure(r, name);
	} else {
		r->ok++;
		hist_record(&r->latency, res->done_ns - w->started_ns);
		timing_add(&r->stages, res->server_timing);
	}
}

static bool more_to_send(const struct load *l)
{
	const struct load_spec *s = l->spec;

	if (s->requests && l->issued >= s->warmup + s->requests)
		return false;
	if (s->duration_ms && l->issued > s->warmup &&
	    stk_now_ns() - l->begin_ns >= s->duration_ms * STK_NS_PER_MS)
		return false;
	return true;
}

static void start_request(struct worker *w, uint64_t start_ns)
{
	struct load *l = w->load;

	w->busy = true;
	w->started_ns = start_ns;
	w->counted = l->issued >= l->spec->warmup;
	if (l->issued == l->spec->warmup)
		l->begin_ns = start_ns;
	l->issued++;
	client_send(w->client, l->request, l->request_len, l->spec->timeout_ms);
}

static void stop(struct load *l)
{
	if (l->stopping)
		return;
	l->stopping = true;
	for (unsigned i = 0; i < l->worker_count; i++) {
		client_free(l->workers[i].client);
		uv_close((uv_handle_t *)&l->workers[i].think, NULL);
	}
	if (l->spec->rate > 0)
		uv_close((uv_handle_t *)&l->ticker, NULL);
}

static void closed_next(struct worker *w);

static void on_think(uv_timer_t *timer)
{
	struct worker *w = timer->data;

	if (more_to_send(w->load))
		start_request(w, stk_now_ns());
	else if (w->load->answered == w->load->issued)
		stop(w->load);
}

static void closed_next(struct worker *w)
{
	struct load *l = w->load;

	if (!more_to_send(l)) {
		if (l->answered == l->issued)
			stop(l);
	} else if (l->spec->think_ms) {
		uv_timer_start(&w->think, on_think, l->spec->think_ms, 0);
	} else {
		start_request(w, stk_now_ns());
	}
}

static void open_dispatch(struct load *l);

static void on_done(void *ctx, struct client *c, const struct client_result *res)
{
	struct worker *w = ctx;
	struct load *l = w->load;

	(void)c;
	w->busy = false;
	l->answered++;
	l->last_done_ns = res->done_ns;
	if (w->counted)
		judge(l, w, res);
	if (l->spec->rate > 0)
		open_dispatch(l);
	else
		closed_next(w);
}

static struct worker *add_worker(struct load *l)
{
	struct worker *w = &l->workers[l->worker_count];

	w->load = l;
	if (client_new(&l->loop, &l->spec->addr, on_done, w, &w->client) < 0)
		return NULL;
	uv_timer_init(&l->loop, &w->think);
	w->think.data = w;
	l->worker_count++;
	return w;
}

static struct worker *idle_worker(struct load *l)
{
	for (unsigned i = 0; i < l->worker_count; i++)
		if (!l->workers[i].busy)
			return &l->workers[i];
	return l->worker_count < l->spec->connections ? add_worker(l) : NULL;
}

/* Request i is due at origin + i * interval. Those that find no connection wait here, and their
 * waiting counts: started_ns is the intended time. */
static void open_dispatch(struct load *l)
{
	uint64_t now = stk_now_ns();

	while (more_to_send(l)) {
		uint64_t due = l->origin_ns + l->issued * l->interval_ns;

		if (due > now)
			return;
		struct worker *w = idle_worker(l);

		if (!w)
			return;
		start_request(w, due);
	}
	if (l->answered == l->issued)
		stop(l);
}

static void on_tick(uv_poll_t *poll, int status, int events)
{
	struct load *l = poll->data;
	uint64_t expirations;

	(void)status;
	(void)events;
	if (read(l->timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	open_dispatch(l);
}

static int open_start(struct load *l, struct stk_err *err)
{
	l->interval_ns = (uint64_t)(1e9 / l->spec->rate);
	if (l->interval_ns == 0)
		l->interval_ns = 1;
	/* a timerfd: libuv's own timers count in milliseconds */
	uint64_t tick = l->interval_ns < 200000 ? 200000 : l->interval_ns;
	struct itimerspec its = {
		.it_interval = {(time_t)(tick / STK_NS_PER_S), (long)(tick % STK_NS_PER_S)},
		.it_value = {0, 1},
	};

	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd < 0 || timerfd_settime(l->timer_fd, 0, &its, NULL) < 0)
		return stk_err_sys(err, -errno, "timerfd");
	uv_poll_init(&l->loop, &l->ticker, l->timer_fd);
	l->ticker.data = l;
	l->origin_ns = stk_now_ns();
	l->begin_ns = l->origin_ns;
	return uv_poll_start(&l->ticker, UV_READABLE, on_tick);
}

static int build_request(struct load *l)
{
	const struct load_spec *s = l->spec;
	char head[1024];
	int n = snprintf(head, sizeof(head),
			 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n%s%s%s\r\n",
			 s->path, s->host_header, s->event_len, s->start ? "X-Stoker-Start: " : "",
			 s->start ? s->start : "", s->start ? "\r\n" : "");

	if (n < 0 || (size_t)n >= sizeof(head))
		return -ENAMETOOLONG;
	l->request_len = (size_t)n + s->event_len;
	l->request = malloc(l->request_len);
	if (!l->request)
		return -ENOMEM;
	memcpy(l->request, head, (size_t)n);
	if (s->event_len)
		memcpy(l->request + n, s->event, s->event_len);
	return 0;
}

int load_run(const struct load_spec *spec, struct load_result *ret_result, struct stk_err *err)
{
	struct load l = {.spec = spec, .result = ret_result, .timer_fd = -1};
	int rc = build_request(&l);

	if (rc < 0)
		return stk_err_sys(err, rc, "request");
	l.workers = calloc(spec->connections, sizeof(*l.workers));
	if (!l.workers) {
		free(l.request);
		return stk_err_sys(err, -ENOMEM, "%u connections", spec->connections);
	}
	uv_loop_init(&l.loop);
	if (spec->rate > 0) {
		rc = open_start(&l, err);
	} else {
		l.begin_ns = stk_now_ns();
		for (unsigned i = 0; rc == 0 && i < spec->connections; i++) {
			struct worker *w = add_worker(&l);

			if (w)
				closed_next(w);
			else
				rc = stk_err_sys(err, -ENOMEM, "connection %u", i);
		}
	}
	if (rc < 0)
		stop(&l);
	uv_run(&l.loop, UV_RUN_DEFAULT);
	uv_loop_close(&l.loop);
	if (l.timer_fd >= 0)
		close(l.timer_fd);
	if (l.last_done_ns > l.begin_ns)
		ret_result->seconds = (double)(l.last_done_ns - l.begin_ns) / 1e9;
	free(l.workers);
	free(l.request);
	return rc;
}

void load_result_fini(struct load_result *r)
{
	timing_fini(&r->stages);
}

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

#define LEAD_NS        1000000u /* the schedule starts when the loop runs */
#define TIMER_SLACK_NS 1000000u /* libuv's timers may be so early: what timed out with the last request has timed out */

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
	struct result *result;
	uv_loop_t loop;
	struct worker *workers;
	unsigned worker_count; /* opened so far */
	char *request;
	size_t request_len;
	uint64_t origin_ns;    /* open loop: where the schedule starts */
	uint64_t begin_ns;     /* of the measured part */
	uint64_t last_done_ns;
	uint64_t issued, answered; /* warm-up included */
	uint64_t next_ns;      /* open loop: when the next request is due, while have_next */
	bool have_next;
	bool blocked;          /* it was due and found no connection free */
	int timer_fd;
	uv_poll_t ticker;
	bool ticking, stopping;
};

/* A request that would start at start_ns. */
static bool more_to_send(const struct load *l, uint64_t start_ns)
{
	const struct load_spec *s = l->spec;

	if (s->requests && l->issued >= s->warmup + s->requests)
		return false;
	if (s->duration_ms && l->issued > s->warmup && start_ns - l->begin_ns >= s->duration_ms * STK_NS_PER_MS)
		return false;
	return true;
}

/* Whether the next request counts. */
static bool issue(struct load *l, uint64_t start_ns)
{
	if (l->issued == l->spec->warmup)
		l->begin_ns = start_ns;
	return l->issued++ >= l->spec->warmup;
}

static void start_request(struct worker *w, uint64_t start_ns)
{
	struct load *l = w->load;

	w->busy = true;
	w->started_ns = start_ns;
	w->counted = issue(l, start_ns);
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
	if (l->ticking)
		uv_close((uv_handle_t *)&l->ticker, NULL);
}

static void closed_next(struct worker *w);

static void on_think(uv_timer_t *timer)
{
	struct worker *w = timer->data;

	uint64_t now = stk_now_ns();

	if (more_to_send(w->load, now))
		start_request(w, now);
	else if (w->load->answered == w->load->issued)
		stop(w->load);
}

static void closed_next(struct worker *w)
{
	struct load *l = w->load;
	uint64_t now = stk_now_ns();

	if (!more_to_send(l, now)) {
		if (l->answered == l->issued)
			stop(l);
	} else if (l->spec->think_ms) {
		uv_timer_start(&w->think, on_think, l->spec->think_ms, 0);
	} else {
		start_request(w, now);
	}
}

static void open_dispatch(struct load *l);

static void take_next(struct load *l)
{
	uint64_t offset = 0;

	l->have_next = arrivals_next(l->spec->arrivals, &offset);
	l->next_ns = l->origin_ns + offset;
}

static void on_done(void *ctx, struct client *c, const struct client_result *res)
{
	struct worker *w = ctx;
	struct load *l = w->load;
	struct result_check check = {.start = l->spec->start, .fresh = l->spec->fresh,
		.expect = l->spec->expect};

	(void)c;
	w->busy = false;
	l->answered++;
	l->last_done_ns = res->done_ns;
	if (w->counted)
		result_add(l->result, &check, res, w->started_ns, l->begin_ns);
	else
		result_skip(&check, res);
	if (l->spec->arrivals)
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

static void arm(struct load *l, uint64_t due_ns)
{
	/* a timerfd: libuv's own timers count in milliseconds */
	struct itimerspec its = {
		.it_value = {(time_t)(due_ns / STK_NS_PER_S), (long)(due_ns % STK_NS_PER_S)},
	};

	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* A request that no connection was free for until its time was over. */
static void give_up(struct load *l, uint64_t due_ns)
{
	if (issue(l, due_ns))
		result_unsent(l->result, due_ns, l->begin_ns);
	l->answered++;
	l->blocked = false;
	take_next(l);
}

/* Sends what is due. A request that finds no connection waits here until one is free, and its waiting counts:
 * started_ns is the intended time. */
static void open_dispatch(struct load *l)
{
	uint64_t now = stk_now_ns();

	while (l->have_next && more_to_send(l, l->next_ns)) {
		if (l->next_ns > now) {
			arm(l, l->next_ns);
			return;
		}
		uint64_t due = l->next_ns;

		if (now - due + TIMER_SLACK_NS > l->spec->timeout_ms * STK_NS_PER_MS) {
			give_up(l, due);
			continue;
		}
		struct worker *w = idle_worker(l);

		if (!w) {
			l->blocked = true;
			return;
		}
		start_request(w, due);
		if (w->counted) {
			hist_record(&l->result->lag, stk_now_ns() - due);
			l->result->waited += l->blocked;
		}
		l->blocked = false;
		take_next(l);
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
	int rc;

	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd < 0)
		return stk_err_sys(err, -errno, "timerfd");
	rc = uv_poll_init(&l->loop, &l->ticker, l->timer_fd);
	if (rc < 0)
		return stk_err_sys(err, rc, "timerfd");
	l->ticking = true;
	l->ticker.data = l;
	arrivals_rewind(l->spec->arrivals);
	l->origin_ns = stk_now_ns() + LEAD_NS;
	l->begin_ns = l->origin_ns;
	take_next(l);
	arm(l, l->next_ns);
	return uv_poll_start(&l->ticker, UV_READABLE, on_tick);
}

static int build_request(struct load *l)
{
	const struct load_spec *s = l->spec;
	const char *token = getenv("STOKER_TOKEN");
	char head[2048];
	int n = snprintf(head, sizeof(head),
			 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
			 "Content-Length: %zu\r\n%s%s%s%s%s%s\r\n",
			 s->path, s->host_header, s->event_len, s->start ? "X-Stoker-Start: " : "",
			 s->start ? s->start : "", s->start ? "\r\n" : "",
			 token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");

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

int load_run(const struct load_spec *spec, struct result *ret_result, struct stk_err *err)
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
	if (spec->arrivals) {
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

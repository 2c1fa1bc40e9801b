/* GET /metrics. With many functions that is a long text: it is made piece by piece, each in a fraction of a millisecond
 * between other requests, and sent as the client takes it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/host/metrics.h"
#include "scheduler/answer.h"
#include "scheduler/async/async.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/pool.h"
#include "scheduler/shells.h"

#define PIECE_NS     (300 * 1000ull) /* of the loop's time, in one go */
#define STEP_LINES   16              /* between looks at the clock */
#define STEP_BUCKETS 64
#define PAUSE_MS     1
#define UNSENT_MAX   (256u * 1024)

static const char media[] = "text/plain; version=0.0.4; charset=utf-8";

struct scrape {
	struct front_owner owner;
	struct daemon *d;
	struct http_req *req; /* NULL: the client has gone */
	struct metrics_walk walk;
	bool common_done;     /* all that is not of a pool was written */
	unsigned family, bucket; /* of pools: what comes next */
	FILE *out;
	char *text;
	size_t len;
	bool begun;           /* the head of the answer was sent */
	uv_timer_t timer;
};

/* --- what pools say of themselves -------------------------------------------------------------------- */

/* Of functions that have no VM, need none and were never called nothing is told. */
static bool worth_telling(const struct pool *p)
{
	return !p->closed && (p->target || p->warm_count || p->starting || p->reserved || p->busy || p->resetting ||
			      p->dying || p->queued || p->forced_count || p->policy.last_ns);
}

static void tell_vms(FILE *out, const char *name, const struct pool *p)
{
	static const char *const states[] = {"warm", "starting", "busy", "dying"};
	unsigned value[] = {p->warm_count, p->starting + p->reserved, p->busy + p->resetting, p->dying};

	for (unsigned i = 0; i < 4; i++)
		fprintf(out, "%s{function=\"%s\",state=\"%s\"} %u\n", name, p->ver->fn->name, states[i], value[i]);
}

static void tell_target(FILE *out, const char *name, const struct pool *p)
{
	fprintf(out, "%s{function=\"%s\"} %u\n", name, p->ver->fn->name, p->target);
}

static void tell_waiting(FILE *out, const char *name, const struct pool *p)
{
	fprintf(out, "%s{function=\"%s\"} %u\n", name, p->ver->fn->name, p->queued + p->forced_count);
}

static void tell_memory(FILE *out, const char *name, const struct pool *p)
{
	if (p->measured)
		fprintf(out, "%s{function=\"%s\"} %llu\n", name, p->ver->fn->name, (unsigned long long)p->idle_mib << 20);
}

static const struct {
	const char *name, *help;
	void (*tell)(FILE *out, const char *name, const struct pool *p);
} families[] = {
	{"stoker_pool_vms", "VMs of a function, by state", tell_vms},
	{"stoker_pool_target", "VMs that should be warm", tell_target},
	{"stoker_pool_waiting", "Requests waiting for a VM", tell_waiting},
	{"stoker_vm_private_bytes", "Private memory of an idle warm VM", tell_memory},
};

/* Some buckets of the registry further. False: all was told. */
static bool tell_pools(struct scrape *s)
{
	const struct registry *r = &s->d->registry;
	unsigned end = s->bucket + STEP_BUCKETS;

	if (s->bucket == 0)
		metrics_head(s->out, METRICS_GAUGE, families[s->family].name, families[s->family].help);
	for (; s->bucket < end && s->bucket < REGISTRY_BUCKETS; s->bucket++) {
		for (const struct function *fn = r->bucket[s->bucket]; fn; fn = fn->next) {
			if (fn->active && fn->active->pool && worth_telling(fn->active->pool))
				families[s->family].tell(s->out, families[s->family].name, fn->active->pool);
		}
	}
	if (s->bucket == REGISTRY_BUCKETS) {
		s->bucket = 0;
		s->family++;
	}
	return s->family < STK_ARRAY_LEN(families);
}

/* --- what the host says ------------------------------------------------------------------------------- */

static void gauge(struct daemon *d, const char *name, const char *help, double v)
{
	struct metrics_series *s = metrics_get(d->metrics, METRICS_GAUGE, name, help, "");

	if (s)
		metrics_set(s, v);
}

static void set_gauges(struct daemon *d)
{
	const struct dispatch *ds = &d->dispatch;

	gauge(d, "stoker_functions", "Deployed functions", d->registry.count);
	gauge(d, "stoker_vms", "VM processes", ds->vms);
	gauge(d, "stoker_shells", "Prepared processes that wait for any function", shells_waiting(d->shells));
	gauge(d, "stoker_vms_starting", "VMs being started", ds->starting);
	gauge(d, "stoker_queue_length", "Requests waiting for a VM", ds->waiting);
	gauge(d, "stoker_memory_budget_bytes", "Memory for all VMs", (double)d->opt->memory_budget_mib * 1048576.0);
	gauge(d, "stoker_memory_charged_bytes", "Memory counted for all VMs", (double)ds->charged_mib * 1048576.0);
	gauge(d, "stoker_log_readers", "Requests that read a function's log, followers included", d->log_readers);
	gauge(d, "stoker_connections", "Open client connections", http_server_connections(d->http));
	gauge(d, "stoker_loop_lag_seconds", "Largest delay of the event loop since the last scrape", d->lag_max_s);
	d->lag_max_s = 0;
	async_set_gauges(d->async);
}

/* --- the answer --------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *h)
{
	struct scrape *s = h->data;
	struct daemon *d = s->d;

	if (s->out)
		fclose(s->out);
	free(s->text);
	free(s);
	daemon_job_done(d);
}

static void scrape_end(struct scrape *s)
{
	if (s->req)
		http_req_set_ptr(s->req, NULL);
	s->req = NULL;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void client_gone(struct front_owner *owner)
{
	struct scrape *s = (struct scrape *)owner;

	s->req = NULL;
	scrape_end(s);
}

/* Writes until it has taken its share of time. 1: more is to come; 0: all is written; -ENOMEM. */
static int fill(struct scrape *s)
{
	uint64_t until = stk_now_ns() + PIECE_NS;
	bool more = true;

	do {
		if (!s->common_done)
			s->common_done = !metrics_walk(s->d->metrics, &s->walk, STEP_LINES, s->out);
		else
			more = tell_pools(s);
	} while (more && stk_now_ns() < until);
	return fflush(s->out) || ferror(s->out) ? -ENOMEM : more;
}

static void on_timer(uv_timer_t *t);

static void on_drain(void *ctx, struct http_req *req)
{
	struct scrape *s = http_req_ptr(req);

	if (s && !uv_is_active((uv_handle_t *)&s->timer))
		uv_timer_start(&s->timer, on_timer, PAUSE_MS, 0);
}

static void piece(struct scrape *s)
{
	struct http_req *req = s->req;
	int rc = fill(s);
	size_t unsent;

	if (rc < 0 && !s->begun) {
		scrape_end(s);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this answer", NULL);
		return;
	}
	if (rc < 0)
		stk_warn("metrics: the answer is cut off: out of memory");
	if (rc == 0 && !s->begun) {
		size_t len = s->len;

		fclose(s->out);
		s->out = NULL;
		http_req_set_ptr(req, NULL);
		http_respond_take(req, 200, media, stk_take_ptr(&s->text), len);
		s->req = NULL;
		scrape_end(s);
		return;
	}
	if (!s->begun)
		http_stream_begin(req, 200, media, on_drain);
	s->begun = true;
	unsent = http_stream_write(req, s->text, s->len);
	rewind(s->out);
	if (rc <= 0) {
		scrape_end(s);
		http_stream_end(req);
	} else if (unsent < UNSENT_MAX) {
		uv_timer_start(&s->timer, on_timer, PAUSE_MS, 0);
	}
}

static void on_timer(uv_timer_t *t)
{
	piece(t->data);
}

void api_admin_metrics(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	struct scrape *s = calloc(1, sizeof(*s));

	if (s)
		s->out = open_memstream(&s->text, &s->len);
	if (!s || !s->out) {
		free(s);
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this answer", NULL);
		return;
	}
	s->owner.gone = client_gone;
	s->d = d;
	s->req = req;
	http_req_set_ptr(req, &s->owner);
	d->jobs++;
	uv_timer_init(&d->loop, &s->timer);
	s->timer.data = s;
	set_gauges(d);
	piece(s);
}

/* /healthz, /metrics and /. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/host/metrics.h"
#include "scheduler/answer.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/pool.h"
#include "scheduler/shells.h"

void api_admin_health(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct dispatch *ds = &d->dispatch;
	bool starting = false;

	STK_LIST_FOREACH(it, &ds->plan.all) {
		const struct pool *p = STK_CONTAINER_OF(it, struct pool, plan.node);

		if (!p->closed && p->target && !p->warm_count && !p->busy && !p->fail_count &&
		    p->ver->check != FN_BROKEN)
			starting = true;
	}
	answer_json(req, d->draining ? 503 : 200,
		    json_pack("{s:s, s:i, s:i, s:i, s:f}", "status",
			      d->draining ? "draining" : starting ? "warming" : "ok", "functions",
			      (int)d->registry.active_count, "vms", (int)ds->vms, "waiting", (int)ds->waiting,
			      "uptime", (double)(stk_now_ns() - d->started_ns) / 1e9));
}

void api_admin_root(void *ctx, struct http_req *req, const struct router_match *m)
{
	static const char text[] = "Stoker, a serverless function host.\n"
				   "  POST /function/NAME               call a function over HTTP\n"
				   "  POST /v1/functions/NAME/invoke    call it with the body as its event\n"
				   "  GET  /v1/functions                what is deployed\n"
				   "  GET  /healthz, /metrics\n";

	http_respond(req, 200, "text/plain", text, sizeof(text) - 1);
}

static void gauge(struct daemon *d, const char *name, const char *help, const char *labels, double v)
{
	struct metrics_series *s = metrics_get(d->metrics, METRICS_GAUGE, name, help, labels);

	if (s)
		metrics_set(s, v);
}

static void pool_gauges(struct daemon *d, const struct pool *p)
{
	static const char *const states[] = {"warm", "starting", "busy", "dying"};
	unsigned value[] = {p->warm_count, p->starting + p->reserved, p->busy, p->dying};
	char labels[192];

	if (p->closed)
		return;
	for (unsigned i = 0; i < 4; i++) {
		snprintf(labels, sizeof(labels), "function=\"%s\",state=\"%s\"", p->ver->fn->name, states[i]);
		gauge(d, "stoker_pool_vms", "VMs of a function, by state", labels, value[i]);
	}
	snprintf(labels, sizeof(labels), "function=\"%s\"", p->ver->fn->name);
	gauge(d, "stoker_pool_target", "VMs that should be warm", labels, p->target);
	gauge(d, "stoker_pool_waiting", "Requests waiting for a VM", labels, p->queued + p->forced_count);
	if (p->measured)
		gauge(d, "stoker_vm_private_bytes", "Private memory of an idle warm VM", labels,
		      (double)p->idle_mib * 1048576.0);
}

/* Of a function without an active version the last values would stay forever. */
static void drop_gauges(struct daemon *d, const struct function *fn)
{
	static const char *const names[] = {"stoker_pool_target", "stoker_pool_waiting"};
	static const char *const states[] = {"warm", "starting", "busy", "dying"};
	char labels[192];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(labels, sizeof(labels), "function=\"%s\",state=\"%s\"", fn->name, states[i]);
		gauge(d, "stoker_pool_vms", "VMs of a function, by state", labels, 0);
	}
	snprintf(labels, sizeof(labels), "function=\"%s\"", fn->name);
	for (unsigned i = 0; i < 2; i++)
		gauge(d, names[i], i ? "Requests waiting for a VM" : "VMs that should be warm", labels, 0);
}

void api_admin_metrics(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct dispatch *ds = &d->dispatch;
	size_t len = 0;
	char *text;

	REGISTRY_FOREACH(&d->registry, fn) {
		if (fn->active && fn->active->pool)
			pool_gauges(d, fn->active->pool);
		else if (fn->metrics)
			drop_gauges(d, fn);
	}
	gauge(d, "stoker_functions", "Deployed functions", "", d->registry.active_count);
	gauge(d, "stoker_vms", "VM processes", "", ds->vms);
	gauge(d, "stoker_shells", "Prepared processes that wait for any function", "", shells_waiting(d->shells));
	gauge(d, "stoker_vms_starting", "VMs being started", "", ds->starting);
	gauge(d, "stoker_queue_length", "Requests waiting for a VM", "", ds->waiting);
	gauge(d, "stoker_memory_budget_bytes", "Memory for all VMs", "",
	      (double)d->opt->memory_budget_mib * 1048576.0);
	gauge(d, "stoker_memory_charged_bytes", "Memory counted for all VMs", "",
	      (double)ds->charged_mib * 1048576.0);
	gauge(d, "stoker_connections", "Open client connections", "", http_server_connections(d->http));
	gauge(d, "stoker_loop_lag_seconds", "Largest delay of the event loop since the last scrape", "",
	      d->lag_max_s);
	d->lag_max_s = 0;
	text = metrics_text(d->metrics, &len);
	if (!text) {
		answer_error(req, 503, "OutOfMemory", "the host has no memory left for this answer", NULL);
		return;
	}
	http_respond_take(req, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
}

/* /healthz, /v1/runtimes and /. (/metrics is in scrape.c.) */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "scheduler/answer.h"
#include "scheduler/daemon.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/pool.h"

void api_admin_health(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;
	const struct dispatch *ds = &d->dispatch;

	answer_json(req, d->draining ? 503 : 200,
		    json_pack("{s:s, s:i, s:i, s:i, s:f}", "status",
			      d->draining ? "draining" : ds->cold ? "warming" : "ok", "functions",
			      (int)d->registry.count, "vms", (int)ds->vms, "waiting", (int)ds->waiting,
			      "uptime", (double)(stk_now_ns() - d->started_ns) / 1e9));
}

void api_admin_runtimes(void *ctx, struct http_req *req, const struct router_match *m)
{
	struct daemon *d = ctx;

	answer_json(req, 200, json_pack("{s:o}", "runtimes", runtimes_describe(&d->runtimes)));
}

void api_admin_root(void *ctx, struct http_req *req, const struct router_match *m)
{
	static const char text[] = "Stoker, a serverless function host.\n"
				   "  POST /function/NAME               call a function over HTTP\n"
				   "  POST /async-function/NAME         call it later; the answer is 202\n"
				   "  POST /v1/functions/NAME/invoke    call it with the body as its event\n"
				   "  GET  /v1/functions                what is deployed\n"
				   "  PUT  /v1/layers/NAME              a zip that functions see under /opt\n"
				   "  GET  /v1/runtimes                 what functions can run on\n"
				   "  GET  /healthz, /metrics\n";

	http_respond(req, 200, "text/plain", text, sizeof(text) - 1);
}

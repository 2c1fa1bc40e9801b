/* Work on requests beside the loop: see offload.h. */
#include "scheduler/offload.h"

#include "common/base/list.h"
#include "common/host/workers.h"
#include "scheduler/daemon.h"

static void gone(struct front_owner *owner)
{
	((struct offload *)owner)->req = NULL;
}

static void work(uv_work_t *w)
{
	struct offload *o = STK_CONTAINER_OF(w, struct offload, work);

	o->run(o);
}

static void worked(uv_work_t *w, int status)
{
	struct offload *o = STK_CONTAINER_OF(w, struct offload, work);
	struct daemon *d = o->d;

	if (o->req)
		http_req_set_ptr(o->req, NULL);
	o->after(o, o->req);
	daemon_job_done(d);
}

void offload_start(struct offload *o, struct daemon *d, struct http_req *req, void (*run)(struct offload *o),
		   void (*after)(struct offload *o, struct http_req *req))
{
	o->owner.gone = gone;
	o->d = d;
	o->req = req;
	o->run = run;
	o->after = after;
	http_req_set_ptr(req, &o->owner);
	d->jobs++;
	if (workers_queue(&d->loop, &o->work, work, worked)) {
		run(o);
		worked(&o->work, 0);
	}
}

/* stokerd as a whole: see daemon.h. */
#include "scheduler/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/host/workers.h"
#include "scheduler/async/async.h"
#include "scheduler/auth/auth.h"
#include "scheduler/blocks.h"
#include "scheduler/build.h"
#include "scheduler/cpushare.h"
#include "scheduler/fnmetrics.h"
#include "scheduler/front.h"
#include "scheduler/fsx.h"
#include "scheduler/lambda/join.h"
#include "scheduler/lifecycle.h"
#include "scheduler/logs.h"
#include "scheduler/pool.h"
#include "scheduler/region.h"
#include "scheduler/sandbox.h"
#include "scheduler/shells.h"
#include "scheduler/store.h"
#include "scheduler/verify.h"

#define LOOP_NICE     (-10)
#define LAG_MS        100
#define REAP_DELAY_MS 1
#define LOCK_WAIT_NS  (2 * STK_NS_PER_S)
#define THREADS       8 /* one long check must not hold a spawn */

int daemon_version_path(const struct daemon *d, const struct fn_version *v, const char *leaf, char *ret,
			size_t cap)
{
	return stk_snprintf(ret, cap, "%s/functions/%s/%u%s%s", d->opt->state_dir, v->fn->name, v->number,
			    leaf ? "/" : "", leaf ? leaf : "");
}

/* --- removals ---------------------------------------------------------------------------------- */

struct remove_job {
	uv_work_t work;
	struct daemon *d;
	char path[];
};

static void work_remove(uv_work_t *w)
{
	struct remove_job *r = w->data;

	/* What cannot be removed now is found again at the next start. */
	fsx_remove_tree(r->path);
}

static void removed(uv_work_t *w, int status)
{
	struct remove_job *r = w->data;
	struct daemon *d = r->d;

	free(r);
	daemon_job_done(d);
}

void daemon_remove_later(struct daemon *d, const char *path)
{
	struct remove_job *r = malloc(sizeof(*r) + strlen(path) + 1);

	if (!r)
		return;
	r->work.data = r;
	r->d = d;
	strcpy(r->path, path);
	d->jobs++;
	if (workers_queue(&d->loop, &r->work, work_remove, removed))
		removed(&r->work, UV_ENOMEM);
}

/* --- versions ---------------------------------------------------------------------------------- */

/* The last user of a retired version has gone. */
static void version_unused(void *ctx, struct fn_version *v)
{
	struct daemon *d = ctx;
	char path[PATH_CAP];

	if (v->retired && daemon_version_path(d, v, NULL, path, sizeof(path)) == 0)
		daemon_remove_later(d, path);
	pool_free(v->pool);
	fn_version_free(v);
}

int daemon_open_log(struct daemon *d, struct function *fn)
{
	if (!fn->log)
		fn->log = logs_sink(d->logs, fn->name);
	if (!fn->log)
		return -ENOMEM;
	logs_again(fn->log);
	return 0;
}

int daemon_attach_version(struct daemon *d, struct fn_version *v)
{
	int rc = daemon_open_log(d, v->fn);

	if (!v->fn->tenant)
		v->fn->tenant = tenants_of(&d->tenants, v->fn->name);
	v->pool = pool_new(d, v);
	shells_offer(d->shells, v->settings.memory_mib);
	return v->pool ? rc : -ENOMEM;
}

/* --- state folder --------------------------------------------------------------------------------- */

static int state_path(const struct daemon *d, const char *leaf, char *ret, struct stk_err *err)
{
	if (stk_snprintf(ret, PATH_CAP, "%s/%s", d->opt->state_dir, leaf))
		return stk_err_set(err, -ENAMETOOLONG, "state folder: path too long");
	return 0;
}

/* Two hosts must not share a state folder. The kernel drops the lock with the process. */
static int lock_state(struct daemon *d, struct stk_err *err)
{
	uint64_t until = stk_now_ns() + LOCK_WAIT_NS;
	char path[PATH_CAP];
	int rc = state_path(d, "lock", path, err);

	if (rc)
		return rc;
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (d->lock_fd < 0)
		return stk_err_sys(err, -errno, "%s", path);
	/* A child that was being started when the last host was killed has the lock until it runs its program. */
	while ((rc = flock(d->lock_fd, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK && stk_now_ns() < until)
		usleep(10000);
	if (rc) {
		if (errno == EWOULDBLOCK)
			return stk_err_set(err, -EBUSY, "another stokerd uses the state folder %s", d->opt->state_dir);
		return stk_err_sys(err, -errno, "lock %s", path);
	}
	return 0;
}

static int prepare_state(struct daemon *d, struct stk_err *err)
{
	static const char *const folders[] = {"functions", "tmp", "logs"};
	char path[PATH_CAP];
	int rc = state_path(d, "tmp", path, err);

	if (rc)
		return rc;
	rc = fsx_remove_tree(path); /* unfinished deploys of an earlier life */
	if (rc)
		return stk_err_sys(err, rc, "clear %s", path);
	for (size_t i = 0; i < STK_ARRAY_LEN(folders); i++) {
		rc = state_path(d, folders[i], path, err);
		if (rc)
			return rc;
		rc = fsx_mkdirs(path, 0750);
		if (rc)
			return stk_err_sys(err, rc, "make %s", path);
	}
	return 0;
}

static bool known(const struct function *fn, const char *number)
{
	uint64_t n;

	if (!fn || stk_parse_u64(number, 1, UINT32_MAX, &n))
		return false;
	for (unsigned i = 0; i < fn->published_count; i++) {
		if (fn->published[i]->number == n)
			return true;
	}
	return (fn->active && fn->active->number == n) || (fn->latest && fn->latest->number == n);
}

/* The number is not given again: another version's folder must not come under a removal that is under way. */
static void skip_number(struct daemon *d, const char *name, const char *number)
{
	struct function *fn = registry_add(&d->registry, name);
	uint64_t n;

	if (fn && stk_parse_u64(number, 1, UINT32_MAX - 1, &n) == 0 && fn->last_version < n)
		fn->last_version = (unsigned)n;
}

static void remove_unknown_versions(struct daemon *d, const char *folder, const char *name)
{
	const struct function *fn = registry_find(&d->registry, name);
	DIR *dir = opendir(folder);
	struct dirent *e;
	char path[PATH_CAP];

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || known(fn, e->d_name))
			continue;
		skip_number(d, name, e->d_name);
		if (stk_snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) == 0)
			daemon_remove_later(d, path);
	}
	closedir(dir);
}

/* Versions on disk that the database does not know: never acknowledged, or retired. */
static void remove_orphans(struct daemon *d)
{
	char root[PATH_CAP], path[PATH_CAP];
	struct dirent *e;
	DIR *dir;

	if (state_path(d, "functions", root, NULL))
		return;
	dir = opendir(root);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || stk_snprintf(path, sizeof(path), "%s/%s", root, e->d_name))
			continue;
		if (fn_name_valid(e->d_name))
			remove_unknown_versions(d, path, e->d_name);
		else
			stk_warn("%s does not belong here and is left alone", path);
	}
	if (dir)
		closedir(dir);
}

/* --- drain ------------------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *h)
{
}

/* Nothing is left but our own handles: the loop ends when they are closed. */
static void close_own(struct daemon *d)
{
	uv_close((uv_handle_t *)&d->sigterm, on_handle_closed);
	uv_close((uv_handle_t *)&d->sigint, on_handle_closed);
	uv_close((uv_handle_t *)&d->sighup, on_handle_closed);
	uv_close((uv_handle_t *)&d->drain_timer, on_handle_closed);
	uv_close((uv_handle_t *)&d->lag_timer, on_handle_closed);
	uv_close((uv_handle_t *)&d->reap_check, on_handle_closed);
	uv_close((uv_handle_t *)&d->reap_timer, on_handle_closed);
	stall_close(&d->stall, on_handle_closed);
	dispatch_close(&d->dispatch);
	async_close(d->async);
	shells_close(d->shells);
	logs_close_timer(d->logs);
	workers_close(&d->loop);
}

void daemon_job_done(struct daemon *d)
{
	d->jobs--;
	if (d->stopping && d->http_closed && d->jobs == 0)
		close_own(d);
}

static void kill_all_vms(struct daemon *d)
{
	STK_LIST_FOREACH(it, &d->dispatch.plan.all) {
		struct pool *p = STK_CONTAINER_OF(it, struct pool, plan.node);

		/* Killing moves a sandbox to the end of `others`: dying ones are passed over. */
		while (!stk_list_empty(&p->warm))
			sandbox_kill(STK_CONTAINER_OF(p->warm.next, struct sandbox, node), NULL);
		for (unsigned n = p->starting + p->reserved + p->busy + p->resetting; n; n--) {
			struct sandbox *sb = STK_CONTAINER_OF(p->others.next, struct sandbox, node);

			STK_LIST_FOREACH(s, &p->others) {
				sb = STK_CONTAINER_OF(s, struct sandbox, node);
				if (sb->state != SB_DYING)
					break;
			}
			if (sb->state != SB_DYING)
				sandbox_kill(sb, "the host is shutting down");
		}
	}
}

static void stop_all(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	d->jobs++; /* not before everything below was told */
	build_stop(d->builder);
	async_stop(d->async);
	dispatch_stop(&d->dispatch);
	kill_all_vms(d);
	shells_stop(d->shells);
	daemon_job_done(d);
}

void daemon_drained(struct daemon *d)
{
	if (!d->http_closed || d->stopping)
		return;
	uv_timer_stop(&d->drain_timer);
	stop_all(d);
}

static void on_http_closed(void *ctx)
{
	struct daemon *d = ctx;

	d->http = NULL;
	d->http_closed = true;
	if (d->stopping) {
		if (d->jobs == 0)
			close_own(d);
	} else if (!async_busy(d->async)) {
		daemon_drained(d);
	}
}

static void on_drain_timeout(uv_timer_t *t)
{
	struct daemon *d = t->data;

	stk_warn("requests under way are cut off");
	stop_all(d);
}

static void on_signal(uv_signal_t *s, int signum)
{
	struct daemon *d = s->data;

	if (d->draining) {
		stop_all(d);
		return;
	}
	stk_info("%s: no more requests are taken, %u VMs to end", signum == SIGTERM ? "SIGTERM" : "SIGINT",
		 d->dispatch.vms);
	d->draining = true;
	logs_end_all(d->logs);
	async_drain(d->async);
	verify_stop(d->verifier);
	build_stop(d->builder);
	uv_timer_start(&d->drain_timer, on_drain_timeout, d->opt->drain_ms, 0);
	http_server_close(d->http, d->opt->drain_ms + 2000, on_http_closed, d);
}

static void keys_reloaded(void *ctx)
{
	struct daemon *d = ctx;

	tenants_adopt(&d->tenants, d->auth);
	api_logs_check(d);
	daemon_job_done(d);
}

static void on_hangup(uv_signal_t *s, int signum)
{
	struct daemon *d = s->data;

	if (d->draining)
		return;
	d->jobs++;
	if (auth_reload(d->auth, &d->loop, keys_reloaded, d)) {
		stk_error("the key file is not read again: out of memory");
		d->jobs--;
	}
}

/* --- loop's own ------------------------------------------------------------------------------------- */

static void on_lag(uv_timer_t *t)
{
	struct daemon *d = t->data;
	uint64_t now = stk_now_ns();

	if (d->lag_expect_ns && now > d->lag_expect_ns) {
		double late = (double)(now - d->lag_expect_ns) / 1e9;

		if (late > d->lag_max_s)
			d->lag_max_s = late;
	}
	d->lag_expect_ns = now + LAG_MS * STK_NS_PER_MS;
	cpushare_tick(d->cpushare, &d->loop);
}

static void on_reap(uv_timer_t *t)
{
	struct daemon *d = t->data;

	sandbox_reap_doomed(&d->dispatch.doomed);
}

/* Taking down a VM and starting the next one costs more than a call: the processor is first left to whoever has just got
 * an answer, unless somebody waits for that next VM. */
static void on_check(uv_check_t *c)
{
	struct daemon *d = c->data;

	sandbox_reset_due(&d->dispatch.to_reset);
	if (stk_list_empty(&d->dispatch.doomed))
		return;
	if (d->dispatch.waiting > 0 || d->draining)
		sandbox_reap_doomed(&d->dispatch.doomed);
	else if (!uv_is_active((uv_handle_t *)&d->reap_timer))
		uv_timer_start(&d->reap_timer, on_reap, REAP_DELAY_MS, 0);
}

static void init_handles(struct daemon *d)
{
	uv_signal_init(&d->loop, &d->sigterm);
	uv_signal_init(&d->loop, &d->sigint);
	uv_signal_init(&d->loop, &d->sighup);
	uv_timer_init(&d->loop, &d->drain_timer);
	uv_timer_init(&d->loop, &d->lag_timer);
	uv_check_init(&d->loop, &d->reap_check);
	uv_timer_init(&d->loop, &d->reap_timer);
	d->sigterm.data = d->sigint.data = d->sighup.data = d->drain_timer.data = d->lag_timer.data = d;
	d->reap_check.data = d->reap_timer.data = d;
}

static int listen_http(struct daemon *d, struct stk_err *err)
{
	struct http_limits limits;
	unsigned port = 0;
	int rc;

	http_limits_default(&limits);
	limits.max_connections = d->opt->max_connections;
	rc = http_server_new(&d->loop, &limits, &front_callbacks, d, &d->http);
	if (rc)
		return stk_err_sys(err, rc, "HTTP server");
	if (d->opt->listen_unix) {
		unlink(d->opt->listen_host);
		rc = http_server_listen_unix(d->http, d->opt->listen_host, err);
		if (rc == 0)
			stk_info("listening on unix:%s", d->opt->listen_host);
		return rc;
	}
	rc = http_server_listen_tcp(d->http, d->opt->listen_host, d->opt->listen_port, &port, err);
	if (rc == 0)
		stk_info("listening on http://%s:%u", d->opt->listen_host, port);
	return rc;
}

static int load_state(struct daemon *d, struct stk_err *err)
{
	char path[PATH_CAP];
	int rc = lock_state(d, err);

	if (rc == 0)
		rc = prepare_state(d, err);
	if (rc == 0)
		rc = state_path(d, "stoker.db", path, err);
	if (rc == 0)
		rc = store_open(path, &d->store, err);
	if (rc == 0)
		rc = lifecycle_load(d, err);
	if (rc == 0)
		rc = state_path(d, "events.db", path, err);
	if (rc == 0)
		rc = async_new(d, path, &d->async, err);
	return rc;
}

int daemon_init(struct daemon *d, const struct options *opt, struct stk_err *err)
{
	char logs_dir[PATH_CAP];
	int rc;

	memset(d, 0, sizeof(*d));
	d->opt = opt;
	region_set(opt->region);
	d->lock_fd = -1;
	stk_list_init(&d->to_make);
	d->started_ns = stk_now_ns();
	runtimes_load(&d->runtimes, opt->images_dir);
	registry_init(&d->registry, version_unused, d);
	if (tenants_init(&d->tenants))
		return stk_err_set(err, -ENOMEM, "out of memory");
	rc = codelink_init(&d->codelink);
	if (rc)
		return stk_err_sys(err, rc, "random bytes");
	rc = uv_loop_init(&d->loop);
	if (rc == 0)
		rc = workers_start(&d->loop, THREADS);
	if (rc)
		return stk_err_sys(err, rc, "event loop");
	d->metrics = metrics_new();
	d->builder = build_new(d);
	d->verifier = verify_new(d);
	d->blocks = blocks_new();
	d->shells = d->metrics ? shells_new(d) : NULL;
	d->joins = joins_new();
	d->cpushare = cpushare_new();
	rc = state_path(d, "logs", logs_dir, err);
	if (rc)
		return rc;
	d->logs = logs_new(d, logs_dir);
	if (!d->metrics || !d->shells || !d->joins || !d->cpushare || !d->builder || !d->verifier || !d->logs ||
	    dispatch_init(&d->dispatch, d) ||
	    stall_init(&d->stall, &d->loop, d->metrics))
		return stk_err_set(err, -ENOMEM, "out of memory");
	init_handles(d);
	rc = auth_new(opt->keys_file[0] ? opt->keys_file : NULL, d->metrics, NULL, &d->auth, err);
	if (rc)
		return rc;
	tenants_adopt(&d->tenants, d->auth);
	if (auth_is_on(d->auth)) /* from here on SIGHUP does not end the process */
		uv_signal_start(&d->sighup, on_hangup, SIGHUP);
	rc = load_state(d, err);
	if (rc == 0)
		rc = listen_http(d, err);
	return rc;
}

static bool has_function(void *ctx, const char *name)
{
	const struct function *fn = registry_find(ctx, name);

	return fn && fn->latest;
}

/* The loop's thread goes before all else: it has little to do at a time, and every call waits for it. A nice value is not
 * enough: who has slept for a while is given some milliseconds before it. Threads and processes that it starts do not inherit
 * that. Without the right to either, calls wait longer where there are fewer processors than work. */
static void go_first(void)
{
	const struct sched_param lowest = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest))
		setpriority(PRIO_PROCESS, 0, LOOP_NICE);
}

int daemon_run(struct daemon *d)
{
	remove_orphans(d);
	logs_sweep(d->logs, has_function, &d->registry);
	REGISTRY_FOREACH(&d->registry, fn) {
		if (fn->active && (d->opt->verify_ahead || fn->active->pool->target))
			verify_later(d->verifier, fn->active);
	}
	lifecycle_resume(d);
	async_start(d->async);
	uv_signal_start(&d->sigterm, on_signal, SIGTERM);
	uv_signal_start(&d->sigint, on_signal, SIGINT);
	uv_timer_start(&d->lag_timer, on_lag, LAG_MS, LAG_MS);
	uv_check_start(&d->reap_check, on_check);
	stk_info("%u functions, %llu MiB for VMs, %u restores at the same time", d->registry.count,
		 (unsigned long long)d->opt->memory_budget_mib, d->opt->max_restores);
	go_first();
	uv_run(&d->loop, UV_RUN_DEFAULT);
	return d->exit_code;
}

void daemon_fini(struct daemon *d)
{
	if (d->opt->listen_unix)
		unlink(d->opt->listen_host);
	REGISTRY_FOREACH(&d->registry, fn) {
		if (fn->active)
			pool_free(fn->active->pool);
		if (fn->latest && fn->latest != fn->active)
			pool_free(fn->latest->pool);
		for (unsigned i = 0; i < fn->published_count; i++)
			pool_free(fn->published[i]->pool);
		fnmetrics_free(fn->metrics);
	}
	dispatch_fini(&d->dispatch);
	registry_fini(&d->registry);
	tenants_fini(&d->tenants);
	logs_free(d->logs);
	verify_free(d->verifier);
	build_free(d->builder);
	auth_free(d->auth);
	blocks_free(d->blocks);
	shells_free(d->shells);
	joins_free(d->joins);
	store_close(d->store);
	async_free(d->async);
	metrics_free(d->metrics);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	workers_stop(&d->loop);
	cpushare_free(d->cpushare);
	uv_loop_close(&d->loop);
}

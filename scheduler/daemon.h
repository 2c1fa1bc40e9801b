/* stokerd as a whole: owns the loop, the listener, the registry, the pools and all jobs. One
 * thread; work that may block goes to libuv's pool threads and comes back as callbacks. */
#ifndef SCHEDULER_DAEMON_H
#define SCHEDULER_DAEMON_H

#include <stdbool.h>
#include <uv.h>

#include "common/host/http_server.h"
#include "common/host/metrics.h"
#include "scheduler/codelink.h"
#include "scheduler/dispatch.h"
#include "scheduler/options.h"
#include "scheduler/registry.h"
#include "scheduler/runtimes.h"
#include "scheduler/stall.h"
#include "scheduler/tenants.h"

struct auth;
struct store;
struct logs;
struct builder;
struct verifier;
struct blocks;
struct shells;
struct cpushare;
struct async;
struct joins;

struct daemon {
	const struct options *opt;
	uv_loop_t loop;
	struct http_server *http;
	struct metrics *metrics;
	struct auth *auth;
	struct store *store;
	struct registry registry;
	struct tenants tenants;
	struct runtimes runtimes;
	struct dispatch dispatch;
	struct logs *logs;
	struct builder *builder;
	struct verifier *verifier;
	struct blocks *blocks; /* or NULL */
	struct shells *shells;
	struct cpushare *cpushare;
	struct async *async;
	struct joins *joins; /* invocations that retries may join */
	uint64_t started_ns;
	int lock_fd;
	struct stk_list to_make; /* lifecycle's jobs that wait for their turn */
	unsigned making;         /* those whose turn it is */
	bool making_next;
	unsigned log_readers; /* requests that read logs */
	unsigned code_readers; /* requests that read packages */
	struct codelink codelink;
	unsigned jobs; /* background jobs that hold the drain: removals, store writes */
	bool draining;
	bool http_closed;
	bool stopping; /* drain is over: everything is being closed */
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t drain_timer;
	uv_timer_t lag_timer;
	uv_check_t reap_check; /* ends VMs after the answers of this round are out, */
	uv_timer_t reap_timer; /* or a little later */
	struct stall stall;
	uint64_t lag_expect_ns;
	double lag_max_s;
	int exit_code;
};

/* Opens state, loads functions, listens. After an error the process must end: nothing is undone. */
int daemon_init(struct daemon *d, const struct options *opt, struct stk_err *err);
/* Runs until a signal and the end of the drain. Returns the exit code. */
int daemon_run(struct daemon *d);
void daemon_fini(struct daemon *d);

/* Its log may be written to: also that of one that was deleted and comes back. -ENOMEM. */
int daemon_open_log(struct daemon *d, struct function *fn);
/* Adds the version's pool and log; it starts VMs once its snapshot was checked. -ENOMEM. */
int daemon_attach_version(struct daemon *d, struct fn_version *v);
/* Removes a path (renamed away first where it matters) on a pool thread. */
void daemon_remove_later(struct daemon *d, const char *path);
/* A background job ended: lets a waiting drain go on. */
void daemon_job_done(struct daemon *d);
/* While draining: no asynchronous work is under way any more. */
void daemon_drained(struct daemon *d);
/* Paths: STATE/functions/NAME/VERSION[/leaf]. 0 or -ENAMETOOLONG. */
int daemon_version_path(const struct daemon *d, const struct fn_version *v, const char *leaf, char *ret,
			size_t cap);

#endif

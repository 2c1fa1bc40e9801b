/* stokerd's options: command line over configuration file over defaults, checked and complete. */
#ifndef SCHEDULER_OPTIONS_H
#define SCHEDULER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "scheduler/furl_host.h"
#include "scheduler/region.h"

#define OPTIONS_PATH_MAX 512
/* Room for any path that the host makes below one of these folders. */
#define PATH_CAP (OPTIONS_PATH_MAX + 256)

#define OPTIONS_IMAGES_ADVICE "make the images with images/prepare of Stoker's sources, or give their folder with --images"

struct options {
	char listen_host[256]; /* or the socket's path when listen_unix */
	unsigned listen_port;
	bool listen_unix;
	char state_dir[OPTIONS_PATH_MAX];
	char images_dir[OPTIONS_PATH_MAX];
	char bin_dir[OPTIONS_PATH_MAX];
	char keys_file[OPTIONS_PATH_MAX]; /* "": everybody may do everything */
	char region[REGION_CAP];          /* in ARNs, and what functions are told */
	char url_domain[FURL_DOMAIN_MAX + 1]; /* of function URLs; "": they are shown as paths */
	bool insecure_no_auth;            /* so be it, also where others can reach the host */
	uint64_t memory_budget_mib; /* 0: 60 % of what is available at start */
	unsigned max_restores;      /* VMs being started at the same time; 0: one per CPU */
	unsigned queue_limit;       /* requests waiting for a VM, all functions together */
	unsigned queue_timeout_ms;  /* longest wait for a VM */
	unsigned pool_floor;        /* warm VMs kept per function */
	unsigned pool_ceiling;      /* VMs per function, warm and starting and busy */
	unsigned async_concurrency; /* asynchronous calls under way */
	unsigned async_events;      /* queued for one function */
	uint64_t async_mib;         /* queued for all, on disk */
	bool async_private;         /* results may go to loopback and private addresses too */
	unsigned shells;            /* kept waiting, for all functions together */
	unsigned max_resets;        /* of one VM, then it is replaced */
	unsigned idle_s;            /* without requests for this long: shrink to the floor */
	bool pool_history;          /* learn from past pauses when VMs should wait */
	unsigned max_connections;
	unsigned drain_ms;      /* at SIGTERM: time for requests under way */
	unsigned init_timeout_ms; /* a function's init phase */
	bool verify_ahead;        /* check snapshots before they are first needed */
	bool preflight;           /* run stoker-vmm --preflight first */
	enum stk_log_level log_level;
	bool show_help, show_version;
};

void options_default(struct options *o);
/* Parses argv (and the file of --config, lines "name = value"). 0, or -EINVAL with err. */
int options_parse(int argc, char *const *argv, struct options *ret_options, struct stk_err *err);
/* One option by name without dashes, as in the file. */
int options_set(struct options *o, const char *name, const char *value, struct stk_err *err);
/* Fills what depends on the machine: bin and images folders, budget, CPUs; makes paths absolute. */
int options_complete(struct options *o, struct stk_err *err);
const char *options_usage(void);

#endif

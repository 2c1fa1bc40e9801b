/* The environment a function's runtime starts with, as the kv list of a START frame. Shared by
 * stoker-snapshot (init phase before a snapshot) and stokerd (cold boot), so that both are equal. */
#ifndef SNAPSHOTS_FUNCENV_H
#define SNAPSHOTS_FUNCENV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/base/guestwire.h"

#define SNAP_FUNCENV_MAX 4096u /* bytes of the function's own environment, Lambda's limit */
#define SNAP_FUNCENV_BUF 768u  /* room snap_funcenv_build needs beside the caller's strings */

/* Kernel command line of a function's guest; the monitor appends its devices. The kernel hands out the smallest stretches of
 * memory first, and the one below 2 MiB would make its own processes lie in two blocks of 2 MiB: each takes a clone two
 * page tables. */
#define SNAP_BOOT_ARGS                                                                             \
	"console=ttyS0 quiet loglevel=1 reboot=k panic=-1 nomodule tsc=reliable no_timer_check "   \
	"random.trust_cpu=on 8250.nr_uarts=1 memmap=1M$1M"

/* RAM of the machine beside the function's own memory: kernel, agent, page tables. The agent holds
 * the function to its memory with a cgroup, so that running out ends the function, not the guest. */
#define SNAP_GUEST_OVERHEAD_MIB 24u

#define SNAP_REGION "us-east-1" /* where no other one is named */

struct snap_funcenv_spec {
	const char *name;    /* of the function */
	const char *version; /* "1", "$LATEST" */
	const char *handler;
	const char *runtime; /* "python3"; NULL or "" when not known */
	const char *region;  /* NULL: SNAP_REGION */
	const char *account; /* of its ARN, for the agent; NULL: the agent's own, zeros */
	unsigned memory_mib;
	const char *log_level; /* "INFO": logs are JSON objects of this level and up; NULL: text */
	bool snapstart;        /* AWS_LAMBDA_INITIALIZATION_TYPE is snap-start, if the function does not choose it */
	const char *log_group; /* NULL: /aws/lambda/NAME */
	const char *own; /* the function's own: NUL-separated NAME=VALUE, the last NUL may be missing */
	size_t own_len;  /* 0: none */
};

/* Whether a function may not set this name (it is the host's, or the agent's). */
bool snap_funcenv_reserved(const char *name, size_t len);

/* AWS_LAMBDA_INITIALIZATION_TYPE is the host's, but a function may choose between two of its values: on-demand, the
 * default, or snap-start, with which the runtime is offered restore/next. pair: NAME=VALUE, NUL-terminated. */
bool snap_funcenv_choice(const char *pair);

/* Handler "http[:PORT][/READY]": the function is a web server on that loopback port (8080), which is ready when it accepts
 * a connection, or when READY answers. The port; 0: any other handler; -EINVAL with a text. *ret_ready may become NULL. */
int snap_funcenv_http(const char *handler, const char **ret_ready, struct stk_err *err);

/* Fills kv (GW_MAX_ENV entries) and *count. The pairs point into the spec's strings and into buf
 * (cap >= SNAP_FUNCENV_BUF), which must live as long as kv is used. The function's own pairs replace
 * the host's where they may. -EINVAL, -E2BIG with text that names the variable, never its value. */
int snap_funcenv_build(struct gw_kv *kv, unsigned *count, const struct snap_funcenv_spec *spec, char *buf,
		       size_t cap, struct stk_err *err);

#endif

/* Starts the function's runtime: its identity, limits, environment and descriptors. */
#ifndef GUEST_INIT_BOOTSTRAP_H
#define GUEST_INIT_BOOTSTRAP_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/guestwire.h"

#define BOOTSTRAP_CGROUP "/sys/fs/cgroup/function"
#define BOOTSTRAP_UID    993
#define BOOTSTRAP_GID    990

struct bootstrap_conf {
	const char *const *paths; /* tried in order, NULL-terminated */
	const char *task_dir;     /* working directory of the function */
	const char *extensions_dir; /* programs to be started before the runtime; NULL: none */
	const char *hot_files;    /* names files to be moved into huge pages (hotfiles.h); NULL: nothing is moved */
	bool confine;             /* own user, group, memory group and limits: needs root */
};

/* The guest's: /var/task/bootstrap, /opt/bootstrap, /var/runtime/bootstrap. */
extern const struct bootstrap_conf bootstrap_guest;

/* Takes over the environment of start (keys with a leading dot left out) and its limits, and finds the runtime's file.
 * 0, or a negative errno; *ret_path names the file that was found (the last one tried when none was: then -ENOENT). */
int bootstrap_prepare(const struct bootstrap_conf *conf, const struct gw_start *start, const char **ret_path);

/* Starts a program, as was prepared, with descriptors out and err as 1 and 2. 0 and the pid, or a negative errno. */
int bootstrap_spawn(const struct bootstrap_conf *conf, const char *path, int out, int err, pid_t *ret_pid);

/* Of the prepared environment; NULL when there is none of this name. */
const char *bootstrap_env(const char *name);

/* Value of an agent's key (".nofile") as a number, or the fallback when absent or no number. */
unsigned long bootstrap_option(const struct gw_start *start, const char *key, unsigned long fallback);

#endif

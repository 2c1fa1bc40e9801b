/* stoker-snapshot: what its commands share. One thread. */
#ifndef SNAPSHOTS_TOOL_TOOL_H
#define SNAPSHOTS_TOOL_TOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

enum tool_exit {
	TOOL_OK = 0,
	TOOL_SYSTEM = 1,
	TOOL_USAGE = 2,
	TOOL_INIT_FAILED = 3, /* JSON with errorType and errorMessage on stdout */
	TOOL_DAMAGED = 4,
};

/* Commands: argv[0] is the command's name. They return an exit status and have said why. */
int cmd_create(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_verify(int argc, char **argv);

/* "stoker-snapshot: TEXT" on stderr; returns status. */
int tool_fail(enum tool_exit status, const struct stk_err *err);
int tool_usage(const char *usage, const char *text);

/* progress.c: names the step at work. A step that takes longer than 2 s shows its name and time on
 * stderr when that is a terminal. NULL ends the last one. */
void progress_step(const char *name);
/* Takes the line away before something else is written to stderr. */
void progress_clear(void);

/* signals.c: SIGINT, SIGTERM and SIGHUP are remembered, and end the monitor `pid` (0: none), so that
 * whatever waits for it comes back. The pid must not have been reaped. */
void signals_catch(void);
void signals_watch(pid_t pid);
int signals_caught(void); /* 0 or the signal */

#endif

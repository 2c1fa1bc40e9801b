/* One build, for build.c (queue and steps), build_child.c (helper programs) and build_files.c (files) alone. */
#ifndef SCHEDULER_BUILD_INTERNAL_H
#define SCHEDULER_BUILD_INTERNAL_H

#include <uv.h>

#include "common/base/list.h"
#include "scheduler/build.h"

struct child;

struct builder {
	struct daemon *d;
	struct stk_list waiting, running;
	unsigned running_count, waiting_count;
	bool stopped;
};

struct build {
	struct builder *b;
	struct stk_list node;
	struct build_spec spec;
	struct build_result result;
	void (*done)(void *ctx, const struct build_result *r);
	void *ctx;
	uv_work_t work;
	struct child *child;
	void (*after_child)(struct build *bd, int status);
	int child_status;
	bool child_over, pipe_open, pipe_over;
	bool interrupted; /* a child was, once */
	bool cancelled;
	uv_pipe_t out;
	char *output; /* of the child's stdout, NUL behind it */
	size_t output_len;
	int log_fd;
	uint64_t started_ns;
};

/* build_child.c. Starts a helper program; its stdout is collected, its stderr goes to the build's log. after is called
 * when both have ended, with the exit status, or -1 and result.err set when it did not even start. 0 or negative
 * errno: there will be no call. */
int build_run(struct build *bd, const char *const *argv, void (*after)(struct build *, int));
/* Before the first of them. 0 or negative errno. */
int build_log_open(struct build *bd);
/* result.log is what they have written until now; once. */
void build_log_take(struct build *bd);
/* Of a log that was taken: the reason of a failure in the helper's own words, or "". */
void build_log_last_line(const struct build *bd, char *ret, size_t cap);

/* build_files.c. A file of the build's own folder; any thread. */
int build_path(const struct build *bd, const char *leaf, char *ret, size_t cap);
/* On a worker: folders and environment from the zip and its layers, and the log. -EINVAL: the code is at fault. */
int build_unpack(struct build *bd, struct stk_err *err);
/* On a worker: the folder gets its place and its name for good. */
int build_publish(struct build *bd, struct stk_err *err);

#endif

/* What the host writes into a function's log around its own output: the lines that tools for Lambda's logs look for, or,
 * with LogFormat JSON, the events, of them those of the level that is wanted. Loop thread only. */
#ifndef SCHEDULER_INVLOG_H
#define SCHEDULER_INVLOG_H

#include "scheduler/invocation.h"

struct build_result;
struct runtimes;
struct sandbox;

/* START. Written when there is something to be logged behind it: no earlier than the function's first output. */
void invlog_start(struct invocation *inv);
/* What has failed, of a call whose client is not told. */
void invlog_error(struct invocation *inv, const char *text, size_t len);
/* END and REPORT (and START, if that was not written before), of a call that had reached its VM; and, with the error between
 * them, of one whose version's init phase has failed. */
void invlog_end(struct invocation *inv, enum inv_outcome outcome, uint64_t now_ns);
/* The init phase of a VM that boots for a call has failed. */
void invlog_init_failed(struct sandbox *sb, const struct gw_error *e);
/* A deploy with these settings, of $LATEST (published 0) or a version: what its programs and the function have written, between INIT_START, when the init phase was reached, and
 * INIT_REPORT, when that failed. */
void invlog_deploy(const struct function *fn, const struct fn_settings *s, unsigned published, const struct runtimes *runtimes,
		   const struct build_result *r);

#endif

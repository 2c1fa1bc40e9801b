/* The host's lines in the log of a function with LogFormat JSON: the platform events of Lambda's documentation ("System log
 * event mapping"; "Lambda Telemetry API Event schema reference"), each {"time", "type", "record"} on one line. Each function
 * makes one; whether its level is wanted is the caller's to ask. Loop thread only. */
#ifndef SCHEDULER_INVLOG_JSON_H
#define SCHEDULER_INVLOG_JSON_H

#include "common/base/text.h"
#include "scheduler/invocation.h"

#define INVLOG_LINE_CAP 512u

struct stk_text invlog_json_start(char buf[INVLOG_LINE_CAP], const struct invocation *inv);
/* ns: how long the function ran. */
struct stk_text invlog_json_runtime_done(char buf[INVLOG_LINE_CAP], const struct invocation *inv, enum inv_outcome outcome,
					 uint64_t ns);
struct stk_text invlog_json_report(char buf[INVLOG_LINE_CAP], const struct invocation *inv, enum inv_outcome outcome,
				   uint64_t ns);
/* Of $LATEST (published 0) or a version. runtime: with its version, "python3.11". */
struct stk_text invlog_json_init_start(char buf[INVLOG_LINE_CAP], const struct function *fn, const struct fn_settings *s,
				       unsigned published, const char *runtime);
/* Of an init phase that has failed. ns 0: how long it took is not known. type: letters, digits and . _ : - */
struct stk_text invlog_json_init_report(char buf[INVLOG_LINE_CAP], const struct function *fn, const struct fn_settings *s,
					unsigned published, uint64_t ns, bool timed_out, const char *type);

#endif

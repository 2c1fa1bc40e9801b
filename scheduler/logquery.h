/* What a client asks of a function's log, in the query of a request. Pure; any thread. */
#ifndef SCHEDULER_LOGQUERY_H
#define SCHEDULER_LOGQUERY_H

#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/logread.h"

/* lines, since, request-id and follow; the rest of the filter stays. now_ms: since the epoch. query: raw. -EINVAL with err. */
int logquery_read(const char *query, int64_t now_ms, struct logread_filter *f, struct stk_err *err);
/* Parts of it. "2026-01-02T03:04:05[.678]Z", or how long ago: a number and s, m, h or d. -EINVAL. */
int logquery_since(const char *text, int64_t now_ms, char ret[LOGREAD_TIME_LEN + 1]);
/* What a request's id may be here. */
int logquery_id(const char *text, char ret[LOGREAD_ID_MAX + 1]);

#endif

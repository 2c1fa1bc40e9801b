/* Results as JSON in a file. */
#ifndef BENCH_JSON_OUT_H
#define BENCH_JSON_OUT_H

#include <jansson.h>

#include "common/base/err.h"

/* Writes o to path (replaced in one step), or to the standard output for "-"; takes o over, which may be NULL after a
 * failure to make it. 0, or negative errno. */
int json_out(json_t *o, const char *path, struct stk_err *err);

#endif

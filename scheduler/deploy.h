/* What every way of deploying checks. */
#ifndef SCHEDULER_DEPLOY_H
#define SCHEDULER_DEPLOY_H

#include "common/base/err.h"

struct daemon;
struct fn_settings;

/* Ranges, texts, that there is such a runtime here, that one VM fits into the host's memory. Fills a handler in where the
 * runtime needs none. -EINVAL with text. */
int deploy_check(const struct daemon *d, struct fn_settings *s, struct stk_err *err);

#endif

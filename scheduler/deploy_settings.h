/* What a deploy over /v1 asks for: the query of PUT /v1/functions/NAME. Pure. */
#ifndef SCHEDULER_DEPLOY_SETTINGS_H
#define SCHEDULER_DEPLOY_SETTINGS_H

#include "common/base/err.h"

struct auth_principal;
struct fn_settings;

/* Into settings that were initialised, and are the caller's to free in any case. Layers get the names that they have inside
 * the host for `who`. Whether the whole makes a function is for deploy_check. -EACCES: of another tenant; -EINVAL, -E2BIG,
 * -ENOMEM; each with a text. */
int deploy_settings_read(const char *query, const struct auth_principal *who, struct fn_settings *s, struct stk_err *err);

#endif

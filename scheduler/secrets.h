/* Secrets of a function: values that its clones get after they were restored, as files /run/secrets/NAME. They are in
 * the settings in memory, in a table of their own in the database, and in one frame to each clone: never in a snapshot,
 * a log, a listing or a file of a build. */
#ifndef SCHEDULER_SECRETS_H
#define SCHEDULER_SECRETS_H

#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/registry.h"

/* Adds NAME=VALUE. -EINVAL, -E2BIG with a text that names the secret, never its value. */
int secrets_add(struct fn_settings *s, const char *pair, struct stk_err *err);

/* The SECRETS frame of a function that has some: heap, the caller's to give back by secrets_free. Returns its length or
 * negative errno. */
int secrets_frame(const struct fn_settings *s, uint8_t **ret_frame);

/* Overwrites, then frees; NULL is fine. */
void secrets_free(void *data, size_t len);

#endif

/* Where results and dead letters go, as bodies name it: a function's ARN or name, or an http or https address. Pure; any
 * thread. */
#ifndef SCHEDULER_LAMBDA_TARGET_H
#define SCHEDULER_LAMBDA_TARGET_H

#include <jansson.h>

#include "scheduler/lambda/error.h"
#include "scheduler/lambda/member.h"

/* As member_string. "" is none. ARNs of other services are taken, for lambda_target_check to say what is wrong with them. */
bool lambda_target_read(struct members *m, const json_t *obj, const char *key, const char *path, const char **ret_text);
/* LAMBDA_INVALID_PARAMETER when it names a service that there is none of here (a queue, a topic): accepted, it would never
 * be used. what: how the error calls it. */
int lambda_target_check(const char *text, const char *what, struct lambda_err *err);

#endif

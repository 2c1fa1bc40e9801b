/* Event-invoke configuration as the API has it: PutFunctionEventInvokeConfig, UpdateFunctionEventInvokeConfig and what
 * they answer. Destinations may be http and https addresses as well. Pure; any thread. */
#ifndef SCHEDULER_LAMBDA_EVENTINVOKE_H
#define SCHEDULER_LAMBDA_EVENTINVOKE_H

#include <jansson.h>
#include <stddef.h>

#include "scheduler/async/evconfig.h"
#include "scheduler/lambda/error.h"

/* Changes *c, the default or what there is so far, by what the body gives; on failure it is as before. Errors as in body.h;
 * LAMBDA_INVALID_PARAMETER also when nothing at all is given. */
int lambda_eventinvoke_parse(const char *body, size_t len, struct evconfig *c, struct lambda_err *err);
/* FunctionEventInvokeConfig. arn: with its qualifier. NULL: out of memory. */
json_t *lambda_eventinvoke_json(const struct evconfig *c, const char *arn);

#endif

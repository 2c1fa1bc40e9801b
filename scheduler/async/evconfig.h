/* Event-invoke configuration of a function, or of one of its versions or aliases. Pure. */
#ifndef SCHEDULER_ASYNC_EVCONFIG_H
#define SCHEDULER_ASYNC_EVCONFIG_H

#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/async/weburl.h"
#include "scheduler/registry.h"

#define EVCONFIG_TARGET_MAX    WEBURL_MAX
#define EVCONFIG_QUALIFIER_MAX 128

struct evconfig {
	unsigned max_retries; /* 0..2 */
	unsigned max_age_s;   /* 60..21600 */
	/* An address, a function's ARN, or its name; "" for none. */
	char on_success[EVCONFIG_TARGET_MAX + 1];
	char on_failure[EVCONFIG_TARGET_MAX + 1];
	char dead_letter[EVCONFIG_TARGET_MAX + 1]; /* the function's DeadLetterConfig */
	int64_t modified_ms;
};

enum evconfig_target_kind { EVCONFIG_NONE, EVCONFIG_FUNCTION, EVCONFIG_URL };

struct evconfig_target {
	enum evconfig_target_kind kind;
	char function[FN_BARE_MAX + 1];
	char qualifier[EVCONFIG_QUALIFIER_MAX + 1];
	struct weburl url;
};

void evconfig_default(struct evconfig *c);
/* -EINVAL with the text for the client: what is out of range, or no usable target. */
int evconfig_check(const struct evconfig *c, struct stk_err *err);
/* "" is EVCONFIG_NONE. Functions: NAME, NAME:QUALIFIER, [ACCOUNT:]function:NAME[:QUALIFIER], or an ARN; of the same tenant:
 * that of the function whose configuration it is. -EINVAL. */
int evconfig_target_parse(const char *text, struct evconfig_target *ret_target, struct stk_err *err);

#endif

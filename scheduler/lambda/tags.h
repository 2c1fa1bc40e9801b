/* Tags of a function: kept as one text, a compact JSON object with sorted keys, "" for none. No globals: any
 * thread.
 *
 * The tag "stoker:reuse" is also a setting, as clients can send no member that their model of the API does not
 * have: its value "reset" lets a VM be put back to its snapshot and serve the function's next call; "destroy" ends it.
 * It is in effect as soon as it is set; without it, the setting is what the function was deployed with. */
#ifndef SCHEDULER_LAMBDA_TAGS_H
#define SCHEDULER_LAMBDA_TAGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "scheduler/lambda/error.h"
#include "scheduler/registry.h"

#define LAMBDA_TAGS_MAX  50
#define LAMBDA_TAG_REUSE "stoker:reuse"

/* Checks the object and makes the text of it. LAMBDA_INVALID_PARAMETER, LAMBDA_SERIALIZATION. */
int lambda_tags_text(const json_t *tags, char **ret_tags, struct lambda_err *err);
/* TagResource: the body's tags on top of those there are (text or NULL), as a new heap text. */
int lambda_tags_add(const char *tags, const char *body, size_t len, char **ret_tags, struct lambda_err *err);
/* UntagResource: without these keys; keys that are not there are no error. */
int lambda_tags_remove(const char *tags, const char *const *keys, size_t count, char **ret_tags,
		       struct lambda_err *err);
/* What the tags say about reuse, true; or false, when they say nothing. */
bool lambda_tags_reuse(const char *tags, enum fn_reuse *ret_reuse);

#endif

/* What a version's configuration has beside struct fn_settings: members that clients set, read back and compare
 * (Description, Role, Layers, LoggingConfig, ...). Few of them change how a function runs here: effects.h. They are kept
 * as one text: a JSON object, compact, keys sorted, members that have their default left out. So equal
 * configurations have equal texts, "" being nothing but defaults. No globals: any thread. */
#ifndef SCHEDULER_LAMBDA_EXTRA_H
#define SCHEDULER_LAMBDA_EXTRA_H

#include <jansson.h>

#include "scheduler/lambda/error.h"
#include "scheduler/lambda/member.h"

#define LAMBDA_EXTRA_MAX 8192 /* bytes with NUL */

/* Which members an operation takes. */
enum {
	LAMBDA_EXTRA_CONFIG = 1, /* CreateFunction, UpdateFunctionConfiguration */
	LAMBDA_EXTRA_ARCH = 2,   /* CreateFunction, UpdateFunctionCode: Architectures */
	LAMBDA_EXTRA_ROLE = 4,   /* Role is required: CreateFunction */
};

/* Reads the members out of a request's body: an update, in which a member that is set to its default is null. NULL when
 * none is there or when memory is short (*ret_nomem). What is wrong is added to m, or put into err with `*ret_rc`
 * negative, for what is no matter of the model. */
json_t *lambda_extra_read(struct members *m, const json_t *body, unsigned take, int *ret_rc, struct lambda_err *err);

/* The text that results when the update is applied to the old text (NULL or "": only defaults). Heap. An update of NULL
 * gives a copy. LAMBDA_INVALID_PARAMETER when it gets too long. */
int lambda_extra_merge(const char *old_extra, const json_t *update, char **ret_extra, struct lambda_err *err);
/* The same with one member, as PublishVersion's Description; value "" or NULL removes it. */
int lambda_extra_set(const char *old_extra, const char *key, const char *value, char **ret_extra,
		     struct lambda_err *err);

/* A compact text with sorted keys of any JSON value, heap; NULL when out of memory. */
char *lambda_json_text(const json_t *value);
/* A text that was made here, back as an object; "" and NULL give an empty one. NULL: out of memory, or no such text. */
json_t *lambda_json_object(const char *text);

#endif

/* Shared by the files that parse bodies; see body.h. */
#ifndef SCHEDULER_LAMBDA_BODY_INTERNAL_H
#define SCHEDULER_LAMBDA_BODY_INTERNAL_H

#include "scheduler/lambda/body.h"
#include "scheduler/lambda/member.h"

/* RevisionId into a LAMBDA_REVISION_MAX + 1 array, left alone when it is not given. */
void body_revision_read(struct members *m, const json_t *o, char *ret);
/* Description into a LAMBDA_DESCRIPTION_MAX + 1 array; true when it is given. */
bool body_description_read(struct members *m, const json_t *o, char *ret);
/* What CreateFunction and UpdateFunctionConfiguration have in common; take: LAMBDA_EXTRA_*. *ret_update is a new
 * reference to what lambda_extra_read gave, or NULL, also on failure. */
int body_config_read(struct members *m, const json_t *o, unsigned take, struct lambda_config *c, json_t **ret_update,
		     struct lambda_err *err);

#endif

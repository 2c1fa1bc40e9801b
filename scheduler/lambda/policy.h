/* A function's resource policy: statements that AddPermission makes, kept and shown as IAM's JSON. They grant
 * nothing here: who may call is decided by the host's keys. No globals: any thread.
 *
 * Kept as one text per function, version or alias: a JSON array of the statements, "" for none. */
#ifndef SCHEDULER_LAMBDA_POLICY_H
#define SCHEDULER_LAMBDA_POLICY_H

#include <stddef.h>

#include "scheduler/lambda/body.h"
#include "scheduler/lambda/error.h"

#define LAMBDA_SID_MAX     100
#define LAMBDA_POLICY_MAX  20480 /* bytes of the policy */

struct lambda_permission {
	char sid[LAMBDA_SID_MAX + 1];
	char revision[LAMBDA_REVISION_MAX + 1]; /* "" when not given */
	char *statement;                        /* heap, compact JSON */
};

/* AddPermission. arn: what it is added to, with its qualifier. */
int lambda_permission_parse(const char *body, size_t len, const char *arn, struct lambda_permission *ret,
			    struct lambda_err *err);
void lambda_permission_fini(struct lambda_permission *p);

/* The statements with one more, or without one; heap, "" when none is left. LAMBDA_RESOURCE_CONFLICT: there is one
 * of this Sid; LAMBDA_RESOURCE_NOT_FOUND: there is none; LAMBDA_POLICY_TOO_LONG. */
int lambda_policy_add(const char *statements, const struct lambda_permission *p, char **ret_statements,
		      struct lambda_err *err);
int lambda_policy_remove(const char *statements, const char *sid, char **ret_statements, struct lambda_err *err);
/* The policy document, heap; NULL when out of memory. */
char *lambda_policy_document(const char *statements);

#endif

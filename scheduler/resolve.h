/* Which version a call goes to. */
#ifndef SCHEDULER_RESOLVE_H
#define SCHEDULER_RESOLVE_H

struct function;
struct fn_version;
struct registry;

/* fn exists. qualifier: NULL, "" or "$LATEST", a published number, or an alias, whose calls are shared out by its weight.
 * What $LATEST answers with is its last version that became active; before the first one the pending one: calls wait for
 * it, or fail with it. NULL: there is no such version. Loop thread. */
struct fn_version *resolve_version(const struct function *fn, const char *qualifier);
/* text: NAME or NAME:QUALIFIER, as in paths. *ret_qualifier points into it, NULL when there is none. NULL: not there. */
struct fn_version *resolve_name(const struct registry *r, const char *text, const char **ret_qualifier);

#endif

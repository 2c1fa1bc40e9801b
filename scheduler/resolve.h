/* Which version a call goes to. */
#ifndef SCHEDULER_RESOLVE_H
#define SCHEDULER_RESOLVE_H

struct function;
struct fn_version;

/* fn exists. qualifier: NULL, "" or "$LATEST", a published number, or an alias, whose calls are shared out by its weight.
 * What $LATEST answers with is its last version that became active; before the first one the pending one: calls wait for
 * it, or fail with it. NULL: there is no such version. Loop thread. */
struct fn_version *resolve_version(const struct function *fn, const char *qualifier);

#endif

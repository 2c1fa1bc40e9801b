/* The names that a function may give as its runtime, and the image behind each. An image NAME.img lies in the images'
 * folder; NAME.version beside it says which version of its language it holds ("3.11"). Names that carry a version are
 * taken only when that is the one: code made for another would fail later, and in ways that are harder to understand.
 *
 *   provided, provided.al2, provided.al2023        provided.img
 *   python3, python3.11 (its version)              python3.img
 *   nodejs, nodejs18, nodejs18.x (its version)     nodejs.img
 *
 * Any other image in the folder is a runtime by its file's name. Nothing here is changed after runtimes_load. */
#ifndef SCHEDULER_RUNTIMES_H
#define SCHEDULER_RUNTIMES_H

#include <jansson.h>
#include <stddef.h>

#include "common/base/err.h"

#define RUNTIMES_FAMILIES    3
#define RUNTIMES_VERSION_MAX 15

struct runtimes {
	const char *dir;                                         /* the caller's */
	char version[RUNTIMES_FAMILIES][RUNTIMES_VERSION_MAX + 1]; /* "": not known */
};

/* Reads the versions. An image without one is used by the names that carry none. */
void runtimes_load(struct runtimes *r, const char *images_dir);

/* File name of the image, without ".img", for a name that passed the check. Static, or the name itself. */
const char *runtimes_image(const char *name);

/* Whether functions may have this runtime now. -EINVAL with a text that says which to use instead. Looks at files. */
int runtimes_check(const struct runtimes *r, const char *name, struct stk_err *err);

/* The full name, as in AWS_EXECUTION_ENV behind AWS_Lambda_: "python3.11", "nodejs18.x"; the name itself where there is
 * no other. 0 or -ENAMETOOLONG. */
int runtimes_full_name(const struct runtimes *r, const char *name, char *ret, size_t cap);

/* What there is, for a user to see. A new reference, or NULL when out of memory. */
json_t *runtimes_describe(const struct runtimes *r);

#endif

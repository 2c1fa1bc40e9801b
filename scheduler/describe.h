/* A function as the API shows it. */
#ifndef SCHEDULER_DESCRIBE_H
#define SCHEDULER_DESCRIBE_H

#include <jansson.h>

struct function;

/* Of an active function. A new reference, or NULL when out of memory. */
json_t *describe_function(const struct function *fn);

#endif

/* Sorts answers by what they say about how their microVM was started (header X-Stoker-Start), with a count and a
 * latency histogram each. */
#ifndef BENCH_CLASSES_H
#define BENCH_CLASSES_H

#include <stdbool.h>

#include "bench/hist.h"

enum start_class {
	CLASS_WARM,         /* taken from the pool */
	CLASS_SHELL,        /* a prepared process, the function's snapshot loaded into it for this request */
	CLASS_RESET,        /* a VM that had served before, put back into the snapshot's state */
	CLASS_COLD_RESTORE, /* a new process, restored from the snapshot */
	CLASS_COLD_BOOT,    /* a kernel boot */
	CLASS_UNKNOWN,      /* served, but the answer does not say how */
	CLASS_REJECTED,     /* status 429 or 503 */
	CLASS_COUNT,
	CLASS_NONE = CLASS_COUNT, /* any other status: an error of its own */
};

struct classes {
	struct hist *latency[CLASS_COUNT]; /* ns; NULL while empty; heap */
};

const char *classes_name(enum start_class c);
enum start_class classes_of(int status, const char *start);
/* Whether a VM that gave an answer of this class may give no other one: all but reset. */
bool classes_single_use(enum start_class c);

/* Does nothing for CLASS_NONE. */
void classes_add(struct classes *s, enum start_class c, uint64_t ns);
uint64_t classes_count(const struct classes *s, enum start_class c);
/* How many classes have an answer. */
unsigned classes_used(const struct classes *s);
void classes_fini(struct classes *s);

#endif

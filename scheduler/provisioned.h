/* Provisioned concurrency: how many VMs of a published version are always warm. Kept as notes of the function, for a
 * version or an alias; a version's floor is the sum of those that point to it. Loop thread. */
#ifndef SCHEDULER_PROVISIONED_H
#define SCHEDULER_PROVISIONED_H

#include <stdbool.h>
#include <stdint.h>

#define PROVISIONED_NOTE "provisioned"

struct daemon;
struct function;

struct provisioned {
	unsigned requested;
	unsigned ready;     /* warm VMs that it has now, those in a call included */
	const char *failed; /* why none can be started, or NULL */
	int64_t modified_ms;
};

/* False: there is none for this qualifier. */
bool provisioned_read(const struct function *fn, const char *qualifier, struct provisioned *ret);
/* Sets the floors of all published versions: after a change of notes or aliases, and at start. */
void provisioned_apply(struct daemon *d, struct function *fn);

#endif

/* Proof by the guest that microVMs are not used twice: the function's answer carries the boot id of the kernel it
 * ran on ("boot_id" of a JSON object, as /proc/sys/kernel/random/boot_id has it), and none may come again. */
#ifndef BENCH_FRESH_H
#define BENCH_FRESH_H

#include <stddef.h>
#include <stdint.h>

struct fresh {
	struct fresh_id {
		uint64_t half[2];
	} *slot; /* hash table; all zero: empty; heap */
	size_t slots, used;
	uint64_t repeated; /* answers whose boot id had been seen */
	uint64_t salt; /* nobody can choose ids that collide in the table */
};

enum fresh_verdict {
	FRESH_NEW,
	FRESH_SEEN,
	FRESH_MISSING,  /* no JSON object, or no boot_id in it that is a UUID */
	FRESH_NO_MEMORY,
};

/* A zeroed struct is empty. Body is a whole answer of len bytes. */
enum fresh_verdict fresh_check(struct fresh *f, const char *body, size_t len);
const char *fresh_text(enum fresh_verdict v);
void fresh_fini(struct fresh *f);

#endif

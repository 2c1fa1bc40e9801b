/* Of which memory sizes shells should wait (a shell is made for one size, see shells.h): few shells, shared out by how
 * often requests lately found no warm VM, size by size. Pure; bounded: the size that was wanted least gives way. */
#ifndef SCHEDULER_POLICY_SHELL_MIX_H
#define SCHEDULER_POLICY_SHELL_MIX_H

#include <stdbool.h>

#define SHELL_MIX_SIZES 8u

struct shell_mix_size {
	unsigned mib;
	double score;
	unsigned have; /* shells of this size, waiting or being made: the caller's count */
};

struct shell_mix {
	struct shell_mix_size size[SHELL_MIX_SIZES];
	unsigned count;
};

/* A function with VMs of this size is there: enough for a shell when nothing else is known. */
void shell_mix_offer(struct shell_mix *m, unsigned mib);
/* A request came that a shell of this size would have served. The last 20 or so count. */
void shell_mix_want(struct shell_mix *m, unsigned mib);
/* With room for `total` shells: a size that has fewer than its share (*ret_missing), and one that has more
 * (*ret_excess), 0 for none. */
void shell_mix_next(const struct shell_mix *m, unsigned total, unsigned *ret_missing, unsigned *ret_excess);
/* NULL: not known. */
struct shell_mix_size *shell_mix_find(struct shell_mix *m, unsigned mib);

#endif

/* Who uses much of the machine's processors: pure, on numbers that somebody else reads. Of several that want more than there
 * is, none stays behind the others: who begins to use much is found out before who was held back for it counts as one who uses
 * little. */
#ifndef SCHEDULER_POLICY_CPUUSE_H
#define SCHEDULER_POLICY_CPUUSE_H

#include <stdbool.h>

struct cpuuse {
	double share; /* of all processors' time, lately: 0 to 1 */
	bool heavy;
};

/* It used this share since the last time. */
void cpuuse_add(struct cpuuse *u, double share);
/* Whether it runs at all, lately. */
bool cpuuse_runs(const struct cpuuse *u);
/* Heavy is who uses more than half of what each would get if `running` ones shared the machine out equally, until it uses less
 * than an eighth of that. */
bool cpuuse_heavy(const struct cpuuse *u, unsigned running);

#endif

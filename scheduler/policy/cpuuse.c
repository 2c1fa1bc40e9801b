/* Who uses much: see cpuuse.h. */
#include "scheduler/policy/cpuuse.h"

#define RUNS 0.01

void cpuuse_add(struct cpuuse *u, double share)
{
	u->share = (u->share + (share < 1 ? share : 1)) / 2;
}

bool cpuuse_runs(const struct cpuuse *u)
{
	return u->share > RUNS;
}

bool cpuuse_heavy(const struct cpuuse *u, unsigned running)
{
	return u->share * running * (u->heavy ? 8 : 2) > 1;
}

/* splitmix64 (Vigna): the same numbers from the same seed, everywhere. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Above 0, up to and with 1. */
static inline double random_unit(uint64_t *state)
{
	return (double)((random_next(state) >> 11) + 1) / 9007199254740992.0;
}

#endif

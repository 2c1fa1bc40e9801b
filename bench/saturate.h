/* Search for a host's capacity with more and more clients of a closed loop. Pure: it is told what each step measured
 * and says with how many clients to go on.
 *
 * A step is sound when at most 1 % of its requests failed and its p99 is at most 10 times the lowest p99 of the sound
 * steps before it (the first step, with one client, has only failures to fear). Clients are doubled until a step is not
 * sound, or two sound steps in a row served less than 5 % more than the best before them, or the most clients are
 * reached. Between the last sound step and one that was not, halves are tried. Capacity is what the best sound step
 * served per second.
 */
#ifndef BENCH_SATURATE_H
#define BENCH_SATURATE_H

#include <stdbool.h>
#include <stdint.h>

#define SATURATE_MAX_STEPS 32

enum saturate_end {
	SATURATE_GOES_ON,
	SATURATE_FLAT,     /* more clients are served no faster */
	SATURATE_RAN_AWAY, /* more clients: failures or p99 above the limit */
	SATURATE_CLIENTS,  /* the most clients are reached: the true capacity may be higher */
	SATURATE_UNSOUND,  /* one client alone is not served well: no capacity */
};

struct saturate_step {
	unsigned clients;
	double per_s;
	uint64_t p99_ns, ok, failed;
	bool sound;
};

struct saturate {
	unsigned max_clients;
	struct saturate_step step[SATURATE_MAX_STEPS];
	unsigned count;
	unsigned low, high; /* most clients that were sound, fewest that were not (0: none yet) */
	unsigned flat;      /* sound steps in a row without gain */
	uint64_t best_p99_ns;
	double capacity;    /* per second, so far */
	unsigned clients;   /* that reached it */
	enum saturate_end end;
};

void saturate_init(struct saturate *s, unsigned max_clients);
/* Clients of the next step; 0: the search has ended. */
unsigned saturate_next(const struct saturate *s);
void saturate_note(struct saturate *s, unsigned clients, double per_s, uint64_t p99_ns, uint64_t ok, uint64_t failed);
const char *saturate_end_text(enum saturate_end e);

#endif

/* Events of a simulation in the order of their times: a binary heap. */
#ifndef BENCH_REPLAY_HEAP_H
#define BENCH_REPLAY_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_event {
	uint64_t at_us;
	uint64_t order; /* of pushing: events of the same time keep it */
	unsigned fn;
	unsigned what;
};

/* A zeroed struct is an empty heap. */
struct replay_heap {
	struct replay_event *event;
	size_t count, cap;
	uint64_t pushed;
};

void replay_heap_fini(struct replay_heap *h);
int replay_heap_push(struct replay_heap *h, uint64_t at_us, unsigned fn, unsigned what); /* 0, -ENOMEM */
/* Takes the earliest event that is not after until_us. */
bool replay_heap_pop(struct replay_heap *h, uint64_t until_us, struct replay_event *ret_event);

#endif

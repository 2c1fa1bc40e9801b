/* Whose turn it is: the flows that have events in the queue, in memory a few hundred bytes each, whatever they have
 * queued on disk. Flows with due events take turns; how many slots one may hold depends on what the others leave it
 * (retry_share), an address never more than a quarter. Loop thread; pure, on a given clock. */
#ifndef SCHEDULER_ASYNC_FLOWS_H
#define SCHEDULER_ASYNC_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/heap.h"
#include "common/base/list.h"

#define FLOWS_BUCKETS 4096
#define FLOWS_QUANTUM 8 /* slots in one turn when others wait for theirs */

enum flow_class { FLOW_CALLS, FLOW_SENDS, FLOW_CLASSES };
enum flow_state { FLOW_ASLEEP, FLOW_READY, FLOW_TAKING };

struct flow {
	struct flow *next; /* in its bucket */
	struct stk_heap_node due; /* FLOW_ASLEEP with events that are not held: when the first is due */
	struct stk_list node;     /* FLOW_READY: in line */
	enum flow_class class;
	enum flow_state state;
	uint64_t count, bytes; /* in the queue, held ones too */
	unsigned running;      /* slots */
	unsigned reserved;     /* of running: for events that are being taken */
	unsigned held;         /* events in memory */
	int64_t next_ms;       /* of those not held, perhaps earlier than it is; INT64_MAX for none */
	struct stk_list events; /* the held ones */
	char name[];
};

struct flows {
	struct flow *bucket[FLOWS_BUCKETS];
	struct stk_heap due;
	struct stk_list ready[FLOW_CLASSES];
	unsigned slots[FLOW_CLASSES], running[FLOW_CLASSES];
	unsigned held;
	uint64_t count, bytes;
	/* How many more would be of use now; 0: none, although it is its turn. NULL: any number. */
	unsigned (*room)(void *ctx, const struct flow *f);
	void *ctx;
};

void flows_init(struct flows *fs, unsigned call_slots, unsigned send_slots);
/* Frees the flows; held events are the caller's and must be gone. */
void flows_fini(struct flows *fs);
struct flow *flows_find(const struct flows *fs, const char *name);
/* Finds or makes. NULL when out of memory. */
struct flow *flows_get(struct flows *fs, const char *name, enum flow_class class);
/* Frees it when it has no events left. */
void flows_drop_empty(struct flows *fs, struct flow *f);

/* There is an event, on disk and not held, that is due at next_ms. */
void flows_due(struct flows *fs, struct flow *f, int64_t next_ms);
/* Wakes those whose time has come. */
void flows_wake(struct flows *fs, int64_t now_ms);
/* When flows_wake has to do next; INT64_MAX. */
int64_t flows_next_ms(const struct flows *fs);
/* The next one in line that may have more slots, and how many (at most `free`, at least 1): it is FLOW_TAKING until
 * flows_took, with so many slots reserved. NULL: none. */
struct flow *flows_pick(struct flows *fs, enum flow_class class, unsigned free, unsigned *ret_count);
/* The reservation is given back, and next_ms is what is left. What was taken is counted by flows_run. */
void flows_took(struct flows *fs, struct flow *f, unsigned reserved, int64_t next_ms);
/* An event uses a slot (1) or no longer (-1). */
void flows_run(struct flows *fs, struct flow *f, int by);
/* Events and bytes more or less in the queue. */
void flows_count(struct flows *fs, struct flow *f, int events, int64_t bytes);

#endif

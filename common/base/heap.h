/* Things in the order of a number each, mostly a time: a binary heap whose nodes are part of the things.
 * Joining may fail, everything else never does and takes O(log n). Not for several threads. */
#ifndef COMMON_BASE_HEAP_H
#define COMMON_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct stk_heap_node {
	uint64_t key;
	size_t at; /* the heap's: where in it, from 1; 0: in none */
};

/* A zeroed struct is an empty heap. */
struct stk_heap {
	struct stk_heap_node **node;
	size_t count, cap;
};

void stk_heap_fini(struct stk_heap *h);
/* 0, -ENOMEM. The node is in no heap so far. */
int stk_heap_join(struct stk_heap *h, struct stk_heap_node *n, uint64_t key);
/* No effect on one that is in no heap. */
void stk_heap_leave(struct stk_heap *h, struct stk_heap_node *n);
void stk_heap_set(struct stk_heap *h, struct stk_heap_node *n, uint64_t key);
/* The one with the smallest key, or NULL. */
static inline struct stk_heap_node *stk_heap_first(const struct stk_heap *h)
{
	return h->count ? h->node[0] : NULL;
}

#endif

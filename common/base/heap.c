/* A heap of embedded nodes: see heap.h. */
#include "common/base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void place(struct stk_heap *h, size_t i, struct stk_heap_node *n)
{
	h->node[i] = n;
	n->at = i + 1;
}

/* Node n, whose old place i is free, goes to where its key belongs. */
static void sift(struct stk_heap *h, size_t i, struct stk_heap_node *n)
{
	size_t child;

	for (; i > 0 && n->key < h->node[(i - 1) / 2]->key; i = (i - 1) / 2)
		place(h, i, h->node[(i - 1) / 2]);
	while ((child = 2 * i + 1) < h->count) {
		if (child + 1 < h->count && h->node[child + 1]->key < h->node[child]->key)
			child++;
		if (h->node[child]->key >= n->key)
			break;
		place(h, i, h->node[child]);
		i = child;
	}
	place(h, i, n);
}

void stk_heap_fini(struct stk_heap *h)
{
	free(h->node);
	*h = (struct stk_heap){0};
}

int stk_heap_join(struct stk_heap *h, struct stk_heap_node *n, uint64_t key)
{
	assert(n->at == 0);
	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;
		struct stk_heap_node **grown = realloc(h->node, cap * sizeof(struct stk_heap_node *));

		if (!grown)
			return -ENOMEM;
		h->node = grown;
		h->cap = cap;
	}
	n->key = key;
	h->count++;
	sift(h, h->count - 1, n);
	return 0;
}

void stk_heap_leave(struct stk_heap *h, struct stk_heap_node *n)
{
	struct stk_heap_node *last;
	size_t i = n->at;

	if (i-- == 0)
		return;
	assert(i < h->count && h->node[i] == n);
	n->at = 0;
	last = h->node[--h->count];
	if (last != n)
		sift(h, i, last);
}

void stk_heap_set(struct stk_heap *h, struct stk_heap_node *n, uint64_t key)
{
	assert(n->at > 0 && h->node[n->at - 1] == n);
	n->key = key;
	sift(h, n->at - 1, n);
}

/* A heap of events: see replay_heap.h. */
#include "bench/replay_heap.h"

#include <errno.h>
#include <stdlib.h>

static bool before(const struct replay_event *a, const struct replay_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void replay_heap_fini(struct replay_heap *h)
{
	free(h->event);
	*h = (struct replay_heap){0};
}

int replay_heap_push(struct replay_heap *h, uint64_t at_us, unsigned fn, unsigned what)
{
	struct replay_event e = {.at_us = at_us, .order = h->pushed, .fn = fn, .what = what};
	size_t i = h->count;

	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 1024;
		struct replay_event *grown = realloc(h->event, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		h->event = grown;
		h->cap = cap;
	}
	h->pushed++;
	h->count++;
	for (; i > 0 && before(&e, &h->event[(i - 1) / 2]); i = (i - 1) / 2)
		h->event[i] = h->event[(i - 1) / 2];
	h->event[i] = e;
	return 0;
}

bool replay_heap_pop(struct replay_heap *h, uint64_t until_us, struct replay_event *ret_event)
{
	struct replay_event last;
	size_t i = 0, child;

	if (h->count == 0 || h->event[0].at_us > until_us)
		return false;
	*ret_event = h->event[0];
	last = h->event[--h->count];
	while ((child = 2 * i + 1) < h->count) {
		if (child + 1 < h->count && before(&h->event[child + 1], &h->event[child]))
			child++;
		if (!before(&h->event[child], &last))
			break;
		h->event[i] = h->event[child];
		i = child;
	}
	h->event[i] = last;
	return true;
}

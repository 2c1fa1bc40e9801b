#include "bench/timeline.h"

static void join(struct timeline_piece *to, const struct timeline_piece *from)
{
	if (from->ok && (!to->ok || from->min < to->min))
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->ok += from->ok;
	to->failed += from->failed;
	to->sum += from->sum;
}

static void halve(struct timeline *t)
{
	for (unsigned i = 0; i < TIMELINE_PIECES; i++) {
		struct timeline_piece p = t->piece[i];

		t->piece[i] = (struct timeline_piece){0};
		join(&t->piece[i / 2], &p);
	}
	t->width_ns *= 2;
}

void timeline_add(struct timeline *t, uint64_t at_ns, bool ok, uint64_t latency_ns)
{
	struct timeline_piece one = {.ok = ok, .failed = !ok};

	if (ok) {
		one.min = one.max = latency_ns;
		one.sum = (double)latency_ns;
	}
	if (!t->width_ns)
		t->width_ns = TIMELINE_FIRST_NS;
	while (at_ns / t->width_ns >= TIMELINE_PIECES)
		halve(t);
	join(&t->piece[at_ns / t->width_ns], &one);
}

unsigned timeline_used(const struct timeline *t)
{
	unsigned used = TIMELINE_PIECES;

	while (used && !t->piece[used - 1].ok && !t->piece[used - 1].failed)
		used--;
	return used;
}

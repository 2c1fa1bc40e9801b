/* Requests at once: see burst_hist.h. */
#include "scheduler/policy/burst_hist.h"

#define FULL 255

/* The largest size in each bin; still larger ones are in the last. */
static const uint16_t upto[BURST_HIST_BINS] = {1,  2,  3,  4,  5,   6,   8,   10,  12,  16,
					       20, 24, 32, 48, 64, 96, 128, 256, 512, 1024};

static void forget_half(struct burst_hist *h)
{
	unsigned total = 0, over = 0;

	/* What halving leaves over goes to the next bin: a rare size would be lost otherwise. */
	for (unsigned i = 0; i < BURST_HIST_BINS; i++) {
		over += h->count[i];
		h->count[i] = (uint8_t)(over / 2);
		total += h->count[i];
		over %= 2;
	}
	h->total = (uint8_t)total;
}

void burst_hist_add(struct burst_hist *h, unsigned size)
{
	unsigned i = 0;

	while (i < BURST_HIST_BINS - 1 && upto[i] < size)
		i++;
	if (h->total == FULL - 1)
		forget_half(h);
	h->count[i]++;
	h->total++;
}

unsigned burst_hist_size(const struct burst_hist *h, double exceeded)
{
	unsigned left = h->total, i = 0;

	for (; i < BURST_HIST_BINS - 1; i++) {
		left -= h->count[i];
		if (left <= exceeded * h->total)
			break;
	}
	return upto[i];
}

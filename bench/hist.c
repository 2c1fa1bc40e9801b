#include "bench/hist.h"

/* Values below 2^7 have a bucket each. Above, the power of two gives the row (128 buckets) and the
 * next 7 bits below the leading one the column. */
unsigned hist_index(uint64_t value)
{
	if (value < (1U << HIST_SUB_BITS))
		return (unsigned)value;

	unsigned top = 63U - (unsigned)__builtin_clzll(value);
	unsigned row = top - HIST_SUB_BITS + 1;
	unsigned column = (unsigned)(value >> (top - HIST_SUB_BITS)) & ((1U << HIST_SUB_BITS) - 1);

	return (row << HIST_SUB_BITS) | column;
}

uint64_t hist_value(unsigned index)
{
	unsigned row = index >> HIST_SUB_BITS;
	uint64_t column = index & ((1U << HIST_SUB_BITS) - 1);

	if (row == 0)
		return column;

	unsigned shift = row - 1;
	uint64_t low = ((1ULL << HIST_SUB_BITS) | column) << shift;

	return low + ((1ULL << shift) >> 1);
}

void hist_record_n(struct hist *h, uint64_t value, uint64_t n)
{
	if (n == 0)
		return;
	if (h->total == 0 || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->count[hist_index(value)] += n;
	h->total += n;
	h->sum += (double)value * (double)n;
}

void hist_record(struct hist *h, uint64_t value)
{
	hist_record_n(h, value, 1);
}

uint64_t hist_percentile(const struct hist *h, double p)
{
	if (h->total == 0)
		return 0;
	if (p >= 100)
		return h->max;

	double want = p <= 0 ? 1 : p / 100 * (double)h->total;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		/* the small slack keeps 99.9 % of 1000 at the 999th value despite rounding */
		if (h->count[i] && (double)seen + 1e-6 >= want) {
			uint64_t v = hist_value(i);

			return v < h->min ? h->min : v > h->max ? h->max : v;
		}
	}
	return h->max;
}

double hist_mean(const struct hist *h)
{
	return h->total ? h->sum / (double)h->total : 0;
}

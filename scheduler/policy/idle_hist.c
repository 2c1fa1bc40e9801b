/* Pauses between requests: see idle_hist.h. */
#include "scheduler/policy/idle_hist.h"

#define NS_PER_S 1000000000ull

double idle_hist_edge(unsigned bin)
{
	unsigned octave, sub;

	if (bin == 0)
		return 0.0;
	octave = (bin - 1) / IDLE_HIST_SUB;
	sub = (bin - 1) % IDLE_HIST_SUB;
	return (double)(1u << octave) * (1.0 + (double)sub / IDLE_HIST_SUB);
}

unsigned idle_hist_bin(uint64_t gap_ns)
{
	/* In sixteenths of a second the first whole second is 16, and an octave's sixteenth a whole number. */
	uint64_t parts = gap_ns / (NS_PER_S / IDLE_HIST_SUB);
	unsigned top;

	if (parts < IDLE_HIST_SUB)
		return 0;
	top = 63u - (unsigned)__builtin_clzll(parts) - 4;
	if (top >= IDLE_HIST_OCTAVES)
		return IDLE_HIST_BINS;
	return 1 + top * IDLE_HIST_SUB + (unsigned)(parts >> top) % IDLE_HIST_SUB;
}

/* What halving leaves over goes to the next bin: lone samples would all be lost otherwise. */
static void forget_half(struct idle_hist *h)
{
	unsigned total = 0, over = 0;

	for (unsigned i = 0; i < IDLE_HIST_BINS; i++) {
		over += h->count[i];
		h->count[i] = (uint8_t)(over / 2);
		total += h->count[i];
		over %= 2;
	}
	h->beyond = (uint8_t)((h->beyond + over) / 2);
	h->total = (uint8_t)(total + h->beyond);
}

void idle_hist_add(struct idle_hist *h, uint64_t gap_ns)
{
	unsigned bin = idle_hist_bin(gap_ns);

	if (h->total == IDLE_HIST_FULL - 1)
		forget_half(h);
	if (bin == IDLE_HIST_BINS)
		h->beyond++;
	else
		h->count[bin]++;
	h->total++;
}

/* The contiguous run of bins with the largest sum of gains. In one bin a VM waits through its whole width in
 * the pauses that are longer, and through half of it, about, in those that end there. */
static unsigned best_run(const struct idle_hist *h, double worth_s, unsigned *ret_first, unsigned *ret_end)
{
	double sum = 0, best = 0;
	unsigned left = h->total, caught = 0, best_caught = 0, first = 0;

	*ret_first = *ret_end = 0;
	for (unsigned i = 0; i < IDLE_HIST_BINS && left > h->beyond; i++) {
		double width = idle_hist_edge(i + 1) - idle_hist_edge(i);
		unsigned n = h->count[i];

		left -= n;
		if (sum <= 0) {
			sum = 0;
			caught = 0;
			first = i;
		}
		sum += n - width * (left + n / 2.0) / worth_s;
		caught += n;
		if (sum > best) {
			best = sum;
			best_caught = caught;
			*ret_first = first;
			*ret_end = i + 1;
		}
	}
	return best_caught;
}

bool idle_hist_window(const struct idle_hist *h, uint64_t worth_ns, struct idle_window *ret_window)
{
	unsigned first, end;
	uint64_t from, to;

	if (h->total < IDLE_HIST_ENOUGH || worth_ns == 0)
		return false;
	if (best_run(h, (double)worth_ns / 1e9, &first, &end) * 2 < h->total)
		return false;
	/* A margin of a bin on both sides: the next pause may be a little outside of what was seen. */
	from = (uint64_t)(idle_hist_edge(first) * 1e9);
	to = (uint64_t)(idle_hist_edge(end) * 1e9);
	ret_window->from_ns = from - from / IDLE_HIST_SUB;
	ret_window->to_ns = to + to / IDLE_HIST_SUB;
	return true;
}

double idle_hist_wait(const struct idle_hist *h, struct idle_window window)
{
	double from = (double)window.from_ns / 1e9, to = (double)window.to_ns / 1e9, sum = 0;
	unsigned left = h->total;

	for (unsigned i = 0; i < IDLE_HIST_BINS && left; i++) {
		double low = idle_hist_edge(i), high = idle_hist_edge(i + 1);

		left -= h->count[i];
		low = low > from ? low : from;
		high = high < to ? high : to;
		if (low < high)
			sum += (high - low) * (left + h->count[i] / 2.0);
	}
	return h->total ? sum / h->total : 0.0;
}

/* Samples of t_ns or longer. Those in its own bin are taken as spread evenly over it. */
static double not_before(const struct idle_hist *h, uint64_t t_ns)
{
	unsigned bin = idle_hist_bin(t_ns), whole = h->beyond;
	double t = (double)t_ns / 1e9, low = idle_hist_edge(bin), high = idle_hist_edge(bin + 1);

	for (unsigned i = bin + 1; i < IDLE_HIST_BINS; i++)
		whole += h->count[i];
	return bin == IDLE_HIST_BINS ? whole : whole + h->count[bin] * (high - t) / (high - low);
}

double idle_hist_due(const struct idle_hist *h, uint64_t since_ns, uint64_t ahead_ns, double *ret_left)
{
	*ret_left = not_before(h, since_ns);
	return *ret_left - not_before(h, since_ns + ahead_ns);
}

/* Latency histogram in the manner of HDR: log-linear buckets, so that every value is kept with a
 * relative error below 1/256 (0.4 %) from 1 ns to years, in a fixed 60 KiB, without sorting. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7 /* 128 linear buckets in each power of two */
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t total;
	uint64_t min, max; /* exact; 0 when empty */
	double sum;
};

/* A zeroed struct is an empty histogram. */
void hist_record(struct hist *h, uint64_t value);
void hist_record_n(struct hist *h, uint64_t value, uint64_t n);

/* Smallest recorded value (to the bucket's precision) that at least p percent of the values do not
 * exceed; p in 0..100. 100 gives the exact maximum; an empty histogram gives 0. */
uint64_t hist_percentile(const struct hist *h, double p);
double hist_mean(const struct hist *h);

/* The bucket a value falls into, and the value that stands for a bucket (its middle). */
unsigned hist_index(uint64_t value);
uint64_t hist_value(unsigned index);

#endif

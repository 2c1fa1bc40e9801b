/* Comparison of two runs: ratio of percentiles with a bootstrap confidence interval, and the
 * Mann-Whitney test of whether one is generally slower. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <stdint.h>
#include <stdio.h>

#include "bench/hist.h"
#include "common/base/err.h"

struct compare_ratio {
	double ratio;     /* percentile of b / percentile of a */
	double low, high; /* 95 % confidence interval */
};

/* Resamples both histograms `rounds` times with a fixed seed (the same input gives the same output).
 * Both must hold values. */
struct compare_ratio compare_percentile(const struct hist *a, const struct hist *b, double p,
					unsigned rounds);

/* Probability that a random value of b exceeds one of a (ties half): 0.5 = no difference; and the
 * two-sided p value in the normal approximation with ties corrected. */
double compare_mann_whitney(const struct hist *a, const struct hist *b, double *ret_p_value);

/* Reads two JSON files of stoker-bench and prints a table of the scenarios in both. */
int compare_files(const char *path_a, const char *path_b, FILE *out, struct stk_err *err);

#endif

/* Diagrams as SVG elements to stand in an HTML page. No scripts, nothing from elsewhere. */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stdio.h>

#include "bench/hist.h"
#include "bench/timeline.h"
#include "bench/timing.h"

struct svg_curve {
	const char *name;
	const char *colour; /* of CSS */
	const struct hist *latency; /* not empty */
};

/* Text of an element or of an attribute in quotes: whatever it is, it ends neither. Not ASCII or not printable: '?'. */
void svg_text(FILE *out, const char *text);

/* Share of answers up to each latency (logarithmic axis), a curve each. */
void svg_cdf(FILE *out, const struct svg_curve *curves, unsigned count);
/* Greatest, mean and least latency over the time of the run; failures as marks below. */
void svg_timeline(FILE *out, const struct timeline *t);
/* A bar for the median and one for p99 of each stage. */
void svg_stages(FILE *out, const struct timing *t);

#endif

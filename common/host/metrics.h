/* Counters, gauges and histograms with Prometheus text output (exposition format 0.0.4).
 * One registry per program; updated on the loop's thread only. */
#ifndef COMMON_HOST_METRICS_H
#define COMMON_HOST_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics; /* registry */
struct metrics_series;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* A series of family `name` with preformatted labels ("function=\"hello\",code=\"200\"" or "").
 * Same name and labels give the same series. NULL when out of memory. Pointers stay valid until
 * metrics_free. Histogram bounds are fixed: 50 us .. 60 s, about 1-2-5 steps. */
struct metrics_series *metrics_get(struct metrics *m, enum metrics_kind kind, const char *name,
				   const char *help, const char *labels);
void metrics_add(struct metrics_series *s, double v); /* counter, gauge */
void metrics_set(struct metrics_series *s, double v); /* gauge */
void metrics_observe(struct metrics_series *s, double seconds);
/* Escapes a label value into dst. */
void metrics_escape(const char *src, char *dst, size_t cap);
/* Text in pieces, for registries so large that all at once would take long. A zeroed walk begins at the start; series
 * that are made meanwhile may or may not be in it. */
struct metrics_walk {
	const void *family, *series; /* the next one */
};
/* Writes about `lines` lines more. False: that was the last piece. */
bool metrics_walk(const struct metrics *m, struct metrics_walk *walk, unsigned lines, FILE *out);
/* "# HELP" and "# TYPE", for what a caller writes by itself. */
void metrics_head(FILE *out, enum metrics_kind kind, const char *name, const char *help);
/* Heap text, caller frees; NULL when out of memory. */
char *metrics_text(const struct metrics *m, size_t *ret_len);

#endif

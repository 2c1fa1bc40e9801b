/* A report as one HTML page that needs nothing else: tables, latency by class, latency over time, stages. */
#ifndef BENCH_HTML_H
#define BENCH_HTML_H

#include <stdio.h>

#include "bench/report.h"

void html_print(FILE *out, const struct report *r);

#endif

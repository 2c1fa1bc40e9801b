/* Reads the traces that Azure published of its functions; the first line of a file tells which it is.
 *
 * 2019: invocations_per_function_md.anon.dNN.csv, one file a day, calls per minute and function; and, if
 * wanted, function_durations_percentiles.anon.dNN.csv and app_memory_percentiles.anon.dNN.csv. Each file of
 * calls is the day after the one read before. In its minute a timer's calls are evenly spaced with an
 * offset of its own, others lie at random.
 * 2021: AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt, one line a call.
 *
 * The input is not trusted: lines, fields, numbers and totals are bounded. */
#ifndef BENCH_TRACE_AZURE_H
#define BENCH_TRACE_AZURE_H

#include <stdio.h>

#include "bench/trace.h"

struct trace_azure {
	struct trace *trace;
	unsigned days; /* files of calls per minute so far */
};

/* Adds what the file tells, which `name` stands for in messages. 0, or negative errno with err. */
int trace_azure_read(struct trace_azure *a, FILE *f, const char *name, struct stk_err *err);

#endif

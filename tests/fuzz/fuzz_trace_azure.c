/* Traces: several files, each behind a line "--". Whatever they hold, what is taken stays within the limits, in the order
 * of time, and belongs to a function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/trace_azure.h"

#define MAX_CALLS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct trace *t)
{
	size_t calls = 0;

	if (trace_finish(t, NULL))
		return;
	for (size_t i = 0; i < t->call_count; i++) {
		if (t->call[i].fn >= trace_functions(t) || t->call[i].at_us >= t->limits.end_us ||
		    t->call[i].duration_us == TRACE_UNKNOWN || (i && t->call[i].at_us < t->call[i - 1].at_us))
			abort();
	}
	for (unsigned i = 0; i < trace_functions(t); i++) {
		calls += t->fn[i].calls;
		if (!t->fn[i].memory_mib || !t->fn[i].name[0])
			abort();
	}
	if (calls != t->call_count || calls > MAX_CALLS)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_limits limits;
	struct trace t;
	struct trace_azure azure = {.trace = &t};
	struct stk_err err;
	int rc = 0;

	trace_limits_default(&limits);
	limits.max_calls = MAX_CALLS;
	limits.end_us = 7200000000u;
	trace_init(&t, &limits);
	while (rc == 0 && size) {
		const uint8_t *mark = memmem(data, size, "--\n", 3);
		size_t len = mark ? (size_t)(mark - data) : size;
		FILE *f = len ? fmemopen((void *)(uintptr_t)data, len, "r") : NULL;

		if (f) {
			rc = trace_azure_read(&azure, f, "fuzz", &err);
			fclose(f);
		}
		len += mark ? 3 : 0;
		data += len;
		size -= len;
	}
	check(&t);
	trace_fini(&t);
	return 0;
}

/* Command line of stoker-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/arrivals.h"

struct options {
	const char *url, *function, *scenarios, *json_path, *html_path, *expect;
	const char *compare_a, *compare_b; /* both or neither */
	char *event; /* heap */
	size_t event_len;
	uint64_t requests, warmup, connections, think_ms, timeout_ms, duration_s;
	bool open_loop;
	struct arrivals arrivals; /* in an open loop; with saturate its rate is set later */
	bool memory, cpu, prove_fresh, saturate;
};

/* Fills a zeroed *o. On -EINVAL the user was told. Ends the process for --help and --version. */
int options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);

#endif

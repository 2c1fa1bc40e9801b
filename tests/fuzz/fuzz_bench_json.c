/* What stoker-bench --compare reads in a file: histograms and the machine's memory. */
#include <stdint.h>
#include <stdlib.h>

#include "bench/compare.h"
#include "bench/report.h"
#include "common/host/json_get.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hist *h = calloc(1, sizeof(*h));
	struct memory_machine m = {0}, few = {0, 1};
	struct stk_err err;
	json_t *o = NULL;
	double kib, p;

	if (h && json_get_parse(data, size, &o, &err) == 0) {
		if (report_read_machine(json_object_get(o, "memory"), &m))
			memory_per_vm(&few, &m, &kib);
		if (report_read_histogram(json_object_get(o, "histogram"), h, &err) == 0 && h->total) {
			struct compare_ratio r = compare_percentile(h, h, 50, 3);

			if (!(r.low <= r.high) || !(compare_mann_whitney(h, h, &p) >= 0))
				abort();
		}
		json_decref(o);
	}
	free(h);
	return 0;
}

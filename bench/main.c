/* stoker-bench: measures a function on a running host: cold-boot, cold-restore and warm starts, each
 * forced and checked, in a closed or an open loop; finds its capacity; compares two results. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compare.h"
#include "bench/html.h"
#include "bench/json_out.h"
#include "bench/options.h"
#include "bench/replay.h"
#include "bench/report.h"
#include "bench/run.h"
#include "common/base/cleanup.h"
#include "common/base/err.h"
#include "common/base/fd.h"

enum { EXIT_OK = 0, EXIT_SYSTEM = 1, EXIT_USAGE = 2, EXIT_FAILED_REQUESTS = 3 };

static int write_html(const struct report *r, const char *path, struct stk_err *err)
{
	stk_autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int rc;

	if (f)
		html_print(f, r);
	if (!f || fclose(f) != 0)
		return stk_err_sys(err, -ENOMEM, "HTML");
	rc = stk_write_file_atomic(path, text, len, 0644);
	return rc < 0 ? stk_err_sys(err, rc, "%s", path) : 0;
}

static int write_results(const struct options *o, const struct report *r, struct stk_err *err)
{
	int rc = 0;

	report_print(o->json_path && strcmp(o->json_path, "-") == 0 ? stderr : stdout, r);
	if (o->json_path)
		rc = json_out(report_json(r), o->json_path, err);
	if (rc == 0 && o->html_path)
		rc = write_html(r, o->html_path, err);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	static struct run r; /* histograms: too large for the stack */
	struct stk_err err = {0};
	int rc;

	if (argc > 1 && strcmp(argv[1], "replay") == 0)
		return replay_main(argc - 1, argv + 1);
	rc = options_parse(&o, argc, argv);

	if (rc < 0) {
		options_fini(&o);
		return EXIT_USAGE;
	}
	if (o.compare_a) {
		rc = compare_files(o.compare_a, o.compare_b, stdout, &err);
	} else {
		rc = run_all(&o, &r, &err);
		if (rc == 0)
			rc = write_results(&o, &r.report, &err);
	}
	if (rc < 0)
		fprintf(stderr, "stoker-bench: %s\n", err.text);

	bool failures = run_failures(&r);

	run_fini(&r);
	options_fini(&o);
	return rc < 0 ? EXIT_SYSTEM : failures ? EXIT_FAILED_REQUESTS : EXIT_OK;
}

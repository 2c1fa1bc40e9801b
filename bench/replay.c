/* stoker-bench replay: options, and the order of things. */
#include "bench/replay.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/json_out.h"
#include "bench/replay_report.h"
#include "bench/replay_sim.h"
#include "bench/trace.h"
#include "bench/trace_azure.h"
#include "bench/trace_gen.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

enum { EXIT_OK = 0, EXIT_SYSTEM = 1, EXIT_USAGE = 2 };

#define MAX_FILES 64
#define HOUR_US   3600000000ull

struct options {
	const char *file[MAX_FILES];
	unsigned file_count;
	const char *generate, *policies, *json_path;
	uint64_t functions, hours, idle_s;
	struct trace_limits limits;
	struct sim_spec spec;
};

static const char usage[] =
	"usage: stoker-bench replay [options] [--trace FILE]...\n"
	"  --trace FILE         of Azure's traces: 2019 (calls per minute, durations, memory) or 2021\n"
	"  --generate KIND      make a trace up: azure, timers, bursts, steady, rare (default azure)\n"
	"  --functions N        made up: how many (400)\n"
	"  --hours H            made up: length (24); of files only so much\n"
	"  --sample PERCENT     of files: so many of the functions (100)\n"
	"  --max-calls N        refuse larger traces (20000000)\n"
	"  --seed N             other random numbers (1)\n"
	"  --policy LIST        of histogram[:S], idle[:S], fixed[:S] (histogram,idle,fixed:600)\n"
	"  --idle S             idle time where a policy has none of its own (300)\n"
	"  --floor N, --ceiling N   VMs per function (0, 1000)\n"
	"  --budget MIB         memory of all VMs (1048576)\n"
	"  --max-restores N     VMs being started at the same time (16)\n"
	"  --queue N, --queue-timeout MS   requests that wait, and how long (1000, 30000)\n"
	"  --warm-us US         a call of a waiting VM (1000)\n"
	"  --cold-us US         start of a VM for a request (30000)\n"
	"  --refill-us US       start of a VM ahead of requests (60000)\n"
	"  --idle-mib MIB       memory of a waiting VM (8 and a sixteenth of the function's)\n"
	"  --memory MIB, --duration MS   of functions of which the trace does not tell (170, 500)\n"
	"  --json FILE          results; - is the standard output\n";

static int usage_error(const char *text, const char *arg)
{
	fprintf(stderr, "stoker-bench replay: %s%s%s\n%s", text, arg ? ": " : "", arg ? arg : "", usage);
	return -EINVAL;
}

/* Options that are a number: where it goes. */
enum number_type { N_U64, N_UNSIGNED, N_U32_MS, N_U64_MS };
static const struct number {
	const char *name;
	size_t offset;
	uint64_t min, max;
	enum number_type type;
} numbers[] = {
	{"functions", offsetof(struct options, functions), 1, TRACE_MAX_FUNCTIONS, N_U64},
	{"hours", offsetof(struct options, hours), 1, 10000, N_U64},
	{"max-calls", offsetof(struct options, limits.max_calls), 1, TRACE_MAX_CALLS, N_U64},
	{"seed", offsetof(struct options, limits.seed), 0, UINT64_MAX, N_U64},
	{"idle", offsetof(struct options, idle_s), 1, 86400, N_U64},
	{"floor", offsetof(struct options, spec.floor), 0, 10000, N_UNSIGNED},
	{"ceiling", offsetof(struct options, spec.ceiling), 1, 10000, N_UNSIGNED},
	{"budget", offsetof(struct options, spec.budget_mib), 16, 1u << 30, N_U64},
	{"max-restores", offsetof(struct options, spec.max_starts), 1, 1024, N_UNSIGNED},
	{"queue", offsetof(struct options, spec.queue_limit), 0, 1000000, N_UNSIGNED},
	{"queue-timeout", offsetof(struct options, spec.queue_timeout_us), 1, 900000, N_U64_MS},
	{"warm-us", offsetof(struct options, spec.warm_us), 0, 1000000000, N_U64},
	{"cold-us", offsetof(struct options, spec.cold_us), 1, 1000000000, N_U64},
	{"refill-us", offsetof(struct options, spec.refill_us), 1, 1000000000, N_U64},
	{"idle-mib", offsetof(struct options, spec.idle_mib), 1, 1u << 20, N_UNSIGNED},
	{"memory", offsetof(struct options, limits.memory_mib), 1, 1u << 20, N_UNSIGNED},
	{"duration", offsetof(struct options, limits.duration_us), 0, 900000, N_U32_MS},
};

static int set_number(struct options *o, const struct number *n, const char *text)
{
	char *field = (char *)o + n->offset;
	uint64_t v = 0;

	if (stk_parse_u64(text, n->min, n->max, &v))
		return -EINVAL;
	switch (n->type) {
	case N_U64: *(uint64_t *)(void *)field = v; break;
	case N_UNSIGNED: *(unsigned *)(void *)field = (unsigned)v; break;
	case N_U32_MS: *(uint32_t *)(void *)field = (uint32_t)v * 1000; break;
	case N_U64_MS: *(uint64_t *)(void *)field = v * 1000; break;
	}
	return 0;
}

static int parse_sample(const char *text, double *ret_keep)
{
	char *end;
	double v = strtod(text, &end);

	if (!*text || *end || !(v > 0 && v <= 100))
		return -EINVAL;
	*ret_keep = v / 100;
	return 0;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	enum { OPT_TRACE = 256, OPT_GENERATE, OPT_SAMPLE, OPT_POLICY, OPT_JSON, OPT_NUMBER };
	struct option longs[7 + STK_ARRAY_LEN(numbers)] = {
		{"trace", required_argument, NULL, OPT_TRACE},
		{"generate", required_argument, NULL, OPT_GENERATE},
		{"sample", required_argument, NULL, OPT_SAMPLE},
		{"policy", required_argument, NULL, OPT_POLICY},
		{"json", required_argument, NULL, OPT_JSON},
		{"help", no_argument, NULL, 'h'},
	};
	int opt, rc = 0;

	for (size_t i = 0; i < STK_ARRAY_LEN(numbers); i++)
		longs[6 + i] = (struct option){numbers[i].name, required_argument, NULL, OPT_NUMBER + (int)i};
	optind = 0; /* from the start: another list of options than main's */
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case OPT_TRACE:
			if (o->file_count == MAX_FILES)
				return usage_error("too many files", optarg);
			o->file[o->file_count++] = optarg;
			break;
		case OPT_GENERATE: o->generate = optarg; break;
		case OPT_SAMPLE: rc = parse_sample(optarg, &o->limits.keep); break;
		case OPT_POLICY: o->policies = optarg; break;
		case OPT_JSON: o->json_path = optarg; break;
		case 'h': fputs(usage, stdout); exit(EXIT_OK);
		case '?': return usage_error("unknown option", NULL);
		default: rc = set_number(o, &numbers[opt - OPT_NUMBER], optarg);
		}
		if (rc)
			return usage_error("not a value that this option takes", optarg);
	}
	if (optind != argc)
		return usage_error("no argument is expected here", argv[optind]);
	if (o->generate && o->file_count)
		return usage_error("either --trace or --generate", NULL);
	if (o->spec.floor > o->spec.ceiling)
		return usage_error("the floor is above the ceiling", NULL);
	return 0;
}

/* "histogram,fixed:600" */
static int parse_policies(const struct options *o, struct replay_report *r)
{
	static const char *const kinds[] = {[SIM_HISTOGRAM] = "histogram", [SIM_IDLE] = "idle", [SIM_FIXED] = "fixed"};

	for (const char *p = o->policies; *p; p += *p == ',') {
		struct replay_row *row = &r->row[r->count];
		size_t len = strcspn(p, ","), kind_len = strcspn(p, ":,");
		uint64_t seconds = o->idle_s;
		unsigned kind = 0;

		if (r->count == REPLAY_MAX_POLICIES || stk_snprintf(row->name, sizeof(row->name), "%.*s", (int)len, p))
			return usage_error("too many policies, or too long", o->policies);
		while (kind < STK_ARRAY_LEN(kinds) &&
		       (strlen(kinds[kind]) != kind_len || strncmp(kinds[kind], p, kind_len) != 0))
			kind++;
		if (kind == STK_ARRAY_LEN(kinds))
			return usage_error("unknown policy (histogram, idle, fixed)", row->name);
		if (kind_len < len && stk_parse_u64(row->name + kind_len + 1, 1, 86400, &seconds))
			return usage_error("a policy's time is in seconds, 1 to 86400", row->name);
		row->spec = o->spec;
		row->spec.kind = (enum sim_kind)kind;
		row->spec.idle_us = seconds * 1000000;
		r->count++;
		p += len;
	}
	return r->count ? 0 : usage_error("no policy", NULL);
}

static int read_files(const struct options *o, struct trace *t, struct stk_err *err)
{
	struct trace_azure azure = {.trace = t};

	for (unsigned i = 0; i < o->file_count; i++) {
		stk_autofile f = fopen(o->file[i], "re");
		int rc = f ? trace_azure_read(&azure, f, o->file[i], err) :
			     stk_err_sys(err, -errno, "%s", o->file[i]);

		if (rc)
			return rc;
	}
	return 0;
}

static int replay(struct options *o, struct trace *t, struct replay_report *r, struct stk_err *err)
{
	int rc;

	if (o->file_count)
		rc = read_files(o, t, err);
	else
		rc = trace_generate(t, o->generate ? o->generate : "azure", (unsigned)o->functions, err);
	if (rc == 0)
		rc = trace_finish(t, err);
	for (unsigned i = 0; rc == 0 && i < r->count; i++) {
		rc = sim_run(t, &r->row[i].spec, &r->row[i].result);
		if (rc)
			stk_err_sys(err, rc, "simulation");
	}
	r->trace = t;
	if (rc == 0)
		replay_report_print(o->json_path && strcmp(o->json_path, "-") == 0 ? stderr : stdout, r);
	return rc == 0 && o->json_path ? json_out(replay_report_json(r), o->json_path, err) : rc;
}

int replay_main(int argc, char **argv)
{
	struct options o = {
		.policies = "histogram,idle,fixed:600", .functions = 400, .idle_s = 300,
		.spec = {.ceiling = 1000, .budget_mib = 1 << 20, .max_starts = 16, .queue_limit = 1000,
			 .queue_timeout_us = 30000000, .warm_us = 1000, .cold_us = 30000, .refill_us = 60000}};
	static struct replay_report r; /* histograms: too large for the stack */
	struct stk_err err = {0};
	struct trace t;
	int rc;

	trace_limits_default(&o.limits);
	if (parse_options(&o, argc, argv) || parse_policies(&o, &r))
		return EXIT_USAGE;
	if (o.hours || !o.file_count)
		o.limits.end_us = (o.hours ? o.hours : 24) * HOUR_US;
	trace_init(&t, &o.limits);
	rc = replay(&o, &t, &r, &err);
	trace_fini(&t);
	if (rc)
		fprintf(stderr, "stoker-bench replay: %s\n", err.text);
	return rc ? EXIT_SYSTEM : EXIT_OK;
}

#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client.h"
#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"

#define NOT_GIVEN UINT64_MAX

static const char usage[] =
	"usage: stoker-bench [options] FUNCTION\n"
	"       stoker-bench --compare A.json B.json\n"
	"       stoker-bench replay --help\n"
	"  --url URL            host to measure (http://127.0.0.1:8080)\n"
	"  --scenario LIST      of cold-boot, cold-restore, shell, warm, any (default any)\n"
	"  --event TEXT|@FILE   event to post (default {})\n"
	"  --expect TEXT        what each answer must be\n"
	"  -n, --requests N     requests of each scenario (default 100; 0: no limit)\n"
	"  --duration S         at most this long for each scenario\n"
	"  -c, --connections N  closed loop: clients (default 1); open loop: the most connections (256)\n"
	"  --rate R             open loop: R requests per second, latency from the intended start\n"
	"  --arrivals KIND      open loop: constant, poisson (with --rate), step:R@S,R@S..., burst:N@S, trace:FILE\n"
	"  --seed N             of poisson arrivals (1)\n"
	"  --saturate           search the capacity, then an open loop at 50, 70 and 90 % of it\n"
	"  --think MS           closed loop: pause of each client before a request\n"
	"  --warmup N           first requests that do not count (default 1)\n"
	"  --timeout S          for one answer (default 60)\n"
	"  --prove-fresh        answers must carry a boot_id that no other one has\n"
	"  --cpu                also the CPU time of the whole machine per request\n"
	"  --memory             also the memory per VM (on the host's own machine)\n"
	"  --json FILE          results with histograms; - is the standard output\n"
	"  --html FILE          results as one page with diagrams\n";

static int usage_error(const char *text, const char *arg)
{
	fprintf(stderr, "stoker-bench: %s%s%s\n%s", text, arg ? ": " : "", arg ? arg : "", usage);
	return -EINVAL;
}

static int read_event(struct options *o, const char *arg)
{
	free(stk_take_ptr(&o->event));
	if (arg[0] == '@') {
		int rc = stk_read_file(arg + 1, 6U << 20, &o->event, &o->event_len);

		if (rc < 0)
			fprintf(stderr, "stoker-bench: %s: %s\n", arg + 1, strerror(-rc));
		return rc;
	}
	o->event = strdup(arg);
	o->event_len = strlen(arg);
	return o->event ? 0 : -ENOMEM;
}

/* Text of the options that only make sense together. */
struct loop_options {
	const char *arrivals;
	double rate;
	uint64_t seed;
};

static int parse_rate(const char *text, double *ret_rate)
{
	char *end;
	double rate = strtod(text, &end);

	if (!*text || *end || !(rate > 0 && rate <= ARRIVALS_MAX_RATE))
		return -EINVAL;
	*ret_rate = rate;
	return 0;
}

/* Which loop it is, and when its requests are due. */
static int settle_loop(struct options *o, const struct loop_options *l)
{
	const char *text = l->arrivals ? l->arrivals : "constant";
	bool needs_rate = strcmp(text, "constant") == 0 || strcmp(text, "poisson") == 0;
	struct stk_err err = {0};

	if (o->saturate && (l->rate > 0 || !needs_rate || o->requests != NOT_GIVEN || strchr(o->scenarios, ',')))
		return usage_error("--saturate finds the rate itself, with --duration for each step and one scenario", NULL);
	if (l->rate > 0 && !needs_rate)
		return usage_error("these arrivals have their own rate", text);
	o->open_loop = l->rate > 0 || l->arrivals;
	if (o->open_loop || o->saturate) {
		int rc = arrivals_parse(&o->arrivals, text, o->saturate ? 1 : l->rate, l->seed, &err);

		if (rc < 0) {
			fprintf(stderr, "stoker-bench: %s\n", err.text);
			return rc;
		}
	}
	if (o->saturate) {
		o->duration_s = o->duration_s ? o->duration_s : 5;
		o->requests = 0;
	}
	if (o->requests == NOT_GIVEN)
		o->requests = o->open_loop && arrivals_end(&o->arrivals) ? 0 : 100;
	if (o->requests == 0 && o->duration_s == 0 && !(o->open_loop && arrivals_end(&o->arrivals)))
		return usage_error("-n 0 needs --duration", NULL);
	if (o->connections == 0)
		o->connections = o->open_loop || o->saturate ? 256 : 1;
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	enum { OPT_URL = 256, OPT_SCENARIO, OPT_EVENT, OPT_EXPECT, OPT_DURATION, OPT_RATE, OPT_ARRIVALS, OPT_SEED, OPT_SATURATE,
	       OPT_THINK, OPT_WARMUP, OPT_TIMEOUT, OPT_FRESH, OPT_MEMORY, OPT_CPU, OPT_JSON, OPT_HTML, OPT_COMPARE,
	       OPT_VERSION };
	static const struct option longs[] = {
		{"url", required_argument, NULL, OPT_URL},
		{"scenario", required_argument, NULL, OPT_SCENARIO},
		{"event", required_argument, NULL, OPT_EVENT},
		{"expect", required_argument, NULL, OPT_EXPECT},
		{"requests", required_argument, NULL, 'n'},
		{"duration", required_argument, NULL, OPT_DURATION},
		{"connections", required_argument, NULL, 'c'},
		{"rate", required_argument, NULL, OPT_RATE},
		{"arrivals", required_argument, NULL, OPT_ARRIVALS},
		{"seed", required_argument, NULL, OPT_SEED},
		{"saturate", no_argument, NULL, OPT_SATURATE},
		{"think", required_argument, NULL, OPT_THINK},
		{"warmup", required_argument, NULL, OPT_WARMUP},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{"prove-fresh", no_argument, NULL, OPT_FRESH},
		{"memory", no_argument, NULL, OPT_MEMORY},
		{"cpu", no_argument, NULL, OPT_CPU},
		{"json", required_argument, NULL, OPT_JSON},
		{"html", required_argument, NULL, OPT_HTML},
		{"compare", no_argument, NULL, OPT_COMPARE},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct loop_options loop = {.seed = 1};
	uint64_t seconds = 60;
	bool compare = false;
	int rc = 0, opt;

	o->url = "http://127.0.0.1:8080";
	o->scenarios = "any";
	o->requests = NOT_GIVEN;
	o->warmup = 1;
	while (rc == 0 && (opt = getopt_long(argc, argv, "n:c:h", longs, NULL)) != -1) {
		switch (opt) {
		case OPT_URL: o->url = optarg; break;
		case OPT_SCENARIO: o->scenarios = optarg; break;
		case OPT_EVENT: rc = read_event(o, optarg); break;
		case OPT_EXPECT:
			o->expect = optarg;
			rc = strlen(optarg) < CLIENT_BODY_KEEP ? 0 : -EINVAL;
			break;
		case 'n': rc = stk_parse_u64(optarg, 0, 100000000, &o->requests); break;
		case 'c': rc = stk_parse_u64(optarg, 1, 10000, &o->connections); break;
		case OPT_DURATION: rc = stk_parse_u64(optarg, 1, 86400, &o->duration_s); break;
		case OPT_RATE: rc = parse_rate(optarg, &loop.rate); break;
		case OPT_ARRIVALS: loop.arrivals = optarg; break;
		case OPT_SEED: rc = stk_parse_u64(optarg, 0, UINT64_MAX, &loop.seed); break;
		case OPT_SATURATE: o->saturate = true; break;
		case OPT_THINK: rc = stk_parse_u64(optarg, 0, 3600000, &o->think_ms); break;
		case OPT_WARMUP: rc = stk_parse_u64(optarg, 0, 1000000, &o->warmup); break;
		case OPT_TIMEOUT: rc = stk_parse_u64(optarg, 1, 3600, &seconds); break;
		case OPT_FRESH: o->prove_fresh = true; break;
		case OPT_MEMORY: o->memory = true; break;
		case OPT_CPU: o->cpu = true; break;
		case OPT_JSON: o->json_path = optarg; break;
		case OPT_HTML: o->html_path = optarg; break;
		case OPT_COMPARE: compare = true; break;
		case OPT_VERSION: puts("stoker-bench " PACKAGE_VERSION); exit(EXIT_SUCCESS);
		case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
		default: return usage_error("unknown option", NULL);
		}
		if (rc < 0)
			return usage_error("not a value that this option takes", optarg);
	}
	o->timeout_ms = seconds * 1000;
	if (compare) {
		if (argc - optind != 2)
			return usage_error("--compare takes two files", NULL);
		o->compare_a = argv[optind];
		o->compare_b = argv[optind + 1];
		return 0;
	}
	if (argc - optind != 1 || !stk_name_valid(argv[optind]))
		return usage_error("one function name is needed", NULL);
	o->function = argv[optind];
	rc = settle_loop(o, &loop);
	if (rc < 0)
		return rc;
	return o->event ? 0 : read_event(o, "{}");
}

void options_fini(struct options *o)
{
	arrivals_fini(&o->arrivals);
	free(stk_take_ptr(&o->event));
}

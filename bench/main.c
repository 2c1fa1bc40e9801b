/* stoker-bench: measures a function on a running host: cold-boot, cold-restore and warm starts, each
 * forced and checked, in a closed or an open loop; compares two results. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench/compare.h"
#include "bench/cpu.h"
#include "bench/load.h"
#include "bench/memory.h"
#include "bench/report.h"
#include "common/base/cleanup.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/str.h"

#define IDLE_WAIT_S  15u
#define SETTLE_MAX_S 20u

enum { EXIT_OK = 0, EXIT_SYSTEM = 1, EXIT_USAGE = 2, EXIT_FAILED_REQUESTS = 3 };

struct options {
	const char *url, *function, *scenarios, *json_path;
	const char *compare_a, *compare_b;
	char *event;
	size_t event_len;
	uint64_t requests, warmup, connections, think_ms, timeout_ms, duration_s;
	double rate;
	bool memory, cpu;
};

static const char usage[] =
	"usage: stoker-bench [options] FUNCTION\n"
	"       stoker-bench --compare A.json B.json\n"
	"  --url URL            host to measure (http://127.0.0.1:8080)\n"
	"  --scenario LIST      of cold-boot, cold-restore, warm, any (default any)\n"
	"  --event TEXT|@FILE   event to post (default {})\n"
	"  -n, --requests N     requests of each scenario (default 100; 0 with --duration)\n"
	"  --duration S         at most this long for each scenario\n"
	"  -c, --connections N  closed loop: clients (default 1); open loop: the most connections (256)\n"
	"  --rate R             open loop: R requests per second, latency from the intended start\n"
	"  --think MS           closed loop: pause of each client before a request\n"
	"  --warmup N           first requests that do not count (default 1)\n"
	"  --timeout S          for one answer (default 60)\n"
	"  --cpu                also the CPU time of the whole machine per request\n"
	"  --memory             also the memory per VM (on the host's own machine)\n"
	"  --json FILE          results with histograms; - is the standard output\n";

static int usage_error(const char *text, const char *arg)
{
	fprintf(stderr, "stoker-bench: %s%s%s\n%s", text, arg ? ": " : "", arg ? arg : "", usage);
	return -EINVAL;
}

static int read_event(struct options *o, const char *arg)
{
	if (arg[0] == '@') {
		int rc = stk_read_file(arg + 1, 6U << 20, &o->event, &o->event_len);

		if (rc < 0)
			fprintf(stderr, "stoker-bench: %s: %s\n", arg + 1, strerror(-rc));
		return rc;
	}
	free(o->event);
	o->event = strdup(arg);
	o->event_len = strlen(arg);
	return o->event ? 0 : -ENOMEM;
}

static bool known_scenario(const char *name, size_t len)
{
	static const char *const names[] = {"cold-boot", "cold-restore", "warm", "any"};

	for (size_t i = 0; i < STK_ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
			return true;
	return false;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	enum { OPT_URL = 256, OPT_SCENARIO, OPT_EVENT, OPT_DURATION, OPT_RATE, OPT_THINK, OPT_WARMUP,
	       OPT_TIMEOUT, OPT_MEMORY, OPT_CPU, OPT_JSON, OPT_COMPARE, OPT_VERSION };
	static const struct option longs[] = {
		{"url", required_argument, NULL, OPT_URL},
		{"scenario", required_argument, NULL, OPT_SCENARIO},
		{"event", required_argument, NULL, OPT_EVENT},
		{"requests", required_argument, NULL, 'n'},
		{"duration", required_argument, NULL, OPT_DURATION},
		{"connections", required_argument, NULL, 'c'},
		{"rate", required_argument, NULL, OPT_RATE},
		{"think", required_argument, NULL, OPT_THINK},
		{"warmup", required_argument, NULL, OPT_WARMUP},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{"memory", no_argument, NULL, OPT_MEMORY},
		{"cpu", no_argument, NULL, OPT_CPU},
		{"json", required_argument, NULL, OPT_JSON},
		{"compare", no_argument, NULL, OPT_COMPARE},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seconds = 60;
	bool compare = false;
	char *end = NULL;
	int rc = 0, opt;

	while (rc == 0 && (opt = getopt_long(argc, argv, "n:c:h", longs, NULL)) != -1) {
		switch (opt) {
		case OPT_URL: o->url = optarg; break;
		case OPT_SCENARIO: o->scenarios = optarg; break;
		case OPT_EVENT: rc = read_event(o, optarg); break;
		case 'n': rc = stk_parse_u64(optarg, 0, 100000000, &o->requests); break;
		case 'c': rc = stk_parse_u64(optarg, 1, 10000, &o->connections); break;
		case OPT_DURATION: rc = stk_parse_u64(optarg, 1, 86400, &o->duration_s); break;
		case OPT_RATE:
			o->rate = strtod(optarg, &end);
			rc = *optarg && !*end && o->rate > 0 && o->rate <= 1e6 ? 0 : -EINVAL;
			break;
		case OPT_THINK: rc = stk_parse_u64(optarg, 0, 3600000, &o->think_ms); break;
		case OPT_WARMUP: rc = stk_parse_u64(optarg, 0, 1000000, &o->warmup); break;
		case OPT_TIMEOUT: rc = stk_parse_u64(optarg, 1, 3600, &seconds); break;
		case OPT_MEMORY: o->memory = true; break;
		case OPT_CPU: o->cpu = true; break;
		case OPT_JSON: o->json_path = optarg; break;
		case OPT_COMPARE: compare = true; break;
		case OPT_VERSION: puts("stoker-bench " PACKAGE_VERSION); exit(EXIT_OK);
		case 'h': fputs(usage, stdout); exit(EXIT_OK);
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
	if (o->requests == 0 && o->duration_s == 0)
		return usage_error("-n 0 needs --duration", NULL);
	if (o->connections == 0)
		o->connections = o->rate > 0 ? 256 : 1;
	return o->event ? 0 : read_event(o, "{}");
}

/* http://HOST[:PORT] with or without the scheme; IPv4, as stokerd listens on. */
static int resolve(const char *url, struct sockaddr_in *ret_addr, char *ret_host, size_t cap)
{
	char host[200], *colon;
	const char *port = "80";
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;

	if (strncmp(url, "http://", 7) == 0)
		url += 7;
	if (stk_snprintf(host, sizeof(host), "%.*s", (int)strcspn(url, "/"), url) < 0)
		return -EINVAL;
	if (stk_strcpy(ret_host, cap, host) < 0)
		return -EINVAL;
	colon = strrchr(host, ':');
	if (colon) {
		*colon = '\0';
		port = colon + 1;
	}
	int rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0) {
		fprintf(stderr, "stoker-bench: %s: %s\n", url, gai_strerror(rc));
		return -EINVAL;
	}
	memcpy(ret_addr, list->ai_addr, sizeof(*ret_addr));
	freeaddrinfo(list);
	return 0;
}

/* The pool may be filling up after the last call: waits until VMs are there and grow no more. */
static int measure_idle(const char *function, struct memory_figures *ret, struct stk_err *err)
{
	double before;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; r == 0 && i < IDLE_WAIT_S * 2; i++) {
		before = ret->vms ? ret->private_all * ret->vms : -1;
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
		r = memory_measure(function, ret, err);
		if (r == 0 && ret->vms && ret->private_all * ret->vms <= before * 1.01)
			return 0;
	}
	if (r == 0 && ret->vms == 0)
		return stk_err_set(err, -ENOENT, "no VM of %s was there within %u s: is its pool's floor 0?", function,
				   IDLE_WAIT_S);
	return r;
}

/* The machine's own work with this scenario ends a while after the last answer: VMs are taken down, pools filled. */
static void wait_settled(void)
{
	uint64_t last = cpu_machine_busy_ns();

	for (unsigned i = 0; i < SETTLE_MAX_S * 2; i++) {
		uint64_t now;

		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
		now = cpu_machine_busy_ns();
		if (now - last < 25000000)
			return;
		last = now;
	}
}

static int run_scenario(const struct options *o, struct load_spec *spec, struct report_scenario *s,
			struct stk_err *err)
{
	uint64_t busy;
	int rc;

	if (o->cpu)
		wait_settled();
	busy = cpu_machine_busy_ns();
	spec->start = strcmp(s->name, "any") == 0 ? NULL : s->name;
	rc = load_run(spec, &s->result, err);
	if (o->cpu && rc == 0) {
		wait_settled();
		s->cpu_ms = (double)(cpu_machine_busy_ns() - busy) / 1e6 /
			    (double)(o->warmup + s->result.ok + s->result.failed);
	}
	return rc;
}

static int run_scenarios(const struct options *o, struct report *r, struct stk_err *err)
{
	char path[128], host[200];
	struct load_spec spec = {
		.host_header = host,
		.path = path,
		.event = o->event,
		.event_len = o->event_len,
		.connections = (unsigned)o->connections,
		.rate = o->rate,
		.requests = o->requests,
		.duration_ms = o->duration_s * 1000,
		.warmup = o->warmup,
		.think_ms = (unsigned)o->think_ms,
		.timeout_ms = (unsigned)o->timeout_ms,
	};

	if (resolve(o->url, &spec.addr, host, sizeof(host)) < 0)
		return stk_err_set(err, -EINVAL, "%s: not a host to connect to", o->url);
	snprintf(path, sizeof(path), "/v1/functions/%s/invoke", o->function);
	for (const char *p = o->scenarios; *p; p += *p == ',') {
		size_t len = strcspn(p, ",");

		if (!known_scenario(p, len))
			return stk_err_set(err, -EINVAL,
					   "unknown scenario %.*s (cold-boot, cold-restore, warm, any)",
					   (int)len, p);
		if (r->count == REPORT_MAX_SCENARIOS)
			return stk_err_set(err, -E2BIG, "at most %d scenarios", REPORT_MAX_SCENARIOS);
		struct report_scenario *s = &r->scenarios[r->count++];

		s->name = strndup(p, len);
		if (!s->name)
			return stk_err_sys(err, -ENOMEM, "scenario");
		int rc = run_scenario(o, &spec, s, err);

		if (rc < 0)
			return rc;
		p += len;
	}
	if (o->memory) {
		r->have_memory = true;
		return measure_idle(o->function, &r->memory, err);
	}
	return 0;
}

static int write_json(const struct report *r, const char *path, struct stk_err *err)
{
	json_t *o = report_json(r);
	stk_autofree char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
	int rc = 0;

	json_decref(o);
	if (!text)
		return stk_err_sys(err, -ENOMEM, "JSON");
	if (strcmp(path, "-") == 0)
		puts(text);
	else
		rc = stk_write_file_atomic(path, text, strlen(text), 0644);
	return rc < 0 ? stk_err_sys(err, rc, "%s", path) : 0;
}

int main(int argc, char **argv)
{
	struct options o = {
		.url = "http://127.0.0.1:8080", .scenarios = "any", .requests = 100, .warmup = 1};
	static struct report r; /* histograms: too large for the stack */
	struct stk_err err = {0};
	char mode[120];
	int rc = parse_options(&o, argc, argv);

	if (rc < 0)
		return EXIT_USAGE;
	if (o.compare_a) {
		rc = compare_files(o.compare_a, o.compare_b, stdout, &err);
	} else {
		if (o.rate > 0)
			snprintf(mode, sizeof(mode), "open loop, %g requests per second", o.rate);
		else
			snprintf(mode, sizeof(mode), "closed loop, %lu connection%s",
				 (unsigned long)o.connections, o.connections == 1 ? "" : "s");
		r.function = o.function;
		r.mode = mode;
		rc = run_scenarios(&o, &r, &err);
		if (rc == 0)
			report_print(o.json_path && strcmp(o.json_path, "-") == 0 ? stderr : stdout, &r);
		if (rc == 0 && o.json_path)
			rc = write_json(&r, o.json_path, &err);
	}
	if (rc < 0)
		fprintf(stderr, "stoker-bench: %s\n", err.text);

	bool failures = false;

	for (unsigned i = 0; i < r.count; i++) {
		failures |= r.scenarios[i].result.failed > 0 || r.scenarios[i].result.ok == 0;
		load_result_fini(&r.scenarios[i].result);
		free((char *)(uintptr_t)r.scenarios[i].name);
	}
	free(o.event);
	return rc < 0 ? EXIT_SYSTEM : failures ? EXIT_FAILED_REQUESTS : EXIT_OK;
}

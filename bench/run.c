#include "bench/run.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench/cpu.h"
#include "bench/load.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

#define IDLE_WAIT_S  15u
#define SETTLE_MAX_S 20u

/* http://HOST[:PORT] with or without the scheme; IPv4, as stokerd listens on. */
static int resolve(const char *url, struct sockaddr_in *ret_addr, char *ret_host, size_t cap, struct stk_err *err)
{
	char host[200], *colon;
	const char *port = "80", *from = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;

	if (stk_snprintf(host, sizeof(host), "%.*s", (int)strcspn(from, "/"), from) < 0 ||
	    stk_strcpy(ret_host, cap, host) < 0)
		return stk_err_set(err, -EINVAL, "%.80s...: this URL is too long", url);
	colon = strrchr(host, ':');
	if (colon) {
		*colon = '\0';
		port = colon + 1;
	}
	int rc = getaddrinfo(host, port, &hints, &list);

	if (rc != 0)
		return stk_err_set(err, -EINVAL, "%s: not a host to connect to: %s", url, gai_strerror(rc));
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

static struct report_scenario *add_scenario(struct report *r, const struct load_spec *spec)
{
	struct report_scenario *s = &r->scenarios[r->count++];

	s->open_loop = spec->arrivals != NULL;
	if (s->open_loop && (spec->arrivals->kind == ARRIVALS_CONSTANT || spec->arrivals->kind == ARRIVALS_POISSON))
		s->rate = spec->arrivals->rate;
	return s;
}

static int run_scenario(const struct options *o, const struct load_spec *spec, struct report_scenario *s,
			struct stk_err *err)
{
	uint64_t busy;
	int rc;

	if (o->cpu)
		wait_settled();
	busy = cpu_machine_busy_ns();
	rc = load_run(spec, &s->result, err);
	if (o->cpu && rc == 0) {
		wait_settled();
		s->cpu_ms = (double)(cpu_machine_busy_ns() - busy) / 1e6 /
			    (double)(o->warmup + s->result.ok + s->result.failed);
	}
	return rc;
}

/* Copies the name; "any" forces nothing. */
static int set_scenario(struct load_spec *spec, char name[40], const char *text, size_t len, struct stk_err *err)
{
	static const char *const names[] = {"cold-boot", "cold-restore", "shell", "warm", "any"};

	for (size_t i = 0; i < STK_ARRAY_LEN(names); i++) {
		if (strlen(names[i]) == len && strncmp(names[i], text, len) == 0) {
			spec->start = strcmp(names[i], "any") == 0 ? NULL : names[i];
			return stk_strcpy(name, 40, names[i]);
		}
	}
	return stk_err_set(err, -EINVAL, "unknown scenario %.*s (cold-boot, cold-restore, shell, warm, any)",
			   len < 40 ? (int)len : 40, text);
}

static int run_list(const struct options *o, struct load_spec *spec, struct report *r, struct stk_err *err)
{
	for (const char *p = o->scenarios; *p; p += *p == ',') {
		size_t len = strcspn(p, ",");
		char name[40];
		int rc = set_scenario(spec, name, p, len, err);

		if (rc < 0)
			return rc;
		if (r->count == REPORT_MAX_SCENARIOS)
			return stk_err_set(err, -E2BIG, "at most %d scenarios", REPORT_MAX_SCENARIOS);
		struct report_scenario *s = add_scenario(r, spec);

		memcpy(s->name, name, sizeof(name));
		rc = run_scenario(o, spec, s, err);
		if (rc < 0)
			return rc;
		p += len;
	}
	return 0;
}

static int search_capacity(struct load_spec *spec, struct saturate *s, struct stk_err *err)
{
	stk_autofree struct result *res = malloc(sizeof(*res));
	int rc = res ? 0 : stk_err_sys(err, -ENOMEM, "result");

	for (unsigned clients; rc == 0 && (clients = saturate_next(s));) {
		memset(res, 0, sizeof(*res));
		spec->connections = clients;
		rc = load_run(spec, res, err);
		if (rc == 0)
			saturate_note(s, clients, res->seconds > 0 ? (double)res->ok / res->seconds : 0,
				      hist_percentile(&res->latency, 99), res->ok, res->failed);
		if (rc == 0 && s->end == SATURATE_UNSOUND)
			rc = stk_err_set(err, -EIO, "no capacity to find: of one client's requests %lu succeeded and %lu "
				     "failed%s%s", (unsigned long)res->ok, (unsigned long)res->failed,
				     res->failure_count ? ", first: " : "",
				     res->failure_count ? res->failures[0].name : "");
		result_fini(res);
	}
	return rc;
}

static int run_saturate(struct options *o, struct load_spec *spec, struct run *r, struct stk_err *err)
{
	static const int shares[] = {50, 70, 90};
	char name[40];
	int rc = set_scenario(spec, name, o->scenarios, strlen(o->scenarios), err);

	if (rc < 0)
		return rc;
	saturate_init(&r->saturate, (unsigned)o->connections);
	r->report.saturate = &r->saturate;
	rc = search_capacity(spec, &r->saturate, err);
	spec->connections = (unsigned)o->connections;
	spec->arrivals = &o->arrivals;
	for (size_t i = 0; rc == 0 && i < STK_ARRAY_LEN(shares); i++) {
		o->arrivals.rate = r->saturate.capacity * shares[i] / 100;
		struct report_scenario *s = add_scenario(&r->report, spec);

		snprintf(s->name, sizeof(s->name), "%.20s at %d %%", name, shares[i]);
		rc = run_scenario(o, spec, s, err);
	}
	return rc;
}

static void describe(const struct options *o, struct run *r)
{
	char text[100];

	if (o->saturate) {
		snprintf(r->mode, sizeof(r->mode), "capacity, then open loop with %s arrivals",
			 o->arrivals.kind == ARRIVALS_POISSON ? "poisson" : "constant");
	} else if (o->open_loop) {
		arrivals_describe(&o->arrivals, text, sizeof(text));
		snprintf(r->mode, sizeof(r->mode), "open loop, %s", text);
	} else {
		snprintf(r->mode, sizeof(r->mode), "closed loop, %lu connection%s", (unsigned long)o->connections,
			 o->connections == 1 ? "" : "s");
	}
	r->report.mode = r->mode;
	r->report.function = o->function;
}

int run_all(struct options *o, struct run *r, struct stk_err *err)
{
	char path[128], host[200];
	struct load_spec spec = {
		.host_header = host,
		.path = path,
		.event = o->event,
		.event_len = o->event_len,
		.fresh = o->prove_fresh ? &r->fresh : NULL,
		.expect = o->expect,
		.connections = (unsigned)o->connections,
		.arrivals = o->open_loop && !o->saturate ? &o->arrivals : NULL,
		.requests = o->requests,
		.duration_ms = o->duration_s * 1000,
		.warmup = o->warmup,
		.think_ms = (unsigned)o->think_ms,
		.timeout_ms = (unsigned)o->timeout_ms,
	};
	struct report *report = &r->report;
	int rc = resolve(o->url, &spec.addr, host, sizeof(host), err);

	if (rc < 0)
		return rc;
	describe(o, r);
	report->fresh = spec.fresh;
	report->have_memory = o->memory;
	snprintf(path, sizeof(path), "/v1/functions/%s/invoke", o->function);
	if (o->memory)
		rc = memory_machine_now(&report->before, err);
	if (rc == 0)
		rc = o->saturate ? run_saturate(o, &spec, r, err) : run_list(o, &spec, report, err);
	if (rc == 0 && o->memory)
		rc = measure_idle(o->function, &report->memory, err);
	if (rc == 0 && o->memory)
		rc = memory_machine_now(&report->after, err);
	return rc;
}

bool run_failures(const struct run *r)
{
	if (r->fresh.repeated) /* also in a warm-up or in the search */
		return true;
	for (unsigned i = 0; i < r->report.count; i++)
		if (r->report.scenarios[i].result.failed > 0 || r->report.scenarios[i].result.ok == 0)
			return true;
	return false;
}

void run_fini(struct run *r)
{
	for (unsigned i = 0; i < r->report.count; i++)
		result_fini(&r->report.scenarios[i].result);
	fresh_fini(&r->fresh);
}

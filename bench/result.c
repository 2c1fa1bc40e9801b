#include "bench/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define NAME_CAP 80

/* Text from outside goes to terminals and into JSON. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void count_failure(struct result *r, const char *name)
{
	r->failed++;
	for (unsigned i = 0; i < r->failure_count; i++) {
		if (strcmp(r->failures[i].name, name) == 0) {
			r->failures[i].count++;
			return;
		}
	}
	if (r->failure_count == RESULT_MAX_FAILURES - 1)
		name = "other";
	if (r->failure_count == RESULT_MAX_FAILURES) {
		r->failures[RESULT_MAX_FAILURES - 1].count++;
		return;
	}
	struct result_failure *f = &r->failures[r->failure_count++];

	snprintf(f->name, sizeof(f->name), "%.47s", name);
	f->count = 1;
}

static enum fresh_verdict prove(const struct result_check *check, const struct client_result *res, enum start_class c)
{
	size_t len = res->body_len < CLIENT_BODY_KEEP ? res->body_len : CLIENT_BODY_KEEP;

	return check->fresh && classes_single_use(c) ? fresh_check(check->fresh, res->body, len) : FRESH_NEW;
}

/* Why this one failed; empty when it did not. */
static void judge(struct result *r, const struct result_check *check, const struct client_result *res,
		  enum start_class c, char name[NAME_CAP])
{
	name[0] = '\0';
	if (res->err == -ETIMEDOUT) {
		snprintf(name, NAME_CAP, "timeout");
	} else if (res->err) {
		snprintf(name, NAME_CAP, "%s", uv_strerror(res->err));
	} else if (res->status != 200) {
		snprintf(name, NAME_CAP, "http %d%s%s", res->status, res->error_kind[0] ? " " : "", res->error_kind);
		if (!r->first_error[0]) {
			snprintf(r->first_error, sizeof(r->first_error), "%.250s", res->body);
			make_plain(r->first_error);
		}
	} else {
		enum fresh_verdict v = prove(check, res, c);

		if (v != FRESH_NEW)
			snprintf(name, NAME_CAP, "%s", fresh_text(v));
		else if (check->expect && (res->body_len != strlen(check->expect) ||
					   memcmp(res->body, check->expect, res->body_len) != 0))
			snprintf(name, NAME_CAP, "not the expected answer");
		else if (check->start && strcmp(res->start, check->start) != 0)
			snprintf(name, NAME_CAP, "%s instead of %s", res->start[0] ? res->start : "no start", check->start);
	}
	make_plain(name);
}

void result_add(struct result *r, const struct result_check *check, const struct client_result *res,
		uint64_t start_ns, uint64_t begin_ns)
{
	enum start_class c = res->err ? CLASS_NONE : classes_of(res->status, res->start);
	uint64_t ns = res->done_ns - start_ns;
	char name[NAME_CAP];

	judge(r, check, res, c, name);
	classes_add(&r->classes, c, ns);
	timeline_add(&r->timeline, start_ns - begin_ns, !name[0], ns);
	if (name[0]) {
		count_failure(r, name);
	} else {
		r->ok++;
		hist_record(&r->latency, ns);
		timing_add(&r->stages, res->server_timing);
	}
}

void result_unsent(struct result *r, uint64_t start_ns, uint64_t begin_ns)
{
	count_failure(r, "not sent in time: no free connection");
	timeline_add(&r->timeline, start_ns - begin_ns, false, 0);
}

void result_skip(const struct result_check *check, const struct client_result *res)
{
	if (!res->err)
		prove(check, res, classes_of(res->status, res->start));
}

void result_fini(struct result *r)
{
	timing_fini(&r->stages);
	classes_fini(&r->classes);
}

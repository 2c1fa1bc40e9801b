/* Platform events: see invlog_json.h. Nothing that is put into them needs an escape: ids, numbers, names of fixed sets, and
 * names of functions and runtimes, which were checked. */
#include "scheduler/invlog_json.h"

#include "common/base/clock.h"
#include "scheduler/answer.h"
#include "scheduler/logs.h"

static struct stk_text begin(char buf[INVLOG_LINE_CAP], struct logsink *log, const char *type)
{
	struct stk_text t = stk_text_init(buf, INVLOG_LINE_CAP);

	stk_text_str(&t, "{\"time\":\"");
	logs_time(log, &t);
	stk_text_str(&t, "\",\"type\":\"platform.");
	stk_text_str(&t, type);
	stk_text_str(&t, "\",\"record\":{");
	return t;
}

static struct stk_text begin_call(char buf[INVLOG_LINE_CAP], const struct invocation *inv, const char *type)
{
	struct stk_text t = begin(buf, inv->ver->fn->log, type);

	stk_text_str(&t, "\"requestId\":\"");
	stk_text_str(&t, inv->id);
	stk_text_str(&t, "\"");
	return t;
}

/* name: with what stands in front of it. */
static void add_text(struct stk_text *t, const char *name, const char *value)
{
	stk_text_str(t, name);
	stk_text_str(t, value);
	stk_text_str(t, "\"");
}

static void add_ms(struct stk_text *t, const char *name, uint64_t ns)
{
	stk_text_str(t, name);
	stk_text_fixed(t, (ns + 500) / 1000, 3);
}

static void add_number(struct stk_text *t, const char *name, uint64_t n)
{
	stk_text_str(t, name);
	stk_text_u64(t, n, 1);
}

static void add_version(struct stk_text *t, const char *name, unsigned published)
{
	char version[FN_VERSION_TEXT];

	fn_version_text(published, version);
	add_text(t, name, version);
}

/* An error that the runtime has reported, now or in its init phase, is the function's; else the runtime, or what it runs in,
 * has failed. */
static void add_status(struct stk_text *t, enum inv_outcome outcome)
{
	bool host;

	if (outcome == INV_OK) {
		stk_text_str(t, ",\"status\":\"success\"");
	} else if (outcome == INV_TIMEOUT) {
		stk_text_str(t, ",\"status\":\"timeout\"");
	} else if (outcome == INV_FUNCTION_ERROR || outcome == INV_START_FAILED) {
		stk_text_str(t, ",\"status\":\"error\",\"errorType\":\"Runtime.Unknown\"");
	} else {
		stk_text_str(t, ",\"status\":\"failure\"");
		add_text(t, ",\"errorType\":\"", answer_failure_type(outcome, &host));
	}
}

struct stk_text invlog_json_start(char buf[INVLOG_LINE_CAP], const struct invocation *inv)
{
	struct stk_text t = begin_call(buf, inv, "start");

	add_version(&t, ",\"version\":\"", inv->ver->published);
	stk_text_str(&t, "}}");
	return t;
}

struct stk_text invlog_json_runtime_done(char buf[INVLOG_LINE_CAP], const struct invocation *inv, enum inv_outcome outcome,
					 uint64_t ns)
{
	struct stk_text t = begin_call(buf, inv, "runtimeDone");

	add_status(&t, outcome);
	add_ms(&t, ",\"metrics\":{\"durationMs\":", ns);
	if (outcome == INV_OK && !inv->streaming)
		add_number(&t, ",\"producedBytes\":", inv->resp_len);
	stk_text_str(&t, "}}}");
	return t;
}

/* How long the VM took to become ready, of a call that had to wait for one. */
static void add_start(struct stk_text *t, const struct invocation *inv)
{
	uint64_t ns = invocation_span(inv->start_ns, inv->ready_ns);

	if (inv->start == INV_COLD_BOOT)
		add_ms(t, ",\"initDurationMs\":", ns);
	else if (inv->start == INV_COLD_RESTORE || inv->start == INV_SHELL)
		add_ms(t, ",\"restoreDurationMs\":", ns);
}

struct stk_text invlog_json_report(char buf[INVLOG_LINE_CAP], const struct invocation *inv, enum inv_outcome outcome, uint64_t ns)
{
	struct stk_text t = begin_call(buf, inv, "report");

	add_ms(&t, ",\"metrics\":{\"durationMs\":", ns);
	add_number(&t, ",\"billedDurationMs\":", (ns + STK_NS_PER_MS - 1) / STK_NS_PER_MS);
	add_number(&t, ",\"memorySizeMB\":", inv->ver->settings.memory_mib);
	if (inv->peak_mib)
		add_number(&t, ",\"maxMemoryUsedMB\":", inv->peak_mib);
	add_start(&t, inv);
	stk_text_str(&t, "}");
	add_status(&t, outcome);
	if (inv->start != INV_ANY) /* a word of our own, as in REPORT */
		add_text(&t, ",\"start\":\"", invocation_start_name(inv->start));
	stk_text_str(&t, "}}");
	return t;
}

static struct stk_text begin_init(char buf[INVLOG_LINE_CAP], const struct function *fn, const struct fn_settings *s,
				  unsigned published, const char *type)
{
	struct stk_text t = begin(buf, fn->log, type);

	add_text(&t, "\"initializationType\":\"", fn_is_snapstart(s, published) ? "snap-start" : "on-demand");
	stk_text_str(&t, ",\"phase\":\"init\"");
	return t;
}

struct stk_text invlog_json_init_start(char buf[INVLOG_LINE_CAP], const struct function *fn, const struct fn_settings *s,
				       unsigned published, const char *runtime)
{
	struct stk_text t = begin_init(buf, fn, s, published, "initStart");
	char name[FN_BARE_MAX + 1];

	fn_bare_name(fn->name, name);
	add_text(&t, ",\"runtimeVersion\":\"", runtime);
	add_text(&t, ",\"functionName\":\"", name);
	add_version(&t, ",\"functionVersion\":\"", published);
	stk_text_str(&t, "}}");
	return t;
}

struct stk_text invlog_json_init_report(char buf[INVLOG_LINE_CAP], const struct function *fn, const struct fn_settings *s,
					unsigned published, uint64_t ns, bool timed_out, const char *type)
{
	struct stk_text t = begin_init(buf, fn, s, published, "initReport");

	add_text(&t, ",\"status\":\"", timed_out ? "timeout" : "error");
	add_text(&t, ",\"errorType\":\"", type);
	if (ns) {
		add_ms(&t, ",\"metrics\":{\"durationMs\":", ns);
		stk_text_str(&t, "}");
	}
	stk_text_str(&t, "}}");
	return t;
}

/* START, END, REPORT: see invlog.h. What a function with LogFormat JSON gets instead is made in invlog_json.c. */
#include "scheduler/invlog.h"

#include <jansson.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "scheduler/build.h"
#include "scheduler/invlog_json.h"
#include "scheduler/logs.h"
#include "scheduler/pool.h"
#include "scheduler/runtimes.h"
#include "scheduler/sandbox.h"

#define LINE_CAP INVLOG_LINE_CAP
#define TYPE_MAX 128u

/* t: the line, with room for its end. */
static void say(struct invocation *inv, struct stk_text *t)
{
	logs_line(inv->ver->fn->log, inv->id, t->p, t->len);
	stk_text_str(t, "\n");
	invocation_logged(inv, t->p, t->len);
}

/* Is a line of this level wanted? */
static bool wanted(const struct fn_settings *s, enum fn_log_level level)
{
	return level >= s->logging.system;
}

/* This line has time and id of its own; the log has them in front of each line anyway. */
static void say_timeout(struct invocation *inv)
{
	char buf[LINE_CAP], head[LOGS_STAMP_MAX];
	struct stk_text t = stk_text_init(buf, sizeof(buf));

	invocation_logged(inv, head, logs_stamp(inv->ver->fn->log, head, inv->id));
	stk_text_str(&t, "Task timed out after ");
	stk_text_u64(&t, inv->ver->settings.timeout_s, 1);
	stk_text_str(&t, ".00 seconds");
	say(inv, &t);
}

static struct stk_text begin(char buf[LINE_CAP], const struct invocation *inv, const char *what)
{
	struct stk_text t = stk_text_init(buf, LINE_CAP);

	stk_text_str(&t, what);
	stk_text_str(&t, " RequestId: ");
	stk_text_str(&t, inv->id);
	return t;
}

static void add_ms(struct stk_text *t, const char *name, uint64_t ns)
{
	stk_text_str(t, name);
	stk_text_fixed(t, (ns + 5000) / 10000, 2);
	stk_text_str(t, " ms");
}

static void add_number(struct stk_text *t, const char *name, uint64_t n, const char *unit)
{
	stk_text_str(t, name);
	stk_text_u64(t, n, 1);
	stk_text_str(t, unit);
}

void invlog_start(struct invocation *inv)
{
	char buf[LINE_CAP];
	struct stk_text t;

	if (inv->start_logged || !inv->ver->fn->log)
		return;
	inv->start_logged = true;
	if (inv->ver->settings.logging.json) {
		if (wanted(&inv->ver->settings, FN_LOG_INFO)) {
			t = invlog_json_start(buf, inv);
			say(inv, &t);
		}
		return;
	}
	t = begin(buf, inv, "START");
	if (inv->ver->published)
		add_number(&t, " Version: ", inv->ver->published, "");
	else
		stk_text_str(&t, " Version: $LATEST");
	say(inv, &t);
}

/* How long the VM took to become ready, of a call that had to wait for one. */
static void add_start(struct stk_text *t, const struct invocation *inv)
{
	uint64_t ns = invocation_span(inv->start_ns, inv->ready_ns);

	if (inv->start == INV_COLD_BOOT)
		add_ms(t, "\tInit Duration: ", ns);
	else if (inv->start == INV_COLD_RESTORE || inv->start == INV_SHELL)
		add_ms(t, "\tRestore Duration: ", ns);
}

static const char *status_text(enum inv_outcome outcome)
{
	if (outcome == INV_OK || outcome == INV_FUNCTION_ERROR)
		return "";
	return outcome == INV_TIMEOUT ? "\tStatus: timeout" : "\tStatus: error";
}

/* Of its version no VM can be started, since its init phase has failed: it is answered with what was reported then. */
static bool init_had_failed(const struct invocation *inv, enum inv_outcome outcome)
{
	return outcome == INV_START_FAILED && inv->ver->state == FN_FAILED && inv->ver->init_error;
}

void invlog_error(struct invocation *inv, const char *text, size_t len)
{
	struct logsink *log = inv->ver->fn->log;
	struct logline line = {0};

	if (!log)
		return;
	if (len > LOGS_LINE_MAX)
		len = LOGS_LINE_MAX;
	invlog_start(inv);
	logs_feed(log, &line, inv->id, (const uint8_t *)text, len); /* it may have line breaks */
	logs_flush_line(log, &line, inv->id);
	invocation_logged(inv, text, len);
	invocation_logged(inv, "\n", 1);
}

/* Instead of END and REPORT. */
static void end_json(struct invocation *inv, enum inv_outcome outcome, uint64_t ns)
{
	const struct fn_settings *s = &inv->ver->settings;
	bool ok = outcome == INV_OK;
	char buf[LINE_CAP];
	struct stk_text t;

	if (wanted(s, ok ? FN_LOG_DEBUG : FN_LOG_WARN)) {
		t = invlog_json_runtime_done(buf, inv, outcome, ns);
		say(inv, &t);
	}
	if (wanted(s, ok ? FN_LOG_INFO : FN_LOG_WARN)) {
		t = invlog_json_report(buf, inv, outcome, ns);
		say(inv, &t);
	}
}

void invlog_end(struct invocation *inv, enum inv_outcome outcome, uint64_t now)
{
	uint64_t ns = invocation_span(inv->sent_ns, now);
	bool init_failed = init_had_failed(inv, outcome);
	char buf[LINE_CAP];
	struct stk_text t;

	if ((!inv->sent_ns && !init_failed) || !inv->ver->fn->log)
		return;
	invlog_start(inv);
	if (init_failed)
		invlog_error(inv, inv->ver->init_error, strlen(inv->ver->init_error));
	if (inv->ver->settings.logging.json) {
		end_json(inv, outcome, ns);
		return;
	}
	if (outcome == INV_TIMEOUT)
		say_timeout(inv);
	t = begin(buf, inv, "END");
	say(inv, &t);
	t = begin(buf, inv, "REPORT");
	add_ms(&t, "\tDuration: ", ns);
	add_number(&t, "\tBilled Duration: ", (ns + STK_NS_PER_MS - 1) / STK_NS_PER_MS, " ms");
	add_number(&t, "\tMemory Size: ", inv->ver->settings.memory_mib, " MB");
	if (inv->peak_mib)
		add_number(&t, "\tMax Memory Used: ", inv->peak_mib, " MB");
	add_start(&t, inv);
	stk_text_str(&t, status_text(outcome));
	if (inv->start != INV_ANY) {
		stk_text_str(&t, "\tStart: ");
		stk_text_str(&t, invocation_start_name(inv->start));
	}
	say(inv, &t);
}

/* INIT_REPORT, or what there is instead. type has come from the guest, perhaps, and stands between the host's own words: a
 * name, or none. */
static struct stk_text init_report(char buf[LINE_CAP], const struct function *fn, const struct fn_settings *s,
				   unsigned published, uint64_t ns, bool timed_out, const char *type)
{
	static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
	struct stk_text t = stk_text_init(buf, LINE_CAP);
	size_t len = type ? strspn(type, name_chars) : 0;

	if (!len || len > TYPE_MAX || type[len])
		type = "Runtime.Unknown";
	if (s->logging.json) /* a failure: of a level that is never left out */
		return invlog_json_init_report(buf, fn, s, published, ns, timed_out, type);
	stk_text_str(&t, "INIT_REPORT ");
	if (ns)
		add_ms(&t, "Init Duration: ", ns);
	stk_text_str(&t, ns ? "\tPhase: init" : "Phase: init");
	stk_text_str(&t, timed_out ? "\tStatus: timeout" : "\tStatus: error");
	stk_text_str(&t, "\tError Type: ");
	stk_text_str(&t, type);
	return t;
}

void invlog_init_failed(struct sandbox *sb, const struct gw_error *e)
{
	static const char *const types[] = {[GW_ERR_INIT] = "Runtime.InitError", [GW_ERR_EXIT] = "Runtime.ExitError",
					    [GW_ERR_SIGNAL] = "Runtime.ExitError", [GW_ERR_OOM] = "Runtime.OutOfMemory",
					    [GW_ERR_ENTRYPOINT] = "Runtime.InvalidEntrypoint",
					    [GW_ERR_INIT_TIMEOUT] = "Sandbox.Timedout"};
	const char *type = e->kind < sizeof(types) / sizeof(types[0]) ? types[e->kind] : NULL;
	const struct fn_version *v = sb->pool->ver;
	char buf[LINE_CAP];
	struct stk_text t;

	if (sb->kind != INV_COLD_BOOT || !v->fn->log)
		return;
	t = init_report(buf, v->fn, &v->settings, v->published, invocation_span(sb->started_ns, stk_now_ns()),
			e->kind == GW_ERR_INIT_TIMEOUT, type ? type : "Sandbox.Died");
	say(sb->inv, &t);
}

static void init_start(const struct function *fn, const struct fn_settings *s, unsigned published, const char *runtime,
		       const char *id)
{
	char buf[LINE_CAP];
	struct stk_text t = stk_text_init(buf, sizeof(buf));

	if (s->logging.json && !wanted(s, FN_LOG_INFO))
		return;
	if (s->logging.json) {
		t = invlog_json_init_start(buf, fn, s, published, runtime);
	} else {
		stk_text_str(&t, "INIT_START Runtime Version: ");
		stk_text_str(&t, runtime);
	}
	logs_line(fn->log, id, t.p, t.len);
}

void invlog_deploy(const struct function *fn, const struct fn_settings *s, unsigned published, const struct runtimes *runtimes,
		   const struct build_result *r)
{
	static const char id[] = "deploy";
	char full[FN_RUNTIME_MAX + 32], buf[LINE_CAP];
	struct stk_text t;
	json_t *error;

	if (!fn->log)
		return;
	if (r->fault == BUILD_OK || r->fault == BUILD_INIT_FAILED)
		init_start(fn, s, published, runtimes_full_name(runtimes, s->runtime, full, sizeof(full)) ? s->runtime : full, id);
	logs_text(fn->log, id, r->log);
	if (r->fault != BUILD_INIT_FAILED)
		return;
	error = r->init_json ? json_loads(r->init_json, 0, NULL) : NULL;
	t = init_report(buf, fn, s, published, r->init_ns, r->init_timed_out, json_string_value(json_object_get(error, "errorType")));
	logs_line(fn->log, id, t.p, t.len);
	json_decref(error);
}

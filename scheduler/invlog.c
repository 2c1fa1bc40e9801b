/* START, END, REPORT: see invlog.h. */
#include "scheduler/invlog.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "scheduler/logs.h"
#include "scheduler/pool.h"
#include "scheduler/sandbox.h"

#define LINE_CAP 512u

/* t: the line, with room for its end. */
static void say(struct invocation *inv, struct stk_text *t)
{
	logs_line(inv->ver->fn->log, inv->id, t->p, t->len);
	stk_text_str(t, "\n");
	invocation_logged(inv, t->p, t->len);
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

void invlog_end(struct invocation *inv, enum inv_outcome outcome, uint64_t now)
{
	uint64_t ns = invocation_span(inv->sent_ns, now);
	char buf[LINE_CAP];
	struct stk_text t;

	if (!inv->sent_ns || !inv->ver->fn->log)
		return;
	invlog_start(inv);
	if (outcome == INV_TIMEOUT) {
		t = stk_text_init(buf, sizeof(buf));
		add_number(&t, "Task timed out after ", inv->ver->settings.timeout_s, ".00 seconds");
		say(inv, &t);
	}
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
	stk_text_str(&t, "\tStart: ");
	stk_text_str(&t, invocation_start_name(inv->start));
	say(inv, &t);
}

void invlog_init_failed(struct sandbox *sb, const struct gw_error *e)
{
	static const char *const types[] = {[GW_ERR_INIT] = "Runtime.InitError", [GW_ERR_EXIT] = "Runtime.ExitError",
					    [GW_ERR_SIGNAL] = "Runtime.ExitError", [GW_ERR_OOM] = "Runtime.OutOfMemory",
					    [GW_ERR_ENTRYPOINT] = "Runtime.InvalidEntrypoint",
					    [GW_ERR_INIT_TIMEOUT] = "Sandbox.Timedout"};
	const char *type = e->kind < sizeof(types) / sizeof(types[0]) ? types[e->kind] : NULL;

	char buf[LINE_CAP];
	struct stk_text t = stk_text_init(buf, sizeof(buf));

	if (sb->kind != INV_COLD_BOOT || !sb->pool->ver->fn->log)
		return;
	add_ms(&t, "INIT_REPORT Init Duration: ", invocation_span(sb->started_ns, stk_now_ns()));
	stk_text_str(&t, e->kind == GW_ERR_INIT_TIMEOUT ? "\tPhase: init\tStatus: timeout" : "\tPhase: init\tStatus: error");
	stk_text_str(&t, "\tError Type: ");
	stk_text_str(&t, type ? type : "Sandbox.Died");
	say(sb->inv, &t);
}

/* START, END, REPORT: see invlog.h. */
#include "scheduler/invlog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "scheduler/logs.h"
#include "scheduler/pool.h"
#include "scheduler/sandbox.h"

static void line(struct invocation *inv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(struct invocation *inv, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(text) - 1)
		return;
	logs_line(inv->ver->fn->log, inv->id, text, (size_t)n);
	text[n] = '\n';
	invocation_logged(inv, text, (size_t)n + 1);
}

void invlog_start(struct invocation *inv)
{
	if (inv->start_logged || !inv->ver->fn->log)
		return;
	inv->start_logged = true;
	if (inv->ver->published)
		line(inv, "START RequestId: %s Version: %u", inv->id, inv->ver->published);
	else
		line(inv, "START RequestId: %s Version: $LATEST", inv->id);
}

/* How long the VM took to become ready, of a call that had to wait for one. */
static void start_text(const struct invocation *inv, char *buf, size_t cap)
{
	double ms = invocation_span_ms(inv->start_ns, inv->ready_ns);

	buf[0] = '\0';
	if (inv->start == INV_COLD_BOOT)
		snprintf(buf, cap, "Init Duration: %.2f ms\t", ms);
	else if (inv->start == INV_COLD_RESTORE || inv->start == INV_SHELL)
		snprintf(buf, cap, "Restore Duration: %.2f ms\t", ms);
}

static const char *status_text(enum inv_outcome outcome)
{
	if (outcome == INV_OK || outcome == INV_FUNCTION_ERROR)
		return "";
	return outcome == INV_TIMEOUT ? "Status: timeout\t" : "Status: error\t";
}

void invlog_end(struct invocation *inv, enum inv_outcome outcome, uint64_t now)
{
	double ms = invocation_span_ms(inv->sent_ns, now);
	unsigned long billed = (unsigned long)ms + (ms > (double)(unsigned long)ms);
	char peak[64] = "", start[64];

	if (!inv->sent_ns || !inv->ver->fn->log)
		return;
	invlog_start(inv);
	if (outcome == INV_TIMEOUT)
		line(inv, "Task timed out after %u.00 seconds", inv->ver->settings.timeout_s);
	line(inv, "END RequestId: %s", inv->id);
	if (inv->peak_mib)
		snprintf(peak, sizeof(peak), "Max Memory Used: %u MB\t", inv->peak_mib);
	start_text(inv, start, sizeof(start));
	line(inv, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %lu ms\tMemory Size: %u MB\t"
	     "%s%s%sStart: %s", inv->id, ms, billed, inv->ver->settings.memory_mib, peak, start, status_text(outcome),
	     invocation_start_name(inv->start));
}

void invlog_init_failed(struct sandbox *sb, const struct gw_error *e)
{
	static const char *const types[] = {[GW_ERR_INIT] = "Runtime.InitError", [GW_ERR_EXIT] = "Runtime.ExitError",
					    [GW_ERR_SIGNAL] = "Runtime.ExitError", [GW_ERR_OOM] = "Runtime.OutOfMemory",
					    [GW_ERR_ENTRYPOINT] = "Runtime.InvalidEntrypoint",
					    [GW_ERR_INIT_TIMEOUT] = "Sandbox.Timedout"};
	const char *type = e->kind < sizeof(types) / sizeof(types[0]) ? types[e->kind] : NULL;

	if (sb->kind == INV_COLD_BOOT && sb->pool->ver->fn->log)
		line(sb->inv, "INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: %s\tError Type: %s",
		     invocation_span_ms(sb->started_ns, stk_now_ns()), e->kind == GW_ERR_INIT_TIMEOUT ? "timeout" : "error",
		     type ? type : "Sandbox.Died");
}

/* The runtime: its start, what it says and what of that the host is told, its end. */
#include "guest-init/agent_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* For the frame that ends the invocation. */
static uint32_t end_flags(const struct agent *a)
{
	return reap_peak_mib(&a->reap) << GW_F_PEAK_SHIFT | (a->api.ext.count ? GW_F_LINGER : 0);
}

void agent_report(struct agent *a, enum gw_error_kind kind, int detail, const char *body, size_t len)
{
	struct gw_error error = {
		.kind = (uint16_t)kind, .detail = detail, .body = body, .body_len = (uint32_t)len};
	int n;

	if (a->state != AGENT_INIT && a->state != AGENT_RUNNING && a->state != AGENT_READY)
		return; /* it has ended already */
	logs_drain(&a->logs);
	n = gw_error_encode(a->frame, sizeof(a->frame), &error);
	if (n < 0) {
		stk_error("error report of %zu bytes does not fit", len);
		a->lost = true;
		return;
	}
	if (a->state == AGENT_RUNNING)
		gw_set_flags(a->frame, end_flags(a));
	agent_send(a, a->frame, (size_t)n, NULL, 0);
	a->crashed = kind == GW_ERR_EXIT || kind == GW_ERR_SIGNAL || kind == GW_ERR_OOM;
	a->state = a->state == AGENT_INIT ? AGENT_FAILED : AGENT_DONE;
	a->init_deadline_ns = 0;
}

void agent_report_text(struct agent *a, enum gw_error_kind kind, int detail, const char *text)
{
	agent_report(a, kind, detail, text, strlen(text));
}

/* --- start ------------------------------------------------------------------------------------ */

static void output_close(struct agent *a)
{
	for (int i = 0; i < 2; i++) {
		if (a->output[i] >= 0)
			close(a->output[i]);
		a->output[i] = -1;
	}
}

static void cannot_start(struct agent *a, int rc)
{
	char text[160];

	output_close(a);
	snprintf(text, sizeof(text), "cannot start %s: %s", a->runtime, strerror(-rc));
	agent_report_text(a, GW_ERR_ENTRYPOINT, -rc, text);
}

void agent_start_runtime(struct agent *a)
{
	int rc = bootstrap_spawn(a->conf.bootstrap, a->runtime, a->output[0], a->output[1], &a->pid);

	if (rc < 0)
		cannot_start(a, rc);
	else if (a->web.port)
		web_start(&a->web);
	output_close(a);
}

/* Extensions first, where there are any: the runtime starts when they have registered. */
void agent_start_programs(struct agent *a, const struct gw_start *start)
{
	int rc;

	reap_mark(&a->reap);
	a->runtime = "bootstrap";
	rc = logs_open(&a->logs, AGENT_TAG_LOGS, a->output);
	if (rc == 0)
		rc = bootstrap_prepare(a->conf.bootstrap, start, &a->runtime);
	if (rc < 0)
		cannot_start(a, rc);
	else if (!agent_extensions_start(a) && a->state == AGENT_INIT)
		agent_start_runtime(a);
}

/* --- what it says ----------------------------------------------------------------------------- */

/* For READY and RESUMED. */
static uint32_t begin_flags(const struct agent *a)
{
	return extensions_running(&a->api.ext) ? GW_F_LINGER : 0;
}

static void on_ready(void *ctx)
{
	struct agent *a = ctx;
	uint8_t buf[GW_HEADER_LEN + 8];
	int n;

	if (a->state != AGENT_INIT)
		return;
	logs_drain(&a->logs);
	a->state = AGENT_READY;
	a->init_deadline_ns = 0;
	n = gw_u64_encode(buf, sizeof(buf), GW_READY, stk_now_ns() - a->started_ns);
	gw_set_flags(buf, begin_flags(a));
	agent_send_small(a, buf, n);
}

void agent_resumed(struct agent *a)
{
	uint8_t buf[GW_HEADER_LEN];
	int n;

	if (a->state != AGENT_READY || a->quiet)
		return;
	n = gw_empty_encode(buf, sizeof(buf), GW_RESUMED);
	gw_set_flags(buf, begin_flags(a));
	agent_send_small(a, buf, n);
}

static void on_resumed(void *ctx)
{
	agent_resumed(ctx);
}

static void on_stream(void *ctx, const char *type)
{
	struct agent *a = ctx;
	uint8_t buf[GW_HEADER_LEN + GW_MAX_TYPE];
	bool clean = true;

	for (const char *p = type; *p; p++)
		clean &= *p >= ' ' && *p <= '~';
	if (a->state == AGENT_RUNNING)
		agent_send_small(a, buf, gw_stream_encode(buf, sizeof(buf), clean ? type : ""));
}

static void on_extension(void *ctx)
{
	agent_extensions_changed(ctx);
}

static void on_response(void *ctx, const uint8_t *data, size_t len, bool fin)
{
	struct agent *a = ctx;
	struct gw_header h = {.type = GW_RESPONSE,
			      .flags = fin ? GW_F_FIN : 0,
			      .stream = 1,
			      .length = (uint32_t)len};
	uint8_t head[GW_HEADER_LEN];

	if (a->state != AGENT_RUNNING)
		return;
	if (fin) {
		logs_drain(&a->logs);
		h.flags |= end_flags(a);
	}
	gw_header_encode(head, &h);
	agent_send(a, head, sizeof(head), data, len);
	if (fin)
		a->state = AGENT_DONE;
}

static void on_error(void *ctx, enum gw_error_kind kind, const char *body, size_t len)
{
	struct agent *a = ctx;

	if ((kind == GW_ERR_INIT) == (a->state == AGENT_INIT))
		agent_report(a, kind, 0, body, len);
}

static const struct runtime_api_ops api_ops = {
	.ready = on_ready, .room = agent_has_room, .response = on_response, .error = on_error,
	.stream = on_stream, .resumed = on_resumed, .extension = on_extension};

static void on_web_ready(void *ctx)
{
	struct agent *a = ctx;

	runtime_api_ready(&a->api);
}

int agent_runtime_open(struct agent *a)
{
	uint16_t port;

	web_init(&a->web, a->epfd, AGENT_TAG_WEB, &api_ops, on_web_ready, a);
	return runtime_api_open(&a->api, a->epfd, AGENT_TAG_API, a->conf.api_port, &api_ops, a, &port);
}

/* --- the end ---------------------------------------------------------------------------------- */

void agent_report_death(struct agent *a)
{
	if (WIFEXITED(a->status))
		agent_report_text(a, GW_ERR_EXIT, WEXITSTATUS(a->status), "");
	else if (WTERMSIG(a->status) == SIGKILL && reap_oom_killed(&a->reap))
		agent_report_text(a, GW_ERR_OOM, SIGKILL, "");
	else
		agent_report_text(a, GW_ERR_SIGNAL, WTERMSIG(a->status), "");
}

/* The runtime is gone: everything it still said counts first. */
static void check_death(struct agent *a)
{
	if (a->dead && (a->state == AGENT_INIT || a->state == AGENT_RUNNING) &&
	    runtime_api_settle(&a->api) && web_settle(&a->web))
		agent_report_death(a);
}

static void check_init_deadline(struct agent *a)
{
	if (!a->init_deadline_ns || stk_now_ns() < a->init_deadline_ns)
		return;
	a->init_deadline_ns = 0;
	if (a->state != AGENT_INIT)
		return;
	if (a->pid > 0)
		kill(-a->pid, SIGKILL); /* its session: also what it started */
	agent_report_text(a, GW_ERR_INIT_TIMEOUT, 0, "");
}

void agent_runtime_check(struct agent *a)
{
	check_death(a);
	check_init_deadline(a);
}

void agent_runtime_close(struct agent *a)
{
	runtime_api_close(&a->api);
	web_close(&a->web);
	output_close(a);
}

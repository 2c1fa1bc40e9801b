/* A call: the event goes to the VM; and what becomes of the VM when it has answered. */
#include "scheduler/sandbox_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/host/child.h"
#include "scheduler/daemon.h"
#include "scheduler/invlog.h"
#include "scheduler/pool.h"

#define LARGE_HEAD      8192 /* of an INVOKE frame with a client context */
#define LINGER_LIMIT_MS 2500 /* extensions: Lambda's 2 s, and a machine's way */
#define TRACE_ID_MAX    512

/* --- the event ------------------------------------------------------------------------------- */

static void event_taken(struct sandbox *sb)
{
	free(sb->event);
	sb->event = NULL;
	free(sb->large_head);
	sb->large_head = NULL;
}

static void on_written(uv_write_t *req, int status)
{
	struct sandbox *sb = req->data;

	if (status == 0 && sb->inv)
		sb->inv->sent_ns = stk_now_ns();
	event_taken(sb);
}

/* Header and event in one writev; what the socket does not take at once goes on in the loop. */
static int send_frames(struct sandbox *sb, int head_len, size_t event_len)
{
	uv_buf_t bufs[2] = {uv_buf_init((char *)(sb->large_head ? sb->large_head : sb->head), (unsigned)head_len),
			    uv_buf_init((char *)sb->event, (unsigned)event_len)};
	unsigned count_bufs = event_len ? 2 : 1, first = 0;
	int n = uv_try_write((uv_stream_t *)&sb->stream, bufs, count_bufs);
	size_t done = n > 0 ? (size_t)n : 0;

	if (n < 0 && n != UV_EAGAIN)
		return n;
	if (done == (size_t)head_len + event_len) {
		sb->inv->sent_ns = stk_now_ns();
		event_taken(sb);
		return 0;
	}
	for (; first < count_bufs && done >= bufs[first].len; first++)
		done -= bufs[first].len;
	bufs[first].base += done;
	bufs[first].len -= done;
	sb->write.data = sb;
	return uv_write(&sb->write, (uv_stream_t *)&sb->stream, bufs + first, count_bufs - first, on_written);
}

/* Into head, or for a large client context into memory of its own. */
static int frame_head(struct sandbox *sb, const struct gw_invoke *msg)
{
	int n = gw_invoke_encode(sb->head, sizeof(sb->head), msg);

	if (n != -ENOBUFS)
		return n;
	sb->large_head = malloc(LARGE_HEAD);
	return sb->large_head ? gw_invoke_encode(sb->large_head, LARGE_HEAD, msg) : -ENOMEM;
}

/* The caller's X-Amzn-Trace-Id, for the runtime; NULL: none, or none that can be a header line. */
static const char *trace_id(const struct invocation *inv)
{
	const char *text = inv->req ? http_req_header(inv->req, "x-amzn-trace-id") : NULL;
	size_t n = 0;

	for (; text && text[n]; n++) {
		if (n == TRACE_ID_MAX || text[n] < ' ' || text[n] > '~')
			return NULL;
	}
	return text;
}

void sandbox_invoke(struct sandbox *sb, struct invocation *inv)
{
	struct fn_version *ver = sb->pool->ver;
	struct gw_invoke msg = {.wall_ns = stk_wall_ns(), .event_len = (uint32_t)inv->event_len};
	const char *trace = trace_id(inv);
	char arn[FN_ARN_MAX];
	int n;

	sb->inv = inv;
	inv->sb = sb;
	sb->use = LEARN_FAILED; /* until it answers */
	learn_invoked(&sb->pool->learn);
	sandbox_move(sb, SB_BUSY);
	sandbox_charge(sb, pool_busy_mib(sb->pool));
	msg.deadline_ms = msg.wall_ns / STK_NS_PER_MS + ver->settings.timeout_s * 1000ull;
	msg.request_id = inv->id;
	msg.request_id_len = IDS_UUID_LEN;
	fn_arn(ver->fn->tenant->account, ver->fn->name, inv->qualifier, arn);
	n = ids_random(msg.entropy, sizeof(msg.entropy));
	if (n == 0)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-invoked-function-arn", arn);
	if (n == 0 && inv->client_context)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-client-context", inv->client_context);
	if (n == 0 && inv->tenant_id)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-aws-tenant-id", inv->tenant_id);
	if (n == 0 && trace)
		n = gw_kv_add(msg.kv, GW_MAX_KV, &msg.kv_count, "lambda-runtime-trace-id", trace);
	if (n == 0)
		n = frame_head(sb, &msg);
	memset(msg.entropy, 0, sizeof(msg.entropy));
	if (n < 0) {
		sandbox_die(sb, INV_INTERNAL, "the event could not be framed");
		return;
	}
	agent_call(&sb->agent);
	sb->log_bytes = 0;
	sb->paused = false;
	sb->event = inv->event;
	inv->event = NULL;
	uv_update_time(&sb->pool->d->loop); /* the loop's clock may be as old as its round */
	/* The loop counts whole milliseconds, rounded down: one more, so that it is never too early. */
	sandbox_arm_timer(sb, ver->settings.timeout_s * 1000ull + 1);
	n = send_frames(sb, n, inv->event_len);
	if (n)
		sandbox_die(sb, INV_VM_DIED, "the microVM ended before it took the event");
}

/* --- the answer ------------------------------------------------------------------------------ */

/* The invocation is over with an answer: first the client, then the VM. */
static struct invocation *detach(struct sandbox *sb)
{
	struct invocation *inv = sb->inv;

	memcpy(sb->served_id, inv->id, sizeof(sb->served_id));
	logs_flush_line(sb->pool->ver->fn->log, &sb->logline, inv->id);
	sb->inv = NULL;
	inv->sb = NULL;
	return inv;
}

/* The guest's extensions have their time: until the call's own limit, and then their budget. It says when they are done. */
static void linger(struct sandbox *sb)
{
	sb->lingers = true;
	uv_update_time(&sb->pool->d->loop);
	sandbox_arm_timer(sb, uv_timer_get_due_in(&sb->timer) + LINGER_LIMIT_MS);
	sandbox_read_on(sb);
}

/* A VM that records ends by itself: what it has written is told then. */
static void end_in_order(struct sandbox *sb)
{
	agent_close(&sb->agent);
	sb->hung_up = true;
	child_kill(sb->child, SIGTERM);
	sandbox_arm_timer(sb, SANDBOX_EXIT_LIMIT_MS);
}

void sandbox_lingered(struct sandbox *sb)
{
	if (sb->record_fd >= 0 && sb->use == LEARN_ANSWERED)
		end_in_order(sb);
	else
		sandbox_doom(sb);
}

/* The client has its answer at once. Extensions that want to know have their budget; any other VM ends now. */
void sandbox_call_expired(struct sandbox *sb)
{
	uint8_t frame[GW_HEADER_LEN];
	uv_buf_t buf = uv_buf_init((char *)frame, (unsigned)gw_empty_encode(frame, sizeof(frame), GW_EXPIRED));
	bool told = sb->agent.phase == AGENT_CALL && sb->agent.extended && !sb->event;

	if (!told || uv_try_write((uv_stream_t *)&sb->stream, &buf, 1) != (int)buf.len) {
		sandbox_die(sb, INV_TIMEOUT, "timed out");
		return;
	}
	agent_expire(&sb->agent);
	invocation_finish(detach(sb), INV_TIMEOUT, "timed out");
	linger(sb);
}

static void retire(struct sandbox *sb)
{
	sb->use = LEARN_ANSWERED;
	sandbox_read_on(sb); /* the last piece may have been one too many for its client */
	if (agent_lingers(&sb->agent)) {
		linger(sb);
		return;
	}
	if (sb->record_fd < 0) {
		if (sandbox_reset_possible(sb))
			sandbox_set_aside(sb, &sb->pool->d->dispatch.to_reset);
		else
			sandbox_doom(sb);
		return;
	}
	end_in_order(sb);
}

void sandbox_call_answered(struct sandbox *sb)
{
	struct invocation *inv = sb->inv;

	inv->peak_mib = agent_peak_mib(&sb->agent);
	detach(sb);
	invocation_finish(inv, INV_OK, NULL);
	retire(sb);
}

void sandbox_call_failed(struct sandbox *sb, const struct gw_error *e)
{
	bool called = sb->state == SB_BUSY;

	if (!called)
		invlog_init_failed(sb, e);
	sb->inv->peak_mib = agent_peak_mib(&sb->agent);
	invocation_finish_error(detach(sb), e);
	if (called && agent_lingers(&sb->agent))
		linger(sb);
	else
		sandbox_doom(sb);
}

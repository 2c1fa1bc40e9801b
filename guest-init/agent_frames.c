/* Frames from the host: which may come when, and what each of them does. */
#include "guest-init/agent_internal.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "guest-init/secrets.h"
#include "guest-init/trim.h"

/* Clock and entropy of the frame. The generator of a clone must not give what another one gave; once it was reseeded,
 * what comes with an event is for its next time. */
static void become_unique(struct agent *a, uint64_t wall_ns, const uint8_t *entropy)
{
	int rc;

	if (!a->conf.guest)
		return;
	rc = resume_clock(wall_ns);
	if (rc < 0)
		stk_error("clock: %s", strerror(-rc));
	rc = resume_entropy(&a->resume, entropy, !a->unique);
	if (rc < 0)
		stk_error("entropy: %s", strerror(-rc));
	a->unique = rc == 0;
}

static void become_named(struct agent *a, const char *name, size_t len)
{
	int rc;

	if (!a->conf.guest)
		return;
	rc = resume_hostname(name, len);
	if (rc < 0)
		stk_error("host name: %s", strerror(-rc));
	rc = resume_boot_id(&a->resume);
	if (rc < 0)
		stk_error("boot id: %s", strerror(-rc));
}

static int on_start(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_start start;

	if (gw_start_decode(p, len, &start) < 0)
		return -EPROTO;
	become_unique(a, start.wall_ns, start.entropy);
	for (unsigned i = 0; i < start.kv_count; i++) {
		const struct gw_kv *kv = &start.kv[i];

		if (kv->key_len == 9 && memcmp(kv->key, ".hostname", 9) == 0)
			become_named(a, kv->value, kv->value_len);
		if (kv->key_len == 8 && memcmp(kv->key, ".account", 8) == 0)
			extensions_account(&a->api.ext, kv->value, kv->value_len);
	}
	a->state = AGENT_INIT;
	a->started_ns = stk_now_ns();
	if (start.init_timeout_ms)
		a->init_deadline_ns = a->started_ns + start.init_timeout_ms * STK_NS_PER_MS;
	web_configure(&a->web, &start);
	a->api.snapstart = bootstrap_option(&start, ".snapstart", 0) == 1;
	agent_start_programs(a, &start);
	return 0;
}

/* The snapshot point: after the answer nothing runs until the host's next frame. */
static int on_trim(struct agent *a, const uint8_t *p, size_t len)
{
	uint8_t buf[GW_HEADER_LEN + 8];
	uint64_t given, used;

	if (gw_u64_decode(p, len, &given) < 0)
		return -EPROTO;
	if (a->dead) /* no use in a snapshot of this */
		agent_report_death(a);
	if (a->dead || agent_extensions_failed(a))
		return 0;
	used = a->conf.guest ? trim_memory(given) : 0;
	a->unique = false;
	agent_send_small(a, buf, gw_u64_encode(buf, sizeof(buf), GW_TRIMMED, used));
	return 0;
}

static int on_prefault(struct agent *a, const uint8_t *p, size_t len)
{
	uint64_t left = AGENT_PREFAULT_MAX;
	unsigned count;

	if (gw_prefault_decode(p, len, &count) < 0)
		return -EPROTO;
	for (unsigned i = 0; a->conf.guest && i < count; i++) {
		struct gw_page_range range = gw_prefault_range(p, i);
		uint64_t n = range.count < left ? range.count : left;

		resume_touch(&a->resume, range.first, n);
		left -= n;
	}
	return 0;
}

static int on_secrets(struct agent *a, const uint8_t *p, size_t len)
{
	static struct gw_secrets secrets;
	uid_t uid = a->conf.guest ? BOOTSTRAP_UID : (uid_t)-1;
	int rc;

	if (gw_secrets_decode(p, len, &secrets) < 0)
		return -EPROTO;
	rc = secrets_write(a->conf.secrets_folder, &secrets, uid, BOOTSTRAP_GID);
	if (rc < 0)
		stk_error("secrets: %s", strerror(-rc));
	a->no_secrets = rc < 0;
	return 0;
}

static int on_resume(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_resume resume;

	if (gw_resume_decode(p, len, &resume) < 0)
		return -EPROTO;
	become_unique(a, resume.wall_ns, resume.entropy);
	become_named(a, resume.hostname, resume.hostname_len);
	a->quiet = resume.how == GW_RESUME_QUIET;
	if (!runtime_api_resumed(&a->api, resume.how == GW_RESUME_WARM_UP))
		agent_resumed(a);
	return 0;
}

static int on_invoke(struct agent *a, const uint8_t *p, size_t len)
{
	struct gw_invoke inv;
	int rc;

	if (gw_invoke_decode(p, len, &inv) < 0)
		return -EPROTO;
	become_unique(a, inv.wall_ns, inv.entropy);
	a->state = AGENT_RUNNING;
	if (a->no_secrets) {
		agent_report_text(a, GW_ERR_AGENT, 0, "the function's secrets could not be written");
		return 0;
	}
	a->held = true;
	a->deadline_ms = inv.deadline_ms;
	if (agent_extensions_failed(a))
		return 0;
	rc = runtime_api_invoke(&a->api, &inv);
	if (rc == -EPROTO)
		return rc;
	if (rc < 0)
		agent_report_text(a, GW_ERR_AGENT, 0, "the runtime is not ready for an event");
	else if (a->web.port && a->state == AGENT_RUNNING)
		web_invoke(&a->web, (uint8_t *)(uintptr_t)inv.event, inv.event_len, a->api.request_id);
	return 0;
}

/* Or the answer is on its way: nobody reads it then. */
static int on_expired(struct agent *a, const uint8_t *p, size_t len)
{
	if (a->state != AGENT_RUNNING)
		return 0;
	a->expired = true;
	a->state = AGENT_DONE;
	return 0;
}

static int on_bye(struct agent *a, const uint8_t *p, size_t len)
{
	a->bye = true;
	return 0;
}

static const struct {
	uint16_t type;
	unsigned states; /* in which it may come */
	int (*take)(struct agent *a, const uint8_t *payload, size_t len);
} frames[] = {
	{GW_START, 1u << AGENT_BOOTED, on_start},
	{GW_TRIM, 1u << AGENT_READY, on_trim},
	{GW_PREFAULT, 1u << AGENT_READY, on_prefault},
	{GW_SECRETS, 1u << AGENT_READY, on_secrets},
	{GW_RESUME, 1u << AGENT_READY, on_resume},
	{GW_INVOKE, 1u << AGENT_READY, on_invoke},
	{GW_EXPIRED, 1u << AGENT_RUNNING | 1u << AGENT_DONE, on_expired},
	{GW_BYE, ~0u, on_bye},
};

static int frame_index(const struct agent *a, const struct gw_header *h)
{
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (frames[i].type == h->type && (frames[i].states & 1u << a->state))
			return (int)i;
	}
	stk_error("frame of type %u not expected in state %d", h->type, (int)a->state);
	return -EPROTO;
}

int agent_input(struct agent *a)
{
	while (!a->bye && a->rx_len - a->rx_off >= GW_HEADER_LEN) {
		const uint8_t *p = a->rx + a->rx_off;
		struct gw_header h;
		int i, rc;

		if (gw_header_decode(p, &h) < 0) {
			stk_error("malformed frame from the host");
			return -EPROTO;
		}
		i = frame_index(a, &h);
		if (i < 0)
			return i;
		if (a->rx_len - a->rx_off < GW_HEADER_LEN + h.length)
			break;
		a->rx_off += GW_HEADER_LEN + h.length;
		rc = frames[i].take(a, p + GW_HEADER_LEN, h.length);
		if (rc < 0) {
			stk_error("malformed frame of type %u from the host", h.type);
			return rc;
		}
	}
	if (a->held) /* an event stays where it is */
		return a->rx_len < sizeof(a->rx) ? 0 : -EPROTO;
	if (a->rx_off) {
		memmove(a->rx, a->rx + a->rx_off, a->rx_len - a->rx_off);
		a->rx_len -= a->rx_off;
		a->rx_off = 0;
	}
	return 0;
}

/* guestwire codec: see guestwire.h. */
#include "common/base/guestwire.h"

#include <errno.h>
#include <string.h>

#define GW_RANGE_LEN 8u
#define GW_F_END     (GW_F_LINGER | ~0u << GW_F_PEAK_SHIFT) /* what the end of an invocation may say */

static uint32_t max_length(uint16_t type)
{
	switch (type) {
	case GW_START:
	case GW_PREFAULT:
	case GW_SECRETS:
		return 65536;
	case GW_INVOKE:
		return GW_MAX_FRAME;
	case GW_RESPONSE:
	case GW_LOG:
		return GW_MAX_CHUNK;
	case GW_ERROR:
		return GW_MAX_ERROR;
	case GW_HELLO:
	case GW_RESUME:
		return 512;
	case GW_READY:
	case GW_TRIM:
	case GW_TRIMMED:
		return 8;
	case GW_STREAM:
		return GW_MAX_TYPE;
	default:
		return 0;
	}
}

/* Which flags a frame may have. */
static bool flags_ok(const struct gw_header *h)
{
	switch (h->type) {
	case GW_RESPONSE:
		return !(h->flags & ~(GW_F_FIN | (h->flags & GW_F_FIN ? GW_F_END : 0)));
	case GW_ERROR:
		return !(h->flags & ~GW_F_END);
	case GW_READY:
	case GW_RESUMED:
		return !(h->flags & ~GW_F_LINGER);
	default:
		return !h->flags;
	}
}

int gw_header_decode(const uint8_t *buf, struct gw_header *ret_hdr)
{
	struct stk_rd r = stk_rd_init(buf, GW_HEADER_LEN);
	struct gw_header h;
	uint32_t magic = stk_rd_u32(&r);
	uint16_t version = stk_rd_u16(&r);

	h.type = stk_rd_u16(&r);
	h.flags = stk_rd_u32(&r);
	h.stream = stk_rd_u32(&r);
	h.length = stk_rd_u32(&r);
	if (magic != GW_MAGIC || version != GW_VERSION)
		return -EPROTO;
	if (h.type == 0 || h.type > GW_TYPE_MAX || h.length > max_length(h.type))
		return -EPROTO;
	if (!flags_ok(&h))
		return -EPROTO;
	*ret_hdr = h;
	return 0;
}

void gw_header_encode(uint8_t *buf, const struct gw_header *hdr)
{
	struct stk_wr w = stk_wr_init(buf, GW_HEADER_LEN);

	stk_wr_u32(&w, GW_MAGIC);
	stk_wr_u16(&w, GW_VERSION);
	stk_wr_u16(&w, hdr->type);
	stk_wr_u32(&w, hdr->flags);
	stk_wr_u32(&w, hdr->stream);
	stk_wr_u32(&w, hdr->length);
}

static void kv_decode(struct stk_rd *r, struct gw_kv *kv, unsigned max, unsigned *count)
{
	unsigned n = stk_rd_u16(r);

	*count = 0;
	if (n > max) {
		r->bad = true;
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		kv[i].key_len = stk_rd_u16(r);
		kv[i].key = (const char *)stk_rd_bytes(r, kv[i].key_len);
		kv[i].value_len = stk_rd_u32(r);
		kv[i].value = (const char *)stk_rd_bytes(r, kv[i].value_len);
		if (r->bad)
			return;
		/* Both end up in C strings (environment, HTTP header lines). */
		if (kv[i].key_len == 0 || memchr(kv[i].key, '\0', kv[i].key_len) ||
		    memchr(kv[i].key, '=', kv[i].key_len) ||
		    (kv[i].value_len && memchr(kv[i].value, '\0', kv[i].value_len))) {
			r->bad = true;
			return;
		}
	}
	*count = n;
}

static void kv_encode(struct stk_wr *w, const struct gw_kv *kv, unsigned max, unsigned count)
{
	if (count > max) {
		w->bad = true;
		return;
	}
	stk_wr_u16(w, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		stk_wr_u16(w, kv[i].key_len);
		stk_wr_bytes(w, kv[i].key, kv[i].key_len);
		stk_wr_u32(w, kv[i].value_len);
		stk_wr_bytes(w, kv[i].value, kv[i].value_len);
	}
}

int gw_kv_add(struct gw_kv *kv, unsigned max, unsigned *count, const char *key, const char *value)
{
	size_t klen = strlen(key), vlen = strlen(value);

	if (*count >= max || klen > UINT16_MAX || vlen > UINT32_MAX)
		return -ENOBUFS;
	kv[(*count)++] = (struct gw_kv){.key = key,
					.key_len = (uint16_t)klen,
					.value = value,
					.value_len = (uint32_t)vlen};
	return 0;
}

/* Ends a decoder: everything read, nothing left over. */
static int rd_end(const struct stk_rd *r)
{
	return (r->bad || r->left) ? -EPROTO : 0;
}

int gw_start_decode(const uint8_t *buf, size_t len, struct gw_start *ret_start)
{
	struct stk_rd r = stk_rd_init(buf, len);

	ret_start->wall_ns = stk_rd_u64(&r);
	ret_start->init_timeout_ms = stk_rd_u32(&r);
	stk_rd_copy(&r, ret_start->entropy, GW_ENTROPY_LEN);
	kv_decode(&r, ret_start->kv, GW_MAX_ENV, &ret_start->kv_count);
	return rd_end(&r);
}

int gw_secrets_decode(const uint8_t *buf, size_t len, struct gw_secrets *ret_secrets)
{
	struct stk_rd r = stk_rd_init(buf, len);

	kv_decode(&r, ret_secrets->kv, GW_MAX_SECRETS, &ret_secrets->kv_count);
	return rd_end(&r);
}

int gw_resume_decode(const uint8_t *buf, size_t len, struct gw_resume *ret_resume)
{
	struct stk_rd r = stk_rd_init(buf, len);

	ret_resume->wall_ns = stk_rd_u64(&r);
	stk_rd_copy(&r, ret_resume->entropy, GW_ENTROPY_LEN);
	ret_resume->hostname_len = stk_rd_u16(&r);
	ret_resume->hostname = (const char *)stk_rd_bytes(&r, ret_resume->hostname_len);
	ret_resume->how = stk_rd_u8(&r);
	if (ret_resume->hostname_len > 64 || ret_resume->how > GW_RESUME_QUIET)
		return -EPROTO;
	return rd_end(&r);
}

int gw_invoke_decode(const uint8_t *buf, size_t len, struct gw_invoke *ret_invoke)
{
	struct stk_rd r = stk_rd_init(buf, len);

	ret_invoke->deadline_ms = stk_rd_u64(&r);
	ret_invoke->wall_ns = stk_rd_u64(&r);
	stk_rd_copy(&r, ret_invoke->entropy, GW_ENTROPY_LEN);
	ret_invoke->request_id_len = stk_rd_u16(&r);
	ret_invoke->request_id = (const char *)stk_rd_bytes(&r, ret_invoke->request_id_len);
	if (r.bad || ret_invoke->request_id_len < 1 || ret_invoke->request_id_len > 128)
		return -EPROTO;
	for (unsigned i = 0; i < ret_invoke->request_id_len; i++) {
		char c = ret_invoke->request_id[i];

		/* It becomes a header line and part of a path. */
		if (c <= ' ' || c >= 0x7f || c == '/' || c == '?' || c == '#' || c == '%')
			return -EPROTO;
	}
	kv_decode(&r, ret_invoke->kv, GW_MAX_KV, &ret_invoke->kv_count);
	ret_invoke->event_len = stk_rd_u32(&r);
	if (ret_invoke->event_len > GW_MAX_EVENT)
		return -EPROTO;
	ret_invoke->event = stk_rd_bytes(&r, ret_invoke->event_len);
	return rd_end(&r);
}

int gw_error_decode(const uint8_t *buf, size_t len, struct gw_error *ret_error)
{
	struct stk_rd r = stk_rd_init(buf, len);

	ret_error->kind = stk_rd_u16(&r);
	ret_error->detail = (int32_t)stk_rd_u32(&r);
	ret_error->body_len = stk_rd_u32(&r);
	ret_error->body = (const char *)stk_rd_bytes(&r, ret_error->body_len);
	if (ret_error->kind < GW_ERR_INIT || ret_error->kind > GW_ERR_AGENT)
		return -EPROTO;
	return rd_end(&r);
}

int gw_prefault_decode(const uint8_t *buf, size_t len, unsigned *ret_count)
{
	*ret_count = (unsigned)(len / GW_RANGE_LEN);
	return len % GW_RANGE_LEN || *ret_count > GW_MAX_RANGES ? -EPROTO : 0;
}

struct gw_page_range gw_prefault_range(const uint8_t *buf, unsigned i)
{
	struct stk_rd r = stk_rd_init(buf + i * GW_RANGE_LEN, GW_RANGE_LEN);
	struct gw_page_range range;

	range.first = stk_rd_u32(&r);
	range.count = stk_rd_u32(&r);
	return range;
}

int gw_u64_decode(const uint8_t *buf, size_t len, uint64_t *ret_value)
{
	struct stk_rd r = stk_rd_init(buf, len);

	*ret_value = stk_rd_u64(&r);
	return rd_end(&r);
}

int gw_hello_decode(const uint8_t *buf, size_t len, uint8_t *ret_state)
{
	struct stk_rd r = stk_rd_init(buf, len);
	uint16_t n;

	*ret_state = stk_rd_u8(&r);
	n = stk_rd_u16(&r);
	stk_rd_bytes(&r, n);
	if (*ret_state > 1)
		return -EPROTO;
	return rd_end(&r);
}

int gw_stream_decode(const uint8_t *buf, size_t len, char ret_type[GW_MAX_TYPE + 1])
{
	if (len > GW_MAX_TYPE)
		return -EPROTO;
	for (size_t i = 0; i < len; i++) {
		if (buf[i] < ' ' || buf[i] > '~') /* it becomes a header line */
			return -EPROTO;
	}
	if (len)
		memcpy(ret_type, buf, len);
	ret_type[len] = '\0';
	return 0;
}

static struct stk_wr frame_begin(uint8_t *buf, size_t cap)
{
	struct stk_wr w = stk_wr_init(buf, cap);
	static const uint8_t zero[GW_HEADER_LEN];

	stk_wr_bytes(&w, zero, GW_HEADER_LEN);
	return w;
}

/* Fills in the header; extra = bytes the caller sends behind the frame's own. */
static int frame_end(uint8_t *buf, const struct stk_wr *w, enum gw_type type, uint32_t stream,
		     uint32_t extra)
{
	struct gw_header h = {.type = (uint16_t)type, .stream = stream};

	if (w->bad || w->len - GW_HEADER_LEN + extra > max_length(h.type))
		return -ENOBUFS;
	h.length = (uint32_t)(w->len - GW_HEADER_LEN) + extra;
	gw_header_encode(buf, &h);
	return (int)w->len;
}

int gw_start_encode(uint8_t *buf, size_t cap, const struct gw_start *start)
{
	struct stk_wr w = frame_begin(buf, cap);

	stk_wr_u64(&w, start->wall_ns);
	stk_wr_u32(&w, start->init_timeout_ms);
	stk_wr_bytes(&w, start->entropy, GW_ENTROPY_LEN);
	kv_encode(&w, start->kv, GW_MAX_ENV, start->kv_count);
	return frame_end(buf, &w, GW_START, 0, 0);
}

int gw_secrets_encode(uint8_t *buf, size_t cap, const struct gw_secrets *secrets)
{
	struct stk_wr w = frame_begin(buf, cap);

	kv_encode(&w, secrets->kv, GW_MAX_SECRETS, secrets->kv_count);
	return frame_end(buf, &w, GW_SECRETS, 0, 0);
}

int gw_resume_encode(uint8_t *buf, size_t cap, const struct gw_resume *resume)
{
	struct stk_wr w = frame_begin(buf, cap);

	stk_wr_u64(&w, resume->wall_ns);
	stk_wr_bytes(&w, resume->entropy, GW_ENTROPY_LEN);
	stk_wr_u16(&w, resume->hostname_len);
	stk_wr_bytes(&w, resume->hostname, resume->hostname_len);
	stk_wr_u8(&w, resume->how);
	return frame_end(buf, &w, GW_RESUME, 0, 0);
}

int gw_invoke_encode(uint8_t *buf, size_t cap, const struct gw_invoke *inv)
{
	struct stk_wr w = frame_begin(buf, cap);

	if (inv->event_len > GW_MAX_EVENT)
		return -ENOBUFS;
	stk_wr_u64(&w, inv->deadline_ms);
	stk_wr_u64(&w, inv->wall_ns);
	stk_wr_bytes(&w, inv->entropy, GW_ENTROPY_LEN);
	stk_wr_u16(&w, inv->request_id_len);
	stk_wr_bytes(&w, inv->request_id, inv->request_id_len);
	kv_encode(&w, inv->kv, GW_MAX_KV, inv->kv_count);
	stk_wr_u32(&w, inv->event_len);
	return frame_end(buf, &w, GW_INVOKE, 1, inv->event_len);
}

int gw_prefault_encode(uint8_t *buf, size_t cap, const struct gw_page_range *range, unsigned count)
{
	struct stk_wr w = frame_begin(buf, cap);

	for (unsigned i = 0; i < count; i++) {
		stk_wr_u32(&w, range[i].first);
		stk_wr_u32(&w, range[i].count);
	}
	return frame_end(buf, &w, GW_PREFAULT, 0, 0);
}

int gw_error_encode(uint8_t *buf, size_t cap, const struct gw_error *error)
{
	struct stk_wr w = frame_begin(buf, cap);
	uint32_t stream = error->kind == GW_ERR_INIT || error->kind == GW_ERR_INIT_TIMEOUT ? 0 : 1;

	stk_wr_u16(&w, error->kind);
	stk_wr_u32(&w, (uint32_t)error->detail);
	stk_wr_u32(&w, error->body_len);
	stk_wr_bytes(&w, error->body, error->body_len);
	return frame_end(buf, &w, GW_ERROR, stream, 0);
}

int gw_u64_encode(uint8_t *buf, size_t cap, enum gw_type type, uint64_t value)
{
	struct stk_wr w = frame_begin(buf, cap);

	stk_wr_u64(&w, value);
	return frame_end(buf, &w, type, 0, 0);
}

int gw_hello_encode(uint8_t *buf, size_t cap, uint8_t state, const char *version)
{
	struct stk_wr w = frame_begin(buf, cap);
	size_t n = strlen(version);

	stk_wr_u8(&w, state);
	stk_wr_u16(&w, (uint16_t)n);
	stk_wr_bytes(&w, version, n);
	return frame_end(buf, &w, GW_HELLO, 0, 0);
}

int gw_empty_encode(uint8_t *buf, size_t cap, enum gw_type type)
{
	struct stk_wr w = frame_begin(buf, cap);

	return frame_end(buf, &w, type, 0, 0);
}

int gw_stream_encode(uint8_t *buf, size_t cap, const char *type)
{
	struct stk_wr w = frame_begin(buf, cap);

	stk_wr_bytes(&w, type, strlen(type));
	return frame_end(buf, &w, GW_STREAM, 1, 0);
}

void gw_set_flags(uint8_t *frame, uint32_t flags)
{
	struct stk_wr w = stk_wr_init(frame + 8, 4);

	stk_wr_u32(&w, flags);
}

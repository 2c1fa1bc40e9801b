/* guestwire frames of a hostile peer: header, every payload decoder, and what decodes must encode to
 * the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "common/base/guestwire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[GW_HEADER_LEN + GW_MAX_FRAME];

static volatile uint8_t sum;

static void touch(const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
}

static void touch_kv(const struct gw_kv *kv, unsigned max, unsigned count)
{
	if (count > max)
		abort();
	for (unsigned i = 0; i < count; i++) {
		touch(kv[i].key, kv[i].key_len);
		touch(kv[i].value, kv[i].value_len);
	}
}

/* Encoding what was decoded gives the payload that came in (if it fits its frame type at all). */
static void same(int n, const uint8_t *data, size_t size)
{
	struct gw_header h;

	if (n < 0)
		return;
	if (gw_header_decode(out, &h) < 0 || h.length != size || memcmp(out + GW_HEADER_LEN, data, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gw_start start;
	static struct gw_invoke invoke;
	static struct gw_page_range range[GW_MAX_RANGES];
	static struct gw_secrets secrets;
	struct gw_resume resume;
	struct gw_error error;
	struct gw_header h;
	unsigned count;
	uint64_t v;
	uint8_t state, hdr[GW_HEADER_LEN];
	char type[GW_MAX_TYPE + 1];
	int n;

	if (size >= GW_HEADER_LEN && gw_header_decode(data, &h) == 0) {
		gw_header_encode(hdr, &h);
		if (memcmp(hdr, data, GW_HEADER_LEN) != 0 || h.length > GW_MAX_FRAME)
			abort();
		data += GW_HEADER_LEN; /* then its payload, else the whole input is one */
		size -= GW_HEADER_LEN;
	}
	if (gw_start_decode(data, size, &start) == 0) {
		touch_kv(start.kv, GW_MAX_ENV, start.kv_count);
		same(gw_start_encode(out, sizeof(out), &start), data, size);
	}
	if (gw_secrets_decode(data, size, &secrets) == 0) {
		touch_kv(secrets.kv, GW_MAX_SECRETS, secrets.kv_count);
		same(gw_secrets_encode(out, sizeof(out), &secrets), data, size);
	}
	if (gw_resume_decode(data, size, &resume) == 0) {
		touch(resume.hostname, resume.hostname_len);
		same(gw_resume_encode(out, sizeof(out), &resume), data, size);
	}
	if (gw_invoke_decode(data, size, &invoke) == 0) {
		touch(invoke.request_id, invoke.request_id_len);
		touch_kv(invoke.kv, GW_MAX_KV, invoke.kv_count);
		touch(invoke.event, invoke.event_len);
		n = gw_invoke_encode(out, sizeof(out), &invoke);
		if (n > 0)
			memcpy(out + n, invoke.event, invoke.event_len);
		same(n, data, size);
	}
	if (gw_error_decode(data, size, &error) == 0) {
		touch(error.body, error.body_len);
		same(gw_error_encode(out, sizeof(out), &error), data, size);
	}
	if (gw_prefault_decode(data, size, &count) == 0) {
		for (unsigned i = 0; i < count; i++)
			range[i] = gw_prefault_range(data, i);
		same(gw_prefault_encode(out, sizeof(out), range, count), data, size);
	}
	if (gw_u64_decode(data, size, &v) == 0)
		same(gw_u64_encode(out, sizeof(out), GW_READY, v), data, size);
	if (gw_stream_decode(data, size, type) == 0)
		same(gw_stream_encode(out, sizeof(out), type), data, size);
	gw_hello_decode(data, size, &state);
	return 0;
}

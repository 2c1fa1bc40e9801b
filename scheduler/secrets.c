/* Secrets: see secrets.h. */
#include "scheduler/secrets.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/guestwire.h"

static bool name_ok(const char *name, size_t len)
{
	if (len == 0 || len > GW_MAX_SECRET_NAME || !isalpha((unsigned char)name[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	}
	return true;
}

int secrets_add(struct fn_settings *s, const char *pair, struct stk_err *err)
{
	const char *eq = strchr(pair, '=');
	size_t key_len = eq ? (size_t)(eq - pair) : 0, len = strlen(pair) + 1;
	unsigned count = 0;
	char *grown;

	if (!eq || !name_ok(pair, key_len))
		return stk_err_set(err, -EINVAL, "secret: expected NAME=VALUE, the name a letter and then letters, digits or _, "
				   "%u in all at most", GW_MAX_SECRET_NAME);
	for (size_t at = 0; at < s->secrets_len; at += strlen(s->secrets + at) + 1, count++) {
		if (strncmp(s->secrets + at, pair, key_len + 1) == 0)
			return stk_err_set(err, -EINVAL, "secret: %.*s is given twice", (int)key_len, pair);
	}
	if (count == GW_MAX_SECRETS)
		return stk_err_set(err, -E2BIG, "secret: more than %u", GW_MAX_SECRETS);
	if (s->secrets_len + len > FN_SECRETS_MAX)
		return stk_err_set(err, -E2BIG, "secret: all together are larger than %d bytes", FN_SECRETS_MAX);
	grown = malloc(s->secrets_len + len); /* not realloc: that leaves a copy behind */
	if (!grown)
		return stk_err_set(err, -ENOMEM, "out of memory");
	if (s->secrets_len)
		memcpy(grown, s->secrets, s->secrets_len);
	memcpy(grown + s->secrets_len, pair, len);
	secrets_free(s->secrets, s->secrets_len);
	s->secrets = grown;
	s->secrets_len += len;
	return 0;
}

int secrets_frame(const struct fn_settings *s, uint8_t **ret_frame)
{
	struct gw_secrets secrets = {.kv_count = 0};
	size_t cap = GW_HEADER_LEN + 2 + s->secrets_len + GW_MAX_SECRETS * 6;
	uint8_t *frame;
	int n;

	for (size_t at = 0; at < s->secrets_len; at += strlen(s->secrets + at) + 1) {
		const char *key = s->secrets + at, *eq = strchr(key, '=');

		if (!eq || secrets.kv_count == GW_MAX_SECRETS)
			return -EINVAL;
		secrets.kv[secrets.kv_count++] = (struct gw_kv){.key = key, .key_len = (uint16_t)(eq - key),
			.value = eq + 1, .value_len = (uint32_t)strlen(eq + 1)};
	}
	frame = malloc(cap);
	if (!frame)
		return -ENOMEM;
	n = gw_secrets_encode(frame, cap, &secrets);
	if (n < 0) {
		secrets_free(frame, cap);
		return n;
	}
	*ret_frame = frame;
	return n;
}

void secrets_free(void *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

/* Links to stored packages: see codelink.h. */
#include "scheduler/codelink.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "common/host/http_server.h"
#include "scheduler/auth/sigv4.h"
#include "scheduler/ids.h"

int codelink_init(struct codelink *k)
{
	return ids_random(k->key, sizeof(k->key));
}

int codelink_of_function(const char *name, unsigned number, char ret[CODELINK_MAX])
{
	return stk_snprintf(ret, CODELINK_MAX, "/v1/code/%s/%u", name, number);
}

int codelink_of_layer(const char *name, unsigned version, char ret[CODELINK_MAX])
{
	return stk_snprintf(ret, CODELINK_MAX, "/v1/layers/%s/%u/code", name, version);
}

static int sign(const struct codelink *k, const char *path, int64_t expires_s, uint8_t ret[SIGV4_HASH])
{
	char text[CODELINK_MAX];
	/* A number at the end: it cannot run into the path. */
	int rc = stk_snprintf(text, sizeof(text), "%s\n%" PRId64, path, expires_s);

	if (rc)
		return rc;
	return HMAC(EVP_sha256(), k->key, sizeof(k->key), (const uint8_t *)text, strlen(text), ret, NULL) ? 0 : -ENOMEM;
}

int codelink_make(const struct codelink *k, const char *path, int64_t now_s, char ret[CODELINK_MAX])
{
	char hex[2 * SIGV4_HASH + 1];
	uint8_t sig[SIGV4_HASH];
	int rc = sign(k, path, now_s + CODELINK_LIFE_S, sig);

	if (rc)
		return rc;
	for (unsigned i = 0; i < SIGV4_HASH; i++)
		sprintf(hex + 2 * i, "%02x", sig[i]);
	return stk_snprintf(ret, CODELINK_MAX, "%s?expires=%" PRId64 "&sig=%s", path, now_s + CODELINK_LIFE_S, hex);
}

bool codelink_good(const struct codelink *k, const char *path, const char *query, int64_t now_s)
{
	uint8_t given[SIGV4_HASH], sig[SIGV4_HASH];
	unsigned times = 0, sigs = 0;
	char key[16], value[96];
	uint64_t expires = 0;
	int rc;

	while ((rc = http_query_next(&query, key, sizeof(key), value, sizeof(value))) == 1) {
		if (strcmp(key, "expires") == 0 && stk_parse_u64(value, 1, INT64_MAX, &expires) == 0)
			times++;
		else if (strcmp(key, "sig") == 0 && sigv4_read_hex(value, given))
			sigs++;
		else
			return false;
	}
	if (rc || times != 1 || sigs != 1 || sign(k, path, (int64_t)expires, sig))
		return false;
	return sigv4_same(given, sig) && now_s < (int64_t)expires;
}

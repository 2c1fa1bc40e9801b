/* Function URLs by the name of a host: see furl_host.h.
 *
 * An id is 20 bytes in base 32 (RFC 4648, section 6, in small letters): the hash by which the registry keeps the function's
 * name, so that an id is looked up without a table, then 16 bytes of SHA-256, so that nobody finds a name with the id of
 * somebody else's. */
#include "scheduler/furl_host.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/base/str.h"
#include "scheduler/auth/sigv4.h"
#include "scheduler/furl_config.h"
#include "scheduler/registry.h"

#define LABEL    ".lambda-url."
#define ID_BYTES (FURL_ID_LEN * 5 / 8)
#define HASH_LEN 4

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

bool furl_host_is(const char *host)
{
	return host && strcasestr(host, LABEL);
}

bool furl_host_id(const char *host, char ret_id[FURL_ID_LEN + 1])
{
	char id[FURL_ID_LEN + 1] = "";

	for (unsigned i = 0; i < FURL_ID_LEN; i++) {
		id[i] = (char)tolower((unsigned char)host[i]);
		if (!id[i] || !strchr(alphabet, id[i]))
			return false;
	}
	if (strncasecmp(host + FURL_ID_LEN, LABEL, strlen(LABEL)) != 0)
		return false;
	memcpy(ret_id, id, sizeof(id));
	return true;
}

bool furl_domain_valid(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	size_t n = strspn(text, allowed);
	uint64_t port;

	if (n == 0 || strlen(text) > FURL_DOMAIN_MAX || strchr(".-", text[0]))
		return false;
	return text[n] == '\0' || (text[n] == ':' && stk_parse_u64(text + n + 1, 1, 65535, &port) == 0);
}

/* Eight digits for five bytes. */
static void encode(const uint8_t *p, char *ret)
{
	for (unsigned i = 0; i < ID_BYTES; i += 5) {
		uint64_t v = 0;

		for (unsigned k = 0; k < 5; k++)
			v = v << 8 | p[i + k];
		for (int shift = 35; shift >= 0; shift -= 5)
			*ret++ = alphabet[v >> shift & 31];
	}
	*ret = '\0';
}

/* The hash in an id: seven digits, of the last of which only the first three bits belong to it. */
static uint32_t hash_of(const char *id)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 7; i++) {
		const char *digit = strchr(alphabet, id[i]);

		v = v << 5 | (digit && *digit ? (uint64_t)(digit - alphabet) : 0);
	}
	return (uint32_t)(v >> 3);
}

int furl_id(const char *name, const char *qualifier, char ret_id[FURL_ID_LEN + 1])
{
	char text[FN_NAME_MAX + 130];
	uint8_t bytes[HASH_LEN + SIGV4_HASH];
	uint32_t hash = registry_hash(name);
	int rc = stk_snprintf(text, sizeof(text), "%s:%s", name, qualifier);

	if (rc == 0)
		rc = sigv4_hash(text, strlen(text), bytes + HASH_LEN);
	if (rc)
		return rc;
	for (unsigned i = 0; i < HASH_LEN; i++)
		bytes[i] = (uint8_t)(hash >> (24 - 8 * i));
	encode(bytes, ret_id);
	return 0;
}

static const char *qualifier_of(const struct function *fn, const char *id)
{
	char own[FURL_ID_LEN + 1];

	for (unsigned i = 0; i < fn->note_count; i++) {
		const struct fn_note *n = fn->notes[i];

		if (strcmp(n->kind, FURL_NOTE) == 0 && furl_id(fn->name, n->qualifier, own) == 0 && strcmp(own, id) == 0)
			return n->qualifier;
	}
	return NULL;
}

const struct function *furl_by_id(const struct registry *r, const char *id, const char **ret_qualifier)
{
	uint32_t hash = hash_of(id);

	for (const struct function *fn = registry_bucket(r, hash); fn; fn = fn->next) {
		const char *qualifier = fn->note_count && registry_hash(fn->name) == hash ? qualifier_of(fn, id) : NULL;

		if (qualifier) {
			*ret_qualifier = qualifier;
			return fn;
		}
	}
	return NULL;
}

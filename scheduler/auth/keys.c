/* The key file: see keys.h. */
#include "scheduler/auth/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "common/host/json_get.h"

struct token {
	uint8_t hash[SIGV4_HASH];
	struct key *key;
};

struct keys {
	bool anonymous_invoke;
	unsigned tenant_count, key_count, id_count, token_count;
	struct key_tenant *tenants;
	struct key *keys;
	struct key **ids;     /* those with an access key id, in its order */
	struct token *tokens; /* in order of their hashes */
};

/* --- where in the text ------------------------------------------------------------------------------ */

/* Line on which element `index` of the array `array` of the outermost object begins; text is well-formed JSON. */
static unsigned line_of(const char *text, const char *array, size_t index)
{
	unsigned line = 1, depth = 0;
	bool inside = false;
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		line += *p == '\n';
		if (strchr(" \t\r\n:", *p))
			continue;
		if (inside && depth == 2 && n == index && *p != ',' && *p != ']')
			return line;
		if (*p == '"') {
			const char *begin = ++p;

			while (*p != '"' && *p)
				p += *p == '\\' && p[1] ? 2 : 1;
			if (depth == 1 && strlen(array) == (size_t)(p - begin) &&
			    memcmp(begin, array, (size_t)(p - begin)) == 0)
				inside = true;
			if (!*p)
				break;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			inside = inside && depth > 1;
		} else if (*p == ',' && inside && depth == 2) {
			n++;
		}
	}
	return line;
}

/* --- reading ---------------------------------------------------------------------------------------- */

static struct key_tenant *find_tenant(struct keys *k, const char *name)
{
	for (unsigned i = 0; i < k->tenant_count; i++) {
		if (strcmp(k->tenants[i].name, name) == 0)
			return &k->tenants[i];
	}
	return NULL;
}

static int read_tenant(struct keys *k, const json_t *o, struct stk_err *err)
{
	static const char *const members[] = {"name", "account", "concurrency", NULL};
	const char *name = NULL, *account = NULL;
	uint64_t concurrency = UINT64_MAX;
	struct key_tenant *t;
	int rc;

	if (!json_is_object(o))
		return stk_err_set(err, -EINVAL, "expected an object");
	rc = json_get_only(o, members, err);
	rc = rc ? rc : json_get_str(o, "name", true, KEYS_NAME_MAX, &name, err);
	rc = rc ? rc : json_get_str(o, "account", true, 12, &account, err);
	rc = rc ? rc : json_get_u64(o, "concurrency", false, 0, 1000000, &concurrency, err);
	if (rc)
		return rc;
	if (!stk_name_valid(name))
		return stk_err_set(err, -EINVAL, "name: expected 1 to 64 letters, digits, - or _");
	if (strlen(account) != 12 || strspn(account, "0123456789") != 12)
		return stk_err_set(err, -EINVAL, "account: expected 12 digits");
	t = find_tenant(k, name);
	if (t && (t != k->tenants || strcmp(name, KEYS_DEFAULT_TENANT) != 0))
		return stk_err_set(err, -EINVAL, "a tenant named %s is there already", name);
	for (unsigned i = 0; i < k->tenant_count; i++) {
		if (&k->tenants[i] != t && strcmp(k->tenants[i].account, account) == 0)
			return stk_err_set(err, -EINVAL, "account %s is tenant %s's already", account,
					   k->tenants[i].name);
	}
	t = t ? t : &k->tenants[k->tenant_count++];
	stk_strcpy(t->name, sizeof(t->name), name);
	stk_strcpy(t->account, sizeof(t->account), account);
	t->concurrency = concurrency == UINT64_MAX ? -1 : (int)concurrency;
	return 0;
}

/* The token itself, or "sha256:" and its hash, so that the file need not hold it. */
static int read_token(struct keys *k, struct key *key, const json_t *value, struct stk_err *err)
{
	const char *text = json_string_value(value);
	struct token *t = &k->tokens[k->token_count];
	size_t len = text ? strlen(text) : 0;

	if (!text || len != json_string_length(value))
		return stk_err_set(err, -EINVAL, "tokens: expected texts");
	if (strncmp(text, "sha256:", 7) == 0) {
		if (!sigv4_read_hex(text + 7, t->hash))
			return stk_err_set(err, -EINVAL,
					   "tokens: expected 64 lower-case hexadecimal digits behind sha256:");
	} else {
		if (len < KEYS_TOKEN_MIN || len > KEYS_TOKEN_MAX || !stk_only(text, "-._~+/="))
			return stk_err_set(err, -EINVAL,
					   "tokens: a token has %d to %d letters, digits or - . _ ~ + / =",
					   KEYS_TOKEN_MIN, KEYS_TOKEN_MAX);
		if (sigv4_hash(text, len, t->hash))
			return stk_err_set(err, -ENOMEM, "out of memory");
	}
	t->key = key;
	k->token_count++;
	return 0;
}

static int read_secret(struct key *key, const char *id, const char *secret, struct stk_err *err)
{
	size_t len = secret ? strlen(secret) : 0;

	if (!id != !secret)
		return stk_err_set(err, -EINVAL, "accessKeyId and secretAccessKey: one without the other");
	if (!id)
		return 0;
	if (!stk_only(id, "-_") || stk_strcpy(key->id, sizeof(key->id), id))
		return stk_err_set(err, -EINVAL, "accessKeyId: expected 1 to %d letters, digits, - or _",
				   SIGV4_KEY_MAX);
	for (size_t i = 0; i < len; i++) {
		if (secret[i] <= ' ' || secret[i] >= 0x7f)
			len = 0; /* as if it were too short */
	}
	if (len < KEYS_SECRET_MIN || len > KEYS_SECRET_MAX)
		return stk_err_set(err, -EINVAL, "secretAccessKey: expected %d to %d characters, no blanks",
				   KEYS_SECRET_MIN, KEYS_SECRET_MAX);
	memcpy(key->secret, secret, len + 1);
	return 0;
}

static int read_key(struct keys *k, const json_t *o, struct stk_err *err)
{
	static const char *const members[] = {"name", "tenant", "accessKeyId", "secretAccessKey", "tokens", NULL};
	const char *name = NULL, *tenant = KEYS_DEFAULT_TENANT, *id = NULL, *secret = NULL;
	struct key *key = &k->keys[k->key_count++];
	const json_t *tokens = NULL;
	int rc;

	if (!json_is_object(o))
		return stk_err_set(err, -EINVAL, "expected an object");
	rc = json_get_only(o, members, err);
	rc = rc ? rc : json_get_str(o, "name", false, KEYS_NAME_MAX, &name, err);
	rc = rc ? rc : json_get_str(o, "tenant", false, KEYS_NAME_MAX, &tenant, err);
	rc = rc ? rc : json_get_str(o, "accessKeyId", false, SIGV4_KEY_MAX, &id, err);
	rc = rc ? rc : json_get_str(o, "secretAccessKey", false, KEYS_SECRET_MAX, &secret, err);
	rc = rc ? rc : json_get_array(o, "tokens", false, &tokens, err);
	rc = rc ? rc : read_secret(key, id, secret, err);
	if (rc)
		return rc;
	if (!id && json_array_size(tokens) == 0)
		return stk_err_set(err, -EINVAL, "a key needs accessKeyId and secretAccessKey, or tokens, or both");
	name = name ? name : id;
	if (!name || !stk_name_valid(name) || stk_strcpy(key->name, sizeof(key->name), name))
		return stk_err_set(err, -EINVAL, "name: expected 1 to 64 letters, digits, - or _");
	for (unsigned i = 0; i + 1 < k->key_count; i++) {
		if (strcmp(k->keys[i].name, key->name) == 0)
			return stk_err_set(err, -EINVAL, "a key named %s is there already", key->name);
	}
	key->tenant = find_tenant(k, tenant);
	if (!key->tenant)
		return stk_err_set(err, -EINVAL, "tenant: no %s in \"tenants\"", tenant);
	if (json_array_size(tokens) > KEYS_TOKENS_MAX)
		return stk_err_set(err, -EINVAL, "tokens: at most %d", KEYS_TOKENS_MAX);
	for (size_t i = 0; i < json_array_size(tokens) && rc == 0; i++)
		rc = read_token(k, key, json_array_get(tokens, i), err);
	return rc;
}

/* All elements of an array; an error says where the element stands. */
static int read_array(struct keys *k, const json_t *array, const char *name, const char *text,
		      int (*read)(struct keys *k, const json_t *o, struct stk_err *err), struct stk_err *err)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		int rc = read(k, json_array_get(array, i), err);

		if (rc) {
			stk_err_prefix(err, "line %u: %s[%zu]", line_of(text, name, i), name, i);
			return rc;
		}
	}
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp((*(struct key *const *)a)->id, (*(struct key *const *)b)->id);
}

static int compare_tokens(const void *a, const void *b)
{
	return memcmp(((const struct token *)a)->hash, ((const struct token *)b)->hash, SIGV4_HASH);
}

static int sort(struct keys *k, struct stk_err *err)
{
	for (unsigned i = 0; i < k->key_count; i++) {
		if (k->keys[i].id[0])
			k->ids[k->id_count++] = &k->keys[i];
	}
	qsort(k->ids, k->id_count, sizeof(*k->ids), compare_ids);
	qsort(k->tokens, k->token_count, sizeof(*k->tokens), compare_tokens);
	for (unsigned i = 1; i < k->id_count; i++) {
		if (compare_ids(&k->ids[i - 1], &k->ids[i]) == 0)
			return stk_err_set(err, -EINVAL, "accessKeyId %s is there twice", k->ids[i]->id);
	}
	for (unsigned i = 1; i < k->token_count; i++) {
		if (compare_tokens(&k->tokens[i - 1], &k->tokens[i]) == 0)
			return stk_err_set(err, -EINVAL, "keys %s and %s have the same token",
					   k->tokens[i - 1].key->name, k->tokens[i].key->name);
	}
	return 0;
}

static int read_file(struct keys *k, const json_t *root, const char *text, struct stk_err *err)
{
	static const char *const members[] = {"anonymousInvoke", "tenants", "keys", NULL};
	const json_t *tenants = NULL, *keys = NULL;
	size_t tokens = 0;
	int rc = json_get_only(root, members, err);

	rc = rc ? rc : json_get_bool(root, "anonymousInvoke", false, &k->anonymous_invoke, err);
	rc = rc ? rc : json_get_array(root, "tenants", false, &tenants, err);
	rc = rc ? rc : json_get_array(root, "keys", true, &keys, err);
	if (rc)
		return rc;
	if (json_array_size(tenants) > KEYS_TENANTS_MAX || json_array_size(keys) > KEYS_MAX)
		return stk_err_set(err, -EINVAL, "at most %d tenants and %d keys", KEYS_TENANTS_MAX, KEYS_MAX);
	for (size_t i = 0; i < json_array_size(keys); i++)
		tokens += json_array_size(json_object_get(json_array_get(keys, i), "tokens"));
	k->tenants = calloc(json_array_size(tenants) + 1, sizeof(*k->tenants));
	k->keys = calloc(json_array_size(keys) + 1, sizeof(*k->keys));
	k->ids = calloc(json_array_size(keys) + 1, sizeof(struct key *));
	k->tokens = calloc(tokens + 1, sizeof(*k->tokens));
	if (!k->tenants || !k->keys || !k->ids || !k->tokens)
		return stk_err_set(err, -ENOMEM, "out of memory");
	k->tenant_count = 1;
	stk_strcpy(k->tenants[0].name, sizeof(k->tenants[0].name), KEYS_DEFAULT_TENANT);
	stk_strcpy(k->tenants[0].account, sizeof(k->tenants[0].account), KEYS_DEFAULT_ACCOUNT);
	k->tenants[0].concurrency = -1;
	rc = read_array(k, tenants, "tenants", text, read_tenant, err);
	rc = rc ? rc : read_array(k, keys, "keys", text, read_key, err);
	return rc ? rc : sort(k, err);
}

int keys_parse(const char *text, size_t len, const char *path, struct keys **ret_keys, struct stk_err *err)
{
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	struct keys *k;
	int rc;

	/* jansson's text may quote the file: only its place is told. */
	if (!root)
		return stk_err_set(err, -EINVAL, "key file %s: line %d: no valid JSON here (%s)", path, where.line,
				   json_error_code(&where) == json_error_duplicate_key ? "a member is there twice"
										       : "syntax");
	k = calloc(1, sizeof(*k));
	if (!k)
		rc = stk_err_set(err, -ENOMEM, "out of memory");
	else if (!json_is_object(root))
		rc = stk_err_set(err, -EINVAL, "line 1: expected an object");
	else
		rc = read_file(k, root, text, err);
	json_decref(root);
	if (rc) {
		stk_err_prefix(err, "key file %s", path);
		keys_free(k);
		return rc;
	}
	*ret_keys = k;
	return 0;
}

int keys_load(const char *path, struct keys **ret_keys, struct stk_err *err)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	stk_autofree char *text = NULL;
	size_t len = 0;
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st))
		return stk_err_sys(err, -errno, "key file %s", path);
	if (!S_ISREG(st.st_mode))
		return stk_err_set(err, -EINVAL, "key file %s: not a regular file", path);
	if (st.st_mode & S_IRWXO)
		return stk_err_set(err, -EPERM, "key file %s: others may read or change it (mode %04o): chmod o-rwx",
				   path, (unsigned)st.st_mode & 07777);
	rc = stk_read_fd(fd, KEYS_FILE_MAX, &text, &len);
	if (rc)
		return stk_err_sys(err, rc, "key file %s", path);
	rc = keys_parse(text, len, path, ret_keys, err);
	OPENSSL_cleanse(text, len);
	return rc;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	if (k->keys)
		OPENSSL_cleanse(k->keys, k->key_count * sizeof(*k->keys));
	free(k->tenants);
	free(k->keys);
	free(k->ids);
	free(k->tokens);
	free(k);
}

/* --- looking up ------------------------------------------------------------------------------------- */

static int compare_id(const void *id, const void *key)
{
	return strcmp(id, (*(struct key *const *)key)->id);
}

struct key *keys_by_id(struct keys *k, const char *id)
{
	struct key **found = bsearch(id, k->ids, k->id_count, sizeof(*k->ids), compare_id);

	return found ? *found : NULL;
}

struct key *keys_by_token(struct keys *k, const char *token)
{
	struct token wanted, *found;

	if (sigv4_hash(token, strlen(token), wanted.hash))
		return NULL;
	found = bsearch(&wanted, k->tokens, k->token_count, sizeof(*k->tokens), compare_tokens);
	return found ? found->key : NULL;
}

const struct key_tenant *keys_tenants(const struct keys *k, unsigned *ret_count)
{
	*ret_count = k->tenant_count;
	return k->tenants;
}

const struct key_tenant *keys_default_tenant(const struct keys *k)
{
	return k->tenants;
}

unsigned keys_count(const struct keys *k)
{
	return k->key_count;
}

bool keys_anonymous_invoke(const struct keys *k)
{
	return k->anonymous_invoke;
}

int keys_signing(struct key *key, const char *day, const char *region, const uint8_t **ret_signing)
{
	int rc = 0;

	if (strcmp(key->day, day) != 0 || strcmp(key->region, region) != 0) {
		key->day[0] = '\0'; /* nothing to find if this fails half way */
		rc = sigv4_signing_key(key->secret, day, region, key->signing);
		if (rc == 0) {
			stk_strcpy(key->day, sizeof(key->day), day);
			stk_strcpy(key->region, sizeof(key->region), region);
		}
	}
	*ret_signing = key->signing;
	return rc;
}

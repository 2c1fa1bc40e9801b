/* The key file: who may use the host, and as which tenant (format: stokerd(8), KEY FILE). A loaded file never changes;
 * reading it again makes a new one. Loading may block and may run on any thread; looking up is the loop's. */
#ifndef SCHEDULER_AUTH_KEYS_H
#define SCHEDULER_AUTH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "scheduler/auth/sigv4.h"

#define KEYS_FILE_MAX    (1u << 20)
#define KEYS_MAX         1024
#define KEYS_TENANTS_MAX 256
#define KEYS_TOKENS_MAX  16 /* of one key */
#define KEYS_NAME_MAX    64
#define KEYS_SECRET_MIN  8
#define KEYS_SECRET_MAX  256
#define KEYS_TOKEN_MIN   16
#define KEYS_TOKEN_MAX   512

#define KEYS_DEFAULT_TENANT  "default"
#define KEYS_DEFAULT_ACCOUNT "000000000000"

struct key_tenant {
	char name[KEYS_NAME_MAX + 1];
	char account[13]; /* 12 digits */
	int concurrency;  /* calls at the same time; -1: as many as the host takes */
};

struct key {
	char name[KEYS_NAME_MAX + 1];  /* for logs; the access key id when the file gives none */
	char id[SIGV4_KEY_MAX + 1];    /* access key id, "" when the key has tokens only */
	char secret[KEYS_SECRET_MAX + 1];
	const struct key_tenant *tenant;
	const void *who; /* the user's own; NULL at first */
	/* The signing key used last: a client's stays the same for a day. */
	char day[9], region[SIGV4_REGION_MAX + 1];
	uint8_t signing[SIGV4_HASH];
};

struct keys;

/* 0, or negative errno with err, which names file, line and what is wrong, and shows no secret. */
int keys_load(const char *path, struct keys **ret_keys, struct stk_err *err);
/* The same from text with a NUL behind it. `path` is for messages. */
int keys_parse(const char *text, size_t len, const char *path, struct keys **ret_keys, struct stk_err *err);
void keys_free(struct keys *k); /* wipes secrets */

/* NULL: unknown. */
struct key *keys_by_id(struct keys *k, const char *id);
/* Compares hashes: how long it takes says nothing about tokens. */
struct key *keys_by_token(struct keys *k, const char *token);
const struct key_tenant *keys_default_tenant(const struct keys *k);
unsigned keys_count(const struct keys *k);
const struct key_tenant *keys_tenants(const struct keys *k, unsigned *ret_count);
bool keys_anonymous_invoke(const struct keys *k);
/* Signing key for the day and region, from the last use or made now. 0 or -ENOMEM. */
int keys_signing(struct key *key, const char *day, const char *region, const uint8_t **ret_signing);

#endif

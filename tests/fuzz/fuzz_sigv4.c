/* The signature check on hostile requests. Lines: method, path, query, seven headers "name: value"; the rest is the body.
 * Whatever is read without error is then signed as the client should have: that must be accepted, and nothing else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/auth/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS 7
#define SECRET  "secretexample"

/* Takes a line off the text, which ends with a NUL. */
static char *line(char **text)
{
	char *at = *text, *end = at + strcspn(at, "\n");

	*text = *end ? end + 1 : end;
	*end = '\0';
	return at;
}

static void check(struct sigv4_request *r, struct sigv4 *sig, const uint8_t *body, size_t len)
{
	uint8_t key[SIGV4_HASH], hash[SIGV4_HASH], canonical[SIGV4_HASH];
	enum sigv4_reason got, want;
	char text[400];

	for (int i = 0; i < SIGV4_REASONS; i++)
		sigv4_message(i, sig, INT64_MAX / 2, text, sizeof(text));
	sigv4_check_time(sig, 1767323045);
	if (strlen(sig->key_id) > SIGV4_KEY_MAX || strlen(sig->day) != 8 || strlen(sig->time) != 16)
		abort();
	if (sigv4_signing_key(SECRET, sig->day, sig->region, key) || sigv4_hash(body, len, hash))
		abort();
	got = sigv4_verify(r, sig, key, hash);
	if (sig->has_hash && got == SIGV4_OK && !sigv4_same(sig->hash, hash))
		abort();
	if (sigv4_canonical(r, sig, sig->has_hash ? sig->hash : hash, canonical) != SIGV4_OK) {
		if (got == SIGV4_OK)
			abort();
		return;
	}
	if (sigv4_sign(sig, key, canonical, sig->signature))
		abort();
	want = sig->has_hash && !sigv4_same(sig->hash, hash) ? SIGV4_BODY : SIGV4_OK;
	if (sigv4_verify(r, sig, key, hash) != want)
		abort();
	sig->signature[31] ^= 1;
	if (sigv4_verify(r, sig, key, hash) != SIGV4_MISMATCH)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_header headers[HEADERS];
	struct sigv4_request r = {.headers = headers};
	char *copy = calloc(1, size + 1), *at = copy;
	struct sigv4 sig;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	r.method = line(&at);
	r.path = line(&at);
	r.query = line(&at);
	while (r.header_count < HEADERS && *at) {
		char *name = line(&at), *colon = strchr(name, ':');

		if (!colon)
			continue;
		*colon++ = '\0';
		headers[r.header_count++] = (struct http_header){name, colon + (*colon == ' ')};
	}
	if (*r.path == '/' && sigv4_read(&r, &sig) == SIGV4_OK)
		check(&r, &sig, (uint8_t *)at, (size_t)(copy + size - at));
	free(copy);
	return 0;
}

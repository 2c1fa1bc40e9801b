/* The key file's reader. What it accepts must be whole: every key found again by its id, with a tenant. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/auth/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct stk_err err = {0};
	struct keys *k = NULL;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (keys_parse(text, size, "k", &k, &err)) {
		if (k || !err.text[0])
			abort();
	} else {
		struct key *key = keys_by_id(k, "AKIDEXAMPLE");
		const uint8_t *signing;

		if (keys_count(k) > KEYS_MAX || (key && (strcmp(key->id, "AKIDEXAMPLE") != 0 || !key->tenant ||
							 strlen(key->tenant->account) != 12 || !key->name[0])))
			abort();
		if (key && keys_signing(key, "20260102", "us-east-1", &signing))
			abort();
		key = keys_by_token(k, "tokentokentoken1");
		if (key && !key->name[0])
			abort();
		keys_free(k);
	}
	free(text);
	return 0;
}

/* Authorization headers with tokens: what is read fits, and what a client would send for it reads the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/auth/bearer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), token[200], again[sizeof(token)], header[sizeof(token) + 8];

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (bearer_read(text, token, sizeof(token)) == 0) {
		if (strlen(token) >= sizeof(token))
			abort();
		snprintf(header, sizeof(header), "Bearer %s", token);
		/* Blanks in front of a token belong to the header. */
		if (bearer_read(header, again, sizeof(again)) || strcmp(token + strspn(token, " \t"), again) != 0)
			abort();
	}
	free(text);
	return 0;
}

/* Links to packages, which open a path to who has no key. First line: the function's name; the rest: a query. Only what the host
 * has made is good, in whatever order and escapes, for that code alone and until it ends. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/host/http_server.h"
#include "scheduler/codelink.h"
#include "scheduler/registry.h"

#define NOW 1767323045

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codelink key = {.key = "0123456789abcdef0123456789abcde"};

static void require(int ok)
{
	if (!ok)
		abort();
}

/* Has it the two values of the link, each once? */
static int same_values(const char *query, const char *link)
{
	char name[16], value[96], want[2][96], got[2][96] = {"", ""};
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		require(http_query_next(&link, name, sizeof(name), want[i], sizeof(want[i])) == 1);
	for (; http_query_next(&query, name, sizeof(name), value, sizeof(value)) == 1; n++)
		strcpy(got[strcmp(name, "sig") == 0], value);
	return n == 2 && strtoull(got[0], NULL, 10) == strtoull(want[0], NULL, 10) && strcasecmp(got[1], want[1]) == 0;
}

static void try(const char *name, const char *query)
{
	char path[CODELINK_MAX], another[CODELINK_MAX], layer[CODELINK_MAX], link[CODELINK_MAX], other[CODELINK_MAX];
	const char *made;

	if (!fn_name_valid(name)) { /* none has such a name; it must be refused all the same */
		require(codelink_of_function(name, 1, path) || !codelink_good(&key, path, query, NOW));
		require(codelink_of_layer(name, 1, path) || !codelink_good(&key, path, query, NOW));
		return;
	}
	require(codelink_of_function(name, 1, path) == 0 && codelink_of_function(name, 2, another) == 0 &&
		codelink_of_layer(name, 1, layer) == 0);
	require(codelink_make(&key, path, NOW, link) == 0);
	made = strchr(link, '?') + 1;
	require(codelink_good(&key, path, made, NOW));
	require(!codelink_good(&key, another, made, NOW));
	require(!codelink_good(&key, layer, made, NOW));
	require(!codelink_good(&key, path, made, NOW + CODELINK_LIFE_S));
	require(snprintf(other, sizeof(other), "%s&x=1", made) > 0 && !codelink_good(&key, path, other, NOW));
	/* The query is no other package's, nor of another time, unless it is this very one. */
	require(!codelink_good(&key, path, query, NOW) || same_values(query, made));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name, *query;

	if (size > 8192)
		return 0;
	name = malloc(size + 1);
	require(name != NULL);
	memcpy(name, data, size);
	name[size] = '\0';
	query = strchr(name, '\n');
	if (query) {
		*query++ = '\0';
		try(name, query);
	}
	free(name);
	return 0;
}

/* A function's layers as clients give them: a list of NAME:N and ARNs. Byte 0: bit 0, whether ARNs are taken; the upper four
 * bits, how many layers the function has already. What is accepted must be names, versions and a count within their limits,
 * and what is written of them, as in the database, must be read back as the same; what is refused must have a text and leave
 * whole what was there. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/layers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static void check(const struct fn_settings *s)
{
	require(s->layer_count <= FN_LAYERS_MAX);
	for (unsigned i = 0; i < s->layer_count; i++) {
		require(fn_name_valid(s->layers[i].name) && s->layers[i].size == 0);
		require(s->layers[i].version >= 1 && s->layers[i].version <= LAYERS_VERSION_MAX);
		for (unsigned j = 0; j < i; j++)
			require(strcmp(s->layers[i].name, s->layers[j].name) != 0);
	}
}

static void write_and_read(const struct fn_settings *s)
{
	char text[FN_LAYERS_MAX * (FN_NAME_MAX + 16)];
	struct fn_settings again;
	size_t len = 0;

	fn_settings_init(&again);
	for (unsigned i = 0; i < s->layer_count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:%u", i ? "," : "", s->layers[i].name,
					s->layers[i].version);
	require(len < sizeof(text) && layers_parse_list(text, NULL, &again, NULL) == 0 && fn_same_layers(s, &again));
	fn_settings_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stk_err err = {0};
	struct fn_settings s;
	unsigned before;
	char *text;
	int rc;

	if (size < 1 || size > 4096)
		return 0;
	text = malloc(size);
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	fn_settings_init(&s);
	before = (data[0] >> 4) % (FN_LAYERS_MAX + 1);
	for (unsigned i = 0; i < before; i++) {
		struct fn_layer had = {.version = i + 1};

		snprintf(had.name, sizeof(had.name), "had-%u", i);
		require(fn_settings_add_layer(&s, &had, &err) == 0);
	}
	rc = layers_parse_list(text, data[0] & 1 ? "000000000000" : NULL, &s, &err);
	require(rc == 0 || ((rc == -EINVAL || rc == -EACCES) && err.code == rc && err.text[0]));
	require(rc != -EACCES || (data[0] & 1));
	require(s.layer_count >= before);
	check(&s);
	if (rc == 0)
		write_and_read(&s);
	fn_settings_fini(&s);
	free(text);
	return 0;
}

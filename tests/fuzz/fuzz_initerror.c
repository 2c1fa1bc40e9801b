/* What a guest says of its init phase's end. Byte 0: the kind of error; bytes 1 to 4: its number; the rest is the text. Whatever
 * it is, a JSON object with errorType and errorMessage comes of it, or nothing of a kind that is none. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshots/tool/initerror.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gw_error e = {0};
	json_t *root;
	char *text;

	if (size < 5)
		return 0;
	e.kind = data[0] % 16;
	memcpy(&e.detail, data + 1, sizeof(e.detail));
	e.body = (const char *)data + 5;
	e.body_len = (uint32_t)(size - 5);
	text = initerror_json(&e, 10000, 128);
	if (!text) {
		require(e.kind < GW_ERR_INIT || e.kind >= GW_ERR_AGENT);
		return 0;
	}
	root = json_loads(text, 0, NULL);
	require(json_is_string(json_object_get(root, "errorType")) && json_is_string(json_object_get(root, "errorMessage")));
	json_decref(root);
	free(text);
	return 0;
}

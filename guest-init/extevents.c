/* The body of a register request: {"events": ["INVOKE", "SHUTDOWN"]}. */
#include <errno.h>
#include <string.h>

#include "guest-init/extensions.h"
#include "guest-init/jsonin.h"

static int take_events(struct jsonin *in, bool *invoke, bool *shutdown)
{
	struct jsonin_str text;
	bool begun = false;

	if (jsonin_word(in, "null"))
		return 0;
	while (jsonin_next(in, &begun, false, NULL)) {
		if (!jsonin_string(in, &text))
			return -EPROTO;
		if (jsonin_is(text, "INVOKE"))
			*invoke = true;
		else if (jsonin_is(text, "SHUTDOWN"))
			*shutdown = true;
		else
			return -EINVAL;
	}
	return in->p ? 0 : -EPROTO;
}

int extensions_events(const char *json, size_t len, bool *ret_invoke, bool *ret_shutdown)
{
	struct jsonin in = {json, json + len};
	bool invoke = false, shutdown = false, begun = false;
	struct jsonin_str key;
	int rc = 0;

	while (rc == 0 && jsonin_next(&in, &begun, true, &key)) {
		if (jsonin_is(key, "events"))
			rc = take_events(&in, &invoke, &shutdown);
		else
			rc = jsonin_skip(&in) ? 0 : -EPROTO;
	}
	if (rc)
		return rc;
	if (!jsonin_at_end(&in))
		return -EPROTO;
	*ret_invoke = invoke;
	*ret_shutdown = shutdown;
	return 0;
}

/* The body of an extension's register request. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-init/extensions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool invoke = false, shutdown = false;
	char *copy = malloc(size ? size : 1); /* exactly as large, so that a sanitizer sees each byte too many */
	int rc;

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	rc = extensions_events(copy, size, &invoke, &shutdown);
	if (rc != 0 && rc != -EPROTO && rc != -EINVAL)
		abort();
	if (rc && (invoke || shutdown))
		abort();
	free(copy);
	return 0;
}

/* The check of JSON against a parser that builds values: what jansson takes is well-formed, and the other way round but
 * for what jansson cannot represent (large numbers, lone surrogates). */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_error_t error;
	json_t *value;
	bool good;

	if (size > STK_JSON_DEPTH || memchr(data, 0, size)) /* jansson takes a NUL for the end */
		return 0;
	good = stk_json_check((const char *)data, size);
	value = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (value && !good)
		abort();
	if (!value && good && json_error_code(&error) != json_error_numeric_overflow && !memmem(data, size, "\\u", 2))
		abort();
	json_decref(value);
	return 0;
}

/* Typed, bounded getters for untrusted JSON objects (jansson): each names the field in its error.
 * Missing optional fields leave *ret unchanged; null is a value of the wrong type, not a missing one. */
#ifndef COMMON_HOST_JSON_GET_H
#define COMMON_HOST_JSON_GET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

/* Parses exactly one JSON object, nothing behind it, no duplicate keys, nesting bounded by jansson.
 * The caller decrefs. */
int json_get_parse(const void *data, size_t len, json_t **ret_obj, struct stk_err *err);
/* -EINVAL naming the first field not in the NULL-terminated list. */
int json_get_only(const json_t *obj, const char *const *allowed, struct stk_err *err);
int json_get_str(const json_t *obj, const char *key, bool required, size_t max, const char **ret_text,
		 struct stk_err *err); /* no NUL inside; max in bytes */
int json_get_u64(const json_t *obj, const char *key, bool required, uint64_t min, uint64_t max,
		 uint64_t *ret_value, struct stk_err *err);
int json_get_bool(const json_t *obj, const char *key, bool required, bool *ret_value,
		  struct stk_err *err);
int json_get_obj(const json_t *obj, const char *key, bool required, const json_t **ret_obj,
		 struct stk_err *err);
int json_get_array(const json_t *obj, const char *key, bool required, const json_t **ret_array,
		   struct stk_err *err);

#endif

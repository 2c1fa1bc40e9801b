/* Typed getters for untrusted JSON: see json_get.h. */
#include "common/host/json_get.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int json_get_parse(const void *data, size_t len, json_t **ret_obj, struct stk_err *err)
{
	json_error_t je;
	json_t *obj;

	if (len == 0)
		return stk_err_set(err, -EINVAL, "empty body where a JSON object is expected");
	obj = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
	if (!obj)
		return stk_err_set(err, -EINVAL, "invalid JSON at line %d column %d: %.160s", je.line,
				   je.column, je.text);
	if (!json_is_object(obj)) {
		json_decref(obj);
		return stk_err_set(err, -EINVAL, "a JSON object is expected");
	}
	*ret_obj = obj;
	return 0;
}

int json_get_only(const json_t *obj, const char *const *allowed, struct stk_err *err)
{
	const char *key;
	json_t *value;

	/* jansson's iteration takes no const; nothing is changed. */
	json_object_foreach((json_t *)obj, key, value) {
		bool known = false;

		for (unsigned i = 0; allowed[i] && !known; i++)
			known = strcmp(key, allowed[i]) == 0;
		if (!known)
			return stk_err_set(err, -EINVAL, "unknown field `%.64s`", key);
	}
	return 0;
}

/* 1 = found, 0 = absent and optional. JSON null is a value of the wrong type, not absence. */
static int find(const json_t *obj, const char *key, bool required, json_t **ret_value,
		struct stk_err *err)
{
	*ret_value = json_object_get(obj, key);
	if (*ret_value)
		return 1;
	return required ? stk_err_set(err, -EINVAL, "missing field `%s`", key) : 0;
}

int json_get_str(const json_t *obj, const char *key, bool required, size_t max, const char **ret_text,
		 struct stk_err *err)
{
	json_t *v;
	int r = find(obj, key, required, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_string(v))
		return stk_err_set(err, -EINVAL, "field `%s` must be a string", key);
	if (json_string_length(v) > max)
		return stk_err_set(err, -EINVAL, "field `%s` is longer than %zu bytes", key, max);
	if (strlen(json_string_value(v)) != json_string_length(v))
		return stk_err_set(err, -EINVAL, "field `%s` contains a NUL character", key);
	*ret_text = json_string_value(v);
	return 0;
}

int json_get_u64(const json_t *obj, const char *key, bool required, uint64_t min, uint64_t max,
		 uint64_t *ret_value, struct stk_err *err)
{
	json_t *v;
	json_int_t n;
	int r = find(obj, key, required, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_integer(v))
		return stk_err_set(err, -EINVAL, "field `%s` must be a whole number", key);
	n = json_integer_value(v);
	if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return stk_err_set(err, -EINVAL, "field `%s` must be %" PRIu64 " to %" PRIu64, key, min,
				   max);
	*ret_value = (uint64_t)n;
	return 0;
}

int json_get_bool(const json_t *obj, const char *key, bool required, bool *ret_value,
		  struct stk_err *err)
{
	json_t *v;
	int r = find(obj, key, required, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_boolean(v))
		return stk_err_set(err, -EINVAL, "field `%s` must be true or false", key);
	*ret_value = json_is_true(v);
	return 0;
}

int json_get_obj(const json_t *obj, const char *key, bool required, const json_t **ret_obj,
		 struct stk_err *err)
{
	json_t *v;
	int r = find(obj, key, required, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_object(v))
		return stk_err_set(err, -EINVAL, "field `%s` must be an object", key);
	*ret_obj = v;
	return 0;
}

int json_get_array(const json_t *obj, const char *key, bool required, const json_t **ret_array,
		   struct stk_err *err)
{
	json_t *v;
	int r = find(obj, key, required, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_array(v))
		return stk_err_set(err, -EINVAL, "field `%s` must be an array", key);
	*ret_array = v;
	return 0;
}

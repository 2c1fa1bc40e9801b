/* Checked members: see member.h. */
#include "scheduler/lambda/member.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/utf8.h"

void members_init(struct members *m)
{
	m->violations = 0;
	m->text[0] = '\0';
	m->wrong_type = false;
	m->type_text[0] = '\0';
}

void member_violation(struct members *m, const char *path, const char *value, const char *what)
{
	size_t n = strlen(m->text);
	const char *quote = value ? "'" : "";

	snprintf(m->text + n, sizeof(m->text) - n, "%sValue %s%.160s%s at '%s' failed to satisfy constraint: %s",
		 m->violations ? "; " : "", quote, value ? value : "null", quote, path, what);
	m->violations++;
}

void member_wrong_type(struct members *m, const char *path, const char *wanted)
{
	if (!m->wrong_type)
		snprintf(m->type_text, sizeof(m->type_text), "The value of '%.100s' must be %s.", path, wanted);
	m->wrong_type = true;
}

int members_finish(const struct members *m, struct lambda_err *err)
{
	if (m->wrong_type)
		return lambda_err_set(err, LAMBDA_SERIALIZATION, "%s", m->type_text);
	if (m->violations)
		return lambda_err_set(err, LAMBDA_VALIDATION, "%u validation error%s detected: %s", m->violations,
				      m->violations == 1 ? "" : "s", m->text);
	return 0;
}

/* NULL when it is not given. */
static json_t *find(struct members *m, const json_t *obj, const char *key, const char *path, bool required)
{
	json_t *v = json_object_get(obj, key);

	if (v && !json_is_null(v))
		return v;
	if (required)
		member_violation(m, path, NULL, "Member must not be null");
	return NULL;
}

/* jansson lets no NUL into a string unless told to. */
static bool text_fits(struct members *m, const char *path, const char *text, const struct member_text *what)
{
	char limit[420];
	size_t len;

	if (!what)
		return true;
	len = stk_utf8_count(text);
	if (len < what->min) {
		snprintf(limit, sizeof(limit), "Member must have length greater than or equal to %zu", what->min);
	} else if (what->max && len > what->max) {
		snprintf(limit, sizeof(limit), "Member must have length less than or equal to %zu", what->max);
	} else if (what->fits && !what->fits(text)) {
		snprintf(limit, sizeof(limit), "Member must satisfy regular expression pattern: %s", what->pattern);
	} else {
		return true;
	}
	member_violation(m, path, text, limit);
	return false;
}

bool member_string(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		   const struct member_text *what, const char **ret_text)
{
	json_t *v = find(m, obj, key, path, required);

	if (!v)
		return false;
	if (!json_is_string(v)) {
		member_wrong_type(m, path, "a string");
		return false;
	}
	if (!text_fits(m, path, json_string_value(v), what))
		return false;
	*ret_text = json_string_value(v);
	return true;
}

bool member_enum(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		 const char *const *values, unsigned *ret_index)
{
	char what[200];
	size_t n;
	const char *text;

	if (!member_string(m, obj, key, path, required, NULL, &text))
		return false;
	for (unsigned i = 0; values[i]; i++) {
		if (strcmp(text, values[i]) == 0) {
			*ret_index = i;
			return true;
		}
	}
	n = (size_t)snprintf(what, sizeof(what), "Member must satisfy enum value set: [");
	for (unsigned i = 0; values[i] && n < sizeof(what) - 1; i++)
		n += (size_t)snprintf(what + n, sizeof(what) - n, "%s%s", i ? ", " : "", values[i]);
	if (n < sizeof(what) - 1)
		snprintf(what + n, sizeof(what) - n, "]");
	member_violation(m, path, text, what);
	return false;
}

bool member_int(struct members *m, const json_t *obj, const char *key, const char *path, bool required, json_int_t min,
		json_int_t max, json_int_t *ret_value)
{
	json_t *v = find(m, obj, key, path, required);
	char value[32], what[80];
	json_int_t n;

	if (!v)
		return false;
	if (!json_is_integer(v)) {
		member_wrong_type(m, path, "a whole number");
		return false;
	}
	n = json_integer_value(v);
	if (n >= min && (max < min || n <= max)) {
		*ret_value = n;
		return true;
	}
	snprintf(value, sizeof(value), "%" JSON_INTEGER_FORMAT, n);
	snprintf(what, sizeof(what), "Member must have value %s than or equal to %" JSON_INTEGER_FORMAT,
		 n < min ? "greater" : "less", n < min ? min : max);
	member_violation(m, path, value, what);
	return false;
}

bool member_bool(struct members *m, const json_t *obj, const char *key, bool *ret_value)
{
	json_t *v = find(m, obj, key, key, false);

	if (!v)
		return false;
	if (!json_is_boolean(v)) {
		member_wrong_type(m, key, "true or false");
		return false;
	}
	*ret_value = json_is_true(v);
	return true;
}

bool member_object(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		   const json_t **ret_obj)
{
	json_t *v = find(m, obj, key, path, required);

	if (!v)
		return false;
	if (!json_is_object(v)) {
		member_wrong_type(m, path, "an object");
		return false;
	}
	*ret_obj = v;
	return true;
}

bool member_strings(struct members *m, const json_t *obj, const char *key, const char *path, size_t max_count,
		    const struct member_text *what, const json_t **ret_array)
{
	json_t *v = find(m, obj, key, path, false), *one;
	unsigned before = m->violations;
	char limit[80];
	size_t i;

	if (!v)
		return false;
	if (!json_is_array(v)) {
		member_wrong_type(m, path, "a list of strings");
		return false;
	}
	if (json_array_size(v) > max_count) {
		snprintf(limit, sizeof(limit), "Member must have length less than or equal to %zu", max_count);
		member_violation(m, path, "[...]", limit);
		return false;
	}
	json_array_foreach(v, i, one) {
		if (!json_is_string(one)) {
			member_wrong_type(m, path, "a list of strings");
			return false;
		}
		text_fits(m, path, json_string_value(one), what);
	}
	*ret_array = v;
	return m->violations == before;
}

/* Members of a request's body, checked against the API model's constraints. Violations are collected, as the real
 * service reports all of them in one ValidationException; a value of the wrong JSON type ends the check at once with a
 * SerializationException. null counts as not given. No globals: any thread. */
#ifndef SCHEDULER_LAMBDA_MEMBER_H
#define SCHEDULER_LAMBDA_MEMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/lambda/error.h"

struct members {
	unsigned violations;
	char text[LAMBDA_MESSAGE_MAX - 64]; /* of the violations, joined by "; " */
	bool wrong_type;
	char type_text[256];
};

/* What a string must be. */
struct member_text {
	size_t min, max;                /* characters; max 0: any number */
	bool (*fits)(const char *text); /* or NULL */
	const char *pattern;            /* the model's, for the message */
};

void members_init(struct members *m);

/* Each looks the key up in obj (which must be an object) and calls it `path` in errors ("memorySize", "cors.maxAge").
 * Returns true and the value only when the member was there and met its constraints. */
bool member_string(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		   const struct member_text *what, const char **ret_text);
/* Index in the NULL-terminated list of values. */
bool member_enum(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		 const char *const *values, unsigned *ret_index);
/* max < min: no upper limit. */
bool member_int(struct members *m, const json_t *obj, const char *key, const char *path, bool required, json_int_t min,
		json_int_t max, json_int_t *ret_value);
bool member_bool(struct members *m, const json_t *obj, const char *key, bool *ret_value);
bool member_object(struct members *m, const json_t *obj, const char *key, const char *path, bool required,
		   const json_t **ret_obj);
/* Strings only, each checked; NULL: any. */
bool member_strings(struct members *m, const json_t *obj, const char *key, const char *path, size_t max_count,
		    const struct member_text *what, const json_t **ret_array);

/* A violation of the caller's own kind: Value 'VALUE' at 'PATH' failed to satisfy constraint: WHAT. value NULL:
 * null. */
void member_violation(struct members *m, const char *path, const char *value, const char *what);
/* A value of the wrong type, in the same words as above. */
void member_wrong_type(struct members *m, const char *path, const char *wanted);

/* 0 when nothing was found wrong, or fills err. */
int members_finish(const struct members *m, struct lambda_err *err);

#endif

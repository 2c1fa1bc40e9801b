/* Effects of a configuration: see effects.h. */
#include "scheduler/lambda/effects.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/lambda/extra.h"

#define GROUP_MAX 512

bool lambda_log_group_fits(const char *text)
{
	size_t len = strspn(text, ".-_/#ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");

	return len && len <= GROUP_MAX && !text[len];
}

static enum fn_log_level level_of(const json_t *logging, const char *key)
{
	const char *text = json_string_value(json_object_get(logging, key));

	for (int i = 0; text && i < FN_LOG_LEVELS; i++) {
		if (strcmp(text, fn_log_level_name((enum fn_log_level)i)) == 0)
			return (enum fn_log_level)i;
	}
	return FN_LOG_INFO;
}

int lambda_effects(const char *extra, struct fn_settings *s)
{
	json_t *o = lambda_json_object(extra);
	const char *apply_on = json_string_value(json_object_get(json_object_get(o, "SnapStart"), "ApplyOn"));
	const json_t *logging = json_object_get(o, "LoggingConfig");
	const char *format = json_string_value(json_object_get(logging, "LogFormat"));
	const char *group = json_string_value(json_object_get(logging, "LogGroup"));
	struct fn_logging made = {.json = format && strcmp(format, "JSON") == 0};
	bool nomem = false, snapstart = apply_on && strcmp(apply_on, "PublishedVersions") == 0;

	if (made.json) {
		made.app = level_of(logging, "ApplicationLogLevel");
		made.system = level_of(logging, "SystemLogLevel");
	}
	if (group && lambda_log_group_fits(group)) {
		made.group = strdup(group);
		nomem = !made.group;
	}
	json_decref(o);
	if (nomem)
		return -ENOMEM;
	free(s->logging.group);
	s->logging = made;
	s->snapstart = snapstart;
	return 0;
}

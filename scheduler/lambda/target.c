/* Targets of events: see target.h. */
#include "scheduler/lambda/target.h"

#include <stdbool.h>
#include <string.h>

#include "scheduler/async/evconfig.h"

/* Length of the service's name in an ARN of another service than Lambda; 0: it is no such ARN. */
static size_t other_service(const char *text, const char **ret_name)
{
	const char *p;
	size_t n;

	if (strncmp(text, "arn:", 4) != 0)
		return 0;
	p = strchr(text + 4, ':');
	if (!p)
		return 0;
	n = strspn(++p, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (p[n] != ':' || (n == 6 && memcmp(p, "lambda", 6) == 0))
		return 0;
	for (const char *c = text; *c; c++) {
		if (*c <= ' ' || *c >= 0x7f)
			return 0;
	}
	*ret_name = p;
	return n;
}

static bool target_fits(const char *text)
{
	struct evconfig_target t;
	const char *name;

	return evconfig_target_parse(text, &t, NULL) == 0 || other_service(text, &name);
}

static const struct member_text target_text = {
	.max = EVCONFIG_TARGET_MAX,
	.fits = target_fits,
	.pattern = "^$|arn:(aws[a-zA-Z0-9-]*):lambda:([a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)"
		   "|https?://.*",
};

bool lambda_target_read(struct members *m, const json_t *obj, const char *key, const char *path, const char **ret_text)
{
	return member_string(m, obj, key, path, false, &target_text, ret_text);
}

int lambda_target_check(const char *text, const char *what, struct lambda_err *err)
{
	const char *name;
	size_t n = other_service(text, &name);

	if (n == 0)
		return 0;
	return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
			      "The %s %.300s is invalid: this host sends to functions and to http and https addresses, not to "
			      "the service '%.*s'.", what, text, n < 64 ? (int)n : 64, name);
}

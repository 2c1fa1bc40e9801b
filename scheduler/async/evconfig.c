/* Event-invoke configuration: see evconfig.h. */
#include "scheduler/async/evconfig.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"
#include "scheduler/async/retry.h"

void evconfig_default(struct evconfig *c)
{
	*c = (struct evconfig){.max_retries = RETRY_MAX_RETRIES, .max_age_s = RETRY_MAX_AGE_S};
}

static bool qualifier_valid(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_$.");

	return n >= 1 && n <= EVCONFIG_QUALIFIER_MAX && !text[n];
}

/* Behind the region of an ARN, or the whole: [ACCOUNT:]function:NAME[:QUALIFIER], NAME[:QUALIFIER]. */
static int parse_function(const char *text, struct evconfig_target *t)
{
	const char *mark = strstr(text, "function:");
	char name[FN_BARE_MAX + 1];
	size_t n;

	if (mark && (mark == text || mark[-1] == ':')) {
		const char *account = text;

		/* nothing but an account's digits in front of it */
		account += strspn(account, "0123456789");
		if (mark != text && account + 1 != mark)
			return -EINVAL;
		text = mark + strlen("function:");
	}
	n = strcspn(text, ":");
	if (n >= sizeof(name))
		return -EINVAL;
	memcpy(name, text, n);
	name[n] = '\0';
	if (!stk_name_valid(name))
		return -EINVAL;
	if (text[n] && (!qualifier_valid(text + n + 1) ||
			stk_strcpy(t->qualifier, sizeof(t->qualifier), text + n + 1)))
		return -EINVAL;
	t->kind = EVCONFIG_FUNCTION;
	return stk_strcpy(t->function, sizeof(t->function), name);
}

int evconfig_target_parse(const char *text, struct evconfig_target *ret_target, struct stk_err *err)
{
	struct evconfig_target t = {.kind = EVCONFIG_NONE};
	const char *p = text;
	int rc = 0;

	if (strlen(text) > EVCONFIG_TARGET_MAX)
		return stk_err_set(err, -EINVAL, "a destination has at most %d bytes", EVCONFIG_TARGET_MAX);
	if (strncasecmp(text, "http:", 5) == 0 || strncasecmp(text, "https:", 6) == 0) {
		rc = weburl_parse(text, &t.url, err);
		if (rc)
			return rc;
		t.kind = EVCONFIG_URL;
	} else if (strncmp(text, "arn:", 4) == 0) {
		/* arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER] */
		for (unsigned colons = 0; p && colons < 4; colons++) {
			p = strchr(p, ':');
			p = p ? p + 1 : NULL;
			if (colons == 1 && p && strncmp(p, "lambda:", 7) != 0)
				p = NULL;
		}
		rc = p && strstr(p, "function:") ? parse_function(p, &t) : -EINVAL;
	} else if (*text) {
		rc = parse_function(text, &t);
	}
	if (rc)
		return stk_err_set(err, -EINVAL,
				   "a destination is a function's ARN or name, or an http or https address: \"%.200s\" is neither",
				   text);
	*ret_target = t;
	return 0;
}

int evconfig_check(const struct evconfig *c, struct stk_err *err)
{
	const char *const targets[] = {c->on_success, c->on_failure, c->dead_letter};

	if (c->max_retries > RETRY_MAX_RETRIES)
		return stk_err_set(err, -EINVAL, "MaximumRetryAttempts is a number from 0 to %d", RETRY_MAX_RETRIES);
	if (c->max_age_s < RETRY_MIN_AGE_S || c->max_age_s > RETRY_MAX_AGE_S)
		return stk_err_set(err, -EINVAL, "MaximumEventAgeInSeconds is a number from %d to %d", RETRY_MIN_AGE_S,
				   RETRY_MAX_AGE_S);
	for (unsigned i = 0; i < 3; i++) {
		struct evconfig_target t;
		int rc = evconfig_target_parse(targets[i], &t, err);

		if (rc)
			return rc;
	}
	return 0;
}

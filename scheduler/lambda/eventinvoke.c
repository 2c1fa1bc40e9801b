/* Event-invoke configuration: see eventinvoke.h. */
#include "scheduler/lambda/eventinvoke.h"

#include <string.h>

#include "common/base/str.h"
#include "scheduler/async/retry.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/member.h"
#include "scheduler/lambda/target.h"

static void read_destination(struct members *m, const json_t *config, const char *key, const char *path,
			     const char *text_path, char *ret)
{
	const json_t *o = NULL;
	const char *text;

	ret[0] = '\0';
	if (member_object(m, config, key, path, false, &o) &&
	    lambda_target_read(m, o, "Destination", text_path, &text))
		stk_strcpy(ret, EVCONFIG_TARGET_MAX + 1, text);
}

static int read_members(const json_t *o, struct evconfig *c, struct lambda_err *err)
{
	const json_t *config = NULL;
	struct members m;
	json_int_t value;
	unsigned given = 0;
	int rc;

	members_init(&m);
	if (member_int(&m, o, "MaximumRetryAttempts", "maximumRetryAttempts", false, 0, RETRY_MAX_RETRIES, &value)) {
		c->max_retries = (unsigned)value;
		given++;
	}
	if (member_int(&m, o, "MaximumEventAgeInSeconds", "maximumEventAgeInSeconds", false, RETRY_MIN_AGE_S,
		       RETRY_MAX_AGE_S, &value)) {
		c->max_age_s = (unsigned)value;
		given++;
	}
	if (member_object(&m, o, "DestinationConfig", "destinationConfig", false, &config)) {
		read_destination(&m, config, "OnSuccess", "destinationConfig.onSuccess",
				 "destinationConfig.onSuccess.destination", c->on_success);
		read_destination(&m, config, "OnFailure", "destinationConfig.onFailure",
				 "destinationConfig.onFailure.destination", c->on_failure);
		given++;
	}
	rc = members_finish(&m, err);
	if (rc == 0 && !given)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "You must specify at least one of error handling or destination setting.");
	if (rc == 0)
		rc = lambda_target_check(c->on_success, "destination ARN", err);
	return rc ? rc : lambda_target_check(c->on_failure, "destination ARN", err);
}

int lambda_eventinvoke_parse(const char *body, size_t len, struct evconfig *c, struct lambda_err *err)
{
	struct evconfig changed = *c;
	json_t *o = NULL;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	rc = read_members(o, &changed, err);
	json_decref(o);
	if (rc == 0)
		*c = changed;
	return rc;
}

/* {} for none. */
static json_t *destination(const char *text)
{
	return *text ? json_pack("{s:s}", "Destination", text) : json_object();
}

json_t *lambda_eventinvoke_json(const struct evconfig *c, const char *arn)
{
	/* The only time of the API that is a number: of seconds. */
	return json_pack("{s:f, s:s, s:i, s:i, s:{s:o, s:o}}", "LastModified", (double)c->modified_ms / 1e3,
			 "FunctionArn", arn, "MaximumRetryAttempts", (int)c->max_retries,
			 "MaximumEventAgeInSeconds", (int)c->max_age_s, "DestinationConfig",
			 "OnSuccess", destination(c->on_success), "OnFailure", destination(c->on_failure));
}

/* The rest of a configuration: see extra.h. */
#include "scheduler/lambda/extra.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/lambda/effects.h"
#include "scheduler/lambda/names.h"
#include "scheduler/lambda/target.h"

char *lambda_json_text(const json_t *value)
{
	return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

json_t *lambda_json_object(const char *text)
{
	json_t *o;

	if (!text || !*text)
		return json_object();
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (o && !json_is_object(o)) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

/* --- the members ------------------------------------------------------------------------------------ */

#define PATTERN_ROLE "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"
#define PATTERN_ARN  "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"

static bool is_digits(const char *p, size_t len)
{
	return strspn(p, "0123456789") >= len;
}

static bool role_fits(const char *text)
{
	const char *p;

	if (strncmp(text, "arn:", 4) != 0)
		return false;
	p = text + 4;
	p += strncmp(p, "aws", 3) == 0 ? 3 : 0;
	if (p != text + 4)
		p += strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
	if (strncmp(p, ":iam::", 6) != 0)
		return false;
	p += 6;
	if (strnlen(p, 12) < 12 || !is_digits(p, 12) || strncmp(p + 12, ":role", 5) != 0)
		return false;
	p += 17;
	return *p && p[strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-/")] == '\0';
}

static bool arn_fits(const char *text)
{
	const char *p;

	if (!*text)
		return true;
	if (strncmp(text, "arn:", 4) != 0)
		return false;
	p = text + 4 + strcspn(text + 4, ":");
	return *p == ':' && p[1] && p[1] != ':' && strchr(p + 1, ':');
}

static bool layer_fits(const char *text)
{
	struct lambda_layer_name name;
	struct lambda_err err;

	return lambda_layer_parse(text, true, "layers", &name, &err) == 0;
}

static bool no_blank(const char *text)
{
	return *text && !strpbrk(text, " \t\r\n\v\f");
}

static const struct member_text role_text = {.min = 1, .max = 2048, .fits = role_fits, .pattern = PATTERN_ROLE};
static const struct member_text description_text = {.max = 256};
static const struct member_text arn_text = {.max = 1024, .fits = arn_fits, .pattern = PATTERN_ARN};
static const struct member_text layer_text = {
	.min = 1,
	.max = 140,
	.fits = layer_fits,
	.pattern = "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+",
};
static const struct member_text id_text = {.max = 1024, .fits = no_blank, .pattern = "[^\\s]+"};
static const struct member_text mount_text = {
	.min = 1, .max = 160, .fits = no_blank, .pattern = "/mnt/[a-zA-Z0-9-_.]+"};
static const struct member_text group_text = {
	.min = 1, .max = 512, .fits = lambda_log_group_fits, .pattern = "[\\.\\-_/#A-Za-z0-9]+"};

/* Where members are read from and where they go. A failed json call leaves out->nomem. */
struct reader {
	struct members *m;
	const json_t *body;
	json_t *out;
	bool nomem;
};

/* Takes the reference over; NULL is out of memory. */
static void put(struct reader *r, const char *key, json_t *value)
{
	if (json_object_set_new(r->out, key, value))
		r->nomem = true;
}

static void put_text(struct reader *r, const char *key, const char *text)
{
	put(r, key, *text ? json_string(text) : json_null());
}

static void read_plain(struct reader *r, unsigned take)
{
	const char *text;

	if (member_string(r->m, r->body, "Role", "role", take & LAMBDA_EXTRA_ROLE, &role_text, &text))
		put_text(r, "Role", text);
	if (member_string(r->m, r->body, "Description", "description", false, &description_text, &text))
		put_text(r, "Description", text);
	if (member_string(r->m, r->body, "KMSKeyArn", "kMSKeyArn", false, &arn_text, &text))
		put_text(r, "KMSKeyArn", text);
}

/* {"Mode":"Active"} and its like: one enum in an object, the first value being the default. */
static void read_choice(struct reader *r, const char *key, const char *path, const char *sub, const char *sub_path,
			const char *const *values)
{
	const json_t *o;
	unsigned i = 0;

	if (!member_object(r->m, r->body, key, path, false, &o))
		return;
	member_enum(r->m, o, sub, sub_path, false, values, &i);
	put(r, key, i ? json_pack("{s:s}", sub, values[i]) : json_null());
}

static int read_dead_letter(struct reader *r, struct lambda_err *err)
{
	const char *text = "";
	const json_t *o;
	int rc;

	if (!member_object(r->m, r->body, "DeadLetterConfig", "deadLetterConfig", false, &o))
		return 0;
	lambda_target_read(r->m, o, "TargetArn", "deadLetterConfig.targetArn", &text);
	rc = lambda_target_check(text, "dead letter target", err);
	if (rc == 0)
		put(r, "DeadLetterConfig", *text ? json_pack("{s:s}", "TargetArn", text) : json_null());
	return rc;
}

static int read_logging(struct reader *r, struct lambda_err *err)
{
	static const char *const formats[] = {"Text", "JSON", NULL};
	static const char *const app_levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", NULL};
	static const char *const system_levels[] = {"DEBUG", "INFO", "WARN", NULL};
	unsigned format = 0, app = 2, system = 1;
	bool has_app, has_system;
	const char *group = NULL;
	const json_t *o;
	json_t *to;

	if (!member_object(r->m, r->body, "LoggingConfig", "loggingConfig", false, &o))
		return 0;
	member_enum(r->m, o, "LogFormat", "loggingConfig.logFormat", false, formats, &format);
	has_app = member_enum(r->m, o, "ApplicationLogLevel", "loggingConfig.applicationLogLevel", false, app_levels,
			      &app);
	has_system = member_enum(r->m, o, "SystemLogLevel", "loggingConfig.systemLogLevel", false, system_levels,
				 &system);
	member_string(r->m, o, "LogGroup", "loggingConfig.logGroup", false, &group_text, &group);
	if ((has_app || has_system) && format == 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Log levels can be chosen only with the LogFormat \"JSON\".");
	to = json_object();
	if (!to || (format && json_object_set_new(to, "LogFormat", json_string("JSON"))) ||
	    (has_app && app != 2 && json_object_set_new(to, "ApplicationLogLevel", json_string(app_levels[app]))) ||
	    (has_system && system != 1 &&
	     json_object_set_new(to, "SystemLogLevel", json_string(system_levels[system]))) ||
	    (group && json_object_set_new(to, "LogGroup", json_string(group))))
		r->nomem = true;
	if (json_object_size(to) == 0) {
		json_decref(to);
		to = json_null();
	}
	put(r, "LoggingConfig", to);
	return 0;
}

static void read_vpc(struct reader *r)
{
	const json_t *o, *subnets = NULL, *groups = NULL;

	if (!member_object(r->m, r->body, "VpcConfig", "vpcConfig", false, &o))
		return;
	member_strings(r->m, o, "SubnetIds", "vpcConfig.subnetIds", 16, &id_text, &subnets);
	member_strings(r->m, o, "SecurityGroupIds", "vpcConfig.securityGroupIds", 5, &id_text, &groups);
	if (json_array_size(subnets) == 0 && json_array_size(groups) == 0)
		put(r, "VpcConfig", json_null());
	else
		put(r, "VpcConfig",
		    json_pack("{s:o, s:o}", "SubnetIds", subnets ? json_deep_copy(subnets) : json_array(),
			      "SecurityGroupIds", groups ? json_deep_copy(groups) : json_array()));
}

static void read_file_systems(struct reader *r)
{
	json_t *list = json_object_get(r->body, "FileSystemConfigs"), *one;
	json_t *to;
	size_t i;

	if (!list || json_is_null(list))
		return;
	if (!json_is_array(list)) {
		member_wrong_type(r->m, "fileSystemConfigs", "a list of objects");
		return;
	}
	if (json_array_size(list) > 1) {
		member_violation(r->m, "fileSystemConfigs", "[...]", "Member must have length less than or equal to 1");
		return;
	}
	to = json_array();
	json_array_foreach(list, i, one) {
		const char *arn, *path;

		if (!json_is_object(one)) {
			member_wrong_type(r->m, "fileSystemConfigs", "a list of objects");
			break;
		}
		if (member_string(r->m, one, "Arn", "fileSystemConfigs.1.member.arn", true, &arn_text, &arn) &&
		    member_string(r->m, one, "LocalMountPath", "fileSystemConfigs.1.member.localMountPath", true,
				  &mount_text, &path) &&
		    json_array_append_new(to, json_pack("{s:s, s:s}", "Arn", arn, "LocalMountPath", path)))
			r->nomem = true;
	}
	if (json_array_size(to) == 0) {
		json_decref(to);
		to = json_null();
	}
	put(r, "FileSystemConfigs", to);
}

static int read_layers(struct reader *r, struct lambda_err *err)
{
	const json_t *list;

	if (!member_strings(r->m, r->body, "Layers", "layers", 100, &layer_text, &list))
		return 0;
	if (json_array_size(list) > 5)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "Cannot reference more than 5 layers.");
	put(r, "Layers", json_array_size(list) ? json_deep_copy(list) : json_null());
	return 0;
}

static int read_architectures(struct reader *r, struct lambda_err *err)
{
	json_t *list = json_object_get(r->body, "Architectures");
	const char *one;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list) || (json_array_size(list) && !json_is_string(json_array_get(list, 0)))) {
		member_wrong_type(r->m, "architectures", "a list of strings");
		return 0;
	}
	if (json_array_size(list) != 1) {
		member_violation(r->m, "architectures", "[...]",
				 json_array_size(list) ? "Member must have length less than or equal to 1"
						       : "Member must have length greater than or equal to 1");
		return 0;
	}
	one = json_string_value(json_array_get(list, 0));
	if (strcmp(one, "arm64") == 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "This host runs x86_64 functions only: arm64 is not possible here.");
	if (strcmp(one, "x86_64") != 0)
		member_violation(r->m, "architectures", one,
				 "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, "
				 "arm64], Member must not be null]");
	else
		put(r, "Architectures", json_null());
	return 0;
}

json_t *lambda_extra_read(struct members *m, const json_t *body, unsigned take, int *ret_rc, struct lambda_err *err)
{
	static const char *const tracing[] = {"PassThrough", "Active", NULL};
	static const char *const snapstart[] = {"None", "PublishedVersions", NULL};
	struct reader r = {.m = m, .body = body, .out = json_object()};
	int rc = 0;

	if (!r.out) {
		*ret_rc = lambda_err_nomem(err);
		return NULL;
	}
	if (take & LAMBDA_EXTRA_CONFIG) {
		read_plain(&r, take);
		read_choice(&r, "TracingConfig", "tracingConfig", "Mode", "tracingConfig.mode", tracing);
		read_choice(&r, "SnapStart", "snapStart", "ApplyOn", "snapStart.applyOn", snapstart);
		read_vpc(&r);
		read_file_systems(&r);
		rc = read_dead_letter(&r, err);
		if (rc == 0)
			rc = read_logging(&r, err);
		if (rc == 0)
			rc = read_layers(&r, err);
	}
	if (rc == 0 && (take & LAMBDA_EXTRA_ARCH))
		rc = read_architectures(&r, err);
	if (rc == 0 && r.nomem)
		rc = lambda_err_nomem(err);
	if (rc || json_object_size(r.out) == 0) {
		json_decref(r.out);
		r.out = NULL;
	}
	*ret_rc = rc;
	return r.out;
}

/* --- merging ------------------------------------------------------------------------------------------- */

static int to_text(const json_t *o, char **ret_extra, struct lambda_err *err)
{
	char *text = json_object_size(o) ? lambda_json_text(o) : strdup("");

	if (!text)
		return lambda_err_nomem(err);
	if (strlen(text) >= LAMBDA_EXTRA_MAX) {
		free(text);
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "The function's configuration is larger than %d bytes.", LAMBDA_EXTRA_MAX - 1);
	}
	*ret_extra = text;
	return 0;
}

int lambda_extra_merge(const char *old_extra, const json_t *update, char **ret_extra, struct lambda_err *err)
{
	json_t *o = lambda_json_object(old_extra), *value;
	const char *key;
	int rc = 0;

	if (!o)
		return lambda_err_nomem(err);
	/* jansson's iteration takes no const; nothing is changed. */
	json_object_foreach((json_t *)update, key, value) {
		if (json_is_null(value))
			json_object_del(o, key);
		else if (json_object_set(o, key, value))
			rc = lambda_err_nomem(err);
	}
	if (rc == 0)
		rc = to_text(o, ret_extra, err);
	json_decref(o);
	return rc;
}

int lambda_extra_set(const char *old_extra, const char *key, const char *value, char **ret_extra,
		     struct lambda_err *err)
{
	json_t *update = json_object();
	int rc;

	if (!update || json_object_set_new(update, key, value && *value ? json_string(value) : json_null()))
		rc = lambda_err_nomem(err);
	else
		rc = lambda_extra_merge(old_extra, update, ret_extra, err);
	json_decref(update);
	return rc;
}

/* What the API shows: see config_json.h. The order of members is the real service's. */
#include "scheduler/lambda/config_json.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/text.h"

/* An object being filled; once memory is short all of it is NULL. */
struct writer {
	json_t *o;
};

/* Takes the reference over; NULL is out of memory. */
static void put(struct writer *w, const char *key, json_t *value)
{
	if (!w->o) {
		json_decref(value);
		return;
	}
	if (json_object_set_new(w->o, key, value)) {
		json_decref(w->o);
		w->o = NULL;
	}
}

static void put_text(struct writer *w, const char *key, const char *text)
{
	put(w, key, json_string(text));
}

static void put_if(struct writer *w, const char *key, const char *text)
{
	if (text)
		put_text(w, key, text);
}

static void put_number(struct writer *w, const char *key, uint64_t n)
{
	put(w, key, json_integer((json_int_t)n));
}

static void put_time(struct writer *w, const char *key, int64_t ms)
{
	char text[TEXT_TIME_LEN + 1];

	text_time(ms, text);
	put_text(w, key, text);
}

/* A member of extra as it is kept, if it is there. */
static void put_kept(struct writer *w, const char *key, const json_t *extra)
{
	json_t *kept = json_object_get(extra, key);

	if (kept)
		put(w, key, json_incref(kept));
}

/* As it is kept, or the default. Takes the reference of the default over. */
static void put_or(struct writer *w, const char *key, const json_t *extra, json_t *otherwise)
{
	json_t *kept = json_object_get(extra, key);

	if (kept) {
		json_decref(otherwise);
		otherwise = json_incref(kept);
	}
	put(w, key, otherwise);
}

static json_t *environment(const struct lambda_config_view *v)
{
	json_t *variables = json_object();

	for (size_t at = 0; variables && at < v->env_len; at += strlen(v->env + at) + 1) {
		const char *pair = v->env + at;
		size_t name = strcspn(pair, "=");

		if (json_object_setn_new(variables, pair, name, json_string(pair[name] ? pair + name + 1 : ""))) {
			json_decref(variables);
			variables = NULL;
		}
	}
	return variables ? json_pack("{s:o}", "Variables", variables) : NULL;
}

static json_t *vpc(const json_t *kept)
{
	json_t *o = json_deep_copy(kept);

	if (o && json_object_set_new(o, "VpcId", json_string(""))) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

static json_t *layers(const struct lambda_config_view *v)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < v->layer_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:I}", "Arn", v->layers[i].arn, "CodeSize",
						      (json_int_t)v->layers[i].size));
	if (json_array_size(list) != v->layer_count) {
		json_decref(list);
		list = NULL;
	}
	return list;
}

static json_t *logging(const struct lambda_config_view *v, const json_t *kept)
{
	const char *format = json_string_value(json_object_get(kept, "LogFormat"));
	const char *group = json_string_value(json_object_get(kept, "LogGroup"));
	struct writer w = {json_object()};
	char own[128];

	snprintf(own, sizeof(own), "/aws/lambda/%s", v->name);
	put_text(&w, "LogFormat", format ? format : "Text");
	if (format && strcmp(format, "JSON") == 0) {
		put_or(&w, "ApplicationLogLevel", kept, json_string("INFO"));
		put_or(&w, "SystemLogLevel", kept, json_string("INFO"));
	}
	put_text(&w, "LogGroup", group ? group : own);
	return w.o;
}

static json_t *snapstart(const struct lambda_config_view *v, const json_t *kept)
{
	const char *apply = json_string_value(json_object_get(kept, "ApplyOn"));
	bool on = apply && strcmp(apply, "PublishedVersions") == 0 && v->version[0] != '$';

	return json_pack("{s:s, s:s}", "ApplyOn", apply ? apply : "None", "OptimizationStatus", on ? "On" : "Off");
}

static void put_states(struct writer *w, const struct lambda_config_view *v)
{
	put_if(w, "State", v->state);
	put_if(w, "StateReason", v->state_reason);
	put_if(w, "StateReasonCode", v->state_reason_code);
	put_if(w, "LastUpdateStatus", v->last_update_status);
	put_if(w, "LastUpdateStatusReason", v->last_update_reason);
	put_if(w, "LastUpdateStatusReasonCode", v->last_update_reason_code);
}

json_t *lambda_config_json(const struct lambda_config_view *v, bool list_item)
{
	struct writer w = {json_object()};
	json_t *extra = lambda_json_object(v->extra), *kept;

	if (!extra) {
		json_decref(w.o);
		return NULL;
	}
	put_text(&w, "FunctionName", v->name);
	put_text(&w, "FunctionArn", v->arn);
	put_text(&w, "Runtime", v->runtime);
	put_or(&w, "Role", extra, json_string(""));
	put_text(&w, "Handler", v->handler);
	put_number(&w, "CodeSize", v->code_size);
	put_or(&w, "Description", extra, json_string(""));
	put_number(&w, "Timeout", v->timeout_s);
	put_number(&w, "MemorySize", v->memory_mib);
	put_time(&w, "LastModified", v->last_modified_ms);
	put_text(&w, "CodeSha256", v->sha256);
	put_text(&w, "Version", v->version);
	kept = json_object_get(extra, "VpcConfig");
	if (kept)
		put(&w, "VpcConfig", vpc(kept));
	put_kept(&w, "DeadLetterConfig", extra);
	if (v->has_env)
		put(&w, "Environment", environment(v));
	put_kept(&w, "KMSKeyArn", extra);
	put_or(&w, "TracingConfig", extra, json_pack("{s:s}", "Mode", "PassThrough"));
	put_if(&w, "MasterArn", v->master_arn);
	put_text(&w, "RevisionId", v->revision);
	if (v->layer_count)
		put(&w, "Layers", layers(v));
	if (!list_item)
		put_states(&w, v);
	put_kept(&w, "FileSystemConfigs", extra);
	put_text(&w, "PackageType", "Zip");
	put_or(&w, "Architectures", extra, json_pack("[s]", "x86_64"));
	put(&w, "EphemeralStorage", json_pack("{s:I}", "Size", (json_int_t)v->storage_mib));
	put(&w, "SnapStart", snapstart(v, json_object_get(extra, "SnapStart")));
	if (!list_item && v->runtime_version_arn)
		put(&w, "RuntimeVersionConfig", json_pack("{s:s}", "RuntimeVersionArn", v->runtime_version_arn));
	put(&w, "LoggingConfig", logging(v, json_object_get(extra, "LoggingConfig")));
	json_decref(extra);
	return w.o;
}

json_t *lambda_alias_json(const struct lambda_alias_view *v)
{
	struct writer w = {json_object()};

	put_text(&w, "AliasArn", v->arn);
	put_text(&w, "Name", v->name);
	put_text(&w, "FunctionVersion", v->version);
	put_text(&w, "Description", v->description ? v->description : "");
	if (v->to)
		put(&w, "RoutingConfig", json_pack("{s:{s:f}}", "AdditionalVersionWeights", v->to, v->weight));
	put_text(&w, "RevisionId", v->revision);
	return w.o;
}

json_t *lambda_url_json(const struct lambda_url_view *v, bool created)
{
	struct writer w = {json_object()};

	put_text(&w, "FunctionUrl", v->url);
	put_text(&w, "FunctionArn", v->arn);
	put_text(&w, "AuthType", v->iam ? "AWS_IAM" : "NONE");
	if (v->cors && *v->cors)
		put(&w, "Cors", lambda_json_object(v->cors));
	put_time(&w, "CreationTime", v->created_ms);
	if (!created)
		put_time(&w, "LastModifiedTime", v->modified_ms);
	put_text(&w, "InvokeMode", v->streaming ? "RESPONSE_STREAM" : "BUFFERED");
	return w.o;
}

json_t *lambda_provisioned_json(const struct lambda_provisioned_view *v)
{
	struct writer w = {json_object()};

	put_if(&w, "FunctionArn", v->arn);
	put_number(&w, "RequestedProvisionedConcurrentExecutions", v->requested);
	put_number(&w, "AvailableProvisionedConcurrentExecutions", v->available);
	put_number(&w, "AllocatedProvisionedConcurrentExecutions", v->allocated);
	put_text(&w, "Status", v->status);
	put_if(&w, "StatusReason", v->reason);
	put_time(&w, "LastModified", v->modified_ms);
	return w.o;
}

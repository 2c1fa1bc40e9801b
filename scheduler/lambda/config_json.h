/* Functions, versions, aliases and function URLs as the API shows them. Pure; any thread. */
#ifndef SCHEDULER_LAMBDA_CONFIG_JSON_H
#define SCHEDULER_LAMBDA_CONFIG_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/lambda/names.h"

struct lambda_layer_view {
	char arn[LAMBDA_ARN_MAX];
	uint64_t size; /* bytes of its zip */
};

/* All texts are the caller's; NULL where that is said. */
struct lambda_config_view {
	const char *arn;     /* with or without a qualifier, as the operation has it */
	const char *name;
	const char *version; /* "$LATEST" or a number */
	const char *runtime, *handler;
	unsigned memory_mib, timeout_s, storage_mib;
	const char *env;     /* NUL-separated K=V */
	size_t env_len;
	bool has_env;        /* Environment was given, maybe with no variables; else it is not shown */
	const char *extra;   /* see extra.h; NULL: only defaults */
	const struct lambda_layer_view *layers; /* in their order; `Layers` of extra is not shown */
	unsigned layer_count;
	uint64_t code_size;
	const char *sha256;  /* base64 */
	int64_t last_modified_ms;
	const char *revision;
	const char *runtime_version_arn; /* NULL: RuntimeVersionConfig is not shown */
	/* State as the two operations that get a function show it; NULL: not shown. */
	const char *state, *state_reason, *state_reason_code;
	const char *last_update_status, *last_update_reason, *last_update_reason_code;
	const char *master_arn; /* NULL: not shown */
};

/* FunctionConfiguration. An item of a list has no states and no RuntimeVersionConfig. New reference; NULL: out of
 * memory, or `extra` is no text of extra.h. */
json_t *lambda_config_json(const struct lambda_config_view *v, bool list_item);

struct lambda_alias_view {
	const char *arn, *name;
	const char *version;     /* FunctionVersion */
	const char *description; /* NULL: "" */
	const char *revision;
	const char *to;          /* version that has a part of the calls, or NULL */
	double weight;
};

json_t *lambda_alias_json(const struct lambda_alias_view *v);

struct lambda_url_view {
	const char *url, *arn;
	bool iam, streaming;
	const char *cors; /* compact JSON, "" or NULL: none */
	int64_t created_ms, modified_ms;
};

/* FunctionUrlConfig: get, update, list; CreateFunctionUrlConfig's answer has no LastModifiedTime. */
json_t *lambda_url_json(const struct lambda_url_view *v, bool created);

/* ProvisionedConcurrencyConfig. arn: of the alias or version for an item of a list, NULL elsewhere. status:
 * "IN_PROGRESS", "READY", "FAILED". reason may be NULL. */
struct lambda_provisioned_view {
	const char *arn;
	unsigned requested, available, allocated;
	const char *status, *reason;
	int64_t modified_ms;
};

json_t *lambda_provisioned_json(const struct lambda_provisioned_view *v);

#endif

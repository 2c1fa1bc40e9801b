/* Bodies of CreateFunction, UpdateFunctionCode, UpdateFunctionConfiguration and PublishVersion: see body.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "scheduler/lambda/body.h"
#include "scheduler/lambda/body_internal.h"
#include "scheduler/lambda/extra.h"
#include "scheduler/lambda/member.h"
#include "scheduler/lambda/tags.h"

/* --- code ------------------------------------------------------------------------------------------- */

/* A body as JSON and, apart from it, its code. */
struct request {
	json_t *o;
	bool cut;                 /* the code was taken out of what was parsed */
	struct zipfile_span code;
};

/* The body without the inside of its ZipFile. */
static int load(const char *body, size_t len, const char *const *path, struct request *r, struct lambda_err *err)
{
	size_t before, after;
	char *rest;
	int rc;

	r->cut = zipfile_find(body, len, path, &r->code);
	if (!r->cut)
		return lambda_body_load(body, len, &r->o, err);
	before = (size_t)(r->code.text - body);
	after = len - before - r->code.len;
	if (before + after > LAMBDA_BODY_MAX_JSON)
		return lambda_err_set(err, LAMBDA_ENTITY_TOO_LARGE,
				      "Request must be smaller than %u bytes, without the code in it.",
				      LAMBDA_BODY_MAX_JSON);
	rest = malloc(before + after);
	if (!rest)
		return lambda_err_nomem(err);
	memcpy(rest, body, before);
	memcpy(rest + before, r->code.text + r->code.len, after);
	rc = lambda_body_load(rest, before + after, &r->o, err);
	free(rest);
	return rc;
}

/* Whether code is given in a way that is possible here. o: the object that ZipFile is in. */
static int check_source(struct members *m, const json_t *o, struct lambda_err *err)
{
	static const char *const others[] = {"S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri", "S3ObjectStorageMode"};
	const char *zip = NULL, *text, *other = NULL;

	for (size_t i = 0; i < STK_ARRAY_LEN(others); i++) {
		if (member_string(m, o, others[i], others[i], false, NULL, &text) && !other)
			other = others[i];
	}
	member_string(m, o, "ZipFile", "code.zipFile", false, NULL, &zip);
	if (zip && other)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Please do not provide other FunctionCode parameters when providing a ZipFile.");
	if (other && strcmp(other, "ImageUri") == 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "This host runs no container images: give the code as a zip in ZipFile.");
	if (other)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "This host fetches no code from S3: give it as a zip of at most %u bytes in "
				      "ZipFile.",
				      LAMBDA_ZIP_MAX);
	if (!zip && !m->wrong_type)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "Please provide a source for function code.");
	return 0;
}

static int read_code(const struct request *r, const json_t *holder, int zip_fd, struct zipfile *ret,
		     struct lambda_err *err)
{
	struct zipfile_span span = r->code;
	const json_t *zip = json_object_get(holder, "ZipFile");
	int rc;

	if (!r->cut) { /* its name was written with escapes: small, and parsed already */
		span.text = json_string_value(zip);
		span.len = json_string_length(zip);
	}
	rc = zipfile_decode(&span, LAMBDA_ZIP_MAX, zip_fd, ret, err);
	if (rc == 0 && ret->size == 0)
		rc = lambda_err_set(err, LAMBDA_INVALID_PARAMETER, "Uploaded file must be a non-empty zip");
	return rc;
}

/* --- what they share ------------------------------------------------------------------------------ */

static void config_fini(struct lambda_config *c)
{
	fn_settings_fini(&c->settings);
	free(c->extra);
	c->extra = NULL;
}

/* An update's text; nulls stay in it. */
static int update_text(const json_t *update, char **ret, struct lambda_err *err)
{
	if (!update)
		return 0;
	*ret = lambda_json_text(update);
	return *ret ? 0 : lambda_err_nomem(err);
}

/* --- PublishLayerVersion --------------------------------------------------------------------------------- */

/* Strings as they came. */
static void keep_strings(struct members *m, const json_t *o, const char *key, const char *path, size_t max, json_t *info)
{
	static const struct member_text any = {.min = 1, .max = 64};
	const json_t *list;

	if (member_strings(m, o, key, path, max, &any, &list))
		json_object_set_new(info, key, json_deep_copy(list));
}

static int read_layer(const struct request *r, int zip_fd, struct lambda_layer_body *ret, struct lambda_err *err)
{
	static const struct member_text description = {.max = 256}, license = {.max = 512};
	const json_t *content = NULL;
	const char *text;
	struct members m;
	int rc;

	members_init(&m);
	ret->info = json_object();
	if (!ret->info)
		return lambda_err_nomem(err);
	member_object(&m, r->o, "Content", "content", true, &content);
	if (member_string(&m, r->o, "Description", "description", false, &description, &text))
		json_object_set_new(ret->info, "Description", json_string(text));
	else
		json_object_set_new(ret->info, "Description", json_string(""));
	if (member_string(&m, r->o, "LicenseInfo", "licenseInfo", false, &license, &text))
		json_object_set_new(ret->info, "LicenseInfo", json_string(text));
	keep_strings(&m, r->o, "CompatibleRuntimes", "compatibleRuntimes", 15, ret->info);
	keep_strings(&m, r->o, "CompatibleArchitectures", "compatibleArchitectures", 2, ret->info);
	rc = content ? check_source(&m, content, err) : 0;
	if (rc == 0)
		rc = members_finish(&m, err);
	return rc ? rc : read_code(r, content, zip_fd, &ret->code, err);
}

int lambda_layer_body_parse(const char *body, size_t len, int zip_fd, struct lambda_layer_body *ret, struct lambda_err *err)
{
	static const char *const path[] = {"Content", "ZipFile", NULL};
	struct request r = {.o = NULL};
	int rc = load(body, len, path, &r, err);

	memset(ret, 0, sizeof(*ret));
	if (rc == 0)
		rc = read_layer(&r, zip_fd, ret, err);
	json_decref(r.o);
	if (rc) {
		json_decref(ret->info);
		ret->info = NULL;
	}
	return rc;
}

/* --- CreateFunction ------------------------------------------------------------------------------------- */

static int read_name(struct members *m, const json_t *o, struct lambda_create *c, struct lambda_err *err)
{
	const char *text;
	int rc;

	if (!member_string(m, o, "FunctionName", "functionName", true, NULL, &text))
		return 0;
	rc = lambda_name_parse(text, LAMBDA_TEXT_MAX, &c->name, err);
	if (rc == 0 && c->name.kind != LAMBDA_Q_NONE)
		rc = lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				    "A function is created without a version or alias in its name: '%.100s' cannot "
				    "be made.",
				    c->name.qualifier);
	return rc;
}

static int read_tags(struct members *m, const json_t *o, struct lambda_create *c, struct lambda_err *err)
{
	const json_t *tags = NULL;
	int rc;

	if (!member_object(m, o, "Tags", "tags", false, &tags)) {
		c->tags = strdup("");
		return c->tags ? 0 : lambda_err_nomem(err);
	}
	rc = lambda_tags_text(tags, &c->tags, err);
	if (rc == 0)
		lambda_tags_reuse(c->tags, &c->config.settings.reuse);
	return rc;
}

static int check_package(struct members *m, const json_t *o, const struct lambda_create *c, struct lambda_err *err)
{
	static const char *const types[] = {"Zip", "Image", NULL};
	const unsigned both = LAMBDA_HAS_RUNTIME | LAMBDA_HAS_HANDLER;
	unsigned type = 0;

	member_enum(m, o, "PackageType", "packageType", false, types, &type);
	if (type == 1)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "This host runs no container images: PackageType can only be Zip.");
	if (!m->violations && !m->wrong_type && (c->config.has & both) != both)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Runtime and Handler are mandatory parameters for functions created with "
				      "deployment packages.");
	return 0;
}

static int read_create(const struct request *r, int zip_fd, struct lambda_create *c, struct lambda_err *err)
{
	const json_t *code = NULL;
	json_t *update = NULL;
	struct members m;
	int rc;

	members_init(&m);
	member_object(&m, r->o, "Code", "code", true, &code);
	member_bool(&m, r->o, "Publish", &c->publish);
	rc = read_name(&m, r->o, c, err);
	if (rc == 0)
		rc = body_config_read(&m, r->o, LAMBDA_EXTRA_CONFIG | LAMBDA_EXTRA_ARCH | LAMBDA_EXTRA_ROLE,
				      &c->config, &update, err);
	if (rc == 0)
		rc = check_package(&m, r->o, c, err);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc == 0)
		rc = read_tags(&m, r->o, c, err);
	if (rc == 0 && code)
		rc = check_source(&m, code, err);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc == 0)
		rc = lambda_extra_merge(NULL, update, &c->config.extra, err);
	json_decref(update);
	if (rc == 0)
		rc = read_code(r, code, zip_fd, &c->code, err);
	return rc;
}

int lambda_create_parse(const char *body, size_t len, int zip_fd, struct lambda_create *ret, struct lambda_err *err)
{
	static const char *const path[] = {"Code", "ZipFile", NULL};
	struct lambda_create c = {0};
	struct request r = {0};
	int rc = load(body, len, path, &r, err);

	if (rc)
		return rc;
	fn_settings_init(&c.config.settings);
	rc = read_create(&r, zip_fd, &c, err);
	json_decref(r.o);
	if (rc)
		lambda_create_fini(&c);
	else
		*ret = c;
	return rc;
}

void lambda_create_fini(struct lambda_create *c)
{
	config_fini(&c->config);
	free(c->tags);
	c->tags = NULL;
}

/* --- UpdateFunctionCode ------------------------------------------------------------------------------------ */

int lambda_update_code_parse(const char *body, size_t len, int zip_fd, struct lambda_update_code *ret,
			     struct lambda_err *err)
{
	static const char *const path[] = {"ZipFile", NULL};
	struct lambda_update_code u = {0};
	struct request r = {0};
	struct members m;
	json_t *update = NULL;
	int rc = load(body, len, path, &r, err);

	if (rc)
		return rc;
	members_init(&m);
	member_bool(&m, r.o, "Publish", &u.publish);
	member_bool(&m, r.o, "DryRun", &u.dry_run);
	body_revision_read(&m, r.o, u.revision);
	update = lambda_extra_read(&m, r.o, LAMBDA_EXTRA_ARCH, &rc, err);
	if (rc == 0)
		rc = check_source(&m, r.o, err);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc == 0)
		rc = update_text(update, &u.extra, err);
	json_decref(update);
	if (rc == 0)
		rc = read_code(&r, r.o, zip_fd, &u.code, err);
	json_decref(r.o);
	if (rc)
		lambda_update_code_fini(&u);
	else
		*ret = u;
	return rc;
}

void lambda_update_code_fini(struct lambda_update_code *u)
{
	free(u->extra);
	u->extra = NULL;
}

/* --- UpdateFunctionConfiguration ----------------------------------------------------------------------------- */

int lambda_update_config_parse(const char *body, size_t len, struct lambda_update_config *ret, struct lambda_err *err)
{
	struct lambda_update_config u = {0};
	json_t *o = NULL, *update = NULL;
	struct members m;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	fn_settings_init(&u.config.settings);
	members_init(&m);
	body_revision_read(&m, o, u.revision);
	rc = body_config_read(&m, o, LAMBDA_EXTRA_CONFIG, &u.config, &update, err);
	if (rc == 0)
		rc = members_finish(&m, err);
	if (rc == 0)
		rc = update_text(update, &u.config.extra, err);
	json_decref(update);
	json_decref(o);
	if (rc)
		lambda_update_config_fini(&u);
	else
		*ret = u;
	return rc;
}

void lambda_update_config_fini(struct lambda_update_config *u)
{
	config_fini(&u->config);
}

int lambda_extra_apply(const char *update, char **extra, struct lambda_err *err)
{
	json_t *o;
	char *merged = NULL;
	int rc;

	if (!update)
		return 0;
	o = lambda_json_object(update);
	rc = o ? lambda_extra_merge(*extra, o, &merged, err) : lambda_err_nomem(err);
	json_decref(o);
	if (rc)
		return rc;
	free(*extra);
	*extra = merged;
	return 0;
}

int lambda_config_apply(const struct lambda_config *update, struct fn_settings *settings, char **extra,
			struct lambda_err *err)
{
	const struct fn_settings *from = &update->settings;
	char *env = NULL;
	int rc;

	if ((update->has & LAMBDA_HAS_ENV) && from->env_len) {
		env = malloc(from->env_len);
		if (!env)
			return lambda_err_nomem(err);
		memcpy(env, from->env, from->env_len);
	}
	rc = lambda_extra_apply(update->extra, extra, err);
	if (rc) {
		free(env);
		return rc;
	}
	if (update->has & LAMBDA_HAS_ENV) {
		free(settings->env);
		settings->env = env;
		settings->env_len = from->env_len;
	}
	if (update->has & LAMBDA_HAS_RUNTIME)
		memcpy(settings->runtime, from->runtime, sizeof(settings->runtime));
	if (update->has & LAMBDA_HAS_HANDLER)
		memcpy(settings->handler, from->handler, sizeof(settings->handler));
	if (update->has & LAMBDA_HAS_MEMORY)
		settings->memory_mib = from->memory_mib;
	if (update->has & LAMBDA_HAS_TIMEOUT)
		settings->timeout_s = from->timeout_s;
	if (update->has & LAMBDA_HAS_STORAGE)
		settings->storage_mib = from->storage_mib;
	return 0;
}

/* --- PublishVersion ---------------------------------------------------------------------------------------------- */

int lambda_publish_parse(const char *body, size_t len, struct lambda_publish *ret, struct lambda_err *err)
{
	static const struct member_text sha = {.max = LAMBDA_SHA256_MAX};
	struct lambda_publish p = {0};
	const char *text;
	struct members m;
	json_t *o = NULL;
	int rc = lambda_body_load(body, len, &o, err);

	if (rc)
		return rc;
	members_init(&m);
	p.has_description = body_description_read(&m, o, p.description);
	body_revision_read(&m, o, p.revision);
	if (member_string(&m, o, "CodeSha256", "codeSha256", false, &sha, &text) &&
	    stk_strcpy(p.code_sha256, sizeof(p.code_sha256), text))
		member_violation(&m, "codeSha256", text, "Member must be the base64 of a SHA-256");
	json_decref(o);
	rc = members_finish(&m, err);
	if (rc == 0)
		*ret = p;
	return rc;
}

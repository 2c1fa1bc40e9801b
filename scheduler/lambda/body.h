/* Bodies of the operations that change something: JSON into plain structs, every limit of the API checked, unknown
 * members ignored, null the same as absent. No globals: any thread; those that take code block while they write it.
 *
 * On failure err is filled and the struct needs no _fini (calling it is harmless). Errors:
 * LAMBDA_INVALID_REQUEST_CONTENT (no JSON), LAMBDA_SERIALIZATION (a value of the wrong type), LAMBDA_VALIDATION
 * (the model's constraints), LAMBDA_INVALID_PARAMETER (meaning), LAMBDA_ENTITY_TOO_LARGE, LAMBDA_SERVICE* (the
 * host's own troubles). */
#ifndef SCHEDULER_LAMBDA_BODY_H
#define SCHEDULER_LAMBDA_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "scheduler/lambda/error.h"
#include "scheduler/lambda/names.h"
#include "scheduler/lambda/zipfile.h"
#include "scheduler/registry.h"

/* The listener's limits: for CreateFunction, UpdateFunctionCode and PublishLayerVersion, and for all others. */
#define LAMBDA_BODY_CODE_MAX 70167211u
#define LAMBDA_BODY_MAX_JSON 524288u /* also: what may stand beside the code */
#define LAMBDA_ZIP_MAX       52428800u

#define LAMBDA_DESCRIPTION_MAX (256 * 4)
#define LAMBDA_REVISION_MAX    64
#define LAMBDA_SHA256_MAX      128 /* a client's idea of one */

/* Of a create or update, which of the settings were given. */
enum {
	LAMBDA_HAS_RUNTIME = 1,
	LAMBDA_HAS_HANDLER = 2,
	LAMBDA_HAS_MEMORY = 4,
	LAMBDA_HAS_TIMEOUT = 8,
	LAMBDA_HAS_ENV = 16, /* the whole environment is replaced, maybe by none */
	LAMBDA_HAS_EXTRA = 32,
	LAMBDA_HAS_STORAGE = 64,
};

struct lambda_config {
	unsigned has;
	struct fn_settings settings; /* what was not given has its default. env: sorted by name */
	/* CreateFunction: the text of extra.h. Updates: what is to be merged into it, for lambda_config_apply; NULL
	 * when nothing is. */
	char *extra;
};

/* --- functions ---------------------------------------------------------------------------------------- */

struct lambda_create {
	struct lambda_name name; /* without a qualifier */
	struct lambda_config config;
	struct zipfile code;
	char *tags; /* see tags.h; "" when none */
	bool publish;
};

struct lambda_update_code {
	struct zipfile code;
	char *extra; /* as in an update's lambda_config */
	bool publish, dry_run;
	char revision[LAMBDA_REVISION_MAX + 1]; /* "" when not given */
};

struct lambda_update_config {
	struct lambda_config config;
	char revision[LAMBDA_REVISION_MAX + 1];
};

struct lambda_publish {
	bool has_description;
	char description[LAMBDA_DESCRIPTION_MAX + 1];
	char code_sha256[LAMBDA_SHA256_MAX + 1]; /* "" when not given */
	char revision[LAMBDA_REVISION_MAX + 1];
};

/* The zip is written to zip_fd at its offset (-1: only counted and hashed); it is looked at only when everything
 * else is right. Whether there is such a runtime here is the caller's to check, and says lambda_runtime_unknown. */
int lambda_create_parse(const char *body, size_t len, int zip_fd, struct lambda_create *ret, struct lambda_err *err);
void lambda_create_fini(struct lambda_create *c);
int lambda_update_code_parse(const char *body, size_t len, int zip_fd, struct lambda_update_code *ret,
			     struct lambda_err *err);
void lambda_update_code_fini(struct lambda_update_code *u);
int lambda_update_config_parse(const char *body, size_t len, struct lambda_update_config *ret, struct lambda_err *err);
void lambda_update_config_fini(struct lambda_update_config *u);
int lambda_publish_parse(const char *body, size_t len, struct lambda_publish *ret, struct lambda_err *err);

/* PublishLayerVersion. info: an object with what is kept beside the zip (Description, CompatibleRuntimes, ...), a new
 * reference. */
struct lambda_layer_body {
	struct json_t *info;
	struct zipfile code;
};
int lambda_layer_body_parse(const char *body, size_t len, int zip_fd, struct lambda_layer_body *ret, struct lambda_err *err);

/* LAMBDA_INVALID_PARAMETER in the words that tools know; why: which there are, may be "". Returns -EINVAL. */
int lambda_runtime_unknown(const char *runtime, const char *why, struct lambda_err *err);

/* Applies an update: *settings and *extra (heap text or NULL, replaced) are the caller's copy of the old ones. On
 * failure both are as before. */
int lambda_config_apply(const struct lambda_config *update, struct fn_settings *settings, char **extra,
			struct lambda_err *err);
/* The merging of `extra` alone, for lambda_update_code. update may be NULL: nothing changes. */
int lambda_extra_apply(const char *update, char **extra, struct lambda_err *err);

/* --- aliases ------------------------------------------------------------------------------------------- */

enum {
	LAMBDA_ALIAS_VERSION = 1,
	LAMBDA_ALIAS_DESCRIPTION = 2,
	LAMBDA_ALIAS_ROUTING = 4,
};

struct lambda_alias {
	unsigned has;
	char name[LAMBDA_QUALIFIER_MAX + 1]; /* CreateAlias only */
	bool latest;      /* FunctionVersion is $LATEST */
	unsigned version; /* else its number; 0: one that cannot exist */
	char description[LAMBDA_DESCRIPTION_MAX + 1];
	bool routed;      /* some calls go to another version; false with LAMBDA_ALIAS_ROUTING: none from now on */
	unsigned to;
	double weight;    /* 0 to 1 */
	char revision[LAMBDA_REVISION_MAX + 1]; /* UpdateAlias */
};

int lambda_alias_create_parse(const char *body, size_t len, struct lambda_alias *ret, struct lambda_err *err);
int lambda_alias_update_parse(const char *body, size_t len, struct lambda_alias *ret, struct lambda_err *err);
/* Whether main version and routing go together; to be asked for the alias as it will be. */
int lambda_alias_check(const struct lambda_alias *a, struct lambda_err *err);

/* --- concurrency --------------------------------------------------------------------------------------- */

/* PutFunctionConcurrency: 0 and up. */
int lambda_concurrency_parse(const char *body, size_t len, unsigned *ret_reserved, struct lambda_err *err);
/* PutProvisionedConcurrencyConfig: 1 and up. */
int lambda_provisioned_parse(const char *body, size_t len, unsigned *ret_provisioned, struct lambda_err *err);

/* --- function URLs -------------------------------------------------------------------------------------- */

enum {
	LAMBDA_URL_AUTH = 1,
	LAMBDA_URL_MODE = 2,
	LAMBDA_URL_CORS = 4,
};

struct lambda_url {
	unsigned has;
	bool iam;       /* AuthType AWS_IAM, not NONE */
	bool streaming; /* InvokeMode RESPONSE_STREAM, not BUFFERED */
	char *cors;     /* compact JSON of the Cors object, heap; "" or NULL: none */
};

/* create: AuthType must be there. */
int lambda_url_parse(const char *body, size_t len, bool create, struct lambda_url *ret, struct lambda_err *err);
void lambda_url_fini(struct lambda_url *u);

/* Parses a body as one JSON object; an empty one is {}. *ret_obj is a new reference to a json_t. For the bodies
 * that are not above. */
struct json_t;
int lambda_body_load(const char *body, size_t len, struct json_t **ret_obj, struct lambda_err *err);

#endif

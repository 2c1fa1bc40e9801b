/* How clients name functions and layers, and the ARNs they are shown. Pure; any thread.
 *
 * A function in a path, percent-decoded already, is one of
 *   NAME   NAME:QUALIFIER   ACCOUNT:function:NAME[:Q]   function:NAME[:Q]   REGION:ACCOUNT:function:NAME[:Q]
 *   arn:aws:lambda:REGION:ACCOUNT:function:NAME[:Q]
 * with the parts in front of NAME optional as in the model's pattern. */
#ifndef SCHEDULER_LAMBDA_NAMES_H
#define SCHEDULER_LAMBDA_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/lambda/error.h"

#define LAMBDA_NAME_MAX      64
#define LAMBDA_QUALIFIER_MAX 128
#define LAMBDA_REGION_MAX    31
#define LAMBDA_ACCOUNT_LEN   12
/* An ARN of ours with NUL: partition, region, account, name and qualifier at their longest. */
#define LAMBDA_ARN_MAX       288

/* Longest texts that FunctionName may have: in the operations that change something (create, update, alias,
 * concurrency, url), and in the others (get, invoke, list versions, delete). */
#define LAMBDA_TEXT_MAX            140
#define LAMBDA_TEXT_MAX_NAMESPACED 256

enum lambda_qualifier {
	LAMBDA_Q_NONE,
	LAMBDA_Q_LATEST, /* $LATEST */
	LAMBDA_Q_NUMBER, /* a published version */
	LAMBDA_Q_ALIAS,  /* also $LATEST.PUBLISHED, which no alias can be called: never found */
};

struct lambda_name {
	char name[LAMBDA_NAME_MAX + 1];
	char qualifier[LAMBDA_QUALIFIER_MAX + 1]; /* as written; "" when none */
	char account[LAMBDA_ACCOUNT_LEN + 1];     /* "" when not said */
	char region[LAMBDA_REGION_MAX + 1];       /* "" when not said */
	enum lambda_qualifier kind;
	unsigned version; /* LAMBDA_Q_NUMBER: 1 and up; 0 for a number that no version can have ("0", "007", 2^40) */
};

/* max: one of LAMBDA_TEXT_MAX*. LAMBDA_VALIDATION. */
int lambda_name_parse(const char *text, size_t max, struct lambda_name *ret, struct lambda_err *err);
/* Adds the query parameter ?Qualifier= (NULL or "": none given). Both given and different: LAMBDA_INVALID_PARAMETER. */
int lambda_name_qualify(struct lambda_name *n, const char *qualifier, struct lambda_err *err);
/* An ARN of another region or account names nothing here: LAMBDA_RESOURCE_NOT_FOUND. */
int lambda_name_here(const struct lambda_name *n, const char *region, const char *account, struct lambda_err *err);

/* Kind of a qualifier, and its version when that is a number (ret_version may be NULL). -EINVAL: it cannot be one. */
int lambda_qualifier_kind(const char *text, enum lambda_qualifier *ret_kind, unsigned *ret_version);
/* 1 to 128 of [a-zA-Z0-9-_], not all digits. */
bool lambda_alias_valid(const char *name);

/* Small letters in three or more groups joined by '-', the last one a digit; at most LAMBDA_REGION_MAX characters. */
bool lambda_region_valid(const char *text);
/* Into buf (LAMBDA_ARN_MAX always suffices for valid parts). qualifier may be NULL or "". -ENAMETOOLONG. */
int lambda_arn(char *buf, size_t cap, const char *region, const char *account, const char *name,
	       const char *qualifier);
/* version 0: the layer itself. */
int lambda_layer_arn(char *buf, size_t cap, const char *region, const char *account, const char *layer,
		     uint64_t version);

struct lambda_layer_name {
	char name[140 + 1];
	char account[LAMBDA_ACCOUNT_LEN + 1]; /* "" when only the name was given */
	char region[LAMBDA_REGION_MAX + 1];
	uint64_t version; /* 0: none */
};

/* NAME, arn:..:layer:NAME, or with :VERSION (that form only when versioned is true, and then it must be there).
 * `member` is how errors call it ("layerName", "layers", "arn"). LAMBDA_VALIDATION. */
int lambda_layer_parse(const char *text, bool versioned, const char *member, struct lambda_layer_name *ret,
		       struct lambda_err *err);

/* The ARN in the path of the tag operations: a function without qualifier (versions and aliases have no tags:
 * LAMBDA_INVALID_PARAMETER). */
int lambda_tag_resource_parse(const char *arn, struct lambda_name *ret, struct lambda_err *err);

#endif

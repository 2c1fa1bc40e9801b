/* Names and ARNs: see names.h. */
#include "scheduler/lambda/names.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"

/* The model's patterns, as they stand in its error messages. */
#define PATTERN_FUNCTION                                                                                              \
	"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?"        \
	"(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
#define PATTERN_QUALIFIER "(|[a-zA-Z0-9$_-]+|\\$LATEST\\.PUBLISHED)"
#define PATTERN_LAYER     "(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+"
#define PATTERN_LAYER_VERSION "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+"

/* A piece of the text between two colons. */
struct part {
	const char *p;
	size_t len;
};

#define PARTS_MAX 8

/* Returns how many there are, also when that is more than were stored. */
static unsigned split(const char *text, struct part parts[PARTS_MAX])
{
	unsigned n = 0;

	for (;;) {
		size_t len = strcspn(text, ":");

		if (n < PARTS_MAX)
			parts[n] = (struct part){text, len};
		n++;
		if (!text[len])
			return n;
		text += len + 1;
	}
}

static bool is(const struct part *a, const char *word)
{
	return a->len == strlen(word) && memcmp(a->p, word, a->len) == 0;
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_word(const struct part *a)
{
	for (size_t i = 0; i < a->len; i++) {
		if (!word_char(a->p[i]))
			return false;
	}
	return a->len > 0;
}

static bool all_digits(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
	}
	return len > 0;
}

static bool is_account(const struct part *a)
{
	return a->len == LAMBDA_ACCOUNT_LEN && all_digits(a->p, a->len);
}

/* us-east-1, us-gov-west-1 */
static bool is_region(const struct part *a)
{
	unsigned groups = 1;

	if (a->len < 6 || a->len > LAMBDA_REGION_MAX || a->p[a->len - 1] < '0' || a->p[a->len - 1] > '9' ||
	    a->p[a->len - 2] != '-')
		return false;
	for (size_t i = 0; i < a->len - 1; i++) {
		if (a->p[i] == '-') {
			if (i == 0 || a->p[i - 1] == '-')
				return false;
			groups++;
		} else if (a->p[i] < 'a' || a->p[i] > 'z') {
			return false;
		}
	}
	return groups >= 3;
}

bool lambda_region_valid(const char *text)
{
	const struct part a = {text, strlen(text)};

	return is_region(&a);
}

static bool is_partition(const struct part *a)
{
	if (a->len < 3 || memcmp(a->p, "aws", 3) != 0)
		return false;
	for (size_t i = 3; i < a->len; i++) {
		if (!word_char(a->p[i]) || a->p[i] == '_')
			return false;
	}
	return true;
}

static void copy(char *dst, size_t cap, const struct part *a)
{
	memcpy(dst, a->p, a->len < cap ? a->len : cap - 1);
	dst[a->len < cap ? a->len : cap - 1] = '\0';
}

static int violation(struct lambda_err *err, const char *value, const char *member, const char *what)
{
	return lambda_err_set(err, LAMBDA_VALIDATION,
			      "1 validation error detected: Value '%.300s' at '%s' failed to satisfy constraint: "
			      "%s", value,
			      member, what);
}

static int bad_pattern(struct lambda_err *err, const char *value, const char *member, const char *pattern)
{
	char what[400];

	snprintf(what, sizeof(what), "Member must satisfy regular expression pattern: %s", pattern);
	return violation(err, value, member, what);
}

static int too_long(struct lambda_err *err, const char *value, const char *member, size_t max)
{
	char what[80];

	snprintf(what, sizeof(what), "Member must have length less than or equal to %zu", max);
	return violation(err, value, member, what);
}

bool lambda_alias_valid(const char *name)
{
	struct part a = {name, strlen(name)};

	return a.len <= LAMBDA_QUALIFIER_MAX && is_word(&a) && !all_digits(a.p, a.len);
}

int lambda_qualifier_kind(const char *text, enum lambda_qualifier *ret_kind, unsigned *ret_version)
{
	struct part a = {text, strlen(text)};
	enum lambda_qualifier kind;
	uint64_t number = 0;

	if (strcmp(text, "$LATEST") == 0)
		kind = LAMBDA_Q_LATEST;
	else if (a.len <= LAMBDA_QUALIFIER_MAX && all_digits(a.p, a.len))
		kind = LAMBDA_Q_NUMBER;
	else if (lambda_alias_valid(text) || strcmp(text, "$LATEST.PUBLISHED") == 0)
		kind = LAMBDA_Q_ALIAS;
	else
		return -EINVAL;
	if (kind == LAMBDA_Q_NUMBER && (text[0] == '0' || stk_parse_u64(text, 1, UINT_MAX, &number)))
		number = 0;
	*ret_kind = kind;
	if (ret_version)
		*ret_version = (unsigned)number;
	return 0;
}

static int set_qualifier(struct lambda_name *n, const struct part *q)
{
	char text[LAMBDA_QUALIFIER_MAX + 1];

	if (q->len > LAMBDA_QUALIFIER_MAX)
		return -EINVAL;
	copy(text, sizeof(text), q);
	if (lambda_qualifier_kind(text, &n->kind, &n->version))
		return -EINVAL;
	memcpy(n->qualifier, text, q->len + 1);
	return 0;
}

int lambda_name_parse(const char *text, size_t max, struct lambda_name *ret, struct lambda_err *err)
{
	struct lambda_name n = {0};
	struct part parts[PARTS_MAX];
	unsigned count, i = 0;

	if (!*text)
		return violation(err, text, "functionName", "Member must have length greater than or equal to 1");
	if (strlen(text) > max)
		return too_long(err, text, "functionName", max);
	count = split(text, parts);
	if (count > PARTS_MAX)
		return bad_pattern(err, text, "functionName", PATTERN_FUNCTION);
	if (is(&parts[0], "arn")) {
		if (count < 7 || !is_partition(&parts[1]) || !is(&parts[2], "lambda") || !is_region(&parts[3]) ||
		    !is_account(&parts[4]) || !is(&parts[5], "function"))
			return bad_pattern(err, text, "functionName", PATTERN_FUNCTION);
		i = 3;
	}
	if (count - i > 1 && is_region(&parts[i]))
		copy(n.region, sizeof(n.region), &parts[i++]);
	if (count - i > 1 && is_account(&parts[i]))
		copy(n.account, sizeof(n.account), &parts[i++]);
	if (count - i > 1 && is(&parts[i], "function"))
		i++;
	if (count - i > 2 || !is_word(&parts[i]))
		return bad_pattern(err, text, "functionName", PATTERN_FUNCTION);
	if (parts[i].len > LAMBDA_NAME_MAX)
		return too_long(err, text, "functionName", LAMBDA_NAME_MAX);
	copy(n.name, sizeof(n.name), &parts[i++]);
	if (i < count && set_qualifier(&n, &parts[i]))
		return bad_pattern(err, text, "functionName", PATTERN_FUNCTION);
	*ret = n;
	return 0;
}

int lambda_name_qualify(struct lambda_name *n, const char *qualifier, struct lambda_err *err)
{
	struct lambda_name given = {0};
	struct part q = {qualifier, qualifier ? strlen(qualifier) : 0};

	if (q.len == 0)
		return 0;
	if (q.len > LAMBDA_QUALIFIER_MAX)
		return too_long(err, qualifier, "qualifier", LAMBDA_QUALIFIER_MAX);
	if (set_qualifier(&given, &q))
		return bad_pattern(err, qualifier, "qualifier", PATTERN_QUALIFIER);
	if (n->qualifier[0] && strcmp(n->qualifier, qualifier) != 0)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "The qualifier in the function's name, '%s', is not the one given beside it, "
				      "'%s'.",
				      n->qualifier, qualifier);
	memcpy(n->qualifier, given.qualifier, sizeof(n->qualifier));
	n->kind = given.kind;
	n->version = given.version;
	return 0;
}

int lambda_name_here(const struct lambda_name *n, const char *region, const char *account, struct lambda_err *err)
{
	char arn[LAMBDA_ARN_MAX];

	if (n->region[0] && strcmp(n->region, region) != 0)
		return lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND,
				      "Functions from '%s' are not reachable in this region ('%s')", n->region, region);
	if (n->account[0] && strcmp(n->account, account) != 0) {
		if (lambda_arn(arn, sizeof(arn), region, n->account, n->name, n->qualifier))
			arn[0] = '\0';
		return lambda_err_set(err, LAMBDA_RESOURCE_NOT_FOUND, "Function not found: %s", arn);
	}
	return 0;
}

static const char *partition(const char *region)
{
	if (strncmp(region, "cn-", 3) == 0)
		return "aws-cn";
	if (strncmp(region, "us-gov-", 7) == 0)
		return "aws-us-gov";
	return "aws";
}

int lambda_arn(char *buf, size_t cap, const char *region, const char *account, const char *name,
	       const char *qualifier)
{
	bool qualified = qualifier && *qualifier;

	return stk_snprintf(buf, cap, "arn:%s:lambda:%s:%s:function:%s%s%s", partition(region), region, account, name,
			    qualified ? ":" : "", qualified ? qualifier : "");
}

int lambda_layer_arn(char *buf, size_t cap, const char *region, const char *account, const char *layer,
		     uint64_t version)
{
	char number[24] = "";

	if (version)
		snprintf(number, sizeof(number), ":%" PRIu64, version);
	return stk_snprintf(buf, cap, "arn:%s:lambda:%s:%s:layer:%s%s", partition(region), region, account, layer,
			    number);
}

int lambda_layer_parse(const char *text, bool versioned, const char *member, struct lambda_layer_name *ret,
		       struct lambda_err *err)
{
	const char *pattern = versioned ? PATTERN_LAYER_VERSION : PATTERN_LAYER;
	struct lambda_layer_name n = {0};
	struct part parts[PARTS_MAX], *name = &parts[0];
	unsigned count = split(text, parts);
	char number[24];

	if (!*text)
		return violation(err, text, member, "Member must have length greater than or equal to 1");
	if (strlen(text) > 140)
		return too_long(err, text, member, 140);
	if (versioned ? count != 8 : count != 7 && count != 1)
		return bad_pattern(err, text, member, pattern);
	if (count > 1) {
		name = &parts[6];
		if (!is(&parts[0], "arn") || !is_word(&parts[1]) || !is(&parts[2], "lambda") || !is_word(&parts[3]) ||
		    parts[3].len > LAMBDA_REGION_MAX || !is_account(&parts[4]) || !is(&parts[5], "layer"))
			return bad_pattern(err, text, member, pattern);
		copy(n.region, sizeof(n.region), &parts[3]);
		copy(n.account, sizeof(n.account), &parts[4]);
	}
	if (!is_word(name))
		return bad_pattern(err, text, member, pattern);
	copy(n.name, sizeof(n.name), name);
	if (versioned) {
		if (!all_digits(parts[7].p, parts[7].len) || parts[7].len >= sizeof(number))
			return bad_pattern(err, text, member, pattern);
		copy(number, sizeof(number), &parts[7]);
		if (stk_parse_u64(number, 1, INT64_MAX, &n.version))
			return bad_pattern(err, text, member, pattern);
	}
	*ret = n;
	return 0;
}

int lambda_tag_resource_parse(const char *arn, struct lambda_name *ret, struct lambda_err *err)
{
	struct lambda_name n;

	if (strncmp(arn, "arn:", 4) != 0 || lambda_name_parse(arn, LAMBDA_TEXT_MAX_NAMESPACED, &n, err))
		return bad_pattern(err, arn, "resource",
				   "arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:"
				   "function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
	if (n.kind != LAMBDA_Q_NONE)
		return lambda_err_set(err, LAMBDA_INVALID_PARAMETER,
				      "Versions and aliases have no tags of their own: give the function's ARN "
				      "without a qualifier.");
	*ret = n;
	return 0;
}

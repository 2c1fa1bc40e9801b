/* Parser of policy texts: see policy_parse.h. */
#include "jail/policy_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

#define MAX_LINE  256u
#define MAX_WORDS 24u

struct where {
	const char *file;
	unsigned line;
	struct stk_err *err;
};

#define FAIL(w, ...) fail_at(w, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static int fail_at(const struct where *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return stk_err_set(w->err, -EINVAL, "%s.policy:%u: %s", w->file, w->line, text);
}

static bool name_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= POLICY_MAX_NAME)
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static int parse_hex(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = strlen(s);

	if (n == 0 || n > 16)
		return -EINVAL;
	for (; *s; s++) {
		const char *digits = "0123456789abcdef";
		const char *d = strchr(digits, *s);

		if (!d)
			return -EINVAL;
		v = v << 4 | (uint64_t)(d - digits);
	}
	*ret = v;
	return 0;
}

/* "A|B|0x10": each part a number or a known constant. */
static int parse_value(const struct where *w, const char *word, uint64_t *ret)
{
	char copy[MAX_LINE];
	char *save = NULL;
	uint64_t all = 0;

	if (stk_strcpy(copy, sizeof(copy), word) < 0 || word[0] == '|' ||
	    word[strlen(word) - 1] == '|' || strstr(word, "||"))
		return FAIL(w, "\"%s\" is not a value", word);
	for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
		uint64_t v = 0;

		if (strncmp(part, "0x", 2) == 0) {
			if (parse_hex(part + 2, &v) < 0)
				return FAIL(w, "\"%s\" is not a hexadecimal number (lower case)", part);
		} else if (part[0] >= '0' && part[0] <= '9') {
			if (stk_parse_u64(part, 0, UINT64_MAX, &v) < 0)
				return FAIL(w, "\"%s\" is not a number", part);
		} else if (policy_name_value(part, &v) < 0) {
			return FAIL(w, "constant \"%s\" is unknown: add it to policy_names.c", part);
		}
		all |= v;
	}
	*ret = all;
	return 0;
}

/* Takes one condition from words[*at...]. */
static int parse_cond(const struct where *w, char **words, unsigned count, unsigned *at,
		      struct policy_cond *c)
{
	const char *arg = words[*at];
	const char *mask_word = NULL, *value_word;
	uint64_t width;
	int r;

	memset(c, 0, sizeof(*c));
	if ((strncmp(arg, "arg", 3) != 0 && strncmp(arg, "int", 3) != 0) || arg[3] < '0' ||
	    arg[3] > '5' || arg[4] != '\0')
		return FAIL(w, "expected arg0..arg5 or int0..int5, found \"%s\"", arg);
	c->arg = (unsigned)(arg[3] - '0');
	c->is_int = arg[0] == 'i';
	width = c->is_int ? UINT32_MAX : UINT64_MAX;
	c->mask = width;
	(*at)++;
	if (*at + 1 < count && strcmp(words[*at], "&") == 0) {
		mask_word = words[*at + 1];
		r = parse_value(w, mask_word, &c->mask);
		if (r < 0)
			return r;
		*at += 2;
	}
	if (*at + 1 >= count || strcmp(words[*at], "==") != 0)
		return FAIL(w, "expected \"== VALUE\" behind %s", arg);
	value_word = words[*at + 1];
	r = parse_value(w, value_word, &c->value);
	if (r < 0)
		return r;
	*at += 2;
	if (c->mask == 0 || (c->mask & ~width) || (c->value & ~c->mask))
		return FAIL(w, "%s: mask and value do not fit each other", arg);
	if (mask_word)
		r = stk_snprintf(c->text, sizeof(c->text), "%s & %s == %s", arg, mask_word, value_word);
	else
		r = stk_snprintf(c->text, sizeof(c->text), "%s == %s", arg, value_word);
	return r < 0 ? FAIL(w, "condition is too long") : 0;
}

static int parse_rule(const struct where *w, char **words, unsigned count, struct policy_rule *rule)
{
	unsigned at = 1;

	memset(rule, 0, sizeof(*rule));
	if (!name_ok(words[0]))
		return FAIL(w, "\"%.40s\" is not the name of a system call", words[0]);
	strcpy(rule->syscall, words[0]);
	snprintf(rule->file, sizeof(rule->file), "%s", w->file);
	rule->line = w->line;
	if (count == 1)
		return 0;
	if (strcmp(words[1], "errno") == 0) {
		if (count != 3 || policy_name_errno(words[2], &rule->refuse) < 0)
			return FAIL(w, "expected \"errno NAME\" with ENOSYS, EPERM, EACCES or EINVAL");
		snprintf(rule->refuse_name, sizeof(rule->refuse_name), "%s", words[2]);
		return 0;
	}
	for (;;) {
		struct policy_cond *c = &rule->cond[rule->cond_count];
		int r;

		if (rule->cond_count == POLICY_MAX_CONDS)
			return FAIL(w, "more than %u conditions", POLICY_MAX_CONDS);
		r = parse_cond(w, words, count, &at, c);
		if (r < 0)
			return r;
		for (unsigned i = 0; i < rule->cond_count; i++) {
			if (rule->cond[i].arg == c->arg)
				return FAIL(w, "argument %u has two conditions in one rule", c->arg);
		}
		rule->cond_count++;
		if (at == count)
			return 0;
		if (strcmp(words[at], "and") != 0 || at + 1 == count)
			return FAIL(w, "expected \"and CONDITION\" or the reason, found \"%s\"", words[at]);
		at++;
	}
}

static bool same_conds(const struct policy_rule *a, const struct policy_rule *b)
{
	if (a->cond_count != b->cond_count || a->refuse != b->refuse)
		return false;
	for (unsigned i = 0; i < a->cond_count; i++) {
		const struct policy_cond *x = &a->cond[i], *y = &b->cond[i];

		if (x->arg != y->arg || x->mask != y->mask || x->value != y->value)
			return false;
	}
	return true;
}

static void remove_rule(struct policy *p, unsigned i)
{
	memmove(&p->rule[i], &p->rule[i + 1], (p->count - i - 1) * sizeof(p->rule[0]));
	p->count--;
}

static int add_rule(const struct where *w, struct policy *p, const struct policy_rule *rule)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct policy_rule *old = &p->rule[i];

		if (strcmp(old->syscall, rule->syscall) != 0)
			continue;
		if (p->widen) {
			if (old->cond_count == 0 || same_conds(old, rule))
				return 0; /* already as wide as it gets */
			if (rule->cond_count == 0 && !rule->refuse)
				remove_rule(p, i--);
			continue;
		}
		if (same_conds(old, rule) || old->cond_count == 0 || rule->cond_count == 0)
			return FAIL(w, "%s is dead or makes dead the rule at %s.policy:%u", rule->syscall,
				    old->file, old->line);
	}
	if (p->count == POLICY_MAX_RULES)
		return FAIL(w, "more than %u rules", POLICY_MAX_RULES);
	p->rule[p->count++] = *rule;
	return 0;
}

static int parse_file(struct policy *p, const char *name, policy_load_fn load, void *ctx,
		      unsigned depth, struct stk_err *err);

static int parse_line(const struct where *w, struct policy *p, char *line, policy_load_fn load,
		      void *ctx, unsigned depth)
{
	char *reason = strchr(line, '#');
	char *words[MAX_WORDS];
	char *save = NULL;
	unsigned count = 0;
	struct policy_rule rule;
	int r;

	if (reason)
		*reason++ = '\0';
	for (char *t = strtok_r(line, " \t", &save); t; t = strtok_r(NULL, " \t", &save)) {
		if (count == MAX_WORDS)
			return FAIL(w, "too many words");
		words[count++] = t;
	}
	if (count == 0)
		return 0;
	if (strcmp(words[0], "include") == 0) {
		if (count != 2 || !name_ok(words[1]))
			return FAIL(w, "expected \"include NAME\"");
		if (depth + 1 > POLICY_MAX_INCLUDE)
			return FAIL(w, "includes are nested more than %u deep", POLICY_MAX_INCLUDE);
		return parse_file(p, words[1], load, ctx, depth + 1, w->err);
	}
	if (!reason || reason[strspn(reason, " \t#")] == '\0')
		return FAIL(w, "%.40s has no reason: write one behind '#'", words[0]);
	r = parse_rule(w, words, count, &rule);
	return r < 0 ? r : add_rule(w, p, &rule);
}

static int parse_file(struct policy *p, const char *name, policy_load_fn load, void *ctx,
		      unsigned depth, struct stk_err *err)
{
	struct where w = {.file = name, .line = 0, .err = err};
	stk_autofree char *text = NULL;
	char file[POLICY_MAX_NAME]; /* name may point into a line being parsed */
	char line[MAX_LINE];
	size_t len = 0, at = 0;
	int r;

	if (!name_ok(name))
		return stk_err_set(err, -EINVAL, "\"%.40s\" is not the name of a policy", name);
	strcpy(file, name);
	w.file = file;
	r = load(ctx, file, &text, &len, err);
	if (r < 0)
		return r;
	if (len > POLICY_MAX_TEXT)
		return stk_err_set(err, -EFBIG, "%s.policy: more than %u bytes", file, POLICY_MAX_TEXT);
	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - (text + at)) : len - at;

		w.line++;
		if (n >= sizeof(line))
			return FAIL(&w, "line is longer than %u bytes", MAX_LINE - 1);
		memcpy(line, text + at, n);
		line[n] = '\0';
		for (size_t i = 0; i < n; i++) {
			unsigned char ch = (unsigned char)line[i];

			if ((ch < 0x20 && ch != '\t') || ch > 0x7e)
				return FAIL(&w, "byte 0x%02x is not printable ASCII", ch);
		}
		r = parse_line(&w, p, line, load, ctx, depth);
		if (r < 0)
			return r;
		at += n + 1;
	}
	return 0;
}

int policy_parse(struct policy *p, const char *name, policy_load_fn load, void *ctx,
		 struct stk_err *err)
{
	return parse_file(p, name, load, ctx, 0, err);
}

void policy_rule_print(const struct policy_rule *rule, char *buf, size_t cap)
{
	size_t n = (size_t)snprintf(buf, cap, "%s", rule->syscall);

	if (rule->refuse && n < cap)
		snprintf(buf + n, cap - n, " errno %s", rule->refuse_name);
	for (unsigned i = 0; i < rule->cond_count && n < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%s", i ? " and " : " ", rule->cond[i].text);
}

static int compare(const void *a, const void *b)
{
	char x[512], y[512];

	policy_rule_print(a, x, sizeof(x));
	policy_rule_print(b, y, sizeof(y));
	return strcmp(x, y);
}

void policy_sort(struct policy *p)
{
	qsort(p->rule, p->count, sizeof(p->rule[0]), compare);
}

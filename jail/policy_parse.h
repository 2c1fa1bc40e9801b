/* The text of a seccomp policy, parsed. Used at build time by mkpolicy only.
 *
 *   file  = line*
 *   line  = blank | "# remark" | "include NAME" | rule "# reason"     (the reason is mandatory)
 *   rule  = SYSCALL [cond ("and" cond)*]          allowed, under all these conditions
 *         | SYSCALL "errno" NAME                  refused with that error instead of killing
 *   cond  = ("arg"|"int")N ["&" VALUE] "==" VALUE
 *   VALUE = decimal, 0x hexadecimal, or a constant's name (policy_names.c); "A|B" joins values
 *
 * argN is the whole 64-bit register of argument N (0 to 5); intN is its low 32 bits, for arguments
 * the kernel takes as int. Several rules for one syscall are alternatives; a rule that can never
 * matter (same syscall allowed without condition before it or after it, or the same rule twice) is
 * an error. Anything not allowed kills the process.
 */
#ifndef JAIL_POLICY_PARSE_H
#define JAIL_POLICY_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define POLICY_MAX_TEXT    65536u /* bytes of one file */
#define POLICY_MAX_RULES   512u
#define POLICY_MAX_CONDS   3u
#define POLICY_MAX_NAME    40u
#define POLICY_MAX_INCLUDE 4u /* depth */

struct policy_cond {
	unsigned arg;  /* 0..5 */
	bool is_int;   /* low 32 bits only */
	uint64_t mask; /* all ones of the width when none was given */
	uint64_t value;
	char text[96]; /* as written, blanks made one */
};

struct policy_rule {
	char syscall[POLICY_MAX_NAME];
	struct policy_cond cond[POLICY_MAX_CONDS];
	unsigned cond_count;
	int refuse; /* 0: allow; else the positive errno given back */
	char refuse_name[16];
	char file[POLICY_MAX_NAME];
	unsigned line;
};

struct policy {
	struct policy_rule rule[POLICY_MAX_RULES];
	unsigned count;
	bool widen; /* parse(): rules without condition replace narrower ones instead of being errors */
};

/* Gives the text of the policy `name` (no path, no suffix): heap memory the parser frees. */
typedef int (*policy_load_fn)(void *ctx, const char *name, char **ret_text, size_t *ret_len,
			      struct stk_err *err);

/* Appends the rules of policy `name`. p starts zeroed. 0 or negative errno with "file:line: ...". */
int policy_parse(struct policy *p, const char *name, policy_load_fn load, void *ctx,
		 struct stk_err *err);

/* Sorts by syscall, then conditions. */
void policy_sort(struct policy *p);

/* One rule as a line of text without its reason. */
void policy_rule_print(const struct policy_rule *rule, char *buf, size_t cap);

/* policy_names.c: value of a constant; -ENOENT. */
int policy_name_value(const char *name, uint64_t *ret_value);
int policy_name_errno(const char *name, int *ret_errno);

#endif

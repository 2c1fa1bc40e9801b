/* Build-time tool: compiles seccomp policies (policy/NAME.policy) with libseccomp and prints them
 * as C arrays of BPF instructions, so that the programs themselves need no libseccomp.
 *
 *   mkpolicy --dir DIR [--widen NAME] [--list] NAME...
 *
 * --widen adds the rules of one more policy to each (builds with sanitizers); --list prints the
 * sorted rules instead, which a test compares with a checked-in list, so that growth is seen.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "jail/policy_parse.h"

static int load_file(void *ctx, const char *name, char **ret_text, size_t *ret_len,
		     struct stk_err *err)
{
	char path[1024];
	int r = stk_snprintf(path, sizeof(path), "%s/%s.policy", (const char *)ctx, name);

	if (r == 0)
		r = stk_read_file(path, POLICY_MAX_TEXT, ret_text, ret_len);
	return r < 0 ? stk_err_sys(err, r, "%s/%s.policy", (const char *)ctx, name) : 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct policy_rule *rule, struct stk_err *err)
{
	struct scmp_arg_cmp cmp[POLICY_MAX_CONDS];
	uint32_t action = rule->refuse ? SCMP_ACT_ERRNO((unsigned)rule->refuse) : SCMP_ACT_ALLOW;
	int nr = seccomp_syscall_resolve_name(rule->syscall);
	int r;

	if (nr < 0)
		return stk_err_set(err, -EINVAL, "%s.policy:%u: no system call is called \"%s\" here",
				   rule->file, rule->line, rule->syscall);
	for (unsigned i = 0; i < rule->cond_count; i++) {
		const struct policy_cond *c = &rule->cond[i];

		cmp[i] = SCMP_CMP64(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value);
	}
	r = seccomp_rule_add_exact_array(ctx, action, nr, rule->cond_count, cmp);
	if (r < 0)
		return stk_err_sys(err, r, "%s.policy:%u: libseccomp refuses the rule", rule->file,
				   rule->line);
	return 0;
}

static int print_filter(const char *name, scmp_filter_ctx ctx, struct stk_err *err)
{
	stk_autofd fd = memfd_create("bpf", MFD_CLOEXEC);
	struct sock_filter insn;
	struct stat st;
	int r;

	if (fd < 0)
		return stk_err_sys(err, -errno, "memfd_create");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return stk_err_sys(err, r, "%s: export of the filter", name);
	if (fstat(fd, &st) < 0 || st.st_size == 0 || st.st_size % (off_t)sizeof(insn) ||
	    st.st_size / (off_t)sizeof(insn) > BPF_MAXINSNS)
		return stk_err_set(err, -EINVAL, "%s: unexpected size of the filter", name);
	printf("\nstatic const struct sock_filter filter_");
	for (const char *c = name; *c; c++)
		putchar(*c == '-' ? '_' : *c);
	printf("[] = {\n");
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(insn)) {
		r = stk_pread_full(fd, &insn, sizeof(insn), at);
		if (r < 0)
			return stk_err_sys(err, r, "reading the filter back");
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", insn.code, insn.jt, insn.jf, insn.k);
	}
	printf("};\n");
	return 0;
}

static int compile(const char *name, const struct policy *p, struct stk_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = 0;

	if (!ctx)
		return stk_err_set(err, -ENOMEM, "seccomp_init failed");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0) /* a binary tree instead of a list: system calls are on the I/O path */
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0)
		stk_err_sys(err, r, "libseccomp attributes");
	for (unsigned i = 0; i < p->count && r == 0; i++)
		r = add_rule(ctx, &p->rule[i], err);
	if (r == 0)
		r = print_filter(name, ctx, err);
	seccomp_release(ctx);
	return r;
}

static void list(const char *name, const struct policy *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		char text[512];

		policy_rule_print(&p->rule[i], text, sizeof(text));
		printf("%s: %s\n", name, text);
	}
}

int main(int argc, char **argv)
{
	static struct policy policy;
	const char *dir = NULL, *widen = NULL;
	bool only_list = false;
	struct stk_err err = {0, ""};
	int i = 1, r = 0;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--list") == 0)
			only_list = true;
		else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
			dir = argv[++i];
		else if (strcmp(argv[i], "--widen") == 0 && i + 1 < argc)
			widen = argv[++i];
		else
			break;
	}
	if (!dir || i >= argc || strncmp(argv[i], "--", 2) == 0) {
		fprintf(stderr, "usage: mkpolicy --dir DIR [--widen NAME] [--list] NAME...\n");
		return 2;
	}
	if (!only_list)
		printf("/* Made by mkpolicy from the policy texts: do not edit. */\n");
	for (; i < argc && r == 0; i++) {
		memset(&policy, 0, sizeof(policy));
		r = policy_parse(&policy, argv[i], load_file, (void *)(uintptr_t)dir, &err);
		if (r == 0 && widen) {
			policy.widen = true;
			r = policy_parse(&policy, widen, load_file, (void *)(uintptr_t)dir, &err);
		}
		if (r < 0)
			break;
		policy_sort(&policy);
		if (only_list)
			list(argv[i], &policy);
		else
			r = compile(argv[i], &policy, &err);
	}
	if (r == 0 && fflush(stdout) != 0)
		r = stk_err_sys(&err, -errno, "writing");
	if (r < 0) {
		fprintf(stderr, "mkpolicy: %s\n", err.text);
		return 1;
	}
	return 0;
}

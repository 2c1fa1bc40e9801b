/* The policy language: what is accepted, and the message with file and line for what is not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jail/policy_parse.h"

struct texts {
	const char *main, *sub;
};

static int load(void *ctx, const char *name, char **ret_text, size_t *ret_len, struct stk_err *err)
{
	const struct texts *t = ctx;
	const char *text = strcmp(name, "sub") == 0 ? t->sub : t->main;

	if (!text)
		return stk_err_set(err, -ENOENT, "%s.policy: not there", name);
	*ret_text = strdup(text);
	*ret_len = strlen(text);
	return *ret_text ? 0 : -ENOMEM;
}

static struct policy policy;
static struct stk_err err;

static int parse(const char *text, const char *sub)
{
	struct texts t = {text, sub};

	memset(&policy, 0, sizeof(policy));
	memset(&err, 0, sizeof(err));
	return policy_parse(&policy, "main", load, &t, &err);
}

static void refused(const char *text, const char *message)
{
	assert_int_equal(parse(text, "read # r\n"), -EINVAL);
	if (!strstr(err.text, message))
		fail_msg("\"%s\" does not say \"%s\"", err.text, message);
}

static void test_accepts_the_grammar(void **state)
{
	char buf[256];

	assert_int_equal(parse("# remark\n\n\tinclude sub\n"
			       "mmap int2 & PROT_EXEC == 0 and arg1 == 0x1000 # heap\n"
			       "ioctl int1 == KVM_RUN # run\nioctl int1 == 5 # other\n"
			       "clone3 errno ENOSYS # fall back\n"
			       "socket int0 == AF_UNIX|AF_UNIX # no newline at the end",
			       "read # r\n"), 0);
	assert_int_equal(policy.count, 6);
	assert_string_equal(policy.rule[0].syscall, "read");
	assert_string_equal(policy.rule[0].file, "sub");
	assert_int_equal(policy.rule[1].cond_count, 2);
	assert_true(policy.rule[1].cond[0].is_int);
	assert_int_equal(policy.rule[1].cond[0].mask, 4);
	assert_int_equal(policy.rule[1].cond[1].mask, UINT64_MAX);
	assert_int_equal(policy.rule[1].line, 4);
	assert_int_equal(policy.rule[2].cond[0].value, 0xae80);
	assert_int_equal(policy.rule[4].refuse, ENOSYS);
	policy_rule_print(&policy.rule[1], buf, sizeof(buf));
	assert_string_equal(buf, "mmap int2 & PROT_EXEC == 0 and arg1 == 0x1000");
	policy_sort(&policy);
	assert_string_equal(policy.rule[0].syscall, "clone3");
	assert_string_equal(policy.rule[5].syscall, "socket");
}

static void test_refuses_with_file_and_line(void **state)
{
	refused("read # ok\nwrite\n", "main.policy:2: write has no reason");
	refused("write #   \n", "has no reason");
	refused("Write # w\n", "not the name of a system call");
	refused("ioctl int6 == 1 # r\n", "expected arg0..arg5");
	refused("ioctl int1 = 1 # r\n", "expected \"== VALUE\"");
	refused("ioctl int1 == # r\n", "expected \"== VALUE\"");
	refused("ioctl int1 == KVM_NOPE # r\n", "\"KVM_NOPE\" is unknown");
	refused("ioctl int1 == 0xG # r\n", "hexadecimal");
	refused("ioctl int1 == 99999999999999999999 # r\n", "not a number");
	refused("ioctl int1 == 1| # r\n", "not a value");
	refused("ioctl int1 & 1 == 2 # r\n", "do not fit");
	refused("ioctl int1 == 0x100000000 # r\n", "do not fit");
	refused("ioctl int1 & 0 == 0 # r\n", "do not fit");
	refused("ioctl int1 == 1 or int2 == 1 # r\n", "expected \"and CONDITION\"");
	refused("ioctl int1 == 1 and # r\n", "expected \"and CONDITION\"");
	refused("ioctl int1 == 1 and arg1 == 2 # r\n", "two conditions");
	refused("ioctl int0 == 1 and int1 == 1 and int2 == 1 and int3 == 1 # r\n", "more than 3");
	refused("clone3 errno ENOPE # r\n", "errno NAME");
	refused("include\n", "include NAME");
	refused("include ../x\n", "include NAME");
	refused("include main\n", "nested more than");
	refused("read \x01 # r\n", "not printable");
	refused("read # r\nread # again\n", "main.policy:2: read is dead or makes dead the rule at main.policy:1");
	refused("include sub\nread int0 == 1 # r\n", "sub.policy:1");
	refused("ioctl int1 == 1 # r\nioctl int1 == 0x1 # r\n", "dead");
}

static void test_missing_include_is_named(void **state)
{
	assert_int_equal(parse("include sub\n", NULL), -ENOENT);
	assert_string_equal(err.text, "sub.policy: not there");
}

static void test_widening_replaces_narrower_rules(void **state)
{
	struct texts t = {"mmap # all\nread # r\n", NULL};

	assert_int_equal(parse("mmap int2 == 0 # a\nmmap int2 == 1 # b\nwrite # c\n", NULL), 0);
	policy.widen = true;
	assert_int_equal(policy_parse(&policy, "main", load, &t, &err), 0);
	assert_int_equal(policy.count, 3);
	assert_string_equal(policy.rule[0].syscall, "write");
	assert_string_equal(policy.rule[1].syscall, "mmap");
	assert_int_equal(policy.rule[1].cond_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts_the_grammar),
		cmocka_unit_test(test_refuses_with_file_and_line),
		cmocka_unit_test(test_missing_include_is_named),
		cmocka_unit_test(test_widening_replaces_narrower_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

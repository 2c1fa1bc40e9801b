/* Command line: accepted forms, and a clear refusal of everything else. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/options.h"

#define MAX_ARGS 40

/* Parses words separated by blanks; the strings stay alive until the next call. */
static int parse(struct options *o, const char *line, struct stk_err *err)
{
	static char text[2048];
	char *argv[MAX_ARGS] = {(char *)(uintptr_t)"stoker-vmm"};
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok(text, " "); w && argc < MAX_ARGS; w = strtok(NULL, " "))
		argv[argc++] = w;
	return options_parse(o, argc, argv, err);
}

static void refused(const char *line, const char *word)
{
	struct options o = {.control_fd = 77};
	struct stk_err err = {0};

	assert_int_equal(parse(&o, line, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("\"%s\": \"%s\" does not mention \"%s\"", line, err.text, word);
	assert_int_equal(o.control_fd, 77); /* untouched */
}

static void test_restore(void **state)
{
	struct options o;

	assert_int_equal(parse(&o,
			       "--restore-state s --restore-memory=m --drive code=/a=b --drive scratch=/c "
			       "--vsock-fd 1024:0 --control-fd 1 --serial-off --die-with-parent 77 "
			       "--blocks 2:8=0,12=31",
			       NULL),
			 0);
	assert_string_equal(o.restore_state, "s");
	assert_string_equal(o.restore_memory, "m");
	assert_int_equal(o.drive_count, 2);
	assert_string_equal(o.drive[0].drive_id, "code");
	assert_string_equal(o.drive[0].path, "/a=b");
	assert_int_equal(o.port_fd_count, 1);
	assert_int_equal(o.port_fd[0].port, 1024);
	assert_int_equal(o.port_fd[0].fd, 0);
	assert_int_equal(o.control_fd, 1);
	assert_int_equal(o.blocks_fd, 2);
	assert_int_equal(o.block_count, 2);
	assert_int_equal(o.block[0].guest, 8);
	assert_int_equal(o.block[0].file, 0);
	assert_int_equal(o.block[1].guest, 12);
	assert_int_equal(o.block[1].file, 31);
	assert_true(o.serial_off && o.parent == 77 && !o.no_seccomp);
	assert_null(o.api_sock);
}

static void test_api(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, "--api-sock /x --id a --log-level Debug --log-path /l --config-file c", NULL), 0);
	assert_string_equal(o.api_sock, "/x");
	assert_int_equal(o.log_level, STK_LOG_DEBUG);
	assert_int_equal(o.control_fd, -1);
	assert_int_equal(parse(&o, "--shell 160 --control-fd 1", NULL), 0);
	assert_int_equal(o.shell_mib, 160);
	assert_int_equal(parse(&o, "--version", NULL), 0);
	assert_true(o.version);
	assert_int_equal(parse(&o, "--preflight", NULL), 0);
	assert_true(o.preflight);
}

static void test_refused(void **state)
{
	refused("", "nothing to do");
	refused("--frobnicate", "--frobnicate");
	refused("--api-soc x", "--api-soc");
	refused("stray", "stray");
	refused("--api-sock", "needs a value");
	refused("--api-sock=", "empty");
	refused("--serial-off=1 --api-sock x", "takes no value");
	refused("--restore-state s", "need each other");
	refused("--restore-memory m", "need each other");
	refused("--restore-state s --restore-memory m --config-file c", "exclude");
	refused("--api-sock x --drive a=b", "--drive");
	refused("--api-sock x --drive ab", "ID=PATH");
	refused("--api-sock x --drive =b", "ID=PATH");
	refused("--api-sock x --log-level loud", "loud");
	refused("--api-sock x --control-fd 1 --reusable", "--reusable");
	refused("--restore-state a --restore-memory b --reusable", "--reusable");
	refused("--restore-state a --restore-memory b --reusable --control-fd 1 --record-fd 1", "--reusable");
	refused("--api-sock x --control-fd 999", "999");
	refused("--api-sock x --control-fd -1", "-1");
	refused("--api-sock x --control-fd 1x", "1x");
	refused("--api-sock x --vsock-fd 1024", "PORT:FD");
	refused("--api-sock x --vsock-fd 4294967296:0", "PORT:FD");
	refused("--api-sock x --vsock-fd 1:0 --vsock-fd 1:1", "twice");
	refused("--api-sock x --vsock-fd 1:0 --vsock-fd 2:0 --vsock-fd 3:0 --vsock-fd 4:0 --vsock-fd 5:0", "at most");
	refused("--shell 128", "--control-fd");
	refused("--shell 128 --control-fd 1 --api-sock x", "--shell");
	refused("--shell 128 --control-fd 1 --vsock-fd 1:0", "--shell");
	refused("--shell 8 --control-fd 1", "16 to");
	refused("--shell x --control-fd 1", "16 to");
	refused("--api-sock x --serial-off --serial-path y", "exclude");
	refused("--api-sock x --blocks 2:1=2", "--restore-state");
	refused("--restore-state s --restore-memory m --blocks 999:1=2", "FD:GUEST=FILE");
	refused("--restore-state s --restore-memory m --blocks 1=2", "FD:GUEST=FILE");
	refused("--restore-state s --restore-memory m --blocks 2:65536=2", "FD:GUEST=FILE");
	refused("--restore-state s --restore-memory m --blocks 2:1=2,,", "GUEST=FILE");
	refused("--restore-state s --restore-memory m --blocks 2:1=2,3", "GUEST=FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_api),
		cmocka_unit_test(test_refused),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The message that fills a shell in: words and descriptors belong together, and nothing else is taken. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/fill.h"

static struct fill f;
static struct stk_err err;

static int parse(const char *text, unsigned fd_count)
{
	int fd[FILL_MAX_FDS];

	for (unsigned i = 0; i < FILL_MAX_FDS; i++)
		fd[i] = 100 + (int)i;
	snprintf(f.text, sizeof(f.text), "%s", text);
	return fill_parse(&f, fd, fd_count, &err);
}

static void test_all_words(void **state)
{
	assert_int_equal(parse("fill state memory drive=rootfs drive=code set stream=1024 blocks=4=0,65535=7", 7), 0);
	assert_int_equal(f.state_fd, 100);
	assert_int_equal(f.memory_fd, 101);
	assert_int_equal(f.drive_count, 2);
	assert_string_equal(f.drive[0].drive_id, "rootfs");
	assert_int_equal(f.drive[0].fd, 102);
	assert_string_equal(f.drive[1].drive_id, "code");
	assert_int_equal(f.drive[1].fd, 103);
	assert_int_equal(f.set_fd, 104);
	assert_int_equal(f.stream_count, 1);
	assert_int_equal(f.stream[0].port, 1024);
	assert_int_equal(f.stream[0].fd, 105);
	assert_int_equal(f.blocks_fd, 106);
	assert_int_equal(f.block_count, 2);
	assert_int_equal(f.block[0].guest, 4);
	assert_int_equal(f.block[1].guest, 65535);
	assert_int_equal(f.block[1].file, 7);
}

static void test_order_is_free(void **state)
{
	assert_int_equal(parse("fill memory state", 2), 0);
	assert_int_equal(f.memory_fd, 100);
	assert_int_equal(f.state_fd, 101);
	assert_int_equal(f.set_fd, -1);
	assert_int_equal(f.blocks_fd, -1);
	assert_int_equal(f.drive_count + f.stream_count + f.block_count, 0);
}

static void test_refused(void **state)
{
	static const struct { const char *text; unsigned fds; } bad[] = {
		{"", 0}, {"fill", 0}, {"fil state memory", 2}, {"fill state", 1}, {"fill memory", 1},
		{"fill state memory", 1}, {"fill state memory", 3}, {"fill state memory state", 3},
		{"fill state memory set set", 4}, {"fill state memory ", 3}, {"fill  state memory", 3},
		{"fill state memory drive", 3}, {"fill state memory drive=", 3}, {"fill state memory drive=a drive=a", 4},
		{"fill state=1 memory", 2}, {"fill state memory stream", 3}, {"fill state memory stream=", 3},
		{"fill state memory stream=4294967296", 3}, {"fill state memory stream=-1", 3},
		{"fill state memory stream=1 stream=1", 4},
		{"fill state memory stream=1 stream=2 stream=3 stream=4 stream=5", 7},
		{"fill state memory drive=1 drive=2 drive=3 drive=4 drive=5 drive=6 drive=7 drive=8 drive=9", 11},
		{"fill state memory blocks", 3}, {"fill state memory blocks=", 3}, {"fill state memory blocks=1", 3},
		{"fill state memory blocks=1=65536", 3}, {"fill state memory blocks=1=2,", 3},
		{"fill state memory blocks=1=2 blocks=1=2", 4}, {"fill state memory reusable", 3},
		{"fill state memory set\n", 3},
	};
	char many[400] = "fill state memory blocks=0=0";

	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		if (parse(bad[i].text, bad[i].fds) != -EINVAL)
			fail_msg("taken: %s", bad[i].text);
	}
	for (unsigned i = 1; i < FILL_MAX_BLOCKS; i++)
		strcat(many, ",0=0");
	assert_int_equal(parse(many, 3), 0);
	strcat(many, ",0=0");
	assert_int_equal(parse(many, 3), -EINVAL);
}

/* --- the socket --- */

static int pair[2];

static int open_pair(void **state)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int close_pair(void **state)
{
	close(pair[0]);
	return close(pair[1]);
}

static void send_with(const char *line, size_t len, const int *fd, unsigned count)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(char *)(uintptr_t)line, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fd, count * sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &msg, 0), (int)len);
}

static void test_received(void **state)
{
	static const char line[] = "fill state memory\n";
	int fd[2] = {dup(0), dup(1)};

	send_with(line, sizeof(line) - 1, fd, 2);
	assert_int_equal(fill_receive(pair[1], &f, &err), 0);
	assert_true(f.state_fd > fd[1] && f.memory_fd > fd[1] && f.state_fd != f.memory_fd);
	assert_int_equal(fcntl(f.state_fd, F_GETFD), FD_CLOEXEC);
	close(f.state_fd);
	close(f.memory_fd);
	close(fd[0]);
	close(fd[1]);
}

static int highest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void test_not_received(void **state)
{
	static const char whole[] = "fill state memory\n", nul[] = "fill state\0 memory\n";
	char text[FILL_TEXT_MAX + 8];
	int fd[64], before = highest();

	for (unsigned i = 0; i < 64; i++)
		fd[i] = 0;
	assert_int_equal(fill_receive(pair[1], &f, &err), -EAGAIN);
	send_with("fill state mem", 14, fd, 2);
	assert_int_equal(fill_receive(pair[1], &f, &err), -EINVAL);
	send_with(nul, sizeof(nul) - 1, fd, 2);
	assert_int_equal(fill_receive(pair[1], &f, &err), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	send_with(text, sizeof(text), fd, 1);
	assert_int_equal(fill_receive(pair[1], &f, &err), -EINVAL);
	for (int i = before; i < before + 16; i++)
		close(i); /* what came with messages that were read as far as their line */
	close_pair(NULL);
	open_pair(NULL);
	before = highest();
	send_with(whole, sizeof(whole) - 1, fd, 64); /* more than there is room for */
	assert_int_equal(fill_receive(pair[1], &f, &err), -EINVAL);
	assert_int_equal(highest(), before);
	shutdown(pair[0], SHUT_WR);
	assert_int_equal(fill_receive(pair[1], &f, &err), -ESHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_words),
		cmocka_unit_test(test_order_is_free),
		cmocka_unit_test(test_refused),
		cmocka_unit_test_setup_teardown(test_received, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_not_received, open_pair, close_pair),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

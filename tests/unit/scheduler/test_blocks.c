/* The store of shared blocks: same content once, other content beside it, never more than fits. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scheduler/blocks.h"

/* A memory file of `count` blocks; byte i of fill is block i's. Its path lives as long as fd. */
static const char *memory_file(int *ret_fd, const char *fill)
{
	static char path[2][64];
	static unsigned turn;
	uint8_t *content = malloc(BLOCKS_UNIT);

	turn ^= 1;
	*ret_fd = memfd_create("memory", MFD_CLOEXEC);
	snprintf(path[turn], sizeof(path[turn]), "/proc/self/fd/%d", *ret_fd);
	for (size_t i = 0; fill[i]; i++) {
		memset(content, fill[i], BLOCKS_UNIT);
		assert_int_equal(pwrite(*ret_fd, content, BLOCKS_UNIT, (off_t)i * BLOCKS_UNIT), BLOCKS_UNIT);
	}
	free(content);
	return path[turn];
}

static struct blocks *new_store(void)
{
	struct blocks *b = blocks_new();

	if (!b)
		skip(); /* needs CAP_SYS_ADMIN */
	return b;
}

static char stored(const struct blocks *b, unsigned block)
{
	char c[2] = "";

	assert_int_equal(pread(blocks_fd(b), c, 1, (off_t)block * BLOCKS_UNIT + 4711), 1);
	return c[0];
}

static void test_same_content_once(void **state)
{
	static const uint16_t all[] = {0, 1, 2}, last[] = {3};
	struct blocks *b = new_store();
	struct block_use one[BLOCKS_EACH], two[BLOCKS_EACH];
	int fd[2];

	assert_int_equal(blocks_share(b, memory_file(&fd[0], "aba"), all, 3, one), 3);
	assert_int_equal(one[0].guest, 0);
	assert_int_equal(one[1].guest, 1);
	assert_int_equal(one[2].guest, 2);
	assert_int_equal(one[0].store, one[2].store);
	assert_int_not_equal(one[0].store, one[1].store);
	assert_int_equal(stored(b, one[0].store), 'a');
	assert_int_equal(stored(b, one[1].store), 'b');
	assert_int_equal(blocks_share(b, memory_file(&fd[1], "xyzb"), last, 1, two), 1);
	assert_int_equal(two[0].guest, 3);
	assert_int_equal(two[0].store, one[1].store);
	close(fd[0]);
	close(fd[1]);
	blocks_free(b);
}

static void test_bounds(void **state)
{
	static const uint16_t outside[] = {1, 7}, many[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct blocks *b = new_store();
	struct block_use use[BLOCKS_EACH];
	char fill[] = "0123456789";
	unsigned got = 0;
	int fd;

	assert_int_equal(blocks_share(b, "/nowhere/memory", many, 1, use), 0);
	assert_int_equal(blocks_share(NULL, "/nowhere/memory", many, 1, use), 0);
	assert_int_equal(blocks_share(b, memory_file(&fd, "ab"), outside, 2, use), 1); /* the file ends before 7 */
	close(fd);
	for (unsigned i = 0; i < 8; i++) {
		for (char *c = fill; *c; c++)
			*c = (char)(*c + 10); /* all new */
		got = blocks_share(b, memory_file(&fd, fill), many, 10, use);
		assert_true(got <= BLOCKS_EACH);
		for (unsigned k = 0; k < got; k++) {
			assert_true(use[k].store < BLOCKS_MAX);
			assert_int_equal(stored(b, use[k].store), fill[k]);
		}
		close(fd);
	}
	assert_int_equal(got, 0); /* full */
	blocks_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_content_once),
		cmocka_unit_test(test_bounds),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
	static const struct block_want all[] = {{0, BLOCKS_MANY}, {1, 1}, {2, 512}}, last[] = {{3, 1}};
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
	static const struct block_want outside[] = {{1, 512}, {7, 512}};
	struct blocks *b = new_store();
	struct block_want many[10];
	struct block_use use[BLOCKS_EACH];
	char fill[] = "0123456789";
	unsigned got = 0;
	int fd;

	for (uint16_t i = 0; i < 10; i++)
		many[i] = (struct block_want){i, 512};

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

/* A block of which few pages are read gets in only while there are few, but is found at any time. */
static void test_few_pages(void **state)
{
	static const struct block_want few[] = {{0, BLOCKS_MANY - 1}}, many[] = {{0, BLOCKS_MANY}};
	struct blocks *b = new_store();
	struct block_use use[BLOCKS_EACH];
	char fill[2] = "a";
	int fd;

	for (unsigned i = 0; i <= BLOCKS_FEW; i++) {
		fill[0] = (char)('a' + i);
		assert_int_equal(blocks_share(b, memory_file(&fd, fill), few, 1, use), i < BLOCKS_FEW);
		close(fd);
	}
	assert_int_equal(blocks_share(b, memory_file(&fd, fill), many, 1, use), 1);
	assert_int_equal(use[0].store, BLOCKS_FEW);
	close(fd);
	assert_int_equal(blocks_share(b, memory_file(&fd, fill), few, 1, use), 1);
	assert_int_equal(use[0].store, BLOCKS_FEW);
	close(fd);
	blocks_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_content_once),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_few_pages),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

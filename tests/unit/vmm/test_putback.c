/* Written pages become the file's again: copied when they are known, dropped when they are new; holes stay holes. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/pages.h"
#include "vmm/putback.h"

#define PAGES (PUTBACK_MIN_PAGES + 700u)
#define HOLE  32u /* here and after it, 16 pages of the file are a hole */
#define PAGE  4096u

static struct putback *pb;
static uint8_t *mem;
static int file;

static uint8_t content(unsigned page)
{
	return page >= HOLE && page < HOLE + 16 ? 0 : (uint8_t)(page % 251 + 1);
}

static int start(void **state)
{
	uint8_t page[PAGE];
	struct stk_err err = {0};

	file = memfd_create("file", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, (off_t)PAGES * PAGE) < 0)
		return -1;
	for (unsigned i = 0; i < PAGES; i++) {
		memset(page, content(i), sizeof(page));
		if (content(i) && pwrite(file, page, PAGE, (off_t)i * PAGE) != PAGE)
			return -1;
	}
	mem = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	return mem == MAP_FAILED || putback_new(mem, (uint64_t)PAGES * PAGE, file, &pb, &err) < 0 ? -1 : 0;
}

static int finish(void **state)
{
	putback_free(pb);
	munmap(mem, (size_t)PAGES * PAGE);
	return close(file);
}

static void scribble(unsigned page)
{
	memset(mem + (size_t)page * PAGE, 0xee, PAGE);
}

static uint64_t round_trip(void)
{
	struct stk_err err = {0};

	assert_int_equal(putback_find(pb, &err), 0);
	return putback_run(pb);
}

static void assert_pristine(void)
{
	for (unsigned i = 0; i < PAGES; i++) {
		const uint8_t *p = mem + (size_t)i * PAGE;

		if (p[0] != content(i) || memcmp(p, p + 1, PAGE - 1) != 0)
			fail_msg("page %u is not the file's", i);
	}
}

/* Pages of the mapping that are the process's own. */
static unsigned own_pages(void)
{
	return pages_there(mem, PAGES, PM_FILE);
}

static void test_first_search_keeps(void **state)
{
	blkcnt_t before, after;
	struct stat st;

	scribble(0);
	scribble(7);
	scribble(8);
	scribble(HOLE + 3);
	scribble(PAGES - 1);
	fstat(file, &st);
	before = st.st_blocks;
	assert_int_equal(round_trip(), 5);
	assert_int_equal(own_pages(), 5);
	fstat(file, &st);
	after = st.st_blocks;
	assert_int_equal(before, after); /* no hole got memory by being looked at */
	assert_pristine();
}

static void test_known_pages_need_no_search(void **state)
{
	scribble(5);
	assert_int_equal(round_trip(), 1);
	for (unsigned i = 0; i < 10; i++) {
		scribble(5);
		assert_int_equal(putback_run(pb), 1);
		assert_int_equal(mem[5 * PAGE], content(5));
	}
}

static void test_seen_once_is_dropped_seen_twice_is_kept(void **state)
{
	scribble(5);
	assert_int_equal(round_trip(), 1);
	for (unsigned i = 100; i < 900; i++)
		scribble(i);
	assert_int_equal(round_trip(), 1);
	assert_int_equal(own_pages(), 1);
	assert_pristine();
	scribble(100);
	scribble(HOLE);
	assert_int_equal(round_trip(), 2);
	assert_int_equal(own_pages(), 2);
	assert_pristine();
}

static void test_bound(void **state)
{
	for (unsigned i = 0; i < PAGES; i++)
		scribble(i);
	assert_int_equal(round_trip(), PUTBACK_MIN_PAGES);
	assert_int_equal(own_pages(), PUTBACK_MIN_PAGES);
	assert_pristine();
}

static void test_nothing_written(void **state)
{
	assert_int_equal(round_trip(), 0);
	scribble(3); /* the first search was that one: this page is new */
	assert_int_equal(round_trip(), 0);
	assert_pristine();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_search_keeps, start, finish),
		cmocka_unit_test_setup_teardown(test_known_pages_need_no_search, start, finish),
		cmocka_unit_test_setup_teardown(test_seen_once_is_dropped_seen_twice_is_kept, start, finish),
		cmocka_unit_test_setup_teardown(test_bound, start, finish),
		cmocka_unit_test_setup_teardown(test_nothing_written, start, finish),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

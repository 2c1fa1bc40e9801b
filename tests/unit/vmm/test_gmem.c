/* Guest memory: which addresses are RAM, and that nothing outside it can be reached. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/gmem.h"

#define MIB (1ULL << 20)

static void test_bounds(void **state)
{
	struct gmem m;

	assert_int_equal(gmem_init_anon(&m, 16 * MIB, NULL), 0);
	assert_ptr_equal(gmem_ptr(&m, gpa(0), 1), m.base);
	assert_ptr_equal(gmem_ptr(&m, gpa(0), 16 * MIB), m.base);
	assert_null(gmem_ptr(&m, gpa(0), 16 * MIB + 1));
	assert_ptr_equal(gmem_ptr(&m, gpa(16 * MIB - 1), 1), m.base + 16 * MIB - 1);
	assert_null(gmem_ptr(&m, gpa(16 * MIB - 1), 2));
	assert_null(gmem_ptr(&m, gpa(16 * MIB), 0));
	assert_non_null(gmem_ptr(&m, gpa(16 * MIB - 1), 0));
	/* sums that would wrap */
	assert_null(gmem_ptr(&m, gpa(UINT64_MAX), 1));
	assert_null(gmem_ptr(&m, gpa(8), UINT64_MAX));
	assert_null(gmem_ptr(&m, gpa(UINT64_MAX - 4), 8));
	assert_true(gmem_offset(&m, gpa(4096)) == 4096);
	assert_true(gmem_offset(&m, gpa(16 * MIB)) == UINT64_MAX);
	gmem_fini(&m);
	gmem_fini(&m);
}

static void test_hole(void **state)
{
	struct gmem m;
	uint64_t low = GMEM_HOLE_START, high = 64 * MIB;

	assert_int_equal(gmem_init_anon(&m, low + high, NULL), 0);
	assert_true(gmem_low_size(&m) == low);
	assert_non_null(gmem_ptr(&m, gpa(low - 8), 8));
	assert_null(gmem_ptr(&m, gpa(low - 8), 9)); /* never across, although the mapping goes on */
	assert_null(gmem_ptr(&m, gpa(low), 1));
	assert_null(gmem_ptr(&m, gpa(GMEM_HOLE_END - 1), 1));
	assert_ptr_equal(gmem_ptr(&m, gpa(GMEM_HOLE_END), high), m.base + low);
	assert_null(gmem_ptr(&m, gpa(GMEM_HOLE_END), high + 1));
	assert_null(gmem_ptr(&m, gpa(GMEM_HOLE_END + high), 0));
	assert_true(gmem_offset(&m, gpa(GMEM_HOLE_END + 5)) == low + 5);
	gmem_fini(&m);
}

static void test_sizes(void **state)
{
	struct stk_err err;
	struct gmem m;

	assert_int_equal(gmem_init_anon(&m, 0, &err), -EINVAL);
	assert_int_equal(gmem_init_anon(&m, 4097, &err), -EINVAL);
	assert_int_equal(gmem_init_anon(&m, UINT64_MAX - 4095, &err), -EINVAL);
	assert_null(m.base);
	gmem_fini(&m);
}

static void test_private_file(void **state)
{
	stk_autofd fd = memfd_create("t", MFD_CLOEXEC);
	struct gmem a, b;
	char byte = 'x';

	assert_int_equal(ftruncate(fd, 2 * MIB), 0);
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	assert_int_equal(gmem_init_file(&a, fd, 2 * MIB, NULL), 0);
	assert_int_equal(gmem_init_file(&b, fd, 2 * MIB, NULL), 0);
	*(char *)gmem_ptr(&a, gpa(100), 1) = 'y';
	assert_int_equal(*(char *)gmem_ptr(&b, gpa(100), 1), 'x'); /* clones do not see each other */
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	assert_int_equal(byte, 'x'); /* nor does the file change */
	gmem_fini(&a);
	gmem_fini(&b);
}

/* What KVM was told of stays where it is. */
static void test_mapped_over(void **state)
{
	stk_autofd fd = memfd_create("t", MFD_CLOEXEC);
	struct stk_err err;
	struct gmem m;
	uint8_t *base;

	assert_int_equal(ftruncate(fd, 3 * MIB), 0);
	assert_int_equal(pwrite(fd, "x", 1, 3 * MIB - 1), 1);
	assert_int_equal(gmem_reserve(&m, 0, &err), -EINVAL);
	assert_int_equal(gmem_reserve(&m, 3 * MIB, &err), 0);
	base = m.base;
	assert_int_equal((uintptr_t)base % GMEM_BLOCK, 0);
	assert_int_equal(read(fd, base, 1), -1); /* not to be reached */
	assert_int_equal(errno, EFAULT);
	assert_int_equal(gmem_map_file(&m, fd, &err), 0);
	assert_ptr_equal(m.base, base);
	assert_int_equal(m.size, 3 * MIB);
	assert_int_equal(base[3 * MIB - 1], 'x');
	base[0] = 'y';
	assert_int_equal(gmem_map_file(&m, -1, &err), -EBADF);
	gmem_fini(&m);
}

static void test_blocks(void **state)
{
	struct gmem m;
	struct stk_err err;
	char byte = 0;
	int fd = memfd_create("memory", MFD_CLOEXEC), store = memfd_create("blocks", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	assert_int_equal(ftruncate(store, 4 * MIB), 0);
	assert_int_equal(pwrite(fd, "0", 1, 2 * MIB - 1), 1);
	assert_int_equal(pwrite(fd, "1", 1, 2 * MIB), 1);
	assert_int_equal(pwrite(fd, "2", 1, 4 * MIB), 1);
	assert_int_equal(pwrite(store, "b", 1, 2 * MIB), 1);
	assert_int_equal(gmem_init_file(&m, fd, 8 * MIB, NULL), 0);
	assert_int_equal((uintptr_t)m.base % GMEM_BLOCK, 0); /* huge pages need it */
	assert_int_equal(gmem_map_block(&m, store, (struct gmem_block){1, 1}, &err), 0);
	assert_int_equal(m.base[2 * MIB], 'b');
	assert_int_equal(m.base[2 * MIB - 1], '0');
	assert_int_equal(m.base[4 * MIB], '2');
	m.base[2 * MIB] = 'w';
	assert_int_equal(pread(store, &byte, 1, 2 * MIB), 1);
	assert_int_equal(byte, 'b'); /* clones do not see each other */
	assert_int_equal(gmem_map_block(&m, store, (struct gmem_block){4, 0}, &err), -ERANGE);
	assert_int_equal(gmem_map_block(&m, store, (struct gmem_block){0, 2}, &err), -ERANGE);
	assert_int_equal(gmem_map_block(&m, store, (struct gmem_block){UINT16_MAX, UINT16_MAX}, &err), -ERANGE);
	assert_int_equal(m.base[6 * MIB], 0);
	gmem_fini(&m);
	close(fd);
	close(store);
}

/* Fresh memory in place of the file's, in whole blocks of what there is. */
static void test_empty(void **state)
{
	stk_autofd fd = memfd_create("memory", MFD_CLOEXEC);
	struct stk_err err;
	struct gmem m;

	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	for (int i = 0; i < 8; i += 2)
		assert_int_equal(pwrite(fd, "f", 1, i * (off_t)MIB), 1);
	assert_int_equal(gmem_init_file(&m, fd, 8 * MIB, NULL), 0);
	assert_int_equal(gmem_map_empty(&m, 2 * MIB, 4 * MIB, &err), 0);
	assert_int_equal(m.base[0], 'f');
	assert_int_equal(m.base[2 * MIB], 0);
	assert_int_equal(m.base[4 * MIB], 0);
	assert_int_equal(m.base[6 * MIB], 'f');
	m.base[4 * MIB] = 1;
	assert_int_equal(gmem_map_empty(&m, 6 * MIB, 4 * MIB, &err), -ERANGE);
	assert_int_equal(gmem_map_empty(&m, 10 * MIB, 0, &err), -ERANGE);
	assert_int_equal(gmem_map_empty(&m, MIB, 2 * MIB, &err), -ERANGE);
	assert_int_equal(gmem_map_empty(&m, 2 * MIB, UINT64_MAX - 2 * MIB + 1, &err), -ERANGE);
	assert_int_equal(m.base[6 * MIB], 'f');
	gmem_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hole),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_mapped_over),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_blocks),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

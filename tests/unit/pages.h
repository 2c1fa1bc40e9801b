/* What memory of this process is there, for tests. */
#ifndef TESTS_UNIT_PAGES_H
#define TESTS_UNIT_PAGES_H

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "snapshots/pagemap.h"

/* How many of n pages from p's on are there, and have none of the flags (PM_) `without`. */
static inline unsigned pages_there(const void *p, unsigned n, uint64_t without)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned there = 0;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < n; i++) {
		uint64_t e;

		assert_int_equal(pread(fd, &e, 8, (off_t)(((uintptr_t)p / 4096 + i) * 8)), 8);
		there += (e & PM_PRESENT_OR_SWAPPED) && !(e & without);
	}
	close(fd);
	return there;
}

#endif

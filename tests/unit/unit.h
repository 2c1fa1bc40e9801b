/* What every unit test includes: cmocka with its prerequisites, a time limit, a look at open
 * descriptors. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "common/base/cleanup.h"

/* A test program that hangs is ended by SIGALRM. */
static inline void unit_time_limit(unsigned seconds)
{
	alarm(seconds);
}

/* Open descriptors of this process. */
static inline unsigned unit_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

#endif

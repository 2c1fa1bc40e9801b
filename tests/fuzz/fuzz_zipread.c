/* Packages: whatever the bytes, nothing may appear outside of the destination. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "scheduler/fsx.h"
#include "scheduler/zipread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outer[64], dest[80];

static void clean_up(void)
{
	fsx_remove_tree(outer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct zipread_limits limits = {1 << 20, 64};
	struct stk_err err;
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (!outer[0]) {
		snprintf(outer, sizeof(outer), "/tmp/stoker-fuzz-zip-XXXXXX");
		if (!mkdtemp(outer))
			abort();
		snprintf(dest, sizeof(dest), "%s/a", outer);
		atexit(clean_up);
	}
	if (mkdir(dest, 0755))
		abort();
	zipread_unpack_memory(data, size, dest, &limits, &err);
	d = opendir(outer);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	if (n != 1 || fsx_remove_tree(dest))
		abort();
	return 0;
}

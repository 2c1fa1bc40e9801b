/* See region.h. */
#include "scheduler/region.h"

#include "common/base/str.h"
#include "snapshots/funcenv.h"

static char current[REGION_CAP] = SNAP_REGION;

const char *region_name(void)
{
	return current;
}

void region_set(const char *name)
{
	stk_strcpy(current, sizeof(current), name);
}

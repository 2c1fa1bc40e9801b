/* stoker-snapshot verify: every byte of a snapshot against its checksums. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "snapshots/catalog.h"
#include "snapshots/tool/tool.h"

static const char usage[] = "usage: stoker-snapshot verify DIR\n";

int cmd_verify(int argc, char **argv)
{
	struct stk_err err = {0, ""};
	int r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return tool_usage(usage, NULL);
	if (argc != 2 || argv[1][0] == '-')
		return tool_usage(usage, "verify: expected one folder");
	progress_step("checking");
	r = snap_catalog_verify(argv[1], &err);
	progress_step(NULL);
	if (r == 0) {
		printf("%s: ok\n", argv[1]);
		return TOOL_OK;
	}
	return tool_fail(r == -EBADMSG ? TOOL_DAMAGED : TOOL_SYSTEM, &err);
}

/* Results as JSON in a file: see json_out.h. */
#include "bench/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"

int json_out(json_t *o, const char *path, struct stk_err *err)
{
	stk_autofree char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
	int rc = 0;

	json_decref(o);
	if (!text)
		return stk_err_sys(err, -ENOMEM, "JSON");
	if (strcmp(path, "-") == 0)
		puts(text);
	else
		rc = stk_write_file_atomic(path, text, strlen(text), 0644);
	return rc < 0 ? stk_err_sys(err, rc, "%s", path) : 0;
}

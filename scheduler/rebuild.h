/* Makes the files of a version that the registry knows from the code that is stored with it: image and snapshot. */
#ifndef SCHEDULER_REBUILD_H
#define SCHEDULER_REBUILD_H

#include "scheduler/build.h"

struct daemon;
struct fn_version;

/* done is called once, on the loop, perhaps before this returns; r is freed behind it. ver is counted until then. The new
 * files are in place of the old ones when r->fault is BUILD_OK, the database is the caller's to change. r->err is
 * -ECANCELED when the host shuts down, or ver was deleted. admitted: see struct build_spec. */
void rebuild_start(struct daemon *d, struct fn_version *ver, bool admitted,
		   void (*done)(void *ctx, const struct build_result *r), void *ctx);

#endif

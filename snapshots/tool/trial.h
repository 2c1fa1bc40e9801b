/* The first clone of a new snapshot: it shows that the snapshot restores, and which pages a clone
 * writes before its first invocation. */
#ifndef SNAPSHOTS_TOOL_TRIAL_H
#define SNAPSHOTS_TOOL_TRIAL_H

#include <stdint.h>

#include "common/base/err.h"

/* Restores the files `state` and `memory` of the folder `dir` with the monitor `vmm`, resumes the
 * guest with a warm-up (no code of the function runs) and writes `dir`/working-set. The clone is
 * gone when this returns. Everything has to be over at deadline_ns (monotonic). */
int trial_run(const char *vmm, const char *dir, unsigned mem_size_mib, uint64_t deadline_ns, struct stk_err *err);

#endif

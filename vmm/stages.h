/* Where the time of a start goes: named marks since the process began, shown at level debug.
 * Main thread only; costs one clock reading per mark. */
#ifndef VMM_STAGES_H
#define VMM_STAGES_H

#include <stdint.h>

void stages_begin(void);
/* The stage that ends now. name is kept by reference. */
void stages_mark(const char *name);
/* The vCPUs have been let go. stages_running_ns: when that was, in nanoseconds since stages_begin. */
void stages_mark_running(void);
uint64_t stages_running_ns(void);
/* "name us, name us, ..., total us" in one debug line. */
void stages_log(void);

#endif

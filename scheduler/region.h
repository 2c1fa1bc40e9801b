/* The region that this host is: in ARNs, and in the environment of functions. One for the whole process: set before there are
 * threads, then only read, by any of them. */
#ifndef SCHEDULER_REGION_H
#define SCHEDULER_REGION_H

#define REGION_CAP 32

/* SNAP_REGION before region_set. */
const char *region_name(void);
/* valid: see lambda_region_valid. */
void region_set(const char *name);

#endif

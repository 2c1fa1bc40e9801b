/* Before the snapshot: mapped files are read into memory; what is still free is made zero, so that the snapshot
 * leaves it out. */
#ifndef GUEST_INIT_TRIM_H
#define GUEST_INIT_TRIM_H

#include <stdint.h>

/* Writes disks back, reads mapped files, writes all free memory once: takes a while. Root in the guest. Returns the
 * bytes in use afterwards. */
uint64_t trim_memory(void);

#endif

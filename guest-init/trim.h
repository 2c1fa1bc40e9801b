/* Before the snapshot: what is free is made zero, so that the snapshot leaves it out; mapped files are read into
 * memory. */
#ifndef GUEST_INIT_TRIM_H
#define GUEST_INIT_TRIM_H

#include <stdint.h>

/* Writes disks back, writes all free memory once, reads mapped files: takes a while. Root in the guest. Returns the
 * bytes in use afterwards. */
uint64_t trim_memory(void);

#endif

/* Before the snapshot: what is free is made zero, so that the snapshot leaves it out; mapped files are read into
 * memory. */
#ifndef GUEST_INIT_TRIM_H
#define GUEST_INIT_TRIM_H

#include <stdint.h>

/* Writes disks back, writes free memory once, reads mapped files: takes a while. Root in the guest. Of a large memory only so
 * much of what is free is written as may have been used before, by `given`, the bytes that the host has given to the machine
 * so far: what was never used is neither there nor in the snapshot, and the host need not have it. Returns the bytes in use
 * afterwards. */
uint64_t trim_memory(uint64_t given);

#endif

/* What makes a clone a machine of its own: wall clock, entropy, host name, boot id. Everything is
 * prepared before the snapshot, so that a clone needs a handful of system calls. Root in the
 * guest; never used by the tests on a developer's machine. */
#ifndef GUEST_INIT_RESUME_H
#define GUEST_INIT_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/guestwire.h"

#define RESUME_BOOT_ID_FILE "/run/stoker/boot_id"

struct resume {
	int random_fd;  /* /dev/random, kept open; -1: none */
	int memory_fd;  /* /dev/mem; -1: none */
	int boot_id_fd; /* the file bound over /proc/sys/kernel/random/boot_id; -1: none */
};

/* Opens all and binds the boot id file over the kernel's. Needs /proc, /dev, /run. What fails is
 * logged; entropy without /dev/random is the one failure (negative errno). */
int resume_prepare(struct resume *r);

/* Sets the wall clock (ns since the epoch) unless it is right to RESUME_CLOCK_SLACK_NS: setting it costs more than
 * looking. 0 is taken as "not given". 0 or negative errno. */
#define RESUME_CLOCK_SLACK_NS 2000000
int resume_clock(uint64_t wall_ns);

/* Credits the bytes to the kernel's generator; `reseed`: and makes it use them from now on, instead of with its next
 * reseeding. 0 or negative errno. */
int resume_entropy(struct resume *r, const uint8_t entropy[GW_ENTROPY_LEN], bool reseed);

/* A fresh random boot id; call after resume_entropy. 0 or negative errno. */
int resume_boot_id(struct resume *r);

/* Reads a byte of each of these page frames, so that the host maps them. Frames that are not memory end it. */
void resume_touch(const struct resume *r, uint64_t first, uint64_t count);

/* name is not NUL-terminated; an empty one changes nothing. 0 or negative errno. */
int resume_hostname(const char *name, size_t len);

#endif

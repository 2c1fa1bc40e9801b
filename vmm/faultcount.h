/* Numbers that grow whenever a page of this process may have become its own, cheaply read.
 *
 * The kernel's counts of resident pages (/proc/self/statm) will not do: they are kept per thread or per processor and
 * added up late, so that tens of pages can be missing. Exact are the page faults of our threads; and what KVM brings
 * in from a kernel thread of its own (asynchronous page faults) begins with a guest page fault, which KVM counts. */
#ifndef VMM_FAULTCOUNT_H
#define VMM_FAULTCOUNT_H

#include <stdint.h>

#include "vmm/vcpu.h"

struct faultcount {
	unsigned count;
	int fd[VMCONFIG_MAX_VCPUS]; /* KVM's statistics of each vCPU */
	int64_t offset;             /* of pf_taken in them */
};

struct faultcount_value {
	uint64_t own;   /* of our threads */
	uint64_t guest; /* what KVM counts */
};

/* Before the thread is confined. -ENOTSUP: this kernel does not tell (Linux 5.19 does). */
int faultcount_open(struct faultcount *f, const struct vcpu_set *vcpus);
void faultcount_close(struct faultcount *f); /* accepts zeroed */
int faultcount_read(const struct faultcount *f, struct faultcount_value *ret);

#endif

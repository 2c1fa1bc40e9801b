/* /dev/kvm and the descriptors behind it: checked calls with texts a person can act on. */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>
#include <stdint.h>

#include "common/base/err.h"
#include "vmm/gmem.h"

struct kvm {
	int sys_fd; /* /dev/kvm */
	int vm_fd;
	int run_size; /* bytes of one vCPU's shared page area */
};

/* Opens /dev/kvm and checks the API version; the text says what to do when there is none. */
int kvm_open(struct kvm *kvm, struct stk_err *err);
int kvm_create_vm(struct kvm *kvm, struct stk_err *err);
/* RAM slots. Before kvm_create_irqchip: registering the chip's I/O ranges starts a grace period
 * that the next change of slots would have to sit out. */
int kvm_set_memory(struct kvm *kvm, const struct gmem *m, struct stk_err *err);
int kvm_create_irqchip(struct kvm *kvm, struct stk_err *err);
void kvm_fini(struct kvm *kvm); /* accepts half-built; fds are -1 when closed */

/* ioctl(2), retried on EINTR, -errno on failure with err = "<name>: <reason>". */
int kvm_ioctl(int fd, unsigned long req, void *arg, const char *name, struct stk_err *err);
#define KVM_CALL(fd, req, arg, err) kvm_ioctl((fd), (req), (arg), #req, (err))

#endif

/* Interrupt lines and doorbells: KVM_IRQ_LINE towards the guest, ioeventfd from it. */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdint.h>

#include "common/base/err.h"
#include "vmm/gmem.h"

/* One edge-triggered line of the I/O APIC. No irqfd: for such lines KVM hands an eventfd's signal to a worker thread
 * first, and at the end of the VM each irqfd waits for a grace period (doc/PERFORMANCE.md). */
struct irq_line {
	int kvm_vm_fd; /* not ours; -1: raising does nothing (unit tests and fuzzing) */
	unsigned gsi;
};

/* Any thread; does not wait for the guest. */
void irq_line_raise(const struct irq_line *line);

/* An eventfd (non-blocking) as a doorbell that nothing rings yet. */
int irq_doorbell_new(int *ret_fd, struct stk_err *err);
/* From now on it is signalled by guest writes of any value (4 bytes) to `addr`. KVM waits for a grace
 * period here (milliseconds); kvm_vm_fd < 0: nothing. */
int irq_doorbell_bind(int kvm_vm_fd, gpa_t addr, int fd, struct stk_err *err);

#endif

/* Interrupt lines and doorbells: irqfd towards the guest, ioeventfd from it. */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdint.h>

#include "common/base/err.h"
#include "vmm/gmem.h"

/* One edge-triggered line. Raising is a write(2) to an eventfd: any thread, never blocks. */
struct irq_line {
	int fd; /* eventfd, -1 when closed */
	unsigned gsi;
};

/* kvm_vm_fd < 0: only the eventfd is made (unit tests and fuzzing). */
int irq_line_init(struct irq_line *line, int kvm_vm_fd, unsigned gsi, struct stk_err *err);
void irq_line_raise(struct irq_line *line);
void irq_line_fini(struct irq_line *line);

/* An eventfd (non-blocking) as a doorbell that nothing rings yet. */
int irq_doorbell_new(int *ret_fd, struct stk_err *err);
/* From now on it is signalled by guest writes of any value (4 bytes) to `addr`. KVM waits for a grace
 * period here (milliseconds); kvm_vm_fd < 0: nothing. */
int irq_doorbell_bind(int kvm_vm_fd, gpa_t addr, int fd, struct stk_err *err);

#endif

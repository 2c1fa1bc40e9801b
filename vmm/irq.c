/* Interrupt lines and doorbells: see irq.h. */
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

void irq_line_raise(const struct irq_line *line)
{
	struct kvm_irq_level up = {.irq = line->gsi, .level = 1}, down = {.irq = line->gsi};

	if (line->kvm_vm_fd < 0)
		return;
	/* They only fail for a line that does not exist. */
	(void)ioctl(line->kvm_vm_fd, KVM_IRQ_LINE, &up);
	(void)ioctl(line->kvm_vm_fd, KVM_IRQ_LINE, &down);
}

int irq_doorbell_new(int *ret_fd, struct stk_err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return stk_err_sys(err, -errno, "eventfd for a doorbell");
	*ret_fd = fd;
	return 0;
}

int irq_doorbell_bind(int kvm_vm_fd, gpa_t addr, int fd, struct stk_err *err)
{
	struct kvm_ioeventfd req = {.addr = addr.v, .len = 4, .fd = fd};

	if (kvm_vm_fd >= 0 && ioctl(kvm_vm_fd, KVM_IOEVENTFD, &req) < 0)
		return stk_err_sys(err, -errno, "KVM_IOEVENTFD at 0x%llx", (unsigned long long)addr.v);
	return 0;
}

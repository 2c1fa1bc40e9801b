/* Interrupt lines and doorbells: see irq.h. */
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

int irq_line_init(struct irq_line *line, int kvm_vm_fd, unsigned gsi, struct stk_err *err)
{
	struct kvm_irqfd req = {.gsi = gsi};

	line->gsi = gsi;
	line->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->fd < 0)
		return stk_err_sys(err, -errno, "eventfd for interrupt %u", gsi);
	if (kvm_vm_fd < 0)
		return 0;
	req.fd = (uint32_t)line->fd;
	if (ioctl(kvm_vm_fd, KVM_IRQFD, &req) < 0) {
		int r = stk_err_sys(err, -errno, "KVM_IRQFD for interrupt %u", gsi);

		irq_line_fini(line);
		return r;
	}
	return 0;
}

void irq_line_raise(struct irq_line *line)
{
	const uint64_t one = 1;
	ssize_t n;

	if (line->fd < 0)
		return;
	/* EAGAIN means that the counter is full, so the line is raised already. */
	do
		n = write(line->fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

void irq_line_fini(struct irq_line *line)
{
	/* Closing the last reference takes the irqfd away as well. */
	if (line->fd >= 0)
		close(line->fd);
	line->fd = -1;
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

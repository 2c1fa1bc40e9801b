/* /dev/kvm: see kvm.h. */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

int kvm_ioctl(int fd, unsigned long req, void *arg, const char *name, struct stk_err *err)
{
	int r;

	do
		r = ioctl(fd, req, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? stk_err_sys(err, -errno, "%s", name) : r;
}

int kvm_open(struct kvm *kvm, struct stk_err *err)
{
	int r;

	kvm->vm_fd = -1;
	kvm->run_size = 0;
	kvm->sys_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->sys_fd < 0) {
		r = -errno;
		if (r == -ENOENT)
			return stk_err_set(err, r, "/dev/kvm is missing: load the kvm-intel or kvm-amd module, or switch virtualization on in the firmware");
		if (r == -EACCES || r == -EPERM)
			return stk_err_set(err, r, "/dev/kvm: permission denied: add yourself to the group kvm (usermod -aG kvm USER) and log in again");
		return stk_err_sys(err, r, "/dev/kvm");
	}
	r = KVM_CALL(kvm->sys_fd, KVM_GET_API_VERSION, NULL, err);
	if (r == -ENOTTY)
		stk_err_set(err, r, "/dev/kvm is something else than KVM: load the kvm-intel or kvm-amd module");
	if (r >= 0 && r != KVM_API_VERSION)
		r = stk_err_set(err, -ENOTSUP, "/dev/kvm speaks API version %d, not %d", r, KVM_API_VERSION);
	if (r >= 0)
		r = KVM_CALL(kvm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, err);
	if (r >= 0 && (size_t)r < sizeof(struct kvm_run))
		r = stk_err_set(err, -ENOTSUP, "KVM_GET_VCPU_MMAP_SIZE says %d", r);
	if (r < 0) {
		kvm_fini(kvm);
		return r;
	}
	kvm->run_size = r;
	return 0;
}

int kvm_create_vm(struct kvm *kvm, struct stk_err *err)
{
	int r = KVM_CALL(kvm->sys_fd, KVM_CREATE_VM, NULL, err);

	if (r < 0)
		return r;
	kvm->vm_fd = r;
	return 0;
}

static int set_slot(int vm_fd, uint32_t slot, uint64_t gpa_start, uint8_t *host, uint64_t len,
		    struct stk_err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa_start,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	return KVM_CALL(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, err);
}

int kvm_set_memory(struct kvm *kvm, const struct gmem *m, struct stk_err *err)
{
	uint64_t low = gmem_low_size(m);
	int r = set_slot(kvm->vm_fd, 0, 0, m->base, low, err);

	if (r >= 0 && m->size > low)
		r = set_slot(kvm->vm_fd, 1, GMEM_HOLE_END, m->base + low, m->size - low, err);
	return r < 0 ? r : 0;
}

int kvm_create_irqchip(struct kvm *kvm, struct stk_err *err)
{
	int r = KVM_CALL(kvm->vm_fd, KVM_CREATE_IRQCHIP, NULL, err);

	return r < 0 ? r : 0;
}

void kvm_fini(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->sys_fd >= 0)
		close(kvm->sys_fd);
	kvm->vm_fd = kvm->sys_fd = -1;
}

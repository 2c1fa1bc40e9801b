/* Constants that policies may name, taken from the system's headers. */
#include "jail/policy_parse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "common/base/cleanup.h"

#define N(x) {#x, (uint64_t)(uint32_t)(x)}

static const struct {
	const char *name;
	uint64_t value;
} names[] = {
	N(AF_UNIX), N(SOL_SOCKET), N(SOCK_STREAM),
	N(PROT_EXEC), N(PROT_READ), N(PROT_WRITE), N(PROT_NONE),
	N(F_GETFL), N(F_SETFL), N(F_GETFD), N(F_SETFD), N(F_DUPFD_CLOEXEC),
	N(FIONBIO), N(FIONREAD), N(FIOCLEX), N(TCGETS), N(SIOCOUTQ),
	N(PR_SET_NAME), N(PR_SET_NO_NEW_PRIVS), N(PR_SET_PDEATHSIG),
	N(CLONE_VM), N(CLONE_FS), N(CLONE_FILES), N(CLONE_SIGHAND), N(CLONE_THREAD),
	N(CLONE_SYSVSEM), N(CLONE_SETTLS), N(CLONE_PARENT_SETTID), N(CLONE_CHILD_CLEARTID),
	N(MADV_DONTNEED), N(MADV_WILLNEED), N(MADV_FREE),
	N(KVM_RUN), N(KVM_CHECK_EXTENSION),
	N(KVM_GET_REGS), N(KVM_SET_REGS), N(KVM_GET_SREGS), N(KVM_SET_SREGS),
	N(KVM_GET_SREGS2), N(KVM_SET_SREGS2), N(KVM_GET_FPU), N(KVM_SET_FPU),
	N(KVM_GET_XSAVE), N(KVM_GET_XSAVE2), N(KVM_SET_XSAVE), N(KVM_GET_XCRS), N(KVM_SET_XCRS),
	N(KVM_GET_DEBUGREGS), N(KVM_SET_DEBUGREGS), N(KVM_GET_LAPIC), N(KVM_SET_LAPIC),
	N(KVM_GET_MP_STATE), N(KVM_SET_MP_STATE), N(KVM_GET_VCPU_EVENTS), N(KVM_SET_VCPU_EVENTS),
	N(KVM_GET_MSRS), N(KVM_SET_MSRS), N(KVM_GET_MSR_INDEX_LIST),
	N(KVM_GET_CPUID2), N(KVM_SET_CPUID2), N(KVM_GET_TSC_KHZ), N(KVM_SET_TSC_KHZ),
	N(KVM_GET_DEVICE_ATTR), N(KVM_SET_DEVICE_ATTR), N(KVM_HAS_DEVICE_ATTR),
	N(KVM_GET_IRQCHIP), N(KVM_SET_IRQCHIP), N(KVM_GET_PIT2), N(KVM_SET_PIT2),
	N(KVM_GET_CLOCK), N(KVM_SET_CLOCK), N(KVM_KVMCLOCK_CTRL),
	N(KVM_IOEVENTFD), N(KVM_IRQ_LINE), N(KVM_SIGNAL_MSI),
	N(KVM_SET_USER_MEMORY_REGION), N(KVM_GET_DIRTY_LOG), N(KVM_CLEAR_DIRTY_LOG),
	N(KVM_SET_SIGNAL_MASK), N(KVM_INTERRUPT), N(KVM_NMI), N(KVM_SMI),
};

int policy_name_value(const char *name, uint64_t *ret_value)
{
	for (size_t i = 0; i < STK_ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, name) == 0) {
			*ret_value = names[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

int policy_name_errno(const char *name, int *ret_errno)
{
	static const struct {
		const char *name;
		int value;
	} errs[] = {{"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EACCES", EACCES}, {"EINVAL", EINVAL}};

	for (size_t i = 0; i < STK_ARRAY_LEN(errs); i++) {
		if (strcmp(errs[i].name, name) == 0) {
			*ret_errno = errs[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

/* Installs a prebuilt filter: see seccomp.h. */
#include "jail/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "jail/seccomp_filters.h" /* made by mkpolicy: filter_vmm_main and the others */

int jail_seccomp_install(enum jail_role role, struct stk_err *err)
{
	struct sock_fprog prog = {0, NULL};

	switch (role) {
	case JAIL_VMM_MAIN:
		prog.len = STK_ARRAY_LEN(filter_vmm_main);
		prog.filter = (struct sock_filter *)(uintptr_t)filter_vmm_main;
		break;
	case JAIL_VMM_REUSABLE:
		prog.len = STK_ARRAY_LEN(filter_vmm_reusable);
		prog.filter = (struct sock_filter *)(uintptr_t)filter_vmm_reusable;
		break;
	case JAIL_VMM_SHELL:
		prog.len = STK_ARRAY_LEN(filter_vmm_shell);
		prog.filter = (struct sock_filter *)(uintptr_t)filter_vmm_shell;
		break;
	case JAIL_VMM_VCPU:
		prog.len = STK_ARRAY_LEN(filter_vmm_vcpu);
		prog.filter = (struct sock_filter *)(uintptr_t)filter_vmm_vcpu;
		break;
	}
	if (!prog.filter)
		return stk_err_set(err, -EINVAL, "seccomp: unknown role %d", (int)role);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return stk_err_sys(err, -errno, "seccomp: setting no-new-privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return stk_err_sys(err, -errno, "seccomp: the kernel refuses the filter");
	return 0;
}

/* Things done ahead: see warmup.h. */
#include "vmm/warmup.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE      4096u
#define HEAP      (96u * 1024) /* what restoring a VM takes, about */
#define STACK     (24u * 1024)
#define TOP_PAD   (256u * 1024)
#define NO_MEMORY 0x1000u /* guest address of the first instruction: within the memory, which is not there yet */

/* Of the linker. */
extern char __executable_start[], etext[], edata[], end[];

static void populate(const char *from, const char *to, int advice)
{
	uintptr_t begin = (uintptr_t)from & ~(uintptr_t)(PAGE - 1);

	/* A hint: without it pages come one by one. */
	(void)madvise((void *)begin, ((uintptr_t)to - begin + PAGE - 1) & ~(uintptr_t)(PAGE - 1), advice);
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char space[STACK];

	for (size_t i = 0; i < sizeof(space); i += PAGE)
		space[i] = 0;
}

void warmup_process(void)
{
	char *heap;

	populate(__executable_start, etext, MADV_POPULATE_READ);
	populate(etext, edata, MADV_POPULATE_READ);
	populate(edata, end, MADV_POPULATE_WRITE);
	touch_stack();
	mallopt(M_TOP_PAD, TOP_PAD);
	mallopt(M_TRIM_THRESHOLD, 4 * TOP_PAD);
	heap = malloc(HEAP);
	if (heap)
		memset(heap, 1, HEAP);
	__asm__ volatile("" ::"r"(heap) : "memory"); /* it is meant */
	free(heap);
}

static int prepare_vcpu(int fd, struct stk_err *err)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = NO_MEMORY, .rflags = 2};
	int r = KVM_CALL(fd, KVM_GET_SREGS, &sregs, err);

	if (r < 0)
		return r;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	r = KVM_CALL(fd, KVM_SET_SREGS, &sregs, err);
	return r < 0 ? r : KVM_CALL(fd, KVM_SET_REGS, &regs, err);
}

int warmup_vcpus(const struct kvm *kvm, struct vcpu_set *vcpus, struct cpuid_table *ret_cpuid, struct stk_err *err)
{
	int r = cpuid_host(kvm->sys_fd, ret_cpuid, err);

	for (unsigned i = 0; r >= 0 && i < vcpus->count; i++) {
		cpuid_for_vcpu(ret_cpuid, i, vcpus->count);
		r = KVM_CALL(vcpus->vcpu[i].fd, KVM_SET_CPUID2, ret_cpuid, err);
		if (r >= 0)
			r = prepare_vcpu(vcpus->vcpu[i].fd, err);
	}
	if (r < 0)
		return r;
	r = cpuid_of_vcpu(vcpus->vcpu[0].fd, ret_cpuid, err); /* as KVM gives it back to who makes a snapshot */
	if (r >= 0)
		vcpu_set_rehearse(vcpus);
	return r < 0 ? r : 0;
}

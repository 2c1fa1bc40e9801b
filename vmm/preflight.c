/* KVM check: see preflight.h. */
#include "vmm/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "vmm/gmem.h"
#include "vmm/kvm.h"
#include "vmm/x86/cpuid.h"

#define TIME_LIMIT_S 2
#define MEM_SIZE     0x200000ull

/* Guest physical addresses. */
#define AT_PML4  0x1000u
#define AT_PDPT  0x2000u
#define AT_PD    0x3000u
#define AT_GDT   0x4000u
#define AT_IDT   0x5000u
#define AT_DATA  0x6000u /* cmpxchg16b operand; XSAVE area at +0x40 */
#define AT_STACK 0x9000u
#define AT_CODE  0xa000u

#define RESULT_PORT 0x10
#define RESULT_OK   0x600du

/* The guest's code. R8: address of the data page; R9: 1 when XSAVE may be used. The breakpoint
 * handler adds 1 to RBX. The result goes to RESULT_PORT: RESULT_OK when all went as it should. */
extern const uint8_t preflight_code[], preflight_handler[], preflight_code_end[];
__asm__(".pushsection .rodata\n"
	".balign 16\n"
	"preflight_code:\n"
	"	xor	%eax, %eax\n" /* the operand is 0:0, becomes 2:1 */
	"	xor	%edx, %edx\n"
	"	mov	$1, %ebx\n"
	"	mov	$2, %ecx\n"
	"	lock cmpxchg16b (%r8)\n"
	"	jnz	9f\n"
	"	cmpq	$1, (%r8)\n"
	"	jne	9f\n"
	"	cmpq	$2, 8(%r8)\n"
	"	jne	9f\n"
	"	test	%r9d, %r9d\n"
	"	jz	1f\n"
	"	xor	%ecx, %ecx\n"
	"	mov	$3, %eax\n" /* XCR0: x87 and SSE */
	"	xor	%edx, %edx\n"
	"	xsetbv\n"
	"	mov	$0x5a5a5a5a, %ecx\n"
	"	movd	%ecx, %xmm0\n"
	"	xsave	0x40(%r8)\n"
	"	pxor	%xmm0, %xmm0\n"
	"	xrstor	0x40(%r8)\n"
	"	movd	%xmm0, %ecx\n"
	"	cmp	$0x5a5a5a5a, %ecx\n"
	"	jne	9f\n"
	"1:	xor	%ebx, %ebx\n"
	"	int3\n"
	"	cmp	$1, %ebx\n"
	"	jne	9f\n"
	"	mov	$0x600d, %eax\n"
	"	jmp	8f\n"
	"9:	mov	$0xbad, %eax\n"
	"8:	out	%ax, $0x10\n"
	"	hlt\n"
	"	jmp	8b\n"
	"preflight_handler:\n"
	"	inc	%ebx\n"
	"	iretq\n"
	"preflight_code_end:\n"
	".popsection\n");

struct trial {
	struct kvm kvm;
	struct gmem mem;
	int vcpu_fd;
	struct kvm_run *run;
};

static void on_alarm(int sig)
{
	/* Makes KVM_RUN return. */
}

static void put64(const struct gmem *m, uint64_t at, uint64_t v)
{
	uint64_t *p = gmem_ptr(m, gpa(at), sizeof(v));

	*p = v;
}

static void put_guest(const struct gmem *m)
{
	uint64_t handler = AT_CODE + (uint64_t)(preflight_handler - preflight_code);

	put64(m, AT_PML4, AT_PDPT | 3);
	put64(m, AT_PDPT, AT_PD | 3);
	put64(m, AT_PD, 0x83);
	put64(m, AT_GDT + 8, 0x00af9b000000ffffull);  /* 64-bit code, selector 8 */
	put64(m, AT_GDT + 16, 0x00cf93000000ffffull); /* data, selector 16 */
	/* Vector 3: present interrupt gate to selector 8. */
	put64(m, AT_IDT + 3 * 16, (handler & 0xffff) | 8ull << 16 | 0x8e00ull << 32 | (handler >> 16) << 48);
	memcpy(gmem_ptr(m, gpa(AT_CODE), 4096), preflight_code, (size_t)(preflight_code_end - preflight_code));
}

static bool has_xsave(const struct cpuid_table *t)
{
	for (unsigned i = 0; i < t->head.nent; i++) {
		if (t->entry[i].function == 1)
			return t->entry[i].ecx >> 26 & 1;
	}
	return false;
}

static int set_registers(struct trial *t, bool xsave, struct stk_err *err)
{
	const struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
	const struct kvm_segment data = {.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_regs regs = {.rip = AT_CODE, .rsp = AT_STACK, .rflags = 2, .r8 = AT_DATA, .r9 = xsave};
	struct kvm_sregs s;
	/* XCR0 as the code will set it. Under some emulators of nested virtualization XSETBV does not reach
	 * KVM; an exit in the middle of the test would then bring the old value back. */
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = 3}}};
	int r = xsave ? KVM_CALL(t->vcpu_fd, KVM_SET_XCRS, &xcrs, err) : 0;

	if (r >= 0)
		r = KVM_CALL(t->vcpu_fd, KVM_GET_SREGS, &s, err);
	if (r < 0)
		return r;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = AT_GDT;
	s.gdt.limit = 23;
	s.idt.base = AT_IDT;
	s.idt.limit = 4 * 16 - 1;
	s.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
	s.cr3 = AT_PML4;
	s.cr4 = 0x620 | (xsave ? 1u << 18 : 0); /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	s.efer = 0x500;                         /* LME, LMA */
	r = KVM_CALL(t->vcpu_fd, KVM_SET_SREGS, &s, err);
	return r < 0 ? r : KVM_CALL(t->vcpu_fd, KVM_SET_REGS, &regs, err);
}

static int build(struct trial *t, struct stk_err *err)
{
	struct cpuid_table cpuid;
	void *p;
	int r = kvm_open(&t->kvm, err);

	if (r < 0)
		return r;
	r = kvm_create_vm(&t->kvm, err);
	if (r == 0)
		r = gmem_init_anon(&t->mem, MEM_SIZE, err);
	if (r == 0)
		r = kvm_set_memory(&t->kvm, &t->mem, err);
	if (r == 0)
		r = KVM_CALL(t->kvm.vm_fd, KVM_CREATE_VCPU, NULL, err);
	if (r < 0)
		return r;
	t->vcpu_fd = r;
	p = mmap(NULL, (size_t)t->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu_fd, 0);
	if (p == MAP_FAILED)
		return stk_err_sys(err, -errno, "cannot map vCPU state");
	t->run = p;
	put_guest(&t->mem);
	r = cpuid_host(t->kvm.sys_fd, &cpuid, err);
	if (r == 0)
		r = KVM_CALL(t->vcpu_fd, KVM_SET_CPUID2, &cpuid, err);
	return r < 0 ? r : set_registers(t, has_xsave(&cpuid), err);
}

static int failed(const struct trial *t, const char *what, struct stk_err *err)
{
	struct kvm_regs regs = {0};

	(void)ioctl(t->vcpu_fd, KVM_GET_REGS, &regs);
	return stk_err_set(err, -ENOTSUP,
			   "guest code failed to run: %s at byte %lld of the test: this /dev/kvm cannot run ordinary guests (paravirtual or nested host?)",
			   what, (long long)regs.rip - (long long)AT_CODE);
}

static int run_guest(struct trial *t, struct stk_err *err)
{
	bool said_ok = false;
	char what[96];

	for (;;) {
		if (ioctl(t->vcpu_fd, KVM_RUN, NULL) < 0) {
			if (errno == EAGAIN)
				continue;
			if (errno == EINTR)
				return failed(t, "no end within 2 s", err);
			snprintf(what, sizeof(what), "KVM_RUN: %s", strerror(errno));
			return failed(t, what, err);
		}
		switch (t->run->exit_reason) {
		case KVM_EXIT_IO: {
			uint16_t v;

			memcpy(&v, (uint8_t *)t->run + t->run->io.data_offset, sizeof(v));
			if (t->run->io.port != RESULT_PORT || t->run->io.size != 2 || v != RESULT_OK)
				return failed(t, "an instruction gave a wrong result", err);
			said_ok = true;
			break;
		}
		case KVM_EXIT_HLT:
			return said_ok ? 0 : failed(t, "an early halt", err);
		case KVM_EXIT_INTERNAL_ERROR:
			snprintf(what, sizeof(what), "KVM internal error %u", t->run->internal.suberror);
			return failed(t, what, err);
		case KVM_EXIT_SHUTDOWN:
			return failed(t, "a triple fault", err);
		default:
			snprintf(what, sizeof(what), "KVM exit %u", t->run->exit_reason);
			return failed(t, what, err);
		}
	}
}

int preflight_run(struct stk_err *err)
{
	struct trial t = {.kvm = {.sys_fd = -1, .vm_fd = -1}, .vcpu_fd = -1};
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	int r = build(&t, err);

	if (r >= 0) {
		sigaction(SIGALRM, &sa, &old);
		alarm(TIME_LIMIT_S);
		r = run_guest(&t, err);
		alarm(0);
		sigaction(SIGALRM, &old, NULL);
	}
	if (t.run)
		munmap(t.run, (size_t)t.kvm.run_size);
	if (t.vcpu_fd >= 0)
		close(t.vcpu_fd);
	kvm_fini(&t.kvm);
	gmem_fini(&t.mem);
	return r < 0 ? r : 0;
}

/* ---- advice ---- */

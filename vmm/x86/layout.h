/* Where things lie in the guest's physical memory at boot. RAM and the hole: vmm/gmem.h. */
#ifndef VMM_X86_LAYOUT_H
#define VMM_X86_LAYOUT_H

#define LAYOUT_GDT         0x500u    /* flat segments for the boot processor */
#define LAYOUT_PVH_INFO    0x6000u   /* hvm_start_info, its module list and memory map */
#define LAYOUT_BOOT_PARAMS 0x7000u   /* 64-bit protocol: the "zero page" */
#define LAYOUT_STACK       0x8ff0u   /* 64-bit protocol: initial stack pointer */
#define LAYOUT_PML4        0x9000u   /* 64-bit protocol: identity map of the first GiB */
#define LAYOUT_PDPT        0xa000u
#define LAYOUT_PD          0xb000u
#define LAYOUT_CMDLINE     0x20000u
#define LAYOUT_CMDLINE_MAX 2048u     /* bytes with NUL: what Linux reads on x86 (COMMAND_LINE_SIZE) */
#define LAYOUT_MPTABLE     0x9fc00u  /* last KiB of base memory, where Linux looks for it */
#define LAYOUT_MPTABLE_MAX 0x400u
#define LAYOUT_BASE_END    0x9fc00u  /* end of usable base memory */
#define LAYOUT_HIMEM       0x100000u /* kernel segments may lie from here on */
#define LAYOUT_IOAPIC      0xfec00000u
#define LAYOUT_LAPIC       0xfee00000u

#endif

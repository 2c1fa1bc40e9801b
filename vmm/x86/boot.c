/* Boot: see boot.h. Two entries into Linux: PVH (xen/include/public/arch-x86/hvm/start_info.h)
 * and the 64-bit boot protocol (Linux Documentation/x86/boot.rst). */
#include "vmm/x86/boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "vmm/x86/layout.h"
#include "vmm/x86/loader.h"
#include "vmm/x86/mptable.h"

#define E820_RAM      1u
#define E820_RESERVED 2u
#define MAX_MAP       5u

#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* What lies at LAYOUT_PVH_INFO. */
struct pvh_block {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_memmap map[MAX_MAP];
};

struct map_entry {
	uint64_t addr, size;
	uint32_t type;
};

static unsigned memory_map(const struct gmem *mem, struct map_entry *map)
{
	uint64_t low = gmem_low_size(mem);
	unsigned n = 0;

	map[n++] = (struct map_entry){0, LAYOUT_BASE_END, E820_RAM};
	map[n++] = (struct map_entry){LAYOUT_BASE_END, LAYOUT_HIMEM - LAYOUT_BASE_END, E820_RESERVED};
	map[n++] = (struct map_entry){LAYOUT_HIMEM, low - LAYOUT_HIMEM, E820_RAM};
	if (mem->size > low)
		map[n++] = (struct map_entry){GMEM_HOLE_END, mem->size - low, E820_RAM};
	return n;
}

static int put(const struct gmem *mem, uint64_t addr, const void *data, size_t len, struct stk_err *err)
{
	void *p = gmem_ptr(mem, gpa(addr), len);

	if (!p)
		return stk_err_set(err, -ENOSPC, "guest memory is too small to boot from");
	memcpy(p, data, len);
	return 0;
}

static int put_pvh(const struct gmem *mem, uint64_t initrd, uint64_t initrd_size, struct stk_err *err)
{
	struct map_entry map[MAX_MAP];
	struct pvh_block b = {
		.info = {
			.magic = PVH_MAGIC,
			.version = 1,
			.cmdline_paddr = LAYOUT_CMDLINE,
			.memmap_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_block, map),
			.memmap_entries = memory_map(mem, map),
		},
	};

	if (initrd_size > 0) {
		b.info.nr_modules = 1;
		b.info.modlist_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_block, module);
		b.module = (struct pvh_module){.paddr = initrd, .size = initrd_size};
	}
	for (unsigned i = 0; i < b.info.memmap_entries; i++)
		b.map[i] = (struct pvh_memmap){map[i].addr, map[i].size, map[i].type, 0};
	return put(mem, LAYOUT_PVH_INFO, &b, sizeof(b), err);
}

static int put_page_tables(const struct gmem *mem, struct stk_err *err)
{
	const uint64_t present_rw = 3, large = 0x80;
	uint64_t top[2] = {LAYOUT_PDPT | present_rw, LAYOUT_PD | present_rw};
	uint64_t pd[512];
	int r;

	for (unsigned i = 0; i < 512; i++)
		pd[i] = ((uint64_t)i << 21) | present_rw | large;
	r = put(mem, LAYOUT_PML4, &top[0], 8, err);
	if (r == 0)
		r = put(mem, LAYOUT_PDPT, &top[1], 8, err);
	if (r == 0)
		r = put(mem, LAYOUT_PD, pd, sizeof(pd), err);
	return r;
}

static int put_boot_params(const struct gmem *mem, uint64_t initrd, uint64_t initrd_size, size_t cmdline_len,
			   struct stk_err *err)
{
	struct boot_params bp;
	struct map_entry map[MAX_MAP];
	int r;

	memset(&bp, 0, sizeof(bp));
	bp.hdr.boot_flag = 0xaa55;
	bp.hdr.header = 0x53726448; /* "HdrS" */
	bp.hdr.type_of_loader = 0xff;
	bp.hdr.kernel_alignment = 0x1000000;
	bp.hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp.hdr.cmdline_size = (uint32_t)cmdline_len;
	bp.hdr.ramdisk_image = (uint32_t)initrd;
	bp.hdr.ramdisk_size = (uint32_t)initrd_size;
	bp.e820_entries = (uint8_t)memory_map(mem, map);
	for (unsigned i = 0; i < bp.e820_entries; i++) {
		bp.e820_table[i].addr = map[i].addr;
		bp.e820_table[i].size = map[i].size;
		bp.e820_table[i].type = map[i].type;
	}
	r = put(mem, LAYOUT_BOOT_PARAMS, &bp, sizeof(bp), err);
	return r < 0 ? r : put_page_tables(mem, err);
}

/* Selectors as the 64-bit protocol wants them: 0x10 code, 0x18 data, 0x20 task. */
static uint64_t gdt_entry(uint16_t flags, uint32_t limit_pages)
{
	return ((uint64_t)(flags & 0xf0ff) << 40) | ((uint64_t)(limit_pages & 0xf0000) << 32) |
	       (limit_pages & 0xffff);
}

static int put_gdt(const struct gmem *mem, bool pvh, struct stk_err *err)
{
	uint64_t gdt[6] = {0};

	gdt[2] = gdt_entry(pvh ? 0xc09b : 0xa09b, 0xfffff);
	gdt[3] = gdt_entry(0xc093, 0xfffff);
	gdt[4] = gdt_entry(0x008b, 0x67);
	return put(mem, LAYOUT_GDT, gdt, sizeof(gdt), err);
}

int boot_load(const struct gmem *mem, const struct vmconfig *cfg, const char *cmdline,
	      struct boot_entry *ret_entry, struct stk_err *err)
{
	size_t len = strlen(cmdline);
	struct loader_kernel k;
	uint64_t initrd = 0, initrd_size = 0;
	int r;

	if (len >= LAYOUT_CMDLINE_MAX)
		return stk_err_set(err, -EINVAL, "kernel command line is longer than %u bytes",
				   LAYOUT_CMDLINE_MAX - 1);
	r = loader_kernel_file(cfg->kernel_path, mem, &k, err);
	if (r == 0 && cfg->initrd_path[0])
		r = loader_initrd_file(cfg->initrd_path, mem, k.end, &initrd, &initrd_size, err);
	if (r == 0)
		r = put(mem, LAYOUT_CMDLINE, cmdline, len + 1, err);
	if (r == 0)
		r = mptable_write(mem, cfg->vcpu_count, err);
	if (r == 0)
		r = put_gdt(mem, k.pvh, err);
	if (r == 0)
		r = k.pvh ? put_pvh(mem, initrd, initrd_size, err)
			  : put_boot_params(mem, initrd, initrd_size, len, err);
	if (r < 0)
		return r;
	*ret_entry = (struct boot_entry){
		.pvh = k.pvh,
		.rip = k.entry,
		.info = k.pvh ? LAYOUT_PVH_INFO : LAYOUT_BOOT_PARAMS,
	};
	return 0;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, uint8_t s, uint32_t limit)
{
	return (struct kvm_segment){
		.limit = limit,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = s,
		.s = s,
		.g = s,
	};
}

void boot_regs(const struct boot_entry *entry, struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	const uint64_t cr0_pe = 1, cr0_et = 0x10, cr0_pg = 0x80000000, cr4_pae = 0x20;
	const uint64_t efer_lme = 0x100, efer_lma = 0x400;
	struct kvm_segment data = segment(0x18, 3, 1, 0xffffffff);

	sregs->cs = segment(0x10, 11, 1, 0xffffffff);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = segment(0x20, 11, 0, 0x67);
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = 6 * 8 - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = cr0_pe | cr0_et;
	sregs->cr4 = 0;
	sregs->efer = 0;
	memset(regs, 0, sizeof(*regs));
	regs->rflags = 2;
	regs->rip = entry->rip;
	if (entry->pvh) {
		regs->rbx = entry->info;
		return;
	}
	sregs->cs.l = 1;
	sregs->cs.db = 0;
	sregs->cr0 |= cr0_pg;
	sregs->cr3 = LAYOUT_PML4;
	sregs->cr4 = cr4_pae;
	sregs->efer = efer_lme | efer_lma;
	regs->rsi = entry->info;
	regs->rsp = regs->rbp = LAYOUT_STACK;
}

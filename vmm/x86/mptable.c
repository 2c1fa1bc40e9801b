/* MP table: see mptable.h. Numbers in comments: sections of the specification. */
#include "vmm/x86/mptable.h"

#include <errno.h>
#include <string.h>

#include "common/base/cursor.h"
#include "vmm/x86/layout.h"

#define MP_SPEC_1_4    4
#define APIC_VERSION   0x14
#define IOAPIC_VERSION 0x11
#define ISA_IRQS       16

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INT, ENTRY_LINT };
enum { INT_VECTORED = 0, INT_NMI = 1, INT_EXT = 3 };

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void put_int(struct stk_wr *w, uint8_t entry, uint8_t type, uint8_t bus, uint8_t irq, uint8_t apic,
		    uint8_t pin)
{
	stk_wr_u8(w, entry);
	stk_wr_u8(w, type);
	stk_wr_u16(w, 0); /* polarity and trigger: those of the bus (ISA: edge, active high) */
	stk_wr_u8(w, bus);
	stk_wr_u8(w, irq);
	stk_wr_u8(w, apic);
	stk_wr_u8(w, pin);
}

static unsigned put_entries(struct stk_wr *w, unsigned vcpus)
{
	uint8_t ioapic_id = (uint8_t)vcpus;
	unsigned n = 0;

	for (unsigned i = 0; i < vcpus; i++, n++) { /* 4.3.1 */
		stk_wr_u8(w, ENTRY_CPU);
		stk_wr_u8(w, (uint8_t)i);
		stk_wr_u8(w, APIC_VERSION);
		stk_wr_u8(w, i == 0 ? 3 : 1); /* enabled; bootstrap processor */
		stk_wr_u32(w, 0x600);         /* family 6: what CPUID says counts */
		stk_wr_u32(w, 0x201);         /* FPU, APIC */
		stk_wr_u64(w, 0);
	}
	stk_wr_u8(w, ENTRY_BUS); /* 4.3.2 */
	stk_wr_u8(w, 0);
	stk_wr_bytes(w, "ISA   ", 6);
	n++;
	stk_wr_u8(w, ENTRY_IOAPIC); /* 4.3.3 */
	stk_wr_u8(w, ioapic_id);
	stk_wr_u8(w, IOAPIC_VERSION);
	stk_wr_u8(w, 1);
	stk_wr_u32(w, LAYOUT_IOAPIC);
	n++;
	for (unsigned i = 0; i < ISA_IRQS; i++, n++) /* 4.3.4 */
		put_int(w, ENTRY_INT, INT_VECTORED, 0, (uint8_t)i, ioapic_id, (uint8_t)i);
	put_int(w, ENTRY_LINT, INT_EXT, 0, 0, 0, 0); /* 4.3.5 */
	put_int(w, ENTRY_LINT, INT_NMI, 0, 0, 0xff, 1);
	return n + 2;
}

int mptable_write(const struct gmem *mem, unsigned vcpus, struct stk_err *err)
{
	uint8_t *base = gmem_ptr(mem, gpa(LAYOUT_MPTABLE), LAYOUT_MPTABLE_MAX);
	const size_t fp_len = 16, head_len = 44;
	struct stk_wr w, head, fp;
	unsigned entries;
	uint8_t *table;

	if (!base || vcpus == 0)
		return stk_err_set(err, -EINVAL, "no room for the MP table");
	table = base + fp_len;
	w = stk_wr_init(table + head_len, LAYOUT_MPTABLE_MAX - fp_len - head_len);
	entries = put_entries(&w, vcpus);
	if (w.bad)
		return stk_err_set(err, -ENOSPC, "MP table for %u processors is too large", vcpus);

	head = stk_wr_init(table, head_len); /* 4.2 */
	stk_wr_bytes(&head, "PCMP", 4);
	stk_wr_u16(&head, (uint16_t)(head_len + w.len));
	stk_wr_u8(&head, MP_SPEC_1_4);
	stk_wr_u8(&head, 0);
	stk_wr_bytes(&head, "STOKER  ", 8);
	stk_wr_bytes(&head, "MICROVM     ", 12);
	stk_wr_u32(&head, 0);
	stk_wr_u16(&head, 0);
	stk_wr_u16(&head, (uint16_t)entries);
	stk_wr_u32(&head, LAYOUT_LAPIC);
	stk_wr_u32(&head, 0);
	table[7] = checksum(table, head_len + w.len);

	fp = stk_wr_init(base, fp_len); /* 4.1 */
	stk_wr_bytes(&fp, "_MP_", 4);
	stk_wr_u32(&fp, LAYOUT_MPTABLE + (uint32_t)fp_len);
	stk_wr_u8(&fp, 1);
	stk_wr_u8(&fp, MP_SPEC_1_4);
	stk_wr_u8(&fp, 0);
	stk_wr_u8(&fp, 0);
	stk_wr_u32(&fp, 0);
	base[10] = checksum(base, fp_len);
	return 0;
}

/* Intel MultiProcessor Specification 1.4 table: tells a kernel without ACPI about processors,
 * IOAPIC and interrupts. Linux needs it even with one processor: without it, it would insist on
 * a PIT, which the machine does not have. */
#ifndef VMM_X86_MPTABLE_H
#define VMM_X86_MPTABLE_H

#include "common/base/err.h"
#include "vmm/gmem.h"

/* Writes the table for vcpus processors (1..32) at LAYOUT_MPTABLE. */
int mptable_write(const struct gmem *mem, unsigned vcpus, struct stk_err *err);

#endif

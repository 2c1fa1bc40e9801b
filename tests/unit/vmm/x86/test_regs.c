/* Whether a vCPU has the CPUID a snapshot was made with. */
#include "tests/unit/unit.h"

#include <string.h>

#include "vmm/x86/regs.h"

static struct cpuid_table table;
static struct snap_vcpu vcpu;

static int same(void **state)
{
	static const uint32_t leaves[][2] = {{0, 0}, {1, 0}, {7, 0}, {7, 1}, {0xd, 0}, {0xd, 1}, {0x40000001, 0}};

	memset(&table, 0, sizeof(table));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.cpuid_count = table.head.nent = STK_ARRAY_LEN(leaves);
	for (unsigned i = 0; i < table.head.nent; i++) {
		table.entry[i] = (struct kvm_cpuid_entry2){.function = leaves[i][0], .index = leaves[i][1], .flags = i % 2,
			.eax = i + 1, .ebx = i + 2, .ecx = 0, .edx = 7};
		vcpu.cpuid[i] = (struct snap_cpuid){leaves[i][0], leaves[i][1], i % 2, i + 1, i + 2, 0, 7};
	}
	return 0;
}

static void test_equal(void **state)
{
	assert_true(regs_same_cpuid(&table, &vcpu));
}

/* OSXSAVE, OSPKE, the size of what is switched on: a guest that has run has other ones. */
static void test_what_registers_change(void **state)
{
	vcpu.cpuid[1].ecx = 1u << 27 | 1u << 3;
	vcpu.cpuid[1].edx |= 1u << 9;
	vcpu.cpuid[2].ecx = 1u << 4;
	vcpu.cpuid[4].ebx = 2696;
	vcpu.cpuid[5].ebx = 2696;
	vcpu.cpuid[6].eax |= 1u << 7;
	assert_true(regs_same_cpuid(&table, &vcpu));
}

static void test_different(void **state)
{
	uint32_t *const places[] = {&vcpu.cpuid_count, &vcpu.cpuid[0].function, &vcpu.cpuid[2].index, &vcpu.cpuid[1].flags,
				    &vcpu.cpuid[1].eax, &vcpu.cpuid[1].ebx, &vcpu.cpuid[1].ecx, &vcpu.cpuid[1].edx,
				    &vcpu.cpuid[3].ecx, &vcpu.cpuid[4].ecx, &vcpu.cpuid[0].ebx, &vcpu.cpuid[6].ebx};

	for (size_t i = 0; i < STK_ARRAY_LEN(places); i++) {
		uint32_t old = *places[i];

		*places[i] = old ^ 1u << 4;
		if (regs_same_cpuid(&table, &vcpu))
			fail_msg("place %zu", i);
		*places[i] = old;
	}
	assert_true(regs_same_cpuid(&table, &vcpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_equal, same), cmocka_unit_test_setup(test_what_registers_change, same),
		cmocka_unit_test_setup(test_different, same),
	};

	unit_time_limit(20);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

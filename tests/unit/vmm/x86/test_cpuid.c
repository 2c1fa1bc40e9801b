/* CPUID: what is hidden from the guest, and what differs between its processors. */
#include "tests/unit/unit.h"

#include <string.h>

#include "vmm/x86/cpuid.h"

static struct kvm_cpuid_entry2 *add(struct cpuid_table *t, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = &t->entry[t->head.nent++];

	*e = (struct kvm_cpuid_entry2){.function = function, .index = index, .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u};
	return e;
}

static const struct kvm_cpuid_entry2 *find(const struct cpuid_table *t, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < t->head.nent; i++) {
		if (t->entry[i].function == function && t->entry[i].index == index)
			return &t->entry[i];
	}
	return NULL;
}

static void test_filter(void **state)
{
	struct cpuid_table t;
	const struct kvm_cpuid_entry2 *e;

	memset(&t, 0, sizeof(t));
	add(&t, 1, 0)->ecx = 1u << 5 | 1u << 21 | 1u << 23; /* VMX, x2APIC, POPCNT */
	add(&t, 7, 0);
	add(&t, 0x0a, 0);
	add(&t, 0x0d, 0)->eax = 0x60207;
	add(&t, 0x0d, 17);
	add(&t, 0x0d, 2);
	add(&t, 0x80000001, 0);
	add(&t, 0x8000000a, 0);
	add(&t, 0x8000001f, 0);
	add(&t, 0x40000001, 0);
	t.entry[3].edx = 0;
	cpuid_filter(&t);
	e = find(&t, 1, 0);
	assert_int_equal(e->ecx >> 5 & 1, 0);
	assert_int_equal(e->ecx >> 21 & 1, 0);
	assert_int_equal(e->ecx >> 23 & 1, 1);
	assert_int_equal(e->ecx >> 24 & 1, 1); /* TSC deadline timer: there is no PIT */
	assert_int_equal(e->ecx >> 31, 1);     /* under a hypervisor */
	assert_int_equal(find(&t, 7, 0)->edx & (1u << 24), 0);
	assert_int_equal(find(&t, 0x80000001, 0)->ecx & 4, 0);
	assert_null(find(&t, 0x0a, 0));
	assert_null(find(&t, 0x0d, 17));
	assert_non_null(find(&t, 0x0d, 2));
	assert_null(find(&t, 0x8000000a, 0));
	assert_null(find(&t, 0x8000001f, 0));
	assert_int_equal(find(&t, 0x40000001, 0)->eax & 0x9, 0x9);  /* kvmclock stays */
	assert_int_equal(find(&t, 0x40000001, 0)->eax & 1u << 4, 0); /* asynchronous faults do not */
	assert_int_equal(cpuid_xcr0(&t), 0x207);
}

static void test_topology(void **state)
{
	for (unsigned vcpus = 1; vcpus <= 32; vcpus++) {
		for (unsigned i = 0; i < vcpus; i++) {
			struct cpuid_table t;
			const struct kvm_cpuid_entry2 *e;

			memset(&t, 0, sizeof(t));
			add(&t, 1, 0);
			add(&t, 0x0b, 0);
			add(&t, 0x0b, 1);
			cpuid_for_vcpu(&t, i, vcpus);
			cpuid_for_vcpu(&t, i, vcpus); /* setting it again changes nothing */
			e = find(&t, 1, 0);
			assert_int_equal(e->ebx >> 24, i);
			assert_true((e->ebx >> 16 & 0xff) >= vcpus);
			assert_int_equal(e->edx >> 28 & 1, vcpus > 1);
			assert_int_equal(find(&t, 0x0b, 0)->ebx, 1);
			assert_int_equal(find(&t, 0x0b, 0)->edx, i);
			e = find(&t, 0x0b, 1);
			assert_int_equal(e->ebx, vcpus);
			assert_int_equal(e->edx, i);
			assert_int_equal(i >> e->eax, 0); /* all in one package */
		}
	}
}

static void test_trim(void **state)
{
	struct cpuid_table t;

	memset(&t, 0, sizeof(t));
	t.head.nent = CPUID_MAX;
	cpuid_trim(&t);
	assert_int_equal(t.head.nent, 0);
	add(&t, 0x0d, 0);
	memset(&t.entry[t.head.nent++], 0, sizeof(t.entry[0])); /* between others: a leaf that says nothing */
	add(&t, 0x80000000, 0);
	assert_int_equal(t.head.nent, 3);
	t.head.nent = CPUID_MAX;
	cpuid_trim(&t);
	assert_int_equal(t.head.nent, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_trim),
	};

	unit_time_limit(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bench/memory.h"

static const char smaps[] =
	"55d0c0a00000-55d0c0b00000 r-xp 00000000 fe:00 131 /usr/libexec/stoker/stoker-vmm\n"
	"Size:               1024 kB\nPss:                 100 kB\nShared_Clean:        300 kB\n"
	"Shared_Dirty:          0 kB\nPrivate_Clean:        10 kB\nPrivate_Dirty:        20 kB\n"
	"7f0000000000-7f0008000000 rw-p 00000000 fe:00 77 /var/lib/stoker/functions/hello/2/snapshot/memory\n"
	"Size:             131072 kB\nPss:                1000 kB\nShared_Clean:       4000 kB\n"
	"Shared_Dirty:          8 kB\nPrivate_Clean:       200 kB\nPrivate_Dirty:       700 kB\n"
	"VmFlags: rd wr mr mw me\n"
	"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n"
	"Pss:                  12 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:        12 kB\n";

static void splits_guest_from_monitor(void **state)
{
	struct memory_figures f = {0};

	assert_int_equal(memory_parse_smaps(smaps, "hello", &f), 1);
	assert_int_equal(f.pss, 1112);
	assert_int_equal(f.private_all, 942);
	assert_int_equal(f.private_vmm, 42);
	assert_int_equal(f.private_guest, 900);
	assert_int_equal(f.shared_guest, 4008);
}

/* Memory that was free in the snapshot is no mapping of its file, but lies among those that are. */
static void fresh_memory_is_the_guests(void **state)
{
	static const char text[] =
		"7f0000000000-7f0000800000 rw-p 00000000 fe:00 77 /state/functions/f/1/snapshot/memory\n"
		"Pss:                 100 kB\nPrivate_Dirty:       100 kB\n"
		"7f0000800000-7f0000a00000 rw-p 00200000 00:01 9                          /memfd:blocks (deleted)\n"
		"Pss:                  10 kB\nShared_Clean:       2048 kB\n"
		"7f0000a00000-7f0004000000 rw-p 00000000 00:00 0 \n"
		"Pss:                2048 kB\nPrivate_Dirty:      2048 kB\n"
		"7f0004000000-7f0008000000 rw-p 04000000 fe:00 77 /state/functions/f/1/snapshot/memory\n"
		"Pss:                   5 kB\nPrivate_Dirty:         5 kB\n"
		"7f0008200000-7f0008400000 rw-p 00000000 00:00 0 \n"
		"Pss:                   7 kB\nPrivate_Dirty:         7 kB\n";
	struct memory_figures f = {0};

	assert_int_equal(memory_parse_smaps(text, "f", &f), 1);
	assert_int_equal(f.private_guest, 2153);
	assert_int_equal(f.private_vmm, 7);
}

static void other_functions_do_not_count(void **state)
{
	struct memory_figures f = {0};

	assert_int_equal(memory_parse_smaps(smaps, "hell", &f), 0);
	assert_int_equal(memory_parse_smaps(smaps, "primes", &f), 0);
	assert_int_equal(f.pss, 0);
	assert_int_equal(memory_parse_smaps(smaps, NULL, &f), 1);
	assert_int_equal(memory_parse_smaps("", NULL, &f), 0);
}

static void one_that_records_does_not_count(void **state)
{
	static const char copy[] = "7f0010000000-7f0018000000 rw-p 00000000 00:01 77 /memfd:memory (deleted)\n"
				   "Pss:                1000 kB\nPrivate_Dirty:       700 kB\n";
	char text[sizeof(smaps) + sizeof(copy)];
	struct memory_figures f = {0};

	snprintf(text, sizeof(text), "%s%s", smaps, copy);
	assert_int_equal(memory_parse_smaps(text, "hello", &f), 0);
	assert_int_equal(f.private_all, 0);
}

static void available_is_read(void **state)
{
	assert_int_equal(memory_parse_available("MemTotal:  8000 kB\nMemAvailable:    1234 kB\nBuffers: 5 kB\n"), 1234);
	assert_int_equal(memory_parse_available("MemTotal:  8000 kB\n"), 0);
	assert_int_equal(memory_parse_available(""), 0);
}

static void what_one_more_vm_costs(void **state)
{
	struct memory_machine few = {2, 1000000}, many = {102, 800000}, close = {5, 990000};
	double kib = 0;

	assert_true(memory_per_vm(&few, &many, &kib));
	assert_true(kib == 2000);
	assert_true(memory_per_vm(&many, &few, &kib));
	assert_true(kib == 2000);
	assert_false(memory_per_vm(&few, &close, &kib));
	assert_false(memory_per_vm(&few, &few, &kib));
}

static void this_machine_has_memory(void **state)
{
	struct memory_machine m;
	struct stk_err err;

	assert_int_equal(memory_machine_now(&m, &err), 0);
	assert_true(m.available_kib > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_guest_from_monitor),
		cmocka_unit_test(fresh_memory_is_the_guests),
		cmocka_unit_test(other_functions_do_not_count),
		cmocka_unit_test(one_that_records_does_not_count),
		cmocka_unit_test(available_is_read),
		cmocka_unit_test(what_one_more_vm_costs),
		cmocka_unit_test(this_machine_has_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

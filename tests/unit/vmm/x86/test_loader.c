/* Kernel loader: where segments end up, which entry is taken, and what is refused. */
#include "tests/unit/unit.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/fd.h"
#include "vmm/x86/loader.h"

#define MIB      (1ULL << 20)
#define MEM_SIZE (32 * MIB)

/* A kernel image in memory: two segments and a PVH note; tests spoil it. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint32_t desc;
	} note;
	char text[64];
	char data[64];
};

static struct image make_image(void)
{
	struct image im = {
		.eh = {
			.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = 0x1000000,
			.e_phoff = offsetof(struct image, ph),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
		},
		.ph = {
			{.p_type = PT_LOAD, .p_offset = offsetof(struct image, text), .p_paddr = 0x1000000,
			 .p_filesz = 64, .p_memsz = 64},
			{.p_type = PT_LOAD, .p_offset = offsetof(struct image, data), .p_paddr = 0x1200000,
			 .p_filesz = 64, .p_memsz = 8192},
			{.p_type = PT_NOTE, .p_offset = offsetof(struct image, note), .p_filesz = 20},
		},
		.note = {.nh = {.n_namesz = 4, .n_descsz = 4, .n_type = 18}, .name = "Xen", .desc = 0x1000010},
	};

	memset(im.text, 'T', sizeof(im.text));
	memset(im.data, 'D', sizeof(im.data));
	return im;
}

static int load(const struct image *im, size_t len, struct gmem *mem, struct loader_kernel *k, struct stk_err *err)
{
	stk_autofd fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_int_equal(gmem_init_anon(mem, MEM_SIZE, NULL), 0);
	assert_int_equal(stk_write_full(fd, im, len), 0);
	return loader_kernel_fd(fd, mem, k, err);
}

static void test_pvh(void **state)
{
	struct image im = make_image();
	struct loader_kernel k;
	struct gmem mem;
	char *bss;

	assert_int_equal(load(&im, sizeof(im), &mem, &k, NULL), 0);
	assert_true(k.pvh);
	assert_int_equal(k.entry, 0x1000010);
	assert_int_equal(k.end, 0x1200000 + 8192);
	assert_memory_equal(gmem_ptr(&mem, gpa(0x1000000), 64), im.text, 64);
	assert_memory_equal(gmem_ptr(&mem, gpa(0x1200000), 64), im.data, 64);
	bss = gmem_ptr(&mem, gpa(0x1200000 + 64), 1);
	assert_int_equal(*bss, 0);
	gmem_fini(&mem);
}

static void test_64bit_entry(void **state)
{
	struct image im = make_image();
	struct loader_kernel k;
	struct gmem mem;

	im.note.nh.n_type = 1;
	assert_int_equal(load(&im, sizeof(im), &mem, &k, NULL), 0);
	assert_false(k.pvh);
	assert_int_equal(k.entry, 0x1000000);
	gmem_fini(&mem);
}

static void refused(const struct image *im, size_t len, const char *word)
{
	struct loader_kernel k = {.entry = 42};
	struct stk_err err = {0};
	struct gmem mem;
	int r = load(im, len, &mem, &k, &err);

	assert_true(r < 0);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not mention \"%s\"", err.text, word);
	assert_int_equal(k.entry, 42);
	/* nothing below 1 MiB is ever written */
	for (unsigned i = 0; i < MIB; i++)
		assert_int_equal(mem.base[i], 0);
	gmem_fini(&mem);
}

static void test_headers(void **state)
{
	struct image im = make_image();

	refused(&im, 10, "too short");
	refused(&im, sizeof(im.eh) + 10, "outside");
	im.eh.e_ident[0] = 'M';
	refused(&im, sizeof(im), "vmlinux");
	im = make_image();
	im.eh.e_machine = EM_AARCH64;
	refused(&im, sizeof(im), "x86_64");
	im = make_image();
	im.eh.e_type = ET_REL;
	refused(&im, sizeof(im), "executable");
	im = make_image();
	im.eh.e_phoff = UINT64_MAX - 8;
	refused(&im, sizeof(im), "outside");
	im = make_image();
	im.eh.e_phnum = 60000;
	refused(&im, sizeof(im), "header table");
	im = make_image();
	im.eh.e_phentsize = 1;
	refused(&im, sizeof(im), "header table");
}

static void test_segments(void **state)
{
	struct image im = make_image();

	im.ph[0].p_paddr = 0x1000;
	refused(&im, sizeof(im), "1 MiB");
	im.ph[0].p_paddr = GMEM_HOLE_END;
	refused(&im, sizeof(im), "3 GiB");
	im.ph[0].p_paddr = UINT64_MAX;
	refused(&im, sizeof(im), "3 GiB");
	im = make_image();
	im.ph[1].p_memsz = 64 * MIB;
	refused(&im, sizeof(im), "more memory");
	im.ph[1].p_memsz = UINT64_MAX;
	refused(&im, sizeof(im), "more memory");
	im = make_image();
	im.ph[1].p_filesz = 8193;
	refused(&im, sizeof(im), "outside the file");
	im = make_image();
	im.ph[1].p_offset = UINT64_MAX;
	refused(&im, sizeof(im), "outside the file");
	im = make_image();
	im.ph[1].p_paddr = im.ph[0].p_paddr + 63;
	refused(&im, sizeof(im), "overlap");
	im = make_image();
	im.note.desc = 0x2000;
	refused(&im, sizeof(im), "entry point");
	im = make_image();
	im.ph[2].p_offset = 1 << 20;
	refused(&im, sizeof(im), "note");
}

static void test_initrd(void **state)
{
	char path[] = "/tmp/test_loader.XXXXXX";
	stk_autofd fd = mkstemp(path);
	struct stk_err err = {0};
	uint64_t addr = 0, size = 0;
	struct gmem mem;

	assert_int_equal(gmem_init_anon(&mem, 4 * MIB, NULL), 0);
	assert_int_equal(loader_initrd_file(path, &mem, 0, &addr, &size, &err), -EINVAL); /* empty */
	assert_int_equal(stk_write_full(fd, "070701 and so on", 16), 0);
	assert_int_equal(loader_initrd_file(path, &mem, MIB, &addr, &size, &err), 0);
	assert_int_equal(size, 16);
	assert_int_equal(addr, 4 * MIB - 4096);
	assert_memory_equal(gmem_ptr(&mem, gpa(addr), 16), "070701 and so on", 16);
	assert_int_equal(loader_initrd_file(path, &mem, 4 * MIB - 15, &addr, &size, &err), -ENOSPC);
	assert_int_equal(loader_initrd_file(path, &mem, UINT64_MAX, &addr, &size, &err), -ENOSPC);
	assert_int_equal(ftruncate(fd, 5 * MIB), 0);
	assert_int_equal(loader_initrd_file(path, &mem, 0, &addr, &size, &err), -ENOSPC);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(loader_initrd_file(path, &mem, 0, &addr, &size, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_64bit_entry),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_initrd),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

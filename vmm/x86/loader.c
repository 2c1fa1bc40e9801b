/* Kernel and initrd: see loader.h. ELF: System V ABI; the PVH entry: Xen's
 * docs/misc/pvh.pandoc, ELF note XEN_ELFNOTE_PHYS32_ENTRY. */
#include "vmm/x86/loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "vmm/x86/layout.h"

#define MAX_PHDRS                32u
#define MAX_NOTES                4096u /* bytes of one note segment that are looked at */
#define XEN_ELFNOTE_PHYS32_ENTRY 18u

struct elf_file {
	int fd;
	uint64_t size;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[MAX_PHDRS];
};

static int bad(struct stk_err *err, const char *why)
{
	return stk_err_set(err, -ENOEXEC, "kernel image: %s", why);
}

static int read_headers(struct elf_file *f, struct stk_err *err)
{
	Elf64_Ehdr *eh = &f->eh;
	int r;

	if (f->size < sizeof(*eh))
		return bad(err, "too short for an ELF file");
	r = stk_pread_full(f->fd, eh, sizeof(*eh), 0);
	if (r < 0)
		return stk_err_sys(err, r, "kernel image");
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return bad(err, "not an ELF file: give the uncompressed vmlinux, not bzImage");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh->e_machine != EM_X86_64)
		return bad(err, "not for x86_64");
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return bad(err, "not an executable ELF file");
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > MAX_PHDRS)
		return bad(err, "unusable ELF program header table");
	if (eh->e_phoff > f->size || eh->e_phnum * sizeof(Elf64_Phdr) > f->size - eh->e_phoff)
		return bad(err, "ELF program headers lie outside the file");
	r = stk_pread_full(f->fd, f->ph, eh->e_phnum * sizeof(Elf64_Phdr), (off_t)eh->e_phoff);
	return r < 0 ? stk_err_sys(err, r, "kernel image") : 0;
}

/* Walks one note segment for the PVH entry point; anything malformed just ends the walk. */
static bool find_pvh_entry(const uint8_t *notes, size_t len, uint64_t *ret_entry)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		size_t name, desc, name_room, desc_room;

		memcpy(&nh, notes + at, sizeof(nh));
		at += sizeof(nh);
		if (nh.n_namesz > len || nh.n_descsz > len)
			return false;
		name_room = (nh.n_namesz + 3u) & ~3u;
		desc_room = (nh.n_descsz + 3u) & ~3u;
		if (name_room > len - at || desc_room > len - at - name_room)
			return false;
		name = at;
		desc = at + name_room;
		if (nh.n_type == XEN_ELFNOTE_PHYS32_ENTRY && nh.n_namesz == 4 &&
		    memcmp(notes + name, "Xen", 4) == 0 && (nh.n_descsz == 4 || nh.n_descsz == 8)) {
			uint64_t v = 0;

			memcpy(&v, notes + desc, nh.n_descsz);
			*ret_entry = v;
			return true;
		}
		at = desc + desc_room;
	}
	return false;
}

static int read_note(struct elf_file *f, const Elf64_Phdr *ph, struct loader_kernel *k, struct stk_err *err)
{
	uint8_t notes[MAX_NOTES];
	size_t len = ph->p_filesz < MAX_NOTES ? (size_t)ph->p_filesz : MAX_NOTES;
	int r;

	if (ph->p_offset > f->size || len > f->size - ph->p_offset)
		return bad(err, "an ELF note lies outside the file");
	r = stk_pread_full(f->fd, notes, len, (off_t)ph->p_offset);
	if (r < 0)
		return stk_err_sys(err, r, "kernel image");
	if (find_pvh_entry(notes, len, &k->entry))
		k->pvh = true;
	return 0;
}

static int load_segment(struct elf_file *f, unsigned i, const struct gmem *mem, struct loader_kernel *k,
			struct stk_err *err)
{
	const Elf64_Phdr *ph = &f->ph[i];
	uint8_t *dst;
	int r;

	if (ph->p_memsz == 0)
		return 0;
	if (ph->p_filesz > ph->p_memsz || ph->p_offset > f->size || ph->p_filesz > f->size - ph->p_offset)
		return bad(err, "an ELF segment lies outside the file");
	if (ph->p_paddr < LAYOUT_HIMEM || ph->p_paddr >= GMEM_HOLE_START)
		return bad(err, "an ELF segment is not between 1 MiB and 3 GiB");
	dst = gmem_ptr(mem, gpa(ph->p_paddr), ph->p_memsz);
	if (!dst)
		return bad(err, "a segment does not fit into guest memory: give the VM more memory");
	for (unsigned j = 0; j < i; j++) {
		const Elf64_Phdr *o = &f->ph[j];

		if (o->p_type == PT_LOAD && o->p_memsz && ph->p_paddr < o->p_paddr + o->p_memsz &&
		    o->p_paddr < ph->p_paddr + ph->p_memsz)
			return bad(err, "ELF segments overlap");
	}
	r = stk_pread_full(f->fd, dst, (size_t)ph->p_filesz, (off_t)ph->p_offset);
	if (r < 0)
		return stk_err_sys(err, r, "kernel image");
	if (ph->p_paddr + ph->p_memsz > k->end)
		k->end = ph->p_paddr + ph->p_memsz;
	return 0;
}

static bool entry_loaded(const struct elf_file *f, uint64_t entry)
{
	for (unsigned i = 0; i < f->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &f->ph[i];

		if (ph->p_type == PT_LOAD && ph->p_memsz > 0 && entry >= ph->p_paddr &&
		    entry - ph->p_paddr < ph->p_filesz)
			return true;
	}
	return false;
}

int loader_kernel_fd(int fd, const struct gmem *mem, struct loader_kernel *ret_kernel, struct stk_err *err)
{
	struct loader_kernel k = {0};
	struct elf_file f = {.fd = fd};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "kernel image");
	if (!S_ISREG(st.st_mode))
		return bad(err, "not a regular file");
	f.size = (uint64_t)st.st_size;
	r = read_headers(&f, err);
	for (unsigned i = 0; r == 0 && i < f.eh.e_phnum; i++) {
		if (f.ph[i].p_type == PT_LOAD)
			r = load_segment(&f, i, mem, &k, err);
		else if (f.ph[i].p_type == PT_NOTE && !k.pvh)
			r = read_note(&f, &f.ph[i], &k, err);
	}
	if (r < 0)
		return r;
	if (!k.pvh)
		k.entry = f.eh.e_entry;
	if (!entry_loaded(&f, k.entry))
		return bad(err, "the entry point is not in a loaded segment");
	*ret_kernel = k;
	return 0;
}

int loader_kernel_file(const char *path, const struct gmem *mem, struct loader_kernel *ret_kernel,
		       struct stk_err *err)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return stk_err_sys(err, -errno, "kernel image %s", path);
	r = loader_kernel_fd(fd, mem, ret_kernel, err);
	if (r < 0)
		stk_err_prefix(err, "%s", path);
	return r;
}

int loader_initrd_file(const char *path, const struct gmem *mem, uint64_t floor, uint64_t *ret_addr,
		       uint64_t *ret_size, struct stk_err *err)
{
	stk_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint64_t low = gmem_low_size(mem), size, addr;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "initrd %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return stk_err_set(err, -EINVAL, "initrd %s: empty or not a regular file", path);
	size = (uint64_t)st.st_size;
	if (floor > low || size > low - floor)
		return stk_err_set(err, -ENOSPC, "initrd %s: does not fit into guest memory beside the kernel", path);
	addr = (low - size) & ~4095ULL;
	if (addr < floor || !gmem_ptr(mem, gpa(addr), size))
		return stk_err_set(err, -ENOSPC, "initrd %s: does not fit into guest memory beside the kernel", path);
	r = stk_pread_full(fd, gmem_ptr(mem, gpa(addr), size), (size_t)size, 0);
	if (r < 0)
		return stk_err_sys(err, r, "initrd %s", path);
	*ret_addr = addr;
	*ret_size = size;
	return 0;
}

/* Saving and restoring a whole microVM (vm.h). The files: doc/SNAPSHOT-FORMAT.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "snapshots/empty.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "snapshots/workingset.h"
#include "vmm/stages.h"
#include "vmm/vm_internal.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/regs.h"

/* Without TSC scaling, a guest TSC that differs by less than this is let through: about what NTP
 * would correct. */
#define TSC_TOLERANCE_PPM 1000u

/* Pages of a free stretch of memory in the working set, from which on its first huge page is not mostly waste; and of the
 * set as a whole, from which on it may be cut short (scheduler/learn.c), and what is missing is of free memory. */
#define FRESH_MIN_PAGES 128u
#define FRESH_MUCH      2048u

/* ---- configuration ---- */

static int config_to_snap(const struct vmconfig *c, struct snap_config *s, struct stk_err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->vcpu_count = c->vcpu_count;
	s->mem_size_mib = c->mem_size_mib;
	s->vsock = c->vsock;
	s->guest_cid = c->guest_cid;
	s->entropy = c->entropy;
	s->drive_count = c->drive_count;
	r = stk_strcpy(s->kernel_path, sizeof(s->kernel_path), c->kernel_path);
	if (r == 0)
		r = stk_strcpy(s->initrd_path, sizeof(s->initrd_path), c->initrd_path);
	if (r == 0)
		r = stk_strcpy(s->boot_args, sizeof(s->boot_args), c->boot_args);
	if (r == 0)
		r = stk_strcpy(s->uds_path, sizeof(s->uds_path), c->uds_path);
	for (unsigned i = 0; r == 0 && i < c->drive_count; i++) {
		struct snap_drive *d = &s->drive[i];

		d->is_root = c->drive[i].is_root;
		d->read_only = c->drive[i].read_only;
		d->copy_on_write = c->drive[i].copy_on_write;
		r = stk_strcpy(d->id, sizeof(d->id), c->drive[i].id);
		if (r == 0)
			r = stk_strcpy(d->path, sizeof(d->path), c->drive[i].path);
	}
	return r < 0 ? stk_err_sys(err, r, "snapshot") : 0;
}

/* Into one that is all zeros, as that of a new VM: each page of it that is written is one of the clone's own. */
static int config_from_snap(const struct snap_config *s, struct vmconfig *c, struct stk_err *err)
{
	int r;

	_Static_assert(SNAP_MAX_DRIVES <= VMCONFIG_MAX_DRIVES, "drives");
	c->vcpu_count = s->vcpu_count;
	c->mem_size_mib = s->mem_size_mib;
	c->vsock = s->vsock;
	c->guest_cid = s->guest_cid;
	c->entropy = s->entropy;
	c->drive_count = s->drive_count;
	r = stk_strcpy(c->kernel_path, sizeof(c->kernel_path), s->kernel_path);
	if (r == 0)
		r = stk_strcpy(c->initrd_path, sizeof(c->initrd_path), s->initrd_path);
	if (r == 0)
		r = stk_strcpy(c->boot_args, sizeof(c->boot_args), s->boot_args);
	if (r == 0)
		r = stk_strcpy(c->uds_path, sizeof(c->uds_path), s->uds_path);
	for (unsigned i = 0; r == 0 && i < s->drive_count; i++) {
		struct vmconfig_drive *d = &c->drive[i];

		d->is_root = s->drive[i].is_root;
		d->read_only = s->drive[i].read_only;
		d->copy_on_write = s->drive[i].copy_on_write;
		r = stk_strcpy(d->id, sizeof(d->id), s->drive[i].id);
		if (r == 0)
			r = stk_strcpy(d->path, sizeof(d->path), s->drive[i].path);
	}
	if (r < 0)
		return stk_err_sys(err, r, "snapshot state: configuration");
	r = vmconfig_check_machine(c, err);
	if (r < 0)
		stk_err_prefix(err, "snapshot state: configuration");
	return r;
}

static int apply_load_opts(struct vm *vm, const struct vm_load_opts *o, struct stk_err *err)
{
	struct vmconfig *c = &vm->cfg;

	for (unsigned i = 0; i < o->drive_count; i++) {
		unsigned k = 0;

		while (k < c->drive_count && strcmp(c->drive[k].id, o->drive[i].drive_id) != 0)
			k++;
		if (k == c->drive_count)
			return stk_err_set(err, -ENOENT, "the snapshot has no drive %s", o->drive[i].drive_id);
		if (o->drive[i].path) {
			if (stk_strcpy(c->drive[k].path, sizeof(c->drive[k].path), o->drive[i].path) < 0)
				return stk_err_set(err, -ENAMETOOLONG, "drive %s: the path is too long",
						   o->drive[i].drive_id);
			continue;
		}
		if (!c->drive[k].read_only || c->drive[k].copy_on_write)
			return stk_err_set(err, -EROFS, "drive %s is more than an image to be read",
					   o->drive[i].drive_id);
		vm->host.drive_fd[vm->host.drive_fd_count].id = c->drive[k].id;
		vm->host.drive_fd[vm->host.drive_fd_count].fd = o->drive[i].fd;
		vm->host.drive_fd_count++;
	}
	if (o->uds_path && stk_strcpy(c->uds_path, sizeof(c->uds_path), o->uds_path) < 0)
		return stk_err_set(err, -ENAMETOOLONG, "vsock: the path is too long");
	return 0;
}

/* ---- section VM ---- */

static int irqchip_io(int vm_fd, unsigned long req, unsigned id, uint8_t *data, size_t len, struct stk_err *err)
{
	struct kvm_irqchip chip;
	int r;

	_Static_assert(sizeof(chip.chip) == 512, "chip union");
	memset(&chip, 0, sizeof(chip));
	chip.chip_id = id;
	if (req == KVM_SET_IRQCHIP)
		memcpy(&chip.chip, data, len);
	r = kvm_ioctl(vm_fd, req, &chip, req == KVM_SET_IRQCHIP ? "KVM_SET_IRQCHIP" : "KVM_GET_IRQCHIP", err);
	if (r >= 0 && req == KVM_GET_IRQCHIP)
		memcpy(data, &chip.chip, len);
	return r;
}

static int irqchips(int vm_fd, unsigned long req, struct snap_vm *v, struct stk_err *err)
{
	int r = irqchip_io(vm_fd, req, KVM_IRQCHIP_PIC_MASTER, v->pic_master, sizeof(v->pic_master), err);

	if (r >= 0)
		r = irqchip_io(vm_fd, req, KVM_IRQCHIP_PIC_SLAVE, v->pic_slave, sizeof(v->pic_slave), err);
	if (r >= 0)
		r = irqchip_io(vm_fd, req, KVM_IRQCHIP_IOAPIC, v->ioapic, sizeof(v->ioapic), err);
	return r;
}

static int save_vm_section(struct vm *vm, struct snap_writer *w, uint64_t *ret_host_tsc, struct stk_err *err)
{
	struct snap_vm v;
	struct kvm_clock_data clock;
	int r;

	memset(&v, 0, sizeof(v));
	memset(&clock, 0, sizeof(clock));
	r = irqchips(vm->kvm.vm_fd, KVM_GET_IRQCHIP, &v, err);
	if (r >= 0)
		r = KVM_CALL(vm->vcpus.vcpu[0].fd, KVM_GET_TSC_KHZ, NULL, err);
	if (r < 0)
		return r;
	v.tsc_khz = (uint32_t)r;
	r = KVM_CALL(vm->kvm.vm_fd, KVM_GET_CLOCK, &clock, err);
	*ret_host_tsc = __rdtsc();
	if (r < 0)
		return r;
	v.clock_ns = clock.clock;
	v.wall_ns = stk_wall_ns();
	cpuid_host_model(v.cpu_vendor, &v.cpu_signature);
	snap_vm_encode(&v, snap_writer_begin(w, SNAP_SECTION_VM, 0));
	return snap_writer_end(w, err);
}

int vm_restore_shared(struct vm *vm, struct snap_vm *v, struct stk_err *err)
{
	struct kvm_clock_data clock;
	int r = irqchips(vm->kvm.vm_fd, KVM_SET_IRQCHIP, v, err);

	if (r < 0)
		return r;
	/* Only the time itself may be handed back: no flags. */
	memset(&clock, 0, sizeof(clock));
	clock.clock = v->clock_ns;
	r = KVM_CALL(vm->kvm.vm_fd, KVM_SET_CLOCK, &clock, err);
	return r < 0 ? r : 0;
}

static int check_cpu_model(const struct snap_vm *v, struct stk_err *err)
{
	uint8_t vendor[12];
	uint32_t signature = 0;

	cpuid_host_model(vendor, &signature);
	if (memcmp(vendor, v->cpu_vendor, sizeof(vendor)) != 0 || signature != v->cpu_signature)
		return stk_err_set(err, -ENOTSUP,
				   "the snapshot was made on another processor model (%.12s %08x, this is %.12s %08x): make it anew",
				   (const char *)v->cpu_vendor, v->cpu_signature, (const char *)vendor, signature);
	return 0;
}

/* ---- vCPUs ---- */

static int save_vcpus(struct vm *vm, struct snap_writer *w, uint64_t host_tsc, struct stk_err *err)
{
	stk_autofree struct snap_vcpu *v = malloc(sizeof(*v));

	if (!v)
		return stk_err_sys(err, -ENOMEM, "snapshot");
	for (unsigned i = 0; i < vm->vcpus.count; i++) {
		int r = regs_save(vm->kvm.sys_fd, vm->vcpus.vcpu[i].fd, host_tsc, v, err);

		if (r < 0)
			return r;
		snap_vcpu_encode(v, snap_writer_begin(w, SNAP_SECTION_VCPU, i));
		r = snap_writer_end(w, err);
		if (r < 0)
			return r;
	}
	return 0;
}

uint64_t vm_host_tsc(const struct vm *vm)
{
	uint64_t tsc = __rdtsc();

	return vm->tsc_khz == 0 ? tsc : (uint64_t)((unsigned __int128)tsc * vm->tsc_khz / vm->host_tsc_khz);
}

/* The guest TSC must tick as it did: by the host's own rate, by scaling, or nearly so. */
static int match_tsc(struct vm *vm, uint32_t khz, struct stk_err *err)
{
	int host_khz = KVM_CALL(vm->vcpus.vcpu[0].fd, KVM_GET_TSC_KHZ, NULL, err);
	uint64_t diff;

	if (host_khz <= 0)
		return host_khz < 0 ? host_khz : stk_err_set(err, -ENOTSUP, "KVM does not know the TSC's frequency");
	if ((uint32_t)host_khz == khz)
		return 0;
	diff = (uint32_t)host_khz > khz ? (uint32_t)host_khz - khz : khz - (uint32_t)host_khz;
	if (diff * 1000000 <= (uint64_t)khz * TSC_TOLERANCE_PPM)
		return 0;
	for (unsigned i = 0; i < vm->vcpus.count; i++) {
		struct stk_err why = {0};

		if (kvm_ioctl(vm->vcpus.vcpu[i].fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)khz, "KVM_SET_TSC_KHZ",
			      &why) < 0)
			return stk_err_set(err, -ENOTSUP,
					   "the snapshot's TSC runs at %u kHz, this machine's at %d kHz, and it cannot scale it: make the snapshot anew",
					   khz, host_khz);
	}
	vm->tsc_khz = khz;
	vm->host_tsc_khz = (uint32_t)host_khz;
	return 0;
}

/* vCPUs that have entered the guest already cannot be given another CPUID any more: KVM refuses then. */
static bool has_its_cpuid(struct vm *vm, unsigned i, const struct snap_vcpu *vcpu)
{
	cpuid_for_vcpu(vm->cpuid, i, vm->vcpus.count);
	return regs_same_cpuid(vm->cpuid, vcpu);
}

static int restore_vcpus(struct vm *vm, const struct snap_file *f, const struct snap_vm *v, struct stk_err *err)
{
	stk_autofree struct snap_vcpu *vcpu = malloc(sizeof(*vcpu));
	uint64_t host_tsc;
	int r;

	if (!vcpu)
		return stk_err_sys(err, -ENOMEM, "restore");
	r = match_tsc(vm, v->tsc_khz, err);
	host_tsc = vm_host_tsc(vm);
	for (unsigned i = 0; r == 0 && i < vm->vcpus.count; i++) {
		struct stk_rd rd;

		r = snap_snapfile_section(f, SNAP_SECTION_VCPU, i, &rd, err);
		if (r == 0)
			r = snap_vcpu_decode(&rd, vcpu, err);
		if (r == 0)
			r = vm->shell && has_its_cpuid(vm, i, vcpu) ?
				    regs_rewind(vm->vcpus.vcpu[i].fd, vcpu, host_tsc, err) :
				    regs_restore(vm->vcpus.vcpu[i].fd, vcpu, host_tsc, err);
		if (r < 0)
			stk_err_prefix(err, "vCPU %u", i);
	}
	free(vm->cpuid); /* its room goes back with the rest that only the start needed: giveback.h */
	vm->cpuid = NULL;
	return r;
}

/* ---- devices ---- */

static int save_devices(struct vm *vm, struct snap_writer *w, struct stk_err *err)
{
	for (unsigned i = 0; i < vm->devices.count; i++) {
		struct device *d = vm->devices.dev[i];
		struct snap_device sd = {.version = d->ops->version};
		struct stk_wr *wr;
		int r = stk_strcpy(sd.name, sizeof(sd.name), d->ops->name);

		if (r == 0)
			r = stk_strcpy(sd.id, sizeof(sd.id), d->id);
		if (r < 0)
			return stk_err_sys(err, r, "device %s", d->id);
		wr = snap_writer_begin(w, SNAP_SECTION_DEVICE, i);
		snap_device_encode(&sd, wr);
		r = d->ops->save(d, wr);
		if (r < 0)
			return stk_err_sys(err, r, "cannot save device %s", d->id);
		r = snap_writer_end(w, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int restore_device(struct device *d, unsigned i, const struct snap_file *f, struct stk_err *err)
{
	struct snap_device sd;
	struct stk_rd rd;
	int r = snap_snapfile_section(f, SNAP_SECTION_DEVICE, i, &rd, err);

	if (r == 0)
		r = snap_device_decode(&rd, &sd, err);
	if (r < 0)
		return r;
	if (strcmp(sd.name, d->ops->name) != 0 || strcmp(sd.id, d->id) != 0)
		return stk_err_set(err, -EINVAL, "snapshot state: device %u is %s \"%s\", not %s \"%s\"", i, sd.name,
				   sd.id, d->ops->name, d->id);
	if (sd.version == 0 || sd.version > d->ops->version)
		return stk_err_set(err, -ENOTSUP,
				   "snapshot state: device %s has version %u, this program reads up to %u", d->id,
				   sd.version, d->ops->version);
	r = d->ops->restore(d, &rd, sd.version, err);
	if (r == 0 && (rd.bad || rd.left > 0))
		r = stk_err_set(err, -EINVAL, "the saved state is malformed");
	if (r < 0)
		stk_err_prefix(err, "device %s", d->id);
	return r;
}

static int restore_devices(struct vm *vm, const struct snap_file *f, struct stk_err *err)
{
	int r = 0;

	if (snap_snapfile_count(f, SNAP_SECTION_DEVICE) != vm->devices.count)
		return stk_err_set(err, -EINVAL, "snapshot state: %u devices instead of %u",
				   snap_snapfile_count(f, SNAP_SECTION_DEVICE), vm->devices.count);
	pthread_mutex_lock(&vm->dev_lock);
	for (unsigned i = 0; r == 0 && i < vm->devices.count; i++)
		r = restore_device(vm->devices.dev[i], i, f, err);
	pthread_mutex_unlock(&vm->dev_lock);
	return r;
}

/* ---- memory ---- */

static int save_memory(struct vm *vm, const char *path, struct snap_writer *w, struct stk_err *err)
{
	struct snap_source src[1 + DEVICE_MAX];
	struct device_region region[DEVICE_MAX];
	struct snap_memory m = {0};
	struct snap_runs runs = {0};
	struct snap_empty empty;
	unsigned n = devtable_regions(&vm->devices, region, DEVICE_MAX);
	int r;

	if (1 + n > SNAP_MAX_REGIONS)
		return stk_err_set(err, -EFBIG, "more than %u memory regions", SNAP_MAX_REGIONS);
	m.count = 1 + n;
	stk_strcpy(m.region[0].id, SNAP_ID_MAX, "ram");
	m.region[0].length = vm->mem.size;
	src[0] = (struct snap_source){.base = vm->mem.base, .length = vm->mem.size, .backing_fd = vm->mem_fd};
	for (unsigned i = 0; i < n; i++) {
		const struct snap_region *prev = &m.region[i];

		stk_strcpy(m.region[i + 1].id, SNAP_ID_MAX, region[i].id);
		m.region[i + 1].file_offset = prev->file_offset + prev->length;
		m.region[i + 1].length = region[i].len;
		/* After a boot these lie over the drive's own file, after a restore over the memory file. */
		src[i + 1] = (struct snap_source){
			.base = region[i].base,
			.length = region[i].len,
			.backing_fd = region[i].backing_fd >= 0 ? region[i].backing_fd : vm->mem_fd,
			.backing_offset = region[i].file_offset,
		};
	}
	r = snap_memfile_write(path, src, m.count, &runs, err);
	if (r < 0)
		return r;
	snap_memory_encode(&m, snap_writer_begin(w, SNAP_SECTION_MEMORY, 0));
	r = snap_writer_end(w, err);
	if (r == 0) {
		snap_empty_find(&runs, vm->mem.size, &empty);
		snap_empty_encode(&empty, snap_writer_begin(w, SNAP_SECTION_EMPTY, 0));
		r = snap_writer_end(w, err);
	}
	if (r == 0) {
		snap_runs_encode(&runs, snap_writer_begin(w, SNAP_SECTION_RUNS, 0));
		r = snap_writer_end(w, err);
	}
	stk_debug("memory file: %llu KiB of data in %u runs", (unsigned long long)runs.data_size >> 10, runs.count);
	snap_runs_fini(&runs);
	return r;
}

static int map_memory(struct vm *vm, const struct vm_load_opts *opts, struct stk_err *err)
{
	int r;

	if (opts->record_fd >= 0) {
		if (recorder_start(&vm->mem, vm->mem_fd, opts->record_fd, &vm->recorder, err) == 0)
			return 0;
		stk_info("no record: %s", err->text); /* the clone is as good without */
	}
	r = gmem_map_file(&vm->mem, vm->mem_fd, err);
	for (unsigned i = 0; r == 0 && i < opts->block_count; i++)
		r = gmem_map_block(&vm->mem, opts->blocks_fd, opts->block[i], err);
	return r;
}

/* -1 and errno. */
static int open_file(const struct vm_file *f)
{
	return f->fd >= 0 ? f->fd : open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Regions of the state file against the configuration and the memory file itself: a mapping that
 * is longer than its file would end in SIGBUS. */
static int open_memory(struct vm *vm, const struct vm_load_opts *opts, const struct snap_memory *m,
		       struct stk_err *err)
{
	const char *path = opts->memory.path;
	struct stat st;

	if (m->region[0].length != (uint64_t)vm->cfg.mem_size_mib << 20)
		return stk_err_set(err, -EINVAL, "snapshot state: RAM is not %u MiB long", vm->cfg.mem_size_mib);
	vm->mem_fd = open_file(&opts->memory);
	if (vm->mem_fd < 0 || fstat(vm->mem_fd, &st) < 0)
		return stk_err_sys(err, -errno, "memory file %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != m->total_size)
		return stk_err_set(err, -EINVAL, "memory file %s: does not have the %llu bytes the state file names",
				   path, (unsigned long long)m->total_size);
	for (unsigned i = 1; i < m->count; i++) {
		struct device_region *g = &vm->region[i - 1];

		stk_strcpy(g->id, sizeof(g->id), m->region[i].id);
		g->len = m->region[i].length;
		g->file_offset = m->region[i].file_offset;
	}
	vm->host.restore_mem_fd = vm->mem_fd;
	vm->host.restore_region = vm->region;
	vm->host.restore_region_count = m->count - 1;
	return map_memory(vm, opts, err);
}

/* Pages of the set from..to. */
static uint64_t pages_within(const struct snap_page_list *set, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < set->count; i++) {
		uint64_t a = set->range[i].first, b = a + set->range[i].count;

		a = a > from ? a : from;
		b = b < to ? b : to;
		n += b > a ? b - a : 0;
	}
	return n;
}

/* Free memory that invocations use becomes huge pages; a mapping of its own would cost all others time. */
static int freshen(struct vm *vm, const struct snap_empty *empty, const struct snap_page_list *set, struct stk_err *err)
{
	bool much = pages_within(set, 0, UINT64_MAX) >= FRESH_MUCH;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < empty->count; i++) {
		const struct snap_stretch *s = &empty->stretch[i];
		uint64_t first = s->offset / SNAP_PAGE;

		if (much || pages_within(set, first, first + s->length / SNAP_PAGE) >= FRESH_MIN_PAGES)
			r = gmem_map_empty(&vm->mem, s->offset, s->length, err);
	}
	return r;
}

/* A hint: whatever is wrong with it costs time, not the clone. */
static void bring_in_working_set(struct vm *vm, const struct vm_file *file, const struct snap_empty *empty)
{
	stk_autofd fd = open_file(file);
	struct snap_workingset ws;
	struct stk_err err;
	int r;

	if (fd < 0) {
		if (errno != ENOENT)
			stk_warn("%s: %s", file->path, strerror(errno));
		return;
	}
	r = snap_workingset_load(fd, vm->mem.size / SNAP_PAGE, &ws, &err);
	if (r < 0) {
		stk_warn("%s: %s", file->path, err.text);
		return;
	}
	if (freshen(vm, empty, &ws.written, &err) < 0)
		stk_warn("%s: %s", file->path, err.text);
	for (unsigned i = 0; r == 0 && i < ws.written.count; i++)
		r = gmem_populate(&vm->mem, (uint64_t)ws.written.range[i].first * SNAP_PAGE,
				  (uint64_t)ws.written.range[i].count * SNAP_PAGE);
	if (r < 0)
		stk_debug("working set: %s", strerror(-r));
	snap_workingset_fini(&ws);
}

/* ---- the whole ---- */

int vm_snapshot_create(struct vm *vm, const char *state_path, const char *memory_path, bool keep_vsock_streams,
		       struct stk_err *err)
{
	struct snap_writer w;
	struct snap_config cfg;
	uint64_t host_tsc = 0;
	int r;

	if (vm->state != VM_PAUSED)
		return stk_err_set(err, -EINVAL, "a snapshot can be taken only while the microVM is paused");
	pthread_mutex_lock(&vm->dev_lock);
	devtable_vsock_prepare(&vm->devices, keep_vsock_streams);
	pthread_mutex_unlock(&vm->dev_lock);
	r = config_to_snap(&vm->cfg, &cfg, err);
	if (r == 0)
		r = snap_writer_init(&w, err);
	if (r < 0)
		return r;
	snap_config_encode(&cfg, snap_writer_begin(&w, SNAP_SECTION_CONFIG, 0));
	r = snap_writer_end(&w, err);
	if (r == 0)
		r = save_vm_section(vm, &w, &host_tsc, err);
	if (r == 0)
		r = save_vcpus(vm, &w, host_tsc, err);
	if (r == 0)
		r = save_devices(vm, &w, err);
	if (r == 0)
		r = save_memory(vm, memory_path, &w, err);
	if (r == 0)
		r = snap_writer_commit(&w, state_path, err);
	snap_writer_fini(&w);
	return r;
}

static int read_head(const struct snap_file *f, struct vm *vm, const struct vm_load_opts *opts,
		     struct snap_vm *ret_vm, struct snap_memory *ret_memory, struct snap_empty *ret_empty,
		     struct stk_err *err)
{
	struct snap_config cfg;
	struct stk_rd rd;
	int r = snap_snapfile_section(f, SNAP_SECTION_CONFIG, 0, &rd, err);

	if (r == 0)
		r = snap_config_decode(&rd, &cfg, err);
	if (r == 0)
		r = config_from_snap(&cfg, &vm->cfg, err);
	if (r == 0)
		r = apply_load_opts(vm, opts, err);
	if (r == 0)
		r = snap_snapfile_section(f, SNAP_SECTION_VM, 0, &rd, err);
	if (r == 0)
		r = snap_vm_decode(&rd, ret_vm, err);
	if (r == 0)
		r = check_cpu_model(ret_vm, err);
	if (r == 0)
		r = snap_snapfile_section(f, SNAP_SECTION_MEMORY, 0, &rd, err);
	if (r == 0)
		r = snap_memory_decode(&rd, ret_memory, err);
	if (r == 0)
		r = snap_empty_read(f, ret_memory->region[0].length, ret_empty, err);
	return r;
}

static int load(struct vm *vm, const struct snap_file *f, const struct vm_load_opts *opts, struct stk_err *err)
{
	struct snap_empty empty;
	struct snap_memory memory;
	struct snap_vm v;
	int r = read_head(f, vm, opts, &v, &memory, &empty, err);

	stages_mark("check state");
	if (r == 0 && !vm->made)
		r = vm_prepare(vm, vm->cfg.mem_size_mib, vm->cfg.vcpu_count, err);
	if (r == 0 && (vm->mem.size != (uint64_t)vm->cfg.mem_size_mib << 20 || vm->vcpus.count != vm->cfg.vcpu_count))
		r = stk_err_set(err, -EINVAL, "the snapshot has %u MiB and %u vCPUs, this VM was made with %llu MiB and %u",
				vm->cfg.mem_size_mib, vm->cfg.vcpu_count, (unsigned long long)(vm->mem.size >> 20),
				vm->vcpus.count);
	if (r == 0)
		r = open_memory(vm, opts, &memory, err);
	stages_mark("map memory");
	if (r == 0 && opts->working_set.path && !vm->recorder) {
		bring_in_working_set(vm, &opts->working_set, &empty);
		stages_mark("working set");
	}
	if (r == 0)
		r = restore_vcpus(vm, f, &v, err);
	stages_mark("vcpu state");
	if (r == 0)
		r = vm_restore_shared(vm, &v, err);
	stages_mark("irqchip and clock");
	if (r == 0)
		r = vm_create_devices(vm, err);
	if (r == 0)
		r = restore_devices(vm, f, err);
	stages_mark("device state");
	if (r == 0 && opts->reusable) {
		vm_reset_prepare(vm, f, &v);
		stages_mark("what resets need");
	}
	return r;
}

int vm_snapshot_load(struct vm *vm, const struct vm_load_opts *opts, struct stk_err *err)
{
	stk_autofd state = -1;
	struct snap_file f;
	int r;

	if (vm->used)
		return stk_err_set(err, -EBUSY, "the microVM has been started already");
	if (!vm->shell)
		stages_mark("process");
	state = open_file(&opts->state);
	if (state < 0)
		return stk_err_sys(err, -errno, "snapshot state %s", opts->state.path);
	r = snap_snapfile_read(state, opts->state.path, false, &f, err);
	if (r < 0)
		return r;
	stages_mark("read state");
	vm->used = true;
	r = load(vm, &f, opts, err);
	snap_snapfile_close(&f);
	if (r == 0)
		r = vm_start(vm, opts->resume, err);
	if (r < 0)
		vm->state = VM_STOPPED;
	return r;
}

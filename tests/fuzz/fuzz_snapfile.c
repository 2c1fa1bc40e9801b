/* A state file of arbitrary bytes: header and table, then every section through its decoder. The
 * checksums are also made right first, so that what lies behind them is reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/crc64.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(uint32_t type, struct stk_rd *rd)
{
	static struct snap_config config;
	static struct snap_vm vm;
	static struct snap_vcpu vcpu;
	static struct snap_memory memory;
	struct snap_device device;
	struct snap_runs runs;

	switch (type) {
	case SNAP_SECTION_CONFIG:
		if (snap_config_decode(rd, &config, NULL) == 0 && config.drive_count > SNAP_MAX_DRIVES)
			abort();
		break;
	case SNAP_SECTION_VM:
		snap_vm_decode(rd, &vm, NULL);
		break;
	case SNAP_SECTION_VCPU:
		if (snap_vcpu_decode(rd, &vcpu, NULL) == 0 &&
		    (vcpu.cpuid_count > SNAP_MAX_CPUID || vcpu.msr_count > SNAP_MAX_MSRS))
			abort();
		break;
	case SNAP_SECTION_DEVICE:
		snap_device_decode(rd, &device, NULL);
		break;
	case SNAP_SECTION_MEMORY:
		if (snap_memory_decode(rd, &memory, NULL) == 0 && memory.total_size % SNAP_PAGE)
			abort();
		break;
	case SNAP_SECTION_RUNS:
		if (snap_runs_decode(rd, 1ULL << 32, &runs, NULL) == 0)
			snap_runs_fini(&runs);
		break;
	default:
		break;
	}
}

static void walk(const uint8_t *data, size_t size)
{
	static struct snap_file f;

	if (snap_snapfile_parse(data, size, size, &f, NULL) < 0)
		return;
	for (unsigned i = 0; i < f.count; i++) {
		const struct snap_section *s = &f.section[i];
		struct stk_rd rd = stk_rd_init(data + s->offset, (size_t)s->length);

		if (s->offset > size || s->length > size - s->offset)
			abort();
		decode(s->type, &rd);
	}
	(void)snap_snapfile_verify(&f, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint32_t count;

	walk(data, size);
	if (size < SNAP_HEADER_LEN + SNAP_ENTRY_LEN + 8)
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	memcpy(&count, copy + 16, sizeof(count));
	if (count <= (size - SNAP_HEADER_LEN - 8) / SNAP_ENTRY_LEN) {
		size_t head = SNAP_HEADER_LEN + (size_t)count * SNAP_ENTRY_LEN;
		uint64_t len = size, crc;

		memcpy(copy + 24, &len, sizeof(len));
		crc = stk_crc64(0, copy, head);
		memcpy(copy + head, &crc, sizeof(crc));
		walk(copy, size);
	}
	free(copy);
	return 0;
}

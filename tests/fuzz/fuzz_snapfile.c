/* A state file of arbitrary bytes: header and table, then every section through its decoder. The
 * checksums are also made right first, so that what lies behind them is reached. What a decoder takes
 * must be written and read again as the same; what it refuses must have a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/crc64.h"
#include "snapshots/empty.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

/* The bytes that a section of this type is written as. */
struct written {
	uint8_t p[65536];
	size_t len;
};

static void write_section(struct written *out, const void *v, void (*encode)(const void *v, struct stk_wr *w))
{
	struct stk_wr w = stk_wr_init(out->p, sizeof(out->p));

	encode(v, &w);
	require(!w.bad);
	out->len = w.len;
}

#define SECTION(name)                                                                              \
	static void put_##name(const void *v, struct stk_wr *w)                                    \
	{                                                                                          \
		snap_##name##_encode(v, w);                                                        \
	}                                                                                          \
	/* Whether the section is taken; *ret is what it says then. */                            \
	static int take_##name(struct stk_rd *rd, struct snap_##name *ret)                         \
	{                                                                                          \
		static struct written first, second;                                               \
		struct stk_err err = {0};                                                          \
		int r = snap_##name##_decode(rd, ret, &err);                                       \
                                                                                                   \
		if (r < 0) {                                                                       \
			require(err.code == r && err.text[0]);                                     \
			return 0;                                                                  \
		}                                                                                  \
		write_section(&first, ret, put_##name);                                            \
		struct stk_rd again = stk_rd_init(first.p, first.len);                             \
                                                                                                   \
		require(snap_##name##_decode(&again, ret, &err) == 0);                             \
		write_section(&second, ret, put_##name);                                           \
		require(first.len == second.len && memcmp(first.p, second.p, first.len) == 0);     \
		return 1;                                                                          \
	}

SECTION(config)
SECTION(vm)
SECTION(vcpu)
SECTION(memory)
SECTION(device)

static void each(void *ctx, const char *name, const char *value)
{
	unsigned *count = ctx;

	require(name[0] && strlen(value) < SNAP_BOOT_ARGS_MAX);
	(*count)++;
}

static void take_runs(struct stk_rd *rd)
{
	struct stk_err err = {0};
	struct snap_runs runs;
	uint64_t end = 0;
	int r = snap_runs_decode(rd, 1ULL << 32, &runs, &err);

	if (r < 0) {
		require(err.code == r && err.text[0]);
		return;
	}
	for (unsigned i = 0; i < runs.count; i++) {
		require(runs.run[i].offset >= end && runs.run[i].length > 0 && runs.run[i].length <= 1ULL << 32);
		end = runs.run[i].offset + runs.run[i].length;
	}
	require(end <= 1ULL << 32);
	snap_runs_fini(&runs);
}

static void take_empty(struct stk_rd *rd)
{
	struct snap_empty e;
	uint64_t end = 0;

	if (snap_empty_decode(rd, 1ULL << 32, &e, NULL) < 0)
		return;
	require(e.count <= SNAP_EMPTY_MAX);
	for (unsigned i = 0; i < e.count; i++) {
		require(e.stretch[i].offset >= end && e.stretch[i].length > 0 && e.stretch[i].length <= 1ULL << 32);
		end = e.stretch[i].offset + e.stretch[i].length;
	}
	require(end <= 1ULL << 32);
}

static void decode(uint32_t type, struct stk_rd *rd)
{
	static struct snap_config config;
	static struct snap_vm vm;
	static struct snap_vcpu vcpu;
	static struct snap_memory memory;
	static struct snap_device device;
	unsigned fields = 0;

	switch (type) {
	case SNAP_SECTION_CONFIG:
		if (!take_config(rd, &config))
			break;
		require(config.drive_count <= SNAP_MAX_DRIVES);
		snap_config_each(&config, each, &fields);
		require(fields >= 10 + 5 * config.drive_count);
		break;
	case SNAP_SECTION_VM:
		take_vm(rd, &vm);
		break;
	case SNAP_SECTION_VCPU:
		require(!take_vcpu(rd, &vcpu) || (vcpu.cpuid_count <= SNAP_MAX_CPUID && vcpu.msr_count <= SNAP_MAX_MSRS));
		break;
	case SNAP_SECTION_DEVICE:
		take_device(rd, &device);
		break;
	case SNAP_SECTION_MEMORY:
		require(!take_memory(rd, &memory) || memory.total_size % SNAP_PAGE == 0);
		break;
	case SNAP_SECTION_RUNS:
		take_runs(rd);
		break;
	case SNAP_SECTION_EMPTY:
		take_empty(rd);
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

/* State file: what is written comes back, and every damaged bit is noticed. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/fd.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"

static struct snap_config sample_config(void)
{
	struct snap_config c;

	memset(&c, 0, sizeof(c));
	c.vcpu_count = 2;
	c.mem_size_mib = 256;
	strcpy(c.kernel_path, "/k");
	strcpy(c.boot_args, "console=ttyS0 quiet");
	c.vsock = true;
	c.guest_cid = 3;
	c.drive_count = 1;
	strcpy(c.drive[0].id, "rootfs");
	strcpy(c.drive[0].path, "/r.img");
	c.drive[0].read_only = true;
	return c;
}

static struct snap_vcpu *sample_vcpu(void)
{
	struct snap_vcpu *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->rip = 0xffffffff81000000;
	v->tsc = 123456789;
	v->cs.selector = 0x10;
	v->cs.l = 1;
	v->has_xcr0 = true;
	v->xcr0 = 7;
	v->lapic[0x80] = 9;
	v->xsave[4095] = 0x77;
	v->cpuid_count = 2;
	v->cpuid[1] = (struct snap_cpuid){1, 0, 0, 2, 3, 4, 5};
	v->msr_count = 1;
	v->msr[0] = (struct snap_msr){0xc0000082, 0xffffffff81400040};
	return v;
}

static void write_sample(struct snap_writer *w)
{
	struct snap_config c = sample_config();
	struct snap_vcpu *v = sample_vcpu();

	assert_int_equal(snap_writer_init(w, NULL), 0);
	snap_config_encode(&c, snap_writer_begin(w, SNAP_SECTION_CONFIG, 0));
	assert_int_equal(snap_writer_end(w, NULL), 0);
	snap_vcpu_encode(v, snap_writer_begin(w, SNAP_SECTION_VCPU, 0));
	assert_int_equal(snap_writer_end(w, NULL), 0);
	snap_vcpu_encode(v, snap_writer_begin(w, SNAP_SECTION_VCPU, 1));
	assert_int_equal(snap_writer_end(w, NULL), 0);
	stk_wr_u32(snap_writer_begin(w, SNAP_SECTION_RUNS, 0), 0);
	assert_int_equal(snap_writer_end(w, NULL), 0);
	free(v);
}

static void test_round_trip(void **state)
{
	struct snap_writer w;
	struct snap_file f;
	struct snap_config c, want = sample_config();
	struct snap_vcpu *v = sample_vcpu(), *got = calloc(1, sizeof(*got));
	struct stk_rd rd;
	const uint8_t *data;
	size_t len;

	write_sample(&w);
	snap_writer_finish(&w, &data, &len);
	assert_int_equal(snap_snapfile_parse(data, len, len, &f, NULL), 0);
	assert_int_equal(snap_snapfile_verify(&f, NULL), 0);
	assert_int_equal(snap_snapfile_count(&f, SNAP_SECTION_VCPU), 2);
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_CONFIG, 0, &rd, NULL), 0);
	memset(&c, 0, sizeof(c));
	assert_int_equal(snap_config_decode(&rd, &c, NULL), 0);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_VCPU, 1, &rd, NULL), 0);
	assert_int_equal(snap_vcpu_decode(&rd, got, NULL), 0);
	assert_true(got->rip == v->rip && got->tsc == v->tsc && got->xcr0 == 7 && got->has_xcr0);
	assert_int_equal(got->cs.selector, 0x10);
	assert_memory_equal(got->lapic, v->lapic, sizeof(v->lapic));
	assert_memory_equal(got->xsave, v->xsave, sizeof(v->xsave));
	assert_int_equal(got->cpuid_count, 2);
	assert_memory_equal(got->cpuid, v->cpuid, 2 * sizeof(v->cpuid[0]));
	assert_int_equal(got->msr[0].index, 0xc0000082);
	assert_true(got->msr[0].value == v->msr[0].value);
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_VM, 0, &rd, NULL), -ENOENT);
	snap_writer_fini(&w);
	free(v);
	free(got);
}

/* Every single-bit error in the whole file, and every way of cutting it off. */
static void test_damage(void **state)
{
	struct snap_writer w;
	const uint8_t *data;
	uint8_t *copy;
	size_t len;

	write_sample(&w);
	snap_writer_finish(&w, &data, &len);
	for (size_t i = 0; i < len; i++) {
		struct snap_file f;

		copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, data, len);
		copy[i] ^= (uint8_t)(1u << (i % 8));
		if (snap_snapfile_parse(copy, len, len, &f, NULL) == 0 && snap_snapfile_verify(&f, NULL) == 0)
			fail_msg("flipped bit in byte %zu of %zu was not noticed", i, len);
		free(copy);
	}
	for (size_t n = 0; n < len; n += n < 300 ? 1 : 97) {
		struct snap_file f;

		copy = malloc(n + 1);
		assert_non_null(copy);
		memcpy(copy, data, n);
		assert_true(snap_snapfile_parse(copy, n, n, &f, NULL) < 0);
		free(copy);
	}
	snap_writer_fini(&w);
}

static void test_versions(void **state)
{
	struct snap_writer w;
	struct snap_file f;
	struct stk_err err = {0};
	const uint8_t *data;
	uint8_t head[4096];
	size_t len;

	write_sample(&w);
	snap_writer_finish(&w, &data, &len);
	memcpy(head, data, sizeof(head));
	head[12] = 9;
	assert_int_equal(snap_snapfile_parse(head, sizeof(head), len, &f, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "version 9"));
	assert_int_equal(f.version, 9); /* what any version can read */
	memcpy(head, data, sizeof(head));
	head[8] = 183;
	assert_int_equal(snap_snapfile_parse(head, sizeof(head), len, &f, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "183"));
	memcpy(head, "ELF or so", 9);
	assert_int_equal(snap_snapfile_parse(head, sizeof(head), len, &f, &err), -EINVAL);
	snap_writer_fini(&w);
}

static void test_hostile_sections(void **state)
{
	uint8_t buf[512];
	struct stk_wr w = stk_wr_init(buf, sizeof(buf));
	struct snap_config c = sample_config(), got;
	struct snap_memory m = {.count = 1}, gotm;
	struct stk_rd r;

	snap_config_encode(&c, &w);
	assert_false(w.bad);
	r = stk_rd_init(buf, w.len - 1);
	assert_int_equal(snap_config_decode(&r, &got, NULL), -EINVAL);
	r = stk_rd_init(buf, w.len + 1); /* a byte too many */
	assert_int_equal(snap_config_decode(&r, &got, NULL), -EINVAL);
	buf[8] = 0xff; /* a path longer than any */
	buf[9] = 0xff;
	r = stk_rd_init(buf, w.len);
	assert_int_equal(snap_config_decode(&r, &got, NULL), -EINVAL);

	strcpy(m.region[0].id, "ram");
	m.region[0].length = 8192;
	w = stk_wr_init(buf, sizeof(buf));
	snap_memory_encode(&m, &w);
	r = stk_rd_init(buf, w.len);
	assert_int_equal(snap_memory_decode(&r, &gotm, NULL), 0);
	assert_int_equal(gotm.total_size, 8192);
	m.region[0].length = 8191;
	w = stk_wr_init(buf, sizeof(buf));
	snap_memory_encode(&m, &w);
	r = stk_rd_init(buf, w.len);
	assert_int_equal(snap_memory_decode(&r, &gotm, NULL), -EINVAL);
	m.count = 2;
	m.region[0].length = 0x7ffffffffffff000;
	strcpy(m.region[1].id, "scratch");
	m.region[1].file_offset = m.region[0].length;
	m.region[1].length = 0x7ffffffffffff000;
	w = stk_wr_init(buf, sizeof(buf));
	snap_memory_encode(&m, &w);
	r = stk_rd_init(buf, w.len);
	assert_int_equal(snap_memory_decode(&r, &gotm, NULL), -EINVAL);
}

static void test_too_much(void **state)
{
	struct snap_writer w;
	struct stk_err err = {0};
	static const uint8_t chunk[65536];

	assert_int_equal(snap_writer_init(&w, NULL), 0);
	for (unsigned i = 0; i < 65; i++)
		stk_wr_bytes(i ? &w.wr : snap_writer_begin(&w, SNAP_SECTION_DEVICE, 0), chunk, sizeof(chunk));
	assert_int_equal(snap_writer_end(&w, &err), -EFBIG);
	snap_writer_fini(&w);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/test_snapfile.XXXXXX", path[64];
	struct snap_writer w;
	struct snap_file f;
	struct stk_rd rd;
	struct stat st;
	unsigned fds = unit_count_fds();

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state", dir);
	write_sample(&w);
	assert_int_equal(snap_writer_commit(&w, path, NULL), 0);
	assert_int_equal(snap_writer_commit(&w, path, NULL), 0); /* replaces */
	snap_writer_fini(&w);
	assert_int_equal(snap_snapfile_open(path, true, &f, NULL), 0);
	assert_int_equal(snap_snapfile_verify(&f, NULL), 0);
	snap_snapfile_close(&f);
	assert_int_equal(snap_snapfile_open(path, false, &f, NULL), 0);
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_VCPU, 1, &rd, NULL), 0);
	snap_snapfile_close(&f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size + 1), 0);
	assert_int_equal(snap_snapfile_open(path, true, &f, NULL), -EINVAL);
	assert_int_equal(truncate(path, SNAP_MAX_SIZE + 1), 0);
	assert_int_equal(snap_snapfile_open(path, true, &f, NULL), -EINVAL);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(snap_snapfile_open(path, true, &f, NULL), -EINVAL);
	assert_int_equal(snap_snapfile_open(dir, true, &f, NULL), -EINVAL); /* a folder */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(snap_snapfile_open(path, true, &f, NULL), -ENOENT);
	assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
	assert_int_equal(unit_count_fds(), fds);
}

/* A state file whose needed sections go beyond the first read. */
static void test_large_head(void **state)
{
	char path[] = "/tmp/test_snapfile.XXXXXX";
	stk_autofd fd = mkstemp(path);
	static uint8_t blob[100000];
	struct snap_writer w;
	struct snap_file f;
	struct stk_rd rd;

	memset(blob, 0xa5, sizeof(blob));
	assert_int_equal(snap_writer_init(&w, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		stk_wr_bytes(snap_writer_begin(&w, SNAP_SECTION_DEVICE, i), blob, sizeof(blob));
		assert_int_equal(snap_writer_end(&w, NULL), 0);
	}
	stk_wr_bytes(snap_writer_begin(&w, SNAP_SECTION_RUNS, 0), blob, sizeof(blob));
	assert_int_equal(snap_writer_end(&w, NULL), 0);
	assert_int_equal(snap_writer_commit(&w, path, NULL), 0);
	snap_writer_fini(&w);
	assert_int_equal(snap_snapfile_open(path, false, &f, NULL), 0);
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_DEVICE, 2, &rd, NULL), 0);
	assert_int_equal(rd.left, sizeof(blob));
	assert_int_equal(snap_snapfile_section(&f, SNAP_SECTION_RUNS, 0, &rd, NULL), -ENODATA);
	snap_snapfile_close(&f);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_hostile_sections),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_large_head),
	};

	unit_time_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

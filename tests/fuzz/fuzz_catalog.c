/* A snapshot folder of arbitrary files, verified as before its first use: manifest.json by itself, then all of it.
 *
 * Byte 0: bit 0, the state file's own checksums are made right first; bit 1, so is the file `checksums`. Bytes 1 to 3: the bit
 * that is turned over in a folder that was found good, which must be seen: file, place. Then the files: u16 length and
 * content of manifest.json, state, memory, working-set and checksums; length 0xffff: there is none. The memory file is
 * given as its number of pages, bytes too many behind them, and the byte that fills each page; zeros become holes.
 *
 * What is refused must have a text and be told as damage, or as another format. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/crc64.h"
#include "common/base/fd.h"
#include "snapshots/catalog.h"
#include "snapshots/manifest.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"

#define PAGES_MAX 16u
#define MISSING   0xffff

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANIFEST, STATE, MEMORY, WORKING_SET, CHECKSUMS, FILES };
static const char *const names[FILES] = {"manifest.json", "state", "memory", "working-set", "checksums"};

struct part {
	uint8_t *p; /* heap */
	size_t len;
	bool missing;
};

static char dir[64];

static void require(int ok)
{
	if (!ok)
		abort();
}

static void clean_up(void)
{
	snap_catalog_remove(dir, NULL);
}

static void make_folder(void)
{
	if (dir[0])
		return;
	/* In memory where that is possible: six times as many runs. */
	snprintf(dir, sizeof(dir), "%s/stoker-fuzz-catalog-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(dir) != NULL);
	atexit(clean_up);
}

/* --- the manifest alone ---------------------------------------------------------------------------- */

/* What was read and written once is read and written as the same. */
static void check_manifest(const struct part *part)
{
	static struct snap_manifest m, again;
	struct stk_err err = {0};
	char *first, *second;
	size_t first_len, second_len;
	int r = snap_manifest_decode((const char *)part->p, part->len, &m, &err);

	if (r < 0) {
		require((r == -EINVAL || r == -ENOTSUP) && err.code == r && err.text[0]);
		return;
	}
	require(m.vcpu_count >= 1 && m.mem_size_mib >= 1 && m.created_ms <= INT64_MAX);
	require(snap_manifest_encode(&m, &first, &first_len, &err) == 0);
	require(snap_manifest_decode(first, first_len, &again, &err) == 0);
	require(snap_manifest_encode(&again, &second, &second_len, &err) == 0);
	require(first_len == second_len && memcmp(first, second, first_len) == 0);
	free(first);
	free(second);
}

/* --- the files --------------------------------------------------------------------------------------- */

static void read_part(const uint8_t **data, size_t *size, struct part *ret)
{
	size_t len = *size >= 2 ? (size_t)((*data)[0] | (*data)[1] << 8) : MISSING;

	*ret = (struct part){.missing = len == MISSING};
	*data += *size >= 2 ? 2 : *size;
	*size -= *size >= 2 ? 2 : *size;
	if (ret->missing)
		len = 0;
	if (len > *size)
		len = *size;
	ret->p = malloc(len ? len : 1);
	require(ret->p != NULL);
	memcpy(ret->p, *data, len);
	ret->len = len;
	*data += len;
	*size -= len;
}

static void expand_memory(struct part *memory)
{
	unsigned pages = memory->len ? memory->p[0] % (PAGES_MAX + 1) : 0, extra = memory->len > 1 ? memory->p[1] : 0;
	uint8_t *image = calloc(1, pages * SNAP_PAGE + extra + 1);

	require(image != NULL);
	for (unsigned i = 0; i < pages && i + 2 < memory->len; i++)
		memset(image + i * SNAP_PAGE, memory->p[i + 2], SNAP_PAGE);
	free(memory->p);
	memory->p = image;
	memory->len = pages * SNAP_PAGE + extra;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Each run of which there are bytes. */
static void sum_runs(uint8_t *runs, size_t len, const struct part *memory)
{
	for (size_t at = 4; len >= 24 && at <= len - 24; at += 24) {
		uint64_t offset = get64(runs + at), length = get64(runs + at + 8), crc;

		if (offset > memory->len || length > memory->len - offset)
			continue;
		crc = stk_crc64(0, memory->p + offset, (size_t)length);
		memcpy(runs + at + 16, &crc, sizeof(crc));
	}
}

static void sum_state(struct part *state, const struct part *memory)
{
	uint32_t count;
	uint64_t crc, len = state->len;
	size_t head;

	if (state->len < SNAP_HEADER_LEN + 8)
		return;
	memcpy(&count, state->p + 16, sizeof(count));
	if (count > (state->len - SNAP_HEADER_LEN - 8) / SNAP_ENTRY_LEN)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *entry = state->p + SNAP_HEADER_LEN + i * SNAP_ENTRY_LEN;
		uint64_t offset = get64(entry + 8), length = get64(entry + 16);
		uint32_t type;

		if (offset > state->len || length > state->len - offset)
			continue;
		memcpy(&type, entry, sizeof(type));
		if (type == SNAP_SECTION_RUNS)
			sum_runs(state->p + offset, (size_t)length, memory);
		crc = stk_crc64(stk_crc64(0, entry, 8), state->p + offset, (size_t)length);
		memcpy(entry + 24, &crc, sizeof(crc));
	}
	memcpy(state->p + 24, &len, sizeof(len));
	head = SNAP_HEADER_LEN + count * SNAP_ENTRY_LEN;
	crc = stk_crc64(0, state->p, head);
	memcpy(state->p + head, &crc, sizeof(crc));
}

static void sum_all(struct part *part)
{
	static const unsigned summed[] = {MANIFEST, STATE, WORKING_SET};
	char text[512];
	size_t len = 0;

	for (unsigned i = 0; i < STK_ARRAY_LEN(summed); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "crc64 %016" PRIx64 " %zu %s\n",
					stk_crc64(0, part[summed[i]].p, part[summed[i]].len), part[summed[i]].len,
					names[summed[i]]);
	free(part[CHECKSUMS].p);
	part[CHECKSUMS].p = malloc(len);
	require(part[CHECKSUMS].p != NULL);
	memcpy(part[CHECKSUMS].p, text, len);
	part[CHECKSUMS].len = len;
	part[CHECKSUMS].missing = false;
}

static void write_part(unsigned i, const struct part *part)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
	if (part->missing) {
		require(unlink(path) == 0 || errno == ENOENT);
		return;
	}
	stk_autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	require(fd >= 0 && ftruncate(fd, (off_t)part->len) == 0);
	for (size_t at = 0, n; at < part->len; at += n) {
		static const uint8_t zeros[SNAP_PAGE];

		n = part->len - at < SNAP_PAGE ? part->len - at : SNAP_PAGE;
		if (i != MEMORY || memcmp(part->p + at, zeros, n) != 0)
			require(stk_pwrite_full(fd, part->p + at, n, (off_t)at) == 0);
	}
}

/* --- all of it --------------------------------------------------------------------------------------- */

static int verify(struct stk_err *err)
{
	int before = dup(STDERR_FILENO), after, r;

	require(before >= 0 && close(before) == 0);
	*err = (struct stk_err){0, ""};
	r = snap_catalog_verify(dir, err);
	after = dup(STDERR_FILENO);
	require(after == before && close(after) == 0); /* nothing is left open */
	require(r == 0 || ((r == -EBADMSG || r == -ENOTSUP) && err->code == r && err->text[0]));
	return r;
}

static void check_good(struct part *part, const uint8_t *flip)
{
	static struct snap_manifest m;
	unsigned i = flip[0] % FILES;
	struct stk_err err;
	size_t at;

	for (unsigned k = 0; k < FILES; k++)
		require(!part[k].missing);
	require(snap_manifest_read(dir, &m, &err) == 0 && m.memory_total_bytes == part[MEMORY].len);
	if (part[i].len == 0)
		return;
	at = (size_t)(flip[1] | flip[2] << 8) % part[i].len;
	part[i].p[at] ^= (uint8_t)(1u << flip[0] / FILES % 8);
	write_part(i, &part[i]);
	require(verify(&err) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part part[FILES];
	const uint8_t *head = data;
	struct stk_err err;

	if (size < 4)
		return 0;
	make_folder();
	data += 4;
	size -= 4;
	for (unsigned i = 0; i < FILES; i++)
		read_part(&data, &size, &part[i]);
	expand_memory(&part[MEMORY]);
	if (!part[MANIFEST].missing)
		check_manifest(&part[MANIFEST]);
	if (head[0] & 1)
		sum_state(&part[STATE], &part[MEMORY]);
	if (head[0] & 2)
		sum_all(part);
	for (unsigned i = 0; i < FILES; i++)
		write_part(i, &part[i]);
	if (verify(&err) == 0)
		check_good(part, head + 1);
	for (unsigned i = 0; i < FILES; i++)
		free(part[i].p);
	return 0;
}

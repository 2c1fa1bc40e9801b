/* The state file of a snapshot: a plain header, a table of sections, their payloads. Any version
 * can read the header. Layout: doc/SNAPSHOT-FORMAT.md. Everything read is taken as hostile. */
#ifndef SNAPSHOTS_SNAPFILE_H
#define SNAPSHOTS_SNAPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cursor.h"
#include "common/base/err.h"

#define SNAP_MAGIC        "STOKSNAP" /* 8 bytes, no NUL */
#define SNAP_ARCH_X86_64  62u        /* as ELF's e_machine */
#define SNAP_VERSION      2u
#define SNAP_MAX_SIZE     (4u * 1024 * 1024)
#define SNAP_MAX_SECTIONS 96u
#define SNAP_HEADER_LEN   32u
#define SNAP_ENTRY_LEN    32u

/* Of each file of a snapshot, also where a copy has left its folder: a function's memory holds its environment and secrets.
 * All who read them run as the same user: the host, its monitors, stoker-snapshot. */
#define SNAP_FILE_MODE 0600

enum snap_section_type {
	SNAP_SECTION_CONFIG = 1, /* struct snap_config */
	SNAP_SECTION_VM = 2,     /* struct snap_vm */
	SNAP_SECTION_VCPU = 3,   /* struct snap_vcpu, instance = index */
	SNAP_SECTION_DEVICE = 4, /* struct snap_device, instance = place in the start order */
	SNAP_SECTION_MEMORY = 5, /* regions of the memory file */
	SNAP_SECTION_RUNS = 6,   /* runs of data in the memory file with their checksums */
	SNAP_SECTION_EMPTY = 7,  /* struct snap_empty, may be missing */
};

struct snap_section {
	uint32_t type;
	uint32_t instance;
	uint64_t offset; /* in the file */
	uint64_t length;
	uint64_t crc;
};

struct snap_file {
	const uint8_t *data; /* the first data_len bytes of the file */
	size_t data_len;
	void *owned; /* heap memory behind data, or NULL */
	uint64_t file_len;
	uint32_t arch, version;
	unsigned count;
	struct snap_section section[SNAP_MAX_SECTIONS];
};

/* Header and table from the first `len` bytes of a file of `file_len` bytes. Pure; keeps a
 * reference to buf. Payloads are checked when asked for. -EINVAL, -ENOTSUP (other version or CPU). */
int snap_snapfile_parse(const uint8_t *buf, size_t len, uint64_t file_len, struct snap_file *ret_file,
			struct stk_err *err);
/* Reads and parses. with_runs false: leaves out the payload of RUNS (restoring does not need it). */
int snap_snapfile_open(const char *path, bool with_runs, struct snap_file *ret_file, struct stk_err *err);
/* The same of an open file, which stays the caller's; path is for messages. */
int snap_snapfile_read(int fd, const char *path, bool with_runs, struct snap_file *ret_file, struct stk_err *err);
void snap_snapfile_close(struct snap_file *file);

const struct snap_section *snap_snapfile_find(const struct snap_file *file, uint32_t type,
					      uint32_t instance);
/* Number of sections of a type (their instances must be 0..n-1 to be found). */
unsigned snap_snapfile_count(const struct snap_file *file, uint32_t type);
/* A section's payload after its checksum was compared. -ENOENT, -EBADMSG. */
int snap_snapfile_section(const struct snap_file *file, uint32_t type, uint32_t instance,
			  struct stk_rd *ret_rd, struct stk_err *err);
/* Checksums of all sections. -EBADMSG names the section. */
int snap_snapfile_verify(const struct snap_file *file, struct stk_err *err);
/* "CONFIG", ... or "unknown". */
const char *snap_section_name(uint32_t type);

/* Writing: begin, fill the cursor, end, for each section; then commit. One at a time. */
struct snap_writer {
	uint8_t *buf;
	struct stk_wr wr; /* fill between begin and end; never more than SNAP_MAX_SIZE in all */
	size_t used;
	size_t start;
	unsigned count;
	struct snap_section section[SNAP_MAX_SECTIONS];
};
int snap_writer_init(struct snap_writer *w, struct stk_err *err);
struct stk_wr *snap_writer_begin(struct snap_writer *w, uint32_t type, uint32_t instance);
int snap_writer_end(struct snap_writer *w, struct stk_err *err);
/* The finished file in memory, valid until fini. */
void snap_writer_finish(struct snap_writer *w, const uint8_t **ret_data, size_t *ret_len);
/* Temporary name in the same folder, fsync, rename, fsync of the folder. */
int snap_writer_commit(struct snap_writer *w, const char *path, struct stk_err *err);
void snap_writer_fini(struct snap_writer *w);

#endif

/* A disk image: a regular file read and written in place, or a private copy-on-write mapping of it.
 * The mapping starts as the image file (or, after a restore, as the drive's part of the snapshot's
 * memory file); what the guest writes stays in this process. Main thread only. */
#ifndef VMM_BACKENDS_BLK_FILE_H
#define VMM_BACKENDS_BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/base/err.h"

#define BLK_FILE_SECTOR 512u

struct blk_file {
	int fd; /* of a mapping: the image it was made of, -1 when that is a snapshot's memory file */
	bool read_only;
	uint64_t sectors;
	uint8_t *map; /* NULL when not copy-on-write */
	uint64_t map_len; /* multiple of 4096 */
	uint64_t map_off; /* where the mapping begins in the file it was made of */
	uint64_t dirty_from, dirty_to; /* what was written of it lies between these; none: from >= to */
};

/* Empty, good for blk_file_close. */
void blk_file_init(struct blk_file *b);
int blk_file_open(struct blk_file *b, const char *path, bool read_only, struct stk_err *err);
/* To be read only; path is for messages. Takes fd over, also when it fails. */
int blk_file_open_fd(struct blk_file *b, int fd, const char *path, struct stk_err *err);
/* `size` bytes, a multiple of 4096: zeros follow what the file has. 0: as large as the file. */
int blk_file_open_cow(struct blk_file *b, const char *path, uint64_t size, bool read_only, struct stk_err *err);
/* As it was when the snapshot was taken: len bytes (multiple of 4096) of fd at offset, `sectors` of
 * them the disk. fd stays the caller's. */
int blk_file_open_saved(struct blk_file *b, int fd, uint64_t offset, uint64_t len, uint64_t sectors,
			bool read_only, struct stk_err *err);
void blk_file_close(struct blk_file *b);

/* Whole lists at a byte offset the caller has checked against sectors. 0 or negative errno. The
 * list is used up. */
int blk_file_read(struct blk_file *b, uint64_t off, struct iovec *iov, unsigned n);
int blk_file_write(struct blk_file *b, uint64_t off, struct iovec *iov, unsigned n);
int blk_file_flush(struct blk_file *b);
/* A mapping's content is again what it was when it was opened. -EROFS when there is none and the image itself may have
 * been written. */
int blk_file_rewind(struct blk_file *b);

#endif

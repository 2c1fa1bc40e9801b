/* Descriptor helpers: full reads and writes, flags. 0 or negative errno throughout. */
#ifndef COMMON_BASE_FD_H
#define COMMON_BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Blocking; retries EINTR and short transfers. Early end of file gives -ENODATA. */
int stk_read_full(int fd, void *buf, size_t len);
int stk_write_full(int fd, const void *buf, size_t len);
int stk_pread_full(int fd, void *buf, size_t len, off_t off);
int stk_pwrite_full(int fd, const void *buf, size_t len, off_t off);

int stk_set_nonblock(int fd);
int stk_set_cloexec(int fd, int on);

/* Reads a whole regular file of at most max bytes into heap memory the caller frees;
 * a NUL is put behind it. -EFBIG when larger. */
int stk_read_file(const char *path, size_t max, char **ret_data, size_t *ret_len);
/* The same of an open one, from its start; its offset stays where it is. */
int stk_read_fd(int fd, size_t max, char **ret_data, size_t *ret_len);

/* A new file beside path, mode 0600, to be renamed to it when it is whole; its name goes to ret_name. The descriptor, or
 * negative errno. */
int stk_open_temporary(const char *path, char *ret_name, size_t cap);

/* Writes path by temp file in the same folder, fsync, rename, fsync of the folder. */
int stk_write_file_atomic(const char *path, const void *data, size_t len, mode_t mode);

/* fsync of the folder that holds path. */
int stk_fsync_parent(const char *path);

#endif

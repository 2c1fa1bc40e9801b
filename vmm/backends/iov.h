/* Walking scatter lists: copying into and out of them, and cutting off their front. */
#ifndef VMM_BACKENDS_IOV_H
#define VMM_BACKENDS_IOV_H

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

/* Copies up to len bytes from the front of the list; returns the number copied. */
static inline size_t iov_get(const struct iovec *iov, unsigned n, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t k = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((char *)buf + done, iov[i].iov_base, k);
		done += k;
	}
	return done;
}

/* Copies up to len bytes to the front of the list; returns the number copied. */
static inline size_t iov_put(const struct iovec *iov, unsigned n, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t k = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, (const char *)buf + done, k);
		done += k;
	}
	return done;
}

/* Cuts len bytes off the front, changing the list in place. */
static inline void iov_skip(struct iovec **iov, unsigned *n, size_t len)
{
	while (*n && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n && len) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
}

/* Keeps only the first len bytes; returns the new number of entries. */
static inline unsigned iov_trim(struct iovec *iov, unsigned n, size_t len)
{
	unsigned i;

	for (i = 0; i < n && len; i++) {
		if (iov[i].iov_len > len)
			iov[i].iov_len = len;
		len -= iov[i].iov_len;
	}
	return i;
}

#endif

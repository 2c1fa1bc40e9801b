/* The message that fills a shell in: see fill.h. */
#include "vmm/fill.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/str.h"

int fill_parse_blocks(char *text, struct gmem_block *ret_block, unsigned cap, unsigned *ret_count)
{
	unsigned n = 0;

	for (char *rest = text; rest;) {
		char *pair = strsep(&rest, ","), *file = strchr(pair, '=');
		uint64_t guest = 0, block = 0;

		if (!file || n == cap)
			return -EINVAL;
		*file++ = '\0';
		if (stk_parse_u64(pair, 0, UINT16_MAX, &guest) < 0 || stk_parse_u64(file, 0, UINT16_MAX, &block) < 0)
			return -EINVAL;
		ret_block[n++] = (struct gmem_block){(uint16_t)guest, (uint16_t)block};
	}
	*ret_count = n;
	return 0;
}

static int take_drive(struct fill *f, const char *id, int fd)
{
	if (f->drive_count == VMCONFIG_MAX_DRIVES || !*id)
		return -EINVAL;
	for (unsigned i = 0; i < f->drive_count; i++) {
		if (strcmp(f->drive[i].drive_id, id) == 0)
			return -EINVAL;
	}
	f->drive[f->drive_count].drive_id = id;
	f->drive[f->drive_count].fd = fd;
	f->drive_count++;
	return 0;
}

static int take_stream(struct fill *f, const char *port_text, int fd)
{
	uint64_t port;

	if (f->stream_count == DEVICE_MAX_PORT_FDS || stk_parse_u64(port_text, 0, UINT32_MAX, &port) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < f->stream_count; i++) {
		if (f->stream[i].port == port)
			return -EINVAL;
	}
	f->stream[f->stream_count].port = (uint32_t)port;
	f->stream[f->stream_count].fd = fd;
	f->stream_count++;
	return 0;
}

static int take_once(int *slot, int fd)
{
	if (*slot >= 0)
		return -EINVAL;
	*slot = fd;
	return 0;
}

static int take(struct fill *f, const char *word, char *value, int fd)
{
	if (strcmp(word, "drive") == 0)
		return value ? take_drive(f, value, fd) : -EINVAL;
	if (strcmp(word, "stream") == 0)
		return value ? take_stream(f, value, fd) : -EINVAL;
	if (strcmp(word, "blocks") == 0)
		return value && take_once(&f->blocks_fd, fd) == 0
			       ? fill_parse_blocks(value, f->block, FILL_MAX_BLOCKS, &f->block_count)
			       : -EINVAL;
	if (value)
		return -EINVAL;
	if (strcmp(word, "state") == 0)
		return take_once(&f->state_fd, fd);
	if (strcmp(word, "memory") == 0)
		return take_once(&f->memory_fd, fd);
	return strcmp(word, "set") == 0 ? take_once(&f->set_fd, fd) : -EINVAL;
}

int fill_parse(struct fill *ret, const int *fd, unsigned fd_count, struct stk_err *err)
{
	char *rest = ret->text, *word = strsep(&rest, " ");
	unsigned used = 0;

	ret->state_fd = ret->memory_fd = ret->set_fd = ret->blocks_fd = -1;
	ret->drive_count = ret->stream_count = ret->block_count = 0;
	if (strcmp(word, "fill") != 0)
		return stk_err_set(err, -EINVAL, "--control-fd: the first word is not \"fill\"");
	while (rest) {
		char *value;

		word = strsep(&rest, " ");
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (used == fd_count)
			return stk_err_set(err, -EINVAL, "--control-fd: fill: no descriptor for \"%.40s\"", word);
		if (take(ret, word, value, fd[used++]) < 0)
			return stk_err_set(err, -EINVAL, "--control-fd: fill: \"%.40s\" does not belong there", word);
	}
	if (used < fd_count || ret->state_fd < 0 || ret->memory_fd < 0)
		return stk_err_set(err, -EINVAL, "--control-fd: fill: it needs state, memory, and a word for each descriptor");
	return 0;
}

/* Closes what came when there is more than there may be. */
static int take_descriptors(struct msghdr *msg, int *fd, unsigned *ret_count)
{
	unsigned n = 0;
	int r = msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? -EINVAL : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n + count > FILL_MAX_FDS) {
			r = -EINVAL;
			continue;
		}
		memcpy(fd + n, CMSG_DATA(c), count * sizeof(int));
		n += count;
	}
	for (unsigned i = 0; r < 0 && i < n; i++)
		close(fd[i]);
	*ret_count = n;
	return r;
}

int fill_receive(int control_fd, struct fill *ret, struct stk_err *err)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FILL_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {ret->text, FILL_TEXT_MAX};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	int fd[FILL_MAX_FDS];
	unsigned count = 0;
	ssize_t n;

	do
		n = recvmsg(control_fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return stk_err_sys(err, -errno, "--control-fd");
	if (take_descriptors(&msg, fd, &count) < 0)
		return stk_err_set(err, -EINVAL, "--control-fd: more descriptors than %u", FILL_MAX_FDS);
	if (n == 0)
		return stk_err_set(err, -ESHUTDOWN, "--control-fd: the other side is gone");
	/* A message with descriptors arrives by itself, and whole if it fits. */
	if (ret->text[n - 1] != '\n' || memchr(ret->text, '\0', (size_t)n))
		return stk_err_set(err, -EINVAL, "--control-fd: not one line of at most %u bytes", FILL_TEXT_MAX);
	ret->text[n - 1] = '\0';
	return fill_parse(ret, fd, count, err);
}

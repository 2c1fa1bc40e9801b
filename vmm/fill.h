/* What fills a shell in (--shell): one message on the control socket, a line of words with the open files beside it
 * (SCM_RIGHTS), in the order of the words that take one:
 *
 *   fill state memory [set] [drive=ID]... [stream=PORT]... [blocks=GUEST=FILE,...]
 *
 * state, memory: the snapshot's files; set: its working set; drive: image of a drive that is read only; stream: the
 * guest's connection to a host port; blocks: as --blocks. Each word takes one descriptor. Main thread. */
#ifndef VMM_FILL_H
#define VMM_FILL_H

#include "common/base/err.h"
#include "vmm/devices/device.h"
#include "vmm/gmem.h"
#include "vmm/vmconfig.h"

#define FILL_TEXT_MAX   1024u /* bytes of the line */
#define FILL_MAX_FDS    20u
#define FILL_MAX_BLOCKS 32u

struct fill {
	int state_fd, memory_fd;
	int set_fd; /* -1: none */
	struct { const char *drive_id; int fd; } drive[VMCONFIG_MAX_DRIVES]; /* names lie in `text` */
	unsigned drive_count;
	struct { uint32_t port; int fd; } stream[DEVICE_MAX_PORT_FDS];
	unsigned stream_count;
	int blocks_fd; /* -1: none */
	struct gmem_block block[FILL_MAX_BLOCKS];
	unsigned block_count;
	char text[FILL_TEXT_MAX + 1];
};

/* Pure: ret->text holds the line (NUL at its end, no newline) and is cut up. Every descriptor must have its word and
 * the other way round. -EINVAL with a text. */
int fill_parse(struct fill *ret, const int *fd, unsigned fd_count, struct stk_err *err);
/* Receives the message that is there. The descriptors are the caller's. -ESHUTDOWN: the other side is gone. After any
 * failure the process can only end. */
int fill_receive(int control_fd, struct fill *ret, struct stk_err *err);
/* "GUEST=FILE,...", cut up: at most cap pairs of block numbers. -EINVAL. */
int fill_parse_blocks(char *text, struct gmem_block *ret_block, unsigned cap, unsigned *ret_count);

#endif

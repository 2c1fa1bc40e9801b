/* The few kernel interfaces the agent uses whose headers a small libc does not bring along.
 * Values from the kernel's stable user interface (linux/vm_sockets.h, linux/random.h). */
#ifndef GUEST_INIT_KERNEL_ABI_H
#define GUEST_INIT_KERNEL_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif
#define ABI_CID_HOST 2u

struct abi_sockaddr_vm {
	sa_family_t family;
	uint16_t reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t flags;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct abi_sockaddr_vm) == 16, "struct sockaddr_vm");

#define ABI_RNDADDENTROPY   _IOW('R', 0x03, int[2])
#define ABI_RNDRESEEDCRNG   _IO('R', 0x07)

#endif

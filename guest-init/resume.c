/* Uniqueness of clones: see resume.h. */
#include "guest-init/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "guest-init/kernel_abi.h"

#define PAGE_SHIFT  12
#define BOOT_ID_LEN 37 /* as the kernel prints it: UUID and line feed */

int resume_prepare(struct resume *r)
{
	r->boot_id_fd = -1;
	r->memory_fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	if (r->memory_fd < 0)
		stk_warn("/dev/mem: %s: clones will not touch memory ahead", strerror(errno));
	r->random_fd = open("/dev/random", O_RDWR | O_CLOEXEC);
	if (r->random_fd < 0)
		return -errno;
	r->boot_id_fd = open(RESUME_BOOT_ID_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0444);
	if (r->boot_id_fd < 0 || resume_boot_id(r) < 0 ||
	    mount(RESUME_BOOT_ID_FILE, "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL) < 0)
		stk_warn("boot id stays the kernel's own: %s", strerror(errno));
	return 0;
}

int resume_clock(uint64_t wall_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(wall_ns / STK_NS_PER_S),
			      .tv_nsec = (long)(wall_ns % STK_NS_PER_S)};

	uint64_t now = stk_wall_ns();

	if (wall_ns == 0 || (wall_ns > now ? wall_ns - now : now - wall_ns) <= RESUME_CLOCK_SLACK_NS)
		return 0;
	return clock_settime(CLOCK_REALTIME, &ts) < 0 ? -errno : 0;
}

int resume_entropy(struct resume *r, const uint8_t entropy[GW_ENTROPY_LEN], bool reseed)
{
	struct {
		int entropy_count; /* bits */
		int buf_size;
		uint8_t buf[GW_ENTROPY_LEN];
	} pool = {.entropy_count = GW_ENTROPY_LEN * 8, .buf_size = GW_ENTROPY_LEN};
	int rc = 0;

	memcpy(pool.buf, entropy, GW_ENTROPY_LEN);
	if (ioctl(r->random_fd, ABI_RNDADDENTROPY, &pool) < 0 ||
	    (reseed && ioctl(r->random_fd, ABI_RNDRESEEDCRNG) < 0))
		rc = -errno;
	explicit_bzero(&pool, sizeof(pool));
	return rc;
}

int resume_boot_id(struct resume *r)
{
	uint8_t b[16];
	char text[BOOT_ID_LEN + 1];

	if (r->boot_id_fd < 0)
		return 0;
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -errno;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 1 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(text, sizeof(text),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return stk_pwrite_full(r->boot_id_fd, text, BOOT_ID_LEN, 0);
}

void resume_touch(const struct resume *r, uint64_t first, uint64_t count)
{
	char byte;

	for (uint64_t i = 0; r->memory_fd >= 0 && i < count; i++)
		if (pread(r->memory_fd, &byte, 1, (off_t)((first + i) << PAGE_SHIFT)) != 1)
			return;
}

int resume_hostname(const char *name, size_t len)
{
	return len && sethostname(name, len) < 0 ? -errno : 0;
}

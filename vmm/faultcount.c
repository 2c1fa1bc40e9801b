/* Page faults of the process and its guest: see faultcount.h; Linux, Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD. */
#include "vmm/faultcount.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/fd.h"

#define NAME_MAX_LEN 128u

static int find_offset(int fd, int64_t *ret)
{
	_Alignas(struct kvm_stats_desc) char desc[sizeof(struct kvm_stats_desc) + NAME_MAX_LEN];
	const struct kvm_stats_desc *head = (const struct kvm_stats_desc *)(void *)desc;
	struct kvm_stats_header h;
	int r = stk_pread_full(fd, &h, sizeof(h), 0);

	if (r < 0)
		return r;
	if (h.name_size > NAME_MAX_LEN)
		return -ENOTSUP;
	for (uint32_t i = 0; i < h.num_desc; i++) {
		size_t len = sizeof(*head) + h.name_size;

		r = stk_pread_full(fd, desc, len, (off_t)(h.desc_offset + i * len));
		if (r < 0)
			return r;
		if (strncmp(desc + sizeof(*head), "pf_taken", h.name_size) == 0 && head->size == 1) {
			*ret = (int64_t)h.data_offset + head->offset;
			return 0;
		}
	}
	return -ENOTSUP;
}

int faultcount_open(struct faultcount *f, const struct vcpu_set *vcpus)
{
	*f = (struct faultcount){0};
	for (unsigned i = 0; i < vcpus->count; i++) {
		int fd = ioctl(vcpus->vcpu[i].fd, KVM_GET_STATS_FD, NULL), r;

		if (fd < 0) {
			faultcount_close(f);
			return -ENOTSUP;
		}
		f->fd[f->count++] = fd;
		r = find_offset(fd, &f->offset);
		if (r < 0) {
			faultcount_close(f);
			return r;
		}
	}
	return 0;
}

void faultcount_close(struct faultcount *f)
{
	for (unsigned i = 0; i < f->count; i++)
		close(f->fd[i]);
	f->count = 0;
}

int faultcount_read(const struct faultcount *f, struct faultcount_value *ret)
{
	struct rusage use;
	uint64_t taken;

	if (f->count == 0)
		return -ENOTSUP;
	ret->guest = 0;
	for (unsigned i = 0; i < f->count; i++) {
		int r = stk_pread_full(f->fd[i], &taken, sizeof(taken), f->offset);

		if (r < 0)
			return r;
		ret->guest += taken;
	}
	if (getrusage(RUSAGE_SELF, &use) < 0)
		return -errno;
	ret->own = (uint64_t)use.ru_minflt + (uint64_t)use.ru_majflt;
	return 0;
}

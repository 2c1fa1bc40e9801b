/* Recording of touched pages: see recorder.h; userfaultfd(2), ioctl_userfaultfd(2). */
#include "vmm/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "jail/seccomp.h"

#define PAGE       4096u
#define STACK_SIZE (128u * 1024)
#define NONE       SIZE_MAX

struct recorder {
	uint8_t *base; /* of the guest's memory */
	size_t pages;
	int mem_fd; /* not ours */
	int uffd, stop_fd;
	uint8_t *record;
	bool *granted_once; /* pages; heap */
	size_t granted;     /* the page that may be written until the next event, or NONE */
	bool seccomp;
	bool has_thread;
	pthread_t thread;
	sem_t confined;
	int start_error;
	uint8_t buf[PAGE] __attribute__((aligned(PAGE)));
};

/* ---- the thread ---- */

/* Not to be written yet: a write comes here again. */
static int give_page(struct recorder *r, size_t page)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)r->base + page * PAGE,
		.src = (uintptr_t)r->buf,
		.len = PAGE,
		.mode = UFFDIO_COPY_MODE_WP,
	};
	int rc = stk_pread_full(r->mem_fd, r->buf, PAGE, (off_t)(page * PAGE));

	if (rc == 0 && ioctl(r->uffd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST)
		rc = -errno;
	return rc;
}

static int protect(struct recorder *r, size_t page, uint64_t mode)
{
	struct uffdio_writeprotect wp = {.range = {(uintptr_t)r->base + page * PAGE, PAGE}, .mode = mode};

	return ioctl(r->uffd, UFFDIO_WRITEPROTECT, &wp) < 0 ? -errno : 0;
}

/* A page that has to wait for its content KVM may have brought in by a thread of the kernel, which always asks to write
 * (asynchronous page faults). The first such wish is granted for as long as nothing else happens; when the page is
 * wished for once more, it is the guest that writes. What it wrote meanwhile recorder_settle sees. */
static int let_write(struct recorder *r, size_t page, pid_t tid)
{
	bool of_this_process = tgkill(getpid(), tid, 0) == 0;

	if (of_this_process || r->granted_once[page]) {
		r->record[page] = RECORDER_WRITTEN;
	} else {
		r->granted_once[page] = true;
		r->granted = page;
	}
	return protect(r, page, 0);
}

static int serve(struct recorder *r, const struct uffd_msg *m)
{
	size_t page = (m->arg.pagefault.address - (uintptr_t)r->base) / PAGE;
	int rc = 0;

	if (m->event != UFFD_EVENT_PAGEFAULT || page >= r->pages)
		return -EPROTO;
	if (r->granted != NONE) {
		rc = protect(r, r->granted, UFFDIO_WRITEPROTECT_MODE_WP);
		r->granted = NONE;
	}
	if (rc == 0 && (m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP))
		return let_write(r, page, (pid_t)m->arg.pagefault.feat.ptid);
	if (r->record[page] == RECORDER_UNTOUCHED)
		r->record[page] = RECORDER_READ;
	return rc == 0 ? give_page(r, page) : rc;
}

static void *record_main(void *arg)
{
	struct recorder *r = arg;
	struct pollfd fds[2] = {{.fd = r->uffd, .events = POLLIN}, {.fd = r->stop_fd, .events = POLLIN}};
	struct stk_err err = {0};
	struct uffd_msg m;
	int rc = 0;

	if (r->seccomp)
		r->start_error = jail_seccomp_install(JAIL_VMM_RECORDER, &err);
	if (r->start_error < 0)
		stk_error("recorder: %s", err.text);
	sem_post(&r->confined);
	while (rc == 0 && r->start_error == 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			return NULL;
		if (read(r->uffd, &m, sizeof(m)) == (ssize_t)sizeof(m))
			rc = serve(r, &m);
	}
	/* Whoever waits for a page would wait for ever. */
	stk_error("recorder: a page cannot be served: %s", strerror(rc < 0 ? -rc : errno));
	_exit(1);
}

/* ---- start and stop ---- */

static int open_uffd(struct recorder *r, struct stk_err *err)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_THREAD_ID};
	struct uffdio_register reg = {
		.range = {(uintptr_t)r->base, r->pages * PAGE},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	r->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (r->uffd < 0)
		return stk_err_sys(err, -errno, "userfaultfd");
	if (ioctl(r->uffd, UFFDIO_API, &api) < 0 || ioctl(r->uffd, UFFDIO_REGISTER, &reg) < 0)
		return stk_err_sys(err, -errno, "userfaultfd");
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	return r->stop_fd < 0 ? stk_err_sys(err, -errno, "recorder") : 0;
}

static int map_record(struct recorder *r, int fd, struct stk_err *err)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return stk_err_sys(err, -errno, "record");
	if (st.st_size < 0 || (uint64_t)st.st_size < r->pages)
		return stk_err_set(err, -EINVAL, "the record has %lld bytes, memory %zu pages", (long long)st.st_size,
				   r->pages);
	p = mmap(NULL, r->pages, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return stk_err_sys(err, -errno, "record");
	r->record = p;
	return 0;
}

static int start_thread(struct recorder *r, struct stk_err *err)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
	rc = pthread_create(&r->thread, &attr, record_main, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return stk_err_sys(err, -rc, "recorder");
	r->has_thread = true;
	while (sem_wait(&r->confined) < 0 && errno == EINTR)
		;
	return r->start_error < 0 ? stk_err_sys(err, r->start_error, "cannot confine the recorder") : 0;
}

int recorder_start(struct gmem *mem, uint64_t size, int mem_fd, int record_fd, bool seccomp, struct recorder **ret,
		   struct stk_err *err)
{
	struct recorder *r = aligned_alloc(PAGE, sizeof(*r));
	int rc;

	if (!r)
		return stk_err_sys(err, -ENOMEM, "recorder");
	memset(r, 0, sizeof(*r));
	r->mem_fd = mem_fd;
	r->uffd = r->stop_fd = -1;
	r->seccomp = seccomp;
	r->pages = size / PAGE;
	r->granted = NONE;
	r->granted_once = calloc(r->pages, sizeof(*r->granted_once));
	sem_init(&r->confined, 0, 0);
	mem->base = NULL;
	rc = r->granted_once ? gmem_init_anon(mem, size, err) : stk_err_sys(err, -ENOMEM, "recorder");
	r->base = mem->base;
	if (rc == 0)
		rc = open_uffd(r, err);
	if (rc == 0)
		rc = map_record(r, record_fd, err);
	if (rc == 0)
		rc = start_thread(r, err);
	if (rc < 0) {
		recorder_stop(r);
		gmem_fini(mem);
		return rc;
	}
	*ret = r;
	return 0;
}

void recorder_settle(struct recorder *r)
{
	for (size_t i = 0; r && i < r->pages; i++)
		if (r->record[i] == RECORDER_READ &&
		    stk_pread_full(r->mem_fd, r->buf, PAGE, (off_t)(i * PAGE)) == 0 &&
		    memcmp(r->buf, r->base + i * PAGE, PAGE) != 0)
			r->record[i] = RECORDER_WRITTEN;
}

void recorder_stop(struct recorder *r)
{
	uint64_t one = 1;

	if (!r)
		return;
	if (r->has_thread) {
		if (write(r->stop_fd, &one, sizeof(one)) < 0)
			stk_error("recorder: %s", strerror(errno));
		pthread_join(r->thread, NULL);
	}
	if (r->record)
		munmap(r->record, r->pages);
	if (r->uffd >= 0)
		close(r->uffd);
	if (r->stop_fd >= 0)
		close(r->stop_fd);
	sem_destroy(&r->confined);
	free(r->granted_once);
	free(r);
}

/* Virtual CPUs: see vcpu.h. */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "jail/seccomp.h"

#define KICK_SIGNAL    SIGRTMIN
#define STACK_SIZE     (128u * 1024)
#define PARK_TIMEOUT_S 10

static void on_kick(int sig)
{
	/* Its only use is to make KVM_RUN return. */
}

void vcpu_set_init(struct vcpu_set *set)
{
	pthread_condattr_t attr;

	memset(set, 0, sizeof(*set));
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->go, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&set->idle, &attr);
	pthread_condattr_destroy(&attr);
	atomic_init(&set->want, VCPU_PARK);
	atomic_init(&set->ended, false);
}

int vcpu_set_create(struct vcpu_set *set, const struct kvm *kvm, struct stk_err *err)
{
	set->run_size = kvm->run_size;
	for (unsigned i = 0; i < set->count; i++) {
		struct vcpu *v = &set->vcpu[i];
		void *p;
		int fd = kvm_ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)i, "KVM_CREATE_VCPU", err);

		if (fd < 0)
			return fd;
		v->fd = fd;
		p = mmap(NULL, (size_t)kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return stk_err_sys(err, -errno, "cannot map the state of vCPU %u", i);
		v->run = p;
	}
	return 0;
}

/* ---- ends ---- */

/* Shared with the main thread; KVM reads it on the way into the guest. */
static void set_immediate_exit(struct vcpu *v, uint8_t value)
{
	if (v->run)
		__atomic_store_n(&v->run->immediate_exit, value, __ATOMIC_RELAXED);
}

static void kick(struct vcpu *v)
{
	set_immediate_exit(v, 1);
	pthread_kill(v->thread, KICK_SIGNAL);
}

void vcpu_set_end(struct vcpu_set *set, int code)
{
	if (atomic_exchange(&set->ended, true))
		return;
	atomic_store(&set->want, VCPU_END);
	set->on_end(set->ctx, code);
}

static uint64_t rip(const struct vcpu *v)
{
	struct kvm_regs regs;

	return ioctl(v->fd, KVM_GET_REGS, &regs) == 0 ? regs.rip : 0;
}

static void end_fatal(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	unsigned long long at = rip(v);

	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		stk_error("vCPU %u: triple fault at RIP 0x%llx: the guest is dead", v->index, at);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		stk_error("vCPU %u: the processor refuses to enter the guest: reason 0x%llx, RIP 0x%llx", v->index,
			  (unsigned long long)run->fail_entry.hardware_entry_failure_reason, at);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		stk_error("vCPU %u: KVM internal error %u at RIP 0x%llx (data 0x%llx 0x%llx)", v->index,
			  run->internal.suberror, at,
			  run->internal.ndata > 0 ? (unsigned long long)run->internal.data[0] : 0ULL,
			  run->internal.ndata > 1 ? (unsigned long long)run->internal.data[1] : 0ULL);
		break;
	default:
		stk_error("vCPU %u: unexpected KVM exit %u at RIP 0x%llx", v->index, run->exit_reason, at);
	}
	vcpu_set_end(v->set, -EIO);
}

/* ---- exits ---- */

static void do_pio(struct vcpu *v)
{
	struct vcpu_set *set = v->set;
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;

	if (!bus_claims(set->pio, run->io.port, size)) {
		if (!out)
			memset(data, 0xff, (size_t)size * run->io.count);
		return;
	}
	pthread_mutex_lock(set->dev_lock);
	for (unsigned i = 0; i < run->io.count; i++, data += size) {
		if (out)
			bus_write(set->pio, run->io.port, data, size);
		else
			bus_read(set->pio, run->io.port, data, size);
	}
	pthread_mutex_unlock(set->dev_lock);
}

static void do_mmio(struct vcpu *v)
{
	struct vcpu_set *set = v->set;
	struct kvm_run *run = v->run;
	unsigned len = run->mmio.len <= 8 ? run->mmio.len : 8;

	if (!bus_claims(set->mmio, run->mmio.phys_addr, len)) {
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, len);
		return;
	}
	pthread_mutex_lock(set->dev_lock);
	if (run->mmio.is_write)
		bus_write(set->mmio, run->mmio.phys_addr, run->mmio.data, len);
	else
		bus_read(set->mmio, run->mmio.phys_addr, run->mmio.data, len);
	pthread_mutex_unlock(set->dev_lock);
}

static void do_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		do_pio(v);
		break;
	case KVM_EXIT_MMIO:
		do_mmio(v);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		if (v->run->system_event.type == KVM_SYSTEM_EVENT_CRASH) {
			stk_error("vCPU %u: the guest reports a crash", v->index);
			vcpu_set_end(v->set, -EIO);
		} else {
			vcpu_set_end(v->set, 0);
		}
		break;
	default:
		end_fatal(v);
	}
}

/* One entry into the guest. False when interrupted. */
static bool enter(struct vcpu *v)
{
	if (ioctl(v->fd, KVM_RUN, NULL) == 0) {
		do_exit(v);
		return true;
	}
	if (errno != EINTR && errno != EAGAIN) {
		stk_error("vCPU %u: KVM_RUN: %s, RIP 0x%llx", v->index, strerror(errno), (unsigned long long)rip(v));
		vcpu_set_end(v->set, -EIO);
	}
	return false;
}

/* Sleeps while parking is wanted; returns what is wanted now. */
static int park(struct vcpu *v, bool was_running)
{
	struct vcpu_set *set = v->set;
	int want;

	/* An access the guest is in the middle of is finished now (KVM does that first, and then
	 * looks at immediate_exit); a saved vCPU would else repeat it. It may take several rounds. */
	if (was_running) {
		set_immediate_exit(v, 1);
		while (atomic_load(&set->want) != VCPU_END && enter(v))
			;
	}
	pthread_mutex_lock(&set->lock);
	if (was_running) {
		set->active--;
		pthread_cond_signal(&set->idle);
	}
	while ((want = atomic_load(&set->want)) == VCPU_PARK || (want == VCPU_REHEARSE && v->rehearsed))
		pthread_cond_wait(&set->go, &set->lock);
	if (want == VCPU_RUN) {
		set->active++;
		set_immediate_exit(v, 0);
	}
	pthread_mutex_unlock(&set->lock);
	return want;
}

static void rehearse(struct vcpu *v)
{
	struct vcpu_set *set = v->set;

	(void)ioctl(v->fd, KVM_RUN, NULL); /* fails, as it is meant to */
	pthread_mutex_lock(&set->lock);
	v->rehearsed = true;
	set->starting--;
	pthread_cond_signal(&set->idle);
	pthread_mutex_unlock(&set->lock);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	struct vcpu_set *set = v->set;
	struct stk_err err = {0};
	int r = 0;

	if (set->seccomp) {
		r = jail_seccomp_install(JAIL_VMM_VCPU, &err);
		if (r < 0)
			stk_error("vCPU %u: %s", v->index, err.text);
	}
	pthread_mutex_lock(&set->lock);
	if (r < 0 && set->start_error == 0)
		set->start_error = r;
	set->starting--;
	pthread_cond_signal(&set->idle);
	pthread_mutex_unlock(&set->lock);
	if (r < 0)
		return NULL;

	r = park(v, false);
	if (r == VCPU_REHEARSE) {
		rehearse(v);
		r = park(v, false);
	}
	if (r != VCPU_RUN)
		return NULL;
	for (;;) {
		int want = atomic_load(&set->want);

		if (want == VCPU_PARK && park(v, true) == VCPU_END)
			return NULL;
		if (want == VCPU_END)
			break;
		enter(v);
	}
	pthread_mutex_lock(&set->lock);
	set->active--;
	pthread_cond_signal(&set->idle);
	pthread_mutex_unlock(&set->lock);
	return NULL;
}

/* ---- main thread ---- */

static int start_thread(struct vcpu *v, const pthread_attr_t *attr, struct stk_err *err)
{
	int r = pthread_create(&v->thread, attr, vcpu_main, v);

	if (r != 0)
		return stk_err_sys(err, -r, "cannot start the thread of vCPU %u", v->index);
	v->has_thread = true;
	return 0;
}

int vcpu_set_start(struct vcpu_set *set, unsigned count, struct stk_err *err)
{
	struct sigaction sa = {.sa_handler = on_kick};
	sigset_t block, old;
	pthread_attr_t attr;
	int r = 0;

	/* All other signals are the main thread's. */
	sigfillset(&block);
	sigdelset(&block, KICK_SIGNAL);
	sigaction(KICK_SIGNAL, &sa, NULL);
	set->count = count;
	set->starting = count;
	for (unsigned i = 0; i < count; i++)
		set->vcpu[i] = (struct vcpu){.set = set, .index = i, .fd = -1};
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = start_thread(&set->vcpu[i], &attr, err);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

int vcpu_set_wait_started(struct vcpu_set *set, struct stk_err *err)
{
	int r;

	pthread_mutex_lock(&set->lock);
	while (set->starting > 0)
		pthread_cond_wait(&set->idle, &set->lock);
	r = set->start_error;
	pthread_mutex_unlock(&set->lock);
	return r < 0 ? stk_err_sys(err, r, "cannot confine a vCPU thread") : 0;
}

void vcpu_set_rehearse(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->starting = set->count;
	atomic_store(&set->want, VCPU_REHEARSE);
	pthread_cond_broadcast(&set->go);
	while (set->starting > 0)
		pthread_cond_wait(&set->idle, &set->lock);
	atomic_store(&set->want, VCPU_PARK);
	pthread_mutex_unlock(&set->lock);
}

int vcpu_set_park(struct vcpu_set *set, struct stk_err *err)
{
	int expected = VCPU_RUN;
	struct timespec until;
	int r = 0;

	if (!atomic_compare_exchange_strong(&set->want, &expected, VCPU_PARK) && expected == VCPU_END)
		return stk_err_set(err, -ESHUTDOWN, "the microVM has ended");
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PARK_TIMEOUT_S;
	for (unsigned i = 0; i < set->count; i++) {
		if (set->vcpu[i].has_thread)
			kick(&set->vcpu[i]);
	}
	pthread_mutex_lock(&set->lock);
	while ((set->active > 0 || set->starting > 0) && r == 0)
		r = pthread_cond_timedwait(&set->idle, &set->lock, &until);
	pthread_mutex_unlock(&set->lock);
	if (r != 0) {
		vcpu_set_resume(set);
		return stk_err_set(err, -ETIMEDOUT, "a vCPU did not stop within %d s", PARK_TIMEOUT_S);
	}
	if (atomic_load(&set->want) == VCPU_END)
		return stk_err_set(err, -ESHUTDOWN, "the microVM has ended");
	return 0;
}

void vcpu_set_resume(struct vcpu_set *set)
{
	int expected = VCPU_PARK;

	pthread_mutex_lock(&set->lock);
	atomic_compare_exchange_strong(&set->want, &expected, VCPU_RUN);
	pthread_cond_broadcast(&set->go);
	pthread_mutex_unlock(&set->lock);
}

void vcpu_set_fini(struct vcpu_set *set)
{
	atomic_store(&set->ended, true);
	pthread_mutex_lock(&set->lock);
	atomic_store(&set->want, VCPU_END);
	pthread_cond_broadcast(&set->go);
	pthread_mutex_unlock(&set->lock);
	for (unsigned i = 0; i < set->count; i++) {
		if (set->vcpu[i].has_thread)
			kick(&set->vcpu[i]);
	}
	for (unsigned i = 0; i < set->count; i++) {
		struct vcpu *v = &set->vcpu[i];

		if (v->has_thread)
			pthread_join(v->thread, NULL);
		if (v->run)
			munmap(v->run, (size_t)set->run_size);
		if (v->fd >= 0)
			close(v->fd);
	}
	set->count = 0;
	pthread_cond_destroy(&set->go);
	pthread_cond_destroy(&set->idle);
	pthread_mutex_destroy(&set->lock);
}

/* The installed filters, tried in child processes: what the policy texts allow works, everything
 * else dies of SIGSYS. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/fd.h"
#include "jail/policy_parse.h"
#include "jail/seccomp.h"

#ifdef JAIL_WIDEN
static const bool widened = true;
#else
static const bool widened = false;
#endif

static const char *const role_name[] = {
	[JAIL_VMM_MAIN] = "vmm-main", [JAIL_VMM_REUSABLE] = "vmm-reusable", [JAIL_VMM_VCPU] = "vmm-vcpu"};

static void prepare_child(void)
{
	static const int caught[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGSYS, SIGABRT};
	struct rlimit none = {0, 0};

	for (unsigned i = 0; i < STK_ARRAY_LEN(caught); i++)
		signal(caught[i], SIG_DFL); /* cmocka's handlers would go on in the child */
	setrlimit(RLIMIT_CORE, &none);
	alarm(20);
}

/* Runs fn in a child under the role's filter; returns the wait status. The child's exit status is
 * fn's value (0 = as expected). */
static int run(enum jail_role role, int (*fn)(void *), void *arg)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct stk_err err;

		prepare_child();
		if (jail_seccomp_install(role, &err) < 0)
			_exit(99);
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_ok(int status)
{
	assert_false(WIFSIGNALED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int do_device_work(void *arg)
{
	char byte = 0;
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, s;

	if (p == MAP_FAILED || mprotect(p, 4096, PROT_NONE) < 0 || madvise(p, 8192, MADV_DONTNEED) < 0 ||
	    munmap(p, 8192) < 0)
		return 1;
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &byte, 1) != 1 || close(fd) < 0)
		return 2;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || close(s) < 0)
		return 3;
	return getrandom(&byte, 1, 0) == 1 ? 0 : 4;
}

static void test_main_can_do_device_work(void **state)
{
	assert_ok(run(JAIL_VMM_MAIN, do_device_work, NULL));
}

static void test_no_new_privs_is_set(void **state)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) { /* the filter refuses prctl: ask through /proc */
		struct stk_err err;
		char buf[4096];
		int fd = open("/proc/self/status", O_RDONLY);
		ssize_t n;

		if (jail_seccomp_install(JAIL_VMM_MAIN, &err) < 0)
			_exit(99);
		n = read(fd, buf, sizeof(buf) - 1);
		if (n <= 0)
			_exit(1);
		buf[n] = '\0';
		_exit(strstr(buf, "NoNewPrivs:\t1") && strstr(buf, "Seccomp:\t2") ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_ok(status);
}

struct call {
	long nr;
	unsigned long a[6];
};

static int do_call(void *arg)
{
	const struct call *c = arg;

	syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
	return 0;
}

static void test_argument_limits(void **state)
{
	struct call inet = {SYS_socket, {AF_INET, SOCK_STREAM, 0}};
	struct call netlink = {SYS_socket, {AF_NETLINK, SOCK_RAW, 0}};
	struct call create_vm = {SYS_ioctl, {0, KVM_CREATE_VM, 0}};
	struct call tiocsti = {SYS_ioctl, {0, TIOCSTI, 0}};
	struct call set_regs = {SYS_ioctl, {(unsigned long)-1, KVM_SET_REGS, 0}};
	struct call run_vcpu = {SYS_ioctl, {(unsigned long)-1, KVM_RUN, 0}};
	struct call exec_map = {SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC,
					   MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1, 0}};
	struct call exec_protect = {SYS_mprotect, {0x1000, 4096, PROT_READ | PROT_EXEC}};

	assert_killed(run(JAIL_VMM_MAIN, do_call, &inet));
	assert_killed(run(JAIL_VMM_MAIN, do_call, &netlink));
	assert_killed(run(JAIL_VMM_MAIN, do_call, &create_vm));
	assert_killed(run(JAIL_VMM_MAIN, do_call, &tiocsti));
	assert_killed(run(JAIL_VMM_MAIN, do_call, &run_vcpu));
	assert_killed(run(JAIL_VMM_MAIN, do_call, &set_regs));
	assert_ok(run(JAIL_VMM_REUSABLE, do_call, &set_regs));
	assert_killed(run(JAIL_VMM_REUSABLE, do_call, &run_vcpu));
	assert_killed(run(JAIL_VMM_REUSABLE, do_call, &create_vm));
	assert_killed(run(JAIL_VMM_VCPU, do_call, &create_vm));
	assert_ok(run(JAIL_VMM_VCPU, do_call, &run_vcpu));
	if (!widened) { /* sanitizers map their shadow memory as they like */
		assert_killed(run(JAIL_VMM_MAIN, do_call, &exec_map));
		assert_killed(run(JAIL_VMM_MAIN, do_call, &exec_protect));
		assert_killed(run(JAIL_VMM_VCPU, do_call, &exec_map));
	}
}

static int do_clone3(void *arg)
{
	return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : 1;
}

static void test_clone3_is_refused_without_killing(void **state)
{
	assert_ok(run(JAIL_VMM_MAIN, do_clone3, NULL));
	assert_ok(run(JAIL_VMM_VCPU, do_clone3, NULL));
}

static void test_other_syscall_tables_are_closed(void **state)
{
	struct call x32 = {0x40000000 | SYS_getpid, {0}};

	assert_killed(run(JAIL_VMM_MAIN, do_call, &x32));
	assert_killed(run(JAIL_VMM_VCPU, do_call, &x32));
}

/* One thread's filter leaves the other threads alone, but a violation ends the whole process. */
static void *thread_main(void *arg)
{
	struct stk_err err;
	int *step = arg;

	if (jail_seccomp_install(JAIL_VMM_VCPU, &err) < 0)
		_exit(98);
	__atomic_store_n(step, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(step, __ATOMIC_ACQUIRE) == 1)
		sched_yield();
	syscall(SYS_listen, -1, 0); /* only the main thread may */
	return NULL;
}

static void test_filter_is_per_thread(void **state)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct stk_err err;
		pthread_t t;
		int step = 0;

		prepare_child();
		if (pthread_create(&t, NULL, thread_main, &step) != 0)
			_exit(97);
		while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) == 0)
			sched_yield();
		syscall(SYS_listen, -1, 0);
		if (jail_seccomp_install(JAIL_VMM_MAIN, &err) < 0)
			_exit(99);
		if (do_device_work(NULL) != 0)
			_exit(96);
		__atomic_store_n(&step, 2, __ATOMIC_RELEASE);
		pthread_join(t, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_killed(status);
}

static int load_policy(void *ctx, const char *name, char **ret_text, size_t *ret_len,
		       struct stk_err *err)
{
	const char *src = getenv("STOKER_SRC");
	char path[1024];

	snprintf(path, sizeof(path), "%s/jail/policy/%s.policy", src ? src : ".", name);
	return stk_read_file(path, POLICY_MAX_TEXT, ret_text, ret_len);
}

static void read_policy(enum jail_role role, struct policy *p)
{
	struct stk_err err = {0, ""};

	memset(p, 0, sizeof(*p));
	if (policy_parse(p, role_name[role], load_policy, NULL, &err) < 0)
		fail_msg("%s", err.text);
	if (widened) {
		p->widen = true;
		if (policy_parse(p, "sanitizer", load_policy, NULL, &err) < 0)
			fail_msg("%s", err.text);
	}
}

/* No dead rule: a call that fits the rule reaches the kernel (which refuses its nonsense). */
static void every_rule_runs(enum jail_role role)
{
	static struct policy p;

	read_policy(role, &p);
	for (unsigned i = 0; i < p.count; i++) {
		const struct policy_rule *r = &p.rule[i];
		struct call c = {seccomp_syscall_resolve_name(r->syscall), {0}};
		int status;

		/* Not to be tried in sanitized builds: calls that return
		 * twice, and the end of one thread, after which a sanitizer's own thread goes on. */
		if (widened && (strcmp(r->syscall, "vfork") == 0 || strcmp(r->syscall, "fork") == 0 ||
				strcmp(r->syscall, "clone") == 0 || strcmp(r->syscall, "exit") == 0))
			continue;
		for (unsigned a = 0; a < 6; a++)
			c.a[a] = ~0UL;
		for (unsigned k = 0; k < r->cond_count; k++)
			c.a[r->cond[k].arg] = r->cond[k].value;
		status = run(role, do_call, &c);
		if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGALRM))
			fail_msg("%s: %s (%s.policy:%u): signal %d", role_name[role], r->syscall, r->file,
				 r->line, WTERMSIG(status));
	}
}

static void test_every_rule_runs(void **state)
{
	every_rule_runs(JAIL_VMM_MAIN);
	every_rule_runs(JAIL_VMM_VCPU);
}

static void everything_else_dies(enum jail_role role)
{
	static struct policy p;
	static bool listed[512];
	unsigned tried = 0;

	read_policy(role, &p);
	memset(listed, 0, sizeof(listed));
	for (unsigned i = 0; i < p.count; i++) {
		int nr = seccomp_syscall_resolve_name(p.rule[i].syscall);

		assert_in_range(nr, 0, 511);
		listed[nr] = true;
	}
	for (long nr = 0; nr < 470; nr++) {
		struct call c = {nr, {~0UL, ~0UL, ~0UL, ~0UL, ~0UL, ~0UL}};
		int status;

		/* Newer kernels let uretprobe and uprobe (335, 336) past every filter: they work only
		 * from the kernel's own trampolines. */
		if (listed[nr] || nr == 335 || nr == 336)
			continue;
		tried++;
		status = run(role, do_call, &c);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: system call %ld got through", role_name[role], nr);
	}
	assert_true(tried > 250);
}

static void test_everything_else_dies(void **state)
{
	everything_else_dies(JAIL_VMM_MAIN);
	everything_else_dies(JAIL_VMM_VCPU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main_can_do_device_work),
		cmocka_unit_test(test_no_new_privs_is_set),
		cmocka_unit_test(test_argument_limits),
		cmocka_unit_test(test_clone3_is_refused_without_killing),
		cmocka_unit_test(test_other_syscall_tables_are_closed),
		cmocka_unit_test(test_filter_is_per_thread),
		cmocka_unit_test(test_every_rule_runs),
		cmocka_unit_test(test_everything_else_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

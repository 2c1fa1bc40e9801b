/*
 * boxsuper: PID 1 of the emulated machine once its file systems are up. Runs the user's command, carries its
 * standard streams, signals and exit status over one virtio-serial port, then ends the machine.
 *
 * The port carries frames in both directions: u8 type, u32 little-endian length, payload (at most FRAME_MAX).
 *   to the outer side:    'R' ready (empty)           'O' bytes of stdout      'E' bytes of stderr
 *                         'G' u32 more stdin bytes may be sent                 'X' u32 exit status, always last
 *   from the outer side:  'T' u64 wall clock in ns: set it, start the command
 *                         'I' bytes of stdin          'C' end of stdin         'S' u32 signal for the command
 *
 * With --batch (instruction-counted runs) nothing is exchanged while the command runs: its stdin is empty, its output
 * is collected in memory, and the port's driver is loaded by the given script only when the command has ended.
 *
 * usage: boxsuper [--batch SCRIPT] [--umount DIR] COMMAND-FILE
 * COMMAND-FILE holds NUL-terminated strings: cwd, number of arguments, arguments, then K=V environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_HEAD = 5, FRAME_MAX = 65536, STDIN_WINDOW = 65536 };

struct command {
	char *cwd;
	char **argv;
	char **envp;
};

struct super {
	int port;		/* the virtio-serial port, non-blocking */
	int sigfd;		/* SIGCHLD */
	int in, out, err;	/* our ends of the command's pipes, -1 when closed */
	pid_t child;
	bool exited;
	uint32_t status;	/* as a shell would report it */
	uint8_t tx[FRAME_HEAD + FRAME_MAX];	/* one outgoing frame */
	size_t tx_len, tx_done;
	uint8_t rx[FRAME_HEAD + FRAME_MAX];	/* one incoming frame, being gathered */
	size_t rx_len;
	uint8_t stdin_buf[STDIN_WINDOW];
	size_t stdin_len;
	uint32_t stdin_used;	/* bytes the command has taken and the outer side has not been told of */
	bool stdin_eof;
};

static struct super super = { .port = -1, .sigfd = -1, .in = -1, .out = -1, .err = -1 };

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void die(const char *what)
{
	fprintf(stderr, "kvmbox: %s: %s\n", what, strerror(errno));
	power_off();
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* ---- command ---- */

static char *next_string(char **pos, const char *end)
{
	char *s = *pos;
	char *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;

	if (!nul) {
		errno = EINVAL;
		die("command file");
	}
	*pos = nul + 1;
	return s;
}

static void command_load(const char *path, struct command *ret_cmd)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	size_t size = (size_t)st.st_size;
	char *text = malloc(size + 1);
	if (!text)
		die("memory");
	for (size_t got = 0; got < size;) {
		ssize_t n = read(fd, text + got, size - got);
		if (n <= 0)
			die(path);
		got += (size_t)n;
	}
	close(fd);

	char *pos = text, *end = text + size;
	ret_cmd->cwd = next_string(&pos, end);
	size_t argc = strtoul(next_string(&pos, end), NULL, 10);
	ret_cmd->argv = calloc(argc + 1, sizeof(char *));
	ret_cmd->envp = calloc(size / 2 + 2, sizeof(char *));
	if (!ret_cmd->argv || !ret_cmd->envp || argc == 0)
		die("command file");
	for (size_t i = 0; i < argc; i++)
		ret_cmd->argv[i] = next_string(&pos, end);
	for (size_t i = 0; pos < end; i++)
		ret_cmd->envp[i] = next_string(&pos, end);
}

/* In the child. Messages go to the command's own stderr. */
static void command_exec(const struct command *cmd, int in, int out, int err)
{
	sigset_t none;

	setsid();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(125);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (chdir(cmd->cwd) < 0) {
		fprintf(stderr, "kvmbox: cannot enter %s in the box: %s\n", cmd->cwd, strerror(errno));
		_exit(125);
	}
	environ = cmd->envp;
	execvp(cmd->argv[0], cmd->argv);
	int code = errno == ENOENT ? 127 : 126;
	fprintf(stderr, "kvmbox: cannot run %s in the box: %s\n", cmd->argv[0], strerror(errno));
	_exit(code);
}

static void reap(void)
{
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != super.child)
			continue;
		super.exited = true;
		super.status = WIFSIGNALED(st) ? 128u + (uint32_t)WTERMSIG(st) : (uint32_t)WEXITSTATUS(st);
		/* The box ends with its command: what it left running goes, which also closes the pipes. */
		kill(-1, SIGKILL);
	}
}

/* ---- port ---- */

static void frame_start(char type, const void *data, size_t len)
{
	super.tx[0] = (uint8_t)type;
	put_u32(super.tx + 1, (uint32_t)len);
	if (len)
		memcpy(super.tx + FRAME_HEAD, data, len);
	super.tx_len = FRAME_HEAD + len;
	super.tx_done = 0;
}

static bool frame_pending(void)
{
	return super.tx_done < super.tx_len;
}

static void frame_push(void)
{
	while (frame_pending()) {
		ssize_t n = write(super.port, super.tx + super.tx_done, super.tx_len - super.tx_done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die("write to the outer side");
		super.tx_done += (size_t)n;
	}
}

static void frame_send_now(char type, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = super.port, .events = POLLOUT };

	for (;;) {
		frame_push();
		if (!frame_pending())
			break;
		poll(&pfd, 1, -1);
	}
	frame_start(type, data, len);
	for (frame_push(); frame_pending(); frame_push())
		poll(&pfd, 1, -1);
}

static void signal_command(int sig)
{
	if (super.child <= 0 || super.exited)
		return;
	/* An interrupt reaches the whole foreground group, as from a terminal. */
	kill(sig == SIGINT ? -super.child : super.child, sig);
}

/* Returns true for the frame that starts the command. */
static bool frame_handle(char type, const uint8_t *data, size_t len)
{
	switch (type) {
	case 'T':
		if (len == 8) {
			uint64_t ns = get_le(data, 8);
			struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u),
				.tv_nsec = (long)(ns % 1000000000u) };
			clock_settime(CLOCK_REALTIME, &ts);
		}
		return true;
	case 'I':
		if (len > STDIN_WINDOW - super.stdin_len) {
			errno = EPROTO;
			die("standard input");
		}
		memcpy(super.stdin_buf + super.stdin_len, data, len);
		super.stdin_len += len;
		break;
	case 'C':
		super.stdin_eof = true;
		break;
	case 'S':
		if (len == 4)
			signal_command((int)get_le(data, 4));
		break;
	}
	return false;
}

static bool port_read(void)
{
	bool start = false;

	for (;;) {
		size_t want = FRAME_HEAD;
		if (super.rx_len >= FRAME_HEAD) {
			uint64_t body = get_le(super.rx + 1, 4);
			if (body > FRAME_MAX) {
				errno = EPROTO;
				die("frame from the outer side");
			}
			want += (size_t)body;
		}
		if (super.rx_len == want) {
			start |= frame_handle((char)super.rx[0], super.rx + FRAME_HEAD, want - FRAME_HEAD);
			super.rx_len = 0;
			continue;
		}
		ssize_t n = read(super.port, super.rx + super.rx_len, want - super.rx_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return start;
		if (n <= 0)
			die("outer side went away");
		super.rx_len += (size_t)n;
	}
}

static void port_open(void)
{
	for (int tries = 0; tries < 500; tries++) {
		super.port = open("/dev/vport0p1", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (super.port >= 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	die("/dev/vport0p1");
}

/* ---- streams ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void stdin_push(void)
{
	while (super.in >= 0 && super.stdin_len) {
		ssize_t n = write(super.in, super.stdin_buf, super.stdin_len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {	/* the command closed its stdin: take and drop what still comes */
			super.stdin_used += (uint32_t)super.stdin_len;
			super.stdin_len = 0;
			close_fd(&super.in);
			return;
		}
		super.stdin_len -= (size_t)n;
		super.stdin_used += (uint32_t)n;
		memmove(super.stdin_buf, super.stdin_buf + n, super.stdin_len);
	}
	if (super.in < 0) {
		super.stdin_used += (uint32_t)super.stdin_len;
		super.stdin_len = 0;
	}
	if (super.stdin_eof && !super.stdin_len)
		close_fd(&super.in);
}

/* Called with no frame pending; starts one if there is data. */
static void output_pull(int *fd, char type)
{
	static uint8_t buf[FRAME_MAX];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0)
		frame_start(type, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(fd);
}

static void pipe_or_die(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
}

static void serve_live(const struct command *cmd)
{
	int in[2], out[2], err[2];
	bool started = false;
	struct signalfd_siginfo si;

	port_open();
	frame_send_now('R', NULL, 0);
	while (!started) {
		struct pollfd p = { .fd = super.port, .events = POLLIN };
		poll(&p, 1, -1);
		started = port_read();
	}
	pipe_or_die(in);
	pipe_or_die(out);
	pipe_or_die(err);
	super.child = fork();
	if (super.child < 0)
		die("fork");
	if (super.child == 0)
		command_exec(cmd, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	super.in = in[1];
	super.out = out[0];
	super.err = err[0];
	fcntl(super.in, F_SETFL, O_NONBLOCK);
	fcntl(super.out, F_SETFL, O_NONBLOCK);
	fcntl(super.err, F_SETFL, O_NONBLOCK);

	while (!super.exited || super.out >= 0 || super.err >= 0 || frame_pending()) {
		bool busy = frame_pending();
		struct pollfd p[5] = {
			{ .fd = super.port, .events = (short)(POLLIN | (busy ? POLLOUT : 0)) },
			{ .fd = super.sigfd, .events = POLLIN },
			{ .fd = busy ? -1 : super.out, .events = POLLIN },
			{ .fd = busy ? -1 : super.err, .events = POLLIN },
			{ .fd = super.stdin_len ? super.in : -1, .events = POLLOUT },
		};
		if (poll(p, 5, -1) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents) {
			while (read(super.sigfd, &si, sizeof(si)) > 0)
				;
			reap();
		}
		if (p[0].revents & POLLIN)
			port_read();
		stdin_push();
		frame_push();
		if (!frame_pending() && super.stdin_used) {
			uint8_t n[4];
			put_u32(n, super.stdin_used);
			super.stdin_used = 0;
			frame_start('G', n, sizeof(n));
		}
		if (!frame_pending() && p[2].revents)
			output_pull(&super.out, 'O');
		else if (!frame_pending() && p[3].revents)
			output_pull(&super.err, 'E');
		frame_push();
	}
}

/* ---- batch ---- */

static void send_collected(int fd, char type)
{
	static uint8_t buf[FRAME_MAX];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		frame_send_now(type, buf, (size_t)n);
}

static void serve_batch(const struct command *cmd, const char *script)
{
	int out = memfd_create("stdout", MFD_CLOEXEC);
	int err = memfd_create("stderr", MFD_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int st;

	if (out < 0 || err < 0 || null < 0)
		die("batch files");
	fcntl(out, F_SETFL, O_APPEND);
	fcntl(err, F_SETFL, O_APPEND);
	super.child = fork();
	if (super.child < 0)
		die("fork");
	if (super.child == 0)
		command_exec(cmd, null, out, err);
	while (!super.exited) {
		struct pollfd p = { .fd = super.sigfd, .events = POLLIN };
		struct signalfd_siginfo si;
		poll(&p, 1, -1);
		while (read(super.sigfd, &si, sizeof(si)) > 0)
			;
		reap();
	}
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl(script, script, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &st, 0) < 0)
		die("port driver");
	port_open();
	frame_send_now('R', NULL, 0);
	send_collected(out, 'O');
	send_collected(err, 'E');
}

/* Two virtual processors that never run, one with and one without an interrupt controller, until the machine ends. As
 * long as there is one of each kind, KVM need not rewrite its own jumps whenever a microVM starts and has started:
 * rewritten code is what an emulated processor now and then does not take notice of, and then traps there for ever
 * (seen as a first microVM that never answered while one processor was busy). */
static void hold_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	for (int chip = 0; chip < 2; chip++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, 0);

		if (vm < 0 || (chip && ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) || ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
			fprintf(stderr, "kvmbox: /dev/kvm: %s\n", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	struct command cmd = { 0 };
	const char *script = NULL, *mounted = NULL;
	sigset_t chld;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "--batch") == 0)
			script = argv[i + 1];
		else if (strcmp(argv[i], "--umount") == 0)
			mounted = argv[i + 1];
	}
	if (i + 1 != argc) {
		errno = EINVAL;
		die("arguments of boxsuper");
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	super.sigfd = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC);
	if (super.sigfd < 0)
		die("signalfd");
	command_load(argv[i], &cmd);
	hold_kvm();

	if (script)
		serve_batch(&cmd, script);
	else
		serve_live(&cmd);

	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	if (mounted && umount2(mounted, 0) < 0)
		fprintf(stderr, "kvmbox: umount %s: %s\n", mounted, strerror(errno));
	sync();
	uint8_t status[4];
	put_u32(status, super.status);
	frame_send_now('X', status, sizeof(status));
	/* The outer side ends the machine when it has the status; this is for the case that it does not. */
	sleep(10);
	power_off();
	return 0;
}

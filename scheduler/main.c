/* stokerd: the life of the daemon. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/options.h"
#include "scheduler/preflight.h"

#define FILES 32768u

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static int fail(const struct stk_err *err)
{
	fprintf(stderr, "stokerd: %s\n", err->text);
	return 1;
}

/* The kernel enlarges the table of open files when it is full, and in a process with threads it waits for a grace
 * period then, some 10 ms. As long as there are no threads it does not, and the table never shrinks. */
static void enlarge_file_table(rlim_t limit)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)(limit < FILES ? limit : FILES) - 1);

	if (fd >= 0)
		close(fd);
}

/* Process-wide settings, before any thread exists. */
static void set_up_process(void)
{
	struct rlimit files;

	/* Without fast bins: a thread that frees a large block would sort what others have freed into them; for a JSON
	 * document of many small values, parsed by a worker, that is 100 ms of the loop. Each thread's cache serves
	 * small blocks as fast. */
	mallopt(M_MXFAST, 0);
	signal(SIGPIPE, SIG_IGN);
	umask(0027);
	/* File names inside packages are UTF-8. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		enlarge_file_table(files.rlim_cur);
	}
}

int main(int argc, char **argv)
{
	static struct options opt;
	static struct daemon d;
	struct stk_err err = {0};
	int code;

	stk_log_init("stokerd", NULL);
	if (options_parse(argc, argv, &opt, &err)) {
		fail(&err);
		return 2;
	}
	if (opt.show_help || opt.show_version) {
		fputs(opt.show_help ? options_usage() : "stokerd " PACKAGE_VERSION "\n", stdout);
		return 0;
	}
	stk_log_set_level(opt.log_level);
	set_up_process();

	code = fsx_mkdirs(opt.state_dir, 0750);
	if (code) {
		stk_err_sys(&err, code, "state folder %s", opt.state_dir);
		return fail(&err);
	}
	if (options_complete(&opt, &err) || preflight_files(&opt, &err))
		return fail(&err);
	if (opt.preflight && preflight_kvm(&opt, &err))
		return fail(&err);
	if (daemon_init(&d, &opt, &err))
		return fail(&err);

	/* From here on the process ends by signal and drain only. */
	code = daemon_run(&d);
	daemon_fini(&d);
	stk_info("ended");
	return code;
}

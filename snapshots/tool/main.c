/* stoker-snapshot: makes, shows and checks snapshots of initialised functions. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "snapshots/tool/tool.h"

static const char usage[] = "usage: stoker-snapshot create --out DIR --vmm PROGRAM --kernel FILE --initrd FILE\n"
			    "                       --rootfs IMG --code IMG --scratch IMG [options]\n"
			    "       stoker-snapshot info DIR [--json]\n"
			    "       stoker-snapshot verify DIR\n"
			    "       stoker-snapshot COMMAND --help | --version\n";

int tool_fail(enum tool_exit status, const struct stk_err *err)
{
	progress_clear();
	fprintf(stderr, "stoker-snapshot: %s\n", err->text);
	return status;
}

int tool_usage(const char *text, const char *why)
{
	if (!why) {
		fputs(text, stdout);
		return TOOL_OK;
	}
	fprintf(stderr, "stoker-snapshot: %s\n%s", why, text);
	return TOOL_USAGE;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {{"create", cmd_create}, {"info", cmd_info}, {"verify", cmd_verify}};

int main(int argc, char **argv)
{
	int status = TOOL_USAGE;

	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		printf("stoker-snapshot %s\n", PACKAGE_VERSION);
		return TOOL_OK;
	}
	if (argc >= 2 && strcmp(argv[1], "--help") == 0)
		return tool_usage(usage, NULL);
	if (argc < 2)
		return tool_usage(usage, "a command is missing");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		signals_catch();
		status = commands[i].run(argc - 1, argv + 1);
		progress_step(NULL);
		if (fflush(stdout) != 0 && status == TOOL_OK) {
			perror("stoker-snapshot: standard output");
			status = TOOL_SYSTEM;
		}
		if (signals_caught()) { /* all is cleaned up: end as the sender expects */
			signal(signals_caught(), SIG_DFL);
			raise(signals_caught());
		}
		return status;
	}
	return tool_usage(usage, "unknown command");
}

/* Extensions as processes, and what comes behind the answer when there are any:
 *
 *   answer ──► BUSY (they work on the invocation) ──► RUNTIME (SIGTERM) ──► SHUTDOWN (event) ──► BYE
 *
 * Each step is over when all are done, or its time is: BUSY at the invocation's deadline, RUNTIME and SHUTDOWN within
 * the budgets of Lambda. EXPIRED (the deadline, without an answer) leads to RUNTIME at once. A machine without extensions has
 * none of this. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "guest-init/agent_internal.h"

#define BUDGET_INTERNAL_MS 500u
#define BUDGET_EXTERNAL_MS 2000u
#define BUDGET_RUNTIME_MS  300u /* of the external one */
#define BYE_LIMIT_MS       1000u /* for a host that does not end the machine */

/* Type and message become an error object, told as the end of whatever is under way. */
static void fail(struct agent *a, const char *type, const char *message)
{
	char body[700];
	int n = snprintf(body, sizeof(body), "{\"errorType\":\"%s\",\"errorMessage\":\"%s\"}", type, message);

	agent_report(a, a->state == AGENT_RUNNING ? GW_ERR_FUNCTION : GW_ERR_INIT, 0, body, (size_t)n);
}

static void fail_later(struct agent *a)
{
	char message[200];

	snprintf(message, sizeof(message), "RequestId: %s Error: an extension has failed",
		 a->state == AGENT_RUNNING ? a->api.request_id : "-");
	fail(a, a->api.ext.failure, message);
}

bool agent_extensions_failed(struct agent *a)
{
	if (!a->api.ext.failure[0])
		return false;
	fail_later(a);
	return true;
}

static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static int compare(const void *x, const void *y)
{
	return strcmp(x, y);
}

/* Names of the programs in the folder, sorted. At most one more than may be; negative errno. */
static int list(const char *dir, char names[][EXTENSIONS_NAME_MAX + 1])
{
	DIR *d = opendir(dir);
	struct dirent *ent;
	char path[400];
	int n = 0;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while (n <= (int)EXTENSIONS_MAX && (ent = readdir(d))) {
		if (ent->d_name[0] == '.' || strlen(ent->d_name) > EXTENSIONS_NAME_MAX ||
		    snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name) >= (int)sizeof(path) || !executable(path))
			continue;
		strcpy(names[n++], ent->d_name);
	}
	closedir(d);
	qsort(names, (size_t)n, sizeof(names[0]), compare);
	return n;
}

bool agent_extensions_start(struct agent *a)
{
	char names[EXTENSIONS_MAX + 1][EXTENSIONS_NAME_MAX + 1], path[400], message[200];
	const char *dir = a->conf.bootstrap->extensions_dir;
	int n = dir ? list(dir, names) : 0;

	a->api.ext.function = bootstrap_env("AWS_LAMBDA_FUNCTION_NAME");
	a->api.ext.version = bootstrap_env("AWS_LAMBDA_FUNCTION_VERSION");
	a->api.ext.handler = bootstrap_env("_HANDLER");
	if (n < 0 || n > (int)EXTENSIONS_MAX) {
		fail(a, n < 0 ? "Extension.LaunchError" : "Extension.TooManyExtensions",
		     n < 0 ? "the folder of extensions cannot be read" : "there are more than ten extensions");
		return false;
	}
	for (int i = 0; i < n; i++) {
		pid_t pid;
		int rc;

		rc = snprintf(path, sizeof(path), "%s/%s", dir, names[i]) < (int)sizeof(path) ? 0 : -ENAMETOOLONG;
		if (rc == 0)
			rc = bootstrap_spawn(a->conf.bootstrap, path, a->output[0], a->output[1], &pid);
		if (rc < 0) {
			snprintf(message, sizeof(message), "cannot start an extension: %s", strerror(-rc));
			fail(a, "Extension.LaunchError", message);
			return false;
		}
		extensions_launched(&a->api.ext, names[i], pid);
	}
	return n > 0;
}

void agent_extensions_changed(struct agent *a)
{
	if (a->state == AGENT_INIT || a->state == AGENT_RUNNING) {
		if (agent_extensions_failed(a))
			return;
	}
	if (a->state == AGENT_INIT && !a->pid && extensions_registered(&a->api.ext))
		agent_start_runtime(a);
}

void agent_extensions_exited(struct agent *a, int status)
{
	char message[200];

	if (a->state == AGENT_INIT || a->state == AGENT_RUNNING) {
		snprintf(message, sizeof(message), "RequestId: %s Error: %s %d",
			 a->state == AGENT_RUNNING ? a->api.request_id : "-",
			 WIFEXITED(status) ? "exit code" : "signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		fail(a, "Extension.Crash", message);
	} else if (a->state == AGENT_READY && !a->api.ext.failure[0]) {
		strcpy(a->api.ext.failure, "Extension.Crash");
	}
}

/* --- behind the answer ------------------------------------------------------------------------- */

static bool any_external(const struct agent *a)
{
	for (unsigned i = 0; i < a->api.ext.count; i++) {
		if (a->api.ext.ext[i].external)
			return true;
	}
	return false;
}

static void linger_begin(struct agent *a)
{
	uint64_t wall_ms = stk_wall_ns() / STK_NS_PER_MS;

	a->linger = LINGER_BUSY;
	a->linger_ns = stk_now_ns();
	if (!a->expired && a->deadline_ms > wall_ms)
		a->linger_ns += (a->deadline_ms - wall_ms) * STK_NS_PER_MS;
}

static void linger_runtime(struct agent *a)
{
	bool external = any_external(a);
	uint64_t now = stk_now_ns();

	a->linger = LINGER_RUNTIME;
	a->end_ns = now + (external ? BUDGET_EXTERNAL_MS : BUDGET_INTERNAL_MS) * STK_NS_PER_MS;
	a->linger_ns = external ? now + BUDGET_RUNTIME_MS * STK_NS_PER_MS : a->end_ns;
	if (a->pid > 0 && !a->dead)
		kill(a->pid, SIGTERM);
}

/* Those that were busy so far get it when they ask for their next event. */
static void tell_shutdown(struct agent *a)
{
	uint64_t now = stk_now_ns(), left = a->end_ns > now ? a->end_ns - now : 0;

	extensions_shutdown(&a->api.ext, &a->api.server, a->expired ? "TIMEOUT" : a->crashed ? "FAILURE" : "SPINDOWN",
			    (stk_wall_ns() + left) / STK_NS_PER_MS);
}

static void linger_shutdown(struct agent *a)
{
	a->linger = LINGER_SHUTDOWN;
	a->linger_ns = a->end_ns;
	if (a->pid > 0 && !a->dead)
		kill(-a->pid, SIGKILL);
}

/* Their last words, and that they were the last. The host ends the machine then: one that powers off by itself may take
 * with it what is still on its way. */
static void linger_bye(struct agent *a)
{
	uint8_t buf[GW_HEADER_LEN];
	struct gw_header h = {.type = GW_BYE};

	logs_drain(&a->logs);
	gw_header_encode(buf, &h);
	agent_send_small(a, buf, sizeof(buf));
	a->linger = LINGER_BYE;
	a->linger_ns = stk_now_ns() + BYE_LIMIT_MS * STK_NS_PER_MS;
}

void agent_linger(struct agent *a)
{
	if (a->linger == LINGER_NONE)
		linger_begin(a);
	if (a->linger == LINGER_BUSY && (extensions_idle(&a->api.ext) || stk_now_ns() >= a->linger_ns))
		linger_runtime(a);
	if (a->linger == LINGER_RUNTIME && (a->pid <= 0 || a->dead || stk_now_ns() >= a->linger_ns))
		linger_shutdown(a);
	if (a->linger == LINGER_SHUTDOWN)
		tell_shutdown(a);
	if (a->linger == LINGER_SHUTDOWN && (!extensions_running(&a->api.ext) || stk_now_ns() >= a->linger_ns))
		linger_bye(a);
	if (a->linger == LINGER_BYE && stk_now_ns() >= a->linger_ns)
		a->bye = true;
}

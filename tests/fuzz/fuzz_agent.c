/* Hostile frames from the host to the guest agent. The first byte chooses the agent's state. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/log.h"
#include "guest-init/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct agent a;
static char folder[] = "/tmp/stoker-fuzz-agent-XXXXXX"; /* for secrets */

static void remove_folder(void)
{
	rmdir(folder);
}

static void empty_folder(void)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0)
			abort();
	}
	if (d)
		closedir(d);
}

static void set_up(void)
{
	static const char *const none[] = {"/nonexistent/bootstrap", NULL};
	static const struct bootstrap_conf boot = {.paths = none, .task_dir = "/"};
	const struct agent_conf conf = {.session_fd = -1, .api_port = 0, .bootstrap = &boot, .secrets_folder = folder};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (!mkdtemp(folder) || atexit(remove_folder))
		abort();
	if (null < 0 || agent_init(&a, &conf) < 0)
		abort();
	a.session = null; /* takes all that the agent says */
	stk_log_set_fd(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ready;
	int rc;

	if (!ready++)
		set_up();
	if (size < 1 || size - 1 > sizeof(a.rx))
		return 0;
	a.state = data[0] % (AGENT_FAILED + 1);
	a.api.state = a.state >= AGENT_READY ? RUNTIME_API_READY : RUNTIME_API_STARTED;
	a.api.ready = a.state >= AGENT_READY;
	a.held = a.bye = a.lost = a.dead = false;
	a.init_deadline_ns = 0;
	a.rx_off = a.tx_off = a.tx_len = 0;
	a.rx_len = size - 1;
	memcpy(a.rx, data + 1, size - 1);
	rc = agent_input(&a);
	if (rc != 0 && rc != -EPROTO)
		abort();
	if (a.rx_off > a.rx_len || (rc == 0 && a.state > AGENT_FAILED))
		abort();
	/* An event that was accepted lies inside the buffer. */
	if (a.held && a.api.state == RUNTIME_API_RUNNING && a.api.event_len &&
	    (a.api.event < a.rx || a.api.event + a.api.event_len > a.rx + a.rx_len))
		abort();
	logs_close(&a.logs);
	empty_folder();
	return 0;
}

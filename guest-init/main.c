/* stoker-init: PID 1 of the guest. Prepares the machine, then serves the host until it says BYE. */
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "guest-init/agent.h"
#include "guest-init/hotfiles.h"
#include "guest-init/mounts.h"
#include "guest-init/power.h"
#include "guest-init/secrets.h"

/* Several MiB of buffers: pages that are never used are never there. */
static struct agent agent;

int main(int argc, char **argv)
{
	const struct agent_conf conf = {.session_fd = -1,
					.api_port = RUNTIME_API_PORT,
					.bootstrap = &bootstrap_guest,
					.secrets_folder = SECRETS_FOLDER,
					.guest = true};
	int rc;

	stk_log_init("stoker-init", NULL);
	if (getpid() != 1)
		power_fail("runs only as the first process of a guest");
	hotfiles_self(argv);

	mounts_root();
	mounts_settings();
	rc = agent_init(&agent, &conf);
	if (rc < 0)
		power_fail("start: %s", strerror(-rc));

	rc = agent_run(&agent); /* the snapshot is taken in here */
	if (rc < 0)
		power_fail("session: %s", strerror(-rc));
	power_off();
}

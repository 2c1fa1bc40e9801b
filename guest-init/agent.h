/* The session with the host (guestwire over vsock), and the one event loop of PID 1.
 *
 *   BOOTED --START--> INIT --first next--> READY --INVOKE--> RUNNING --answer/error--> DONE (extensions' rest)
 *                      +--error--> FAILED    (TRIM, SECRETS, RESUME: any number of times in READY;
 *                                             EXPIRED ends a call without an answer)
 *
 * The snapshot is taken in READY, while the loop waits. BYE ends it in every state. A session that
 * breaks in READY (a snapshot without its streams) is made anew; in INIT, RUNNING or later there is
 * nobody left to work for, and the machine ends. The host's frames are checked all the same. */
#ifndef GUEST_INIT_AGENT_H
#define GUEST_INIT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/guestwire.h"
#include "guest-init/bootstrap.h"
#include "guest-init/logs.h"
#include "guest-init/reap.h"
#include "guest-init/resume.h"
#include "guest-init/runtime_api.h"
#include "guest-init/web.h"

/* Queue to the host. Producers stop at half of it, so that the output drained at the end of an
 * invocation (two pipes), the last piece of an answer and an error always fit. */
#define AGENT_QUEUE (512u * 1024)
#define AGENT_PREFAULT_MAX 65536u /* pages of one PREFAULT */
#define AGENT_RX    (GW_HEADER_LEN + GW_MAX_FRAME + 4096u)

/* Steps behind the answer, where there are extensions. */
enum agent_linger { LINGER_NONE, LINGER_BUSY, LINGER_RUNTIME, LINGER_SHUTDOWN, LINGER_BYE };

enum agent_state { AGENT_BOOTED, AGENT_INIT, AGENT_READY, AGENT_RUNNING, AGENT_DONE, AGENT_FAILED };

struct agent_conf {
	int session_fd;   /* a connected stream socket, or -1: connect to the host by vsock */
	uint16_t api_port; /* of the Runtime API */
	const struct bootstrap_conf *bootstrap;
	const char *secrets_folder;
	bool guest;       /* this is a guest: set clock, entropy, names, trim memory */
};

struct agent {
	struct agent_conf conf;
	enum agent_state state;
	int epfd;
	int session; /* -1 while not connected */
	bool session_out; /* waiting for EPOLLOUT */
	bool lost;
	bool bye;
	bool held; /* rx starts with an INVOKE whose event is still needed */
	bool quiet; /* the host wants no RESUMED */
	bool no_secrets; /* those that came could not be written */
	bool unique; /* the kernel's random generator is this clone's alone */
	pid_t pid; /* runtime, 0: none */
	bool dead;
	bool crashed; /* the invocation ended with the runtime's death */
	bool expired; /* and this one with its time limit */
	int status;
	int output[2]; /* the function's ends of the pipes, until it is started; -1 */
	const char *runtime; /* its file */
	enum agent_linger linger;
	uint64_t deadline_ms; /* of the invocation, epoch */
	uint64_t linger_ns, end_ns; /* monotonic: end of the step, and of all */
	uint64_t started_ns, init_deadline_ns; /* monotonic; deadline 0: none */
	struct resume resume;
	struct reap reap;
	size_t rx_off, rx_len;
	size_t tx_off, tx_len;
	struct logs logs;
	struct runtime_api api;
	struct web web; /* where the function is a web server */
	uint8_t rx[AGENT_RX];
	uint8_t tx[AGENT_QUEUE];
	uint8_t frame[GW_HEADER_LEN + GW_MAX_ERROR]; /* an ERROR being made */
};

/* Opens what the session needs (not the session). 0 or negative errno. */
int agent_init(struct agent *a, const struct agent_conf *conf);

/* Serves until the host says BYE (0), the session ends for good (-EPIPE), or the host broke the
 * protocol (-EPROTO). */
int agent_run(struct agent *a);

/* Works on what has been received: rx[rx_off..rx_len). 0 or -EPROTO. Part of agent_run; on its own
 * for tests. */
int agent_input(struct agent *a);

void agent_fini(struct agent *a);

#endif

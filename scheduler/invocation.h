/* One request for one function call, from the parsed request to the answer. */
#ifndef SCHEDULER_INVOCATION_H
#define SCHEDULER_INVOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/guestwire.h"
#include "common/base/list.h"
#include "scheduler/front.h"
#include "scheduler/ids.h"
#include "scheduler/registry.h"

struct daemon;
struct http_req;
struct sandbox;

/* How the VM that served the call was started; the first five are also what a client may ask for. SHELL: the snapshot
 * was restored into a process that waited for that. RESET: it had served before and was put back to its snapshot. */
enum inv_start { INV_ANY, INV_WARM, INV_SHELL, INV_COLD_RESTORE, INV_COLD_BOOT, INV_RESET, INV_STARTS };

enum inv_outcome {
	INV_OK,
	INV_FUNCTION_ERROR, /* the runtime reported an error; its own JSON */
	INV_EXIT,           /* the runtime ended by itself */
	INV_OOM,
	INV_TIMEOUT,
	INV_TOO_LARGE,      /* the answer */
	INV_VM_DIED,
	INV_PROTOCOL,       /* the guest broke guestwire */
	INV_START_FAILED,   /* no VM of this function can be started */
	INV_QUEUE_FULL,
	INV_QUEUE_TIMEOUT,
	INV_GONE,           /* the client closed the connection */
	INV_SHUTDOWN,
	INV_DELETED,        /* the function went away while the request waited */
	INV_INTERNAL,
	INV_OUTCOMES
};

struct invocation {
	struct front_owner owner; /* first: what http_req_ptr points to */
	struct daemon *d;
	struct http_req *req; /* NULL once answered or gone */
	struct fn_version *ver; /* counted */
	struct sandbox *sb;   /* while a VM works on it, or starts for it alone */
	bool furl;            /* /function/NAME: map the answer */
	bool waiting;         /* in a pool's queue */
	enum inv_start force, start;
	uint8_t *event;
	size_t event_len;
	uint8_t *resp;
	size_t resp_len, resp_cap;
	char id[IDS_UUID_LEN + 1];
	uint64_t begin_ns, parsed_ns, submit_ns, start_ns, ready_ns, sent_ns; /* monotonic */
	uint64_t queue_deadline_ns;
	struct stk_list node;          /* pool's queue or its list of forced ones */
	struct stk_list deadline_node; /* dispatch's */
};

/* It wants a VM that is started for it alone. */
static inline bool invocation_alone(const struct invocation *inv)
{
	return inv->force == INV_SHELL || inv->force == INV_COLD_RESTORE || inv->force == INV_COLD_BOOT;
}

/* Takes event (heap) over, also when it fails. Answers req itself in the end, whatever happens. */
void invocation_submit(struct daemon *d, struct http_req *req, struct fn_version *ver, bool furl,
		       const char *id, uint8_t *event, size_t event_len, enum inv_start force);
/* More bytes of the answer. 0, -EMSGSIZE or -ENOMEM. */
int invocation_append(struct invocation *inv, const uint8_t *data, size_t len);
/* The end: answers, counts, logs, frees. inv->resp is the body for INV_OK and INV_FUNCTION_ERROR;
 * text explains the others. The caller deals with the VM. */
void invocation_finish(struct invocation *inv, enum inv_outcome outcome, const char *text);
/* As the agent reported. */
void invocation_finish_error(struct invocation *inv, const struct gw_error *e);
const char *invocation_start_name(enum inv_start start);
const char *invocation_outcome_name(enum inv_outcome outcome);

#endif

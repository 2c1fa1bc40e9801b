/* One microVM seen from outside: a stoker-vmm process, its guestwire stream and its timers.
 *
 *   start ──► STARTING ──running──► RESUMING ──session──► WARM ──invoke──► BUSY ──over──┐
 *                 │ └──────────session (lines overtaken)───►┘│ ▲             │  │        │
 *                 │                                          │ └─running─ RESETTING      │
 *                 │                                          │  (answered) │             │
 *                 └───────────── exit, stream end, violation, timer, kill ──►▼◄──────────┘
 *                                                                          DYING ──exit──► DEAD
 *
 * RESETTING is for functions with reuse = reset, and only after an answer: sandbox_reset.c.
 * A sandbox owns itself: it is freed when the process has ended and its last handle is closed. */
#ifndef SCHEDULER_SANDBOX_H
#define SCHEDULER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/list.h"
#include "scheduler/agent_client.h"
#include "scheduler/invocation.h"
#include "scheduler/learn.h"
#include "scheduler/logs.h"

struct child;
struct pool;

enum sandbox_state { SB_STARTING, SB_RESUMING, SB_WARM, SB_BUSY, SB_RESETTING, SB_DYING, SB_DEAD };

struct sandbox {
	enum sandbox_state state;
	enum inv_start kind; /* INV_SHELL, INV_COLD_RESTORE or INV_COLD_BOOT */
	struct pool *pool;
	struct stk_list node;        /* pool's warm or others */
	struct stk_list doomed_node; /* dispatch's: killed soon after this loop round, or reset at once */
	struct invocation *inv;      /* being served, or waited for when starting for it alone */
	struct child *child;         /* NULL: never started, or reaped */
	struct agent agent;
	struct logline logline;
	uv_pipe_t stream, control;
	uv_timer_t timer;
	unsigned handles; /* open uv handles */
	bool closing;
	bool paused;      /* its stream is not read: the client of a streamed answer is slow */
	bool lingers;     /* answered; its extensions are told of the end */
	bool hung_up;     /* the stream has ended, the process not yet */
	bool for_one;     /* started for one request: counted in pool->reserved */
	bool counted_starting;
	bool reusable;    /* its monitor can reset it */
	unsigned resets;
	int record_fd;    /* where it records what it touches (learn.h), or -1 */
	enum learn_use use;
	unsigned charged_mib;
	uint64_t started_ns, running_ns, ready_ns, reset_ns;
	uint64_t stream_bytes; /* read from the stream, ever */
	char control_line[256]; /* what stoker-vmm wrote so far of a line */
	unsigned control_len;
	uv_write_t write;
	uint8_t head[1024];   /* the frame in front of the event */
	uint8_t *large_head;  /* in its place, or NULL */
	uint8_t *event;       /* both kept until the kernel has taken them */
	uint64_t log_bytes;   /* of this invocation */
	char served_id[IDS_UUID_LEN + 1]; /* of the invocation that is over, while extensions work on */
};

/* Starts a VM (INV_SHELL: has a shell restore it); inv (may be NULL) is the request it is for. On error nothing has
 * happened to inv. */
int sandbox_start(struct pool *p, enum inv_start kind, struct invocation *inv);
/* Writes the event to a ready VM. Whatever goes wrong reaches inv by invocation_finish. */
void sandbox_invoke(struct sandbox *sb, struct invocation *inv);
/* Ends the VM; an invocation still attached fails with why. why NULL: nothing to tell. */
void sandbox_kill(struct sandbox *sb, const char *why);
/* Ends the VM without hurry, soon after this round of the loop: its invocation is over. */
void sandbox_doom(struct sandbox *sb);
void sandbox_reap_doomed(struct stk_list *doomed);
/* The client of its streamed answer takes more. */
void sandbox_read_on(struct sandbox *sb);
/* Puts those back to their snapshots that have answered (sandbox_reset.c). */
void sandbox_reset_due(struct stk_list *to_reset);
bool sandbox_starting(const struct sandbox *sb);

#endif
